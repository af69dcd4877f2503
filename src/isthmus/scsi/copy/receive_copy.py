"""What there is to tell of a copy: the RECEIVE COPY commands of both kinds, and those for ROD tokens (SPC-4 §6.17 ff).

Each nexus is told of its own copies only.
"""

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.copy.copy_operations import CopyOperation, CopyState
from isthmus.scsi.copy.cscd import IDENTIFICATION
from isthmus.scsi.copy.endpoint import copy_manager_of
from isthmus.scsi.copy.limits import (
    MAX_CONCURRENT_COPIES,
    MAX_CSCD_DESCRIPTORS,
    MAX_DESCRIPTOR_LIST_LENGTH,
    MAX_INLINE_DATA_LENGTH,
    MAX_SEGMENT_DESCRIPTORS,
    MAX_SEGMENT_LENGTH,
)
from isthmus.scsi.copy.segments import BLOCK_TO_BLOCK
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "ReceiveCopy",
    "parse_receive_lid1",
    "parse_receive_lid4",
    "receive_copy_data_lid1",
    "receive_copy_failure_details_lid1",
    "receive_copy_operating_parameters",
    "receive_copy_status_lid1",
    "receive_copy_status_lid4",
    "receive_rod_token_information",
    "report_all_rod_tokens",
]

_LIST_IDENTIFIER_FIELD: Final = 2
_SNLID: Final = 0x01
_STATUS_LID1: Final = {
    CopyState.IN_PROGRESS: 0x00,
    CopyState.COMPLETED: 0x01,
    CopyState.FAILED: 0x02,
    CopyState.ABORTED: 0x02,
}
_IN_PROGRESS_IN_FOREGROUND: Final = 0x11
_IN_PROGRESS_IN_BACKGROUND: Final = 0x12
_STATUS_LID4: Final = {CopyState.COMPLETED: 0x01, CopyState.FAILED: 0x02, CopyState.ABORTED: 0x60}
_UPDATE_DELAY: Final = 200
"""Milliseconds after which it is worth asking again."""
_NO_UPDATE: Final = 0xFFFF_FFFF
_COUNTER_MASK: Final = 0xFFFF
_CHECK_CONDITION: Final = 0x02


class _Units(enum.IntEnum):
    """TRANSFER COUNT UNITS."""

    BYTES = 0x00
    KIBIBYTES = 0x01
    LOGICAL_BLOCKS = 0xF1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveCopy(Command):
    """Any of these commands; REPORT ALL ROD TOKENS and RECEIVE COPY OPERATING PARAMETERS have no list identifier."""

    list_identifier: int
    allocation_length: int


def parse_receive_lid1(cdb: bytes, _unit: "LogicalUnit") -> ReceiveCopy:
    """Take a CDB with a list identifier of one byte apart."""
    return ReceiveCopy(list_identifier=cdb[2], allocation_length=int.from_bytes(cdb[10:14]))


def parse_receive_lid4(cdb: bytes, _unit: "LogicalUnit") -> ReceiveCopy:
    """Take a CDB with a list identifier of four bytes apart."""
    return ReceiveCopy(list_identifier=int.from_bytes(cdb[2:6]), allocation_length=int.from_bytes(cdb[10:14]))


def _command(task: Task) -> ReceiveCopy:
    assert isinstance(task.command, ReceiveCopy)
    return task.command


def _copy(unit: "LogicalUnit", task: Task) -> CopyOperation:
    copy = copy_manager_of(unit).operations.find(task.nexus, _command(task).list_identifier)
    if copy is None:
        raise invalid_in_cdb(_LIST_IDENTIFIER_FIELD)
    return copy


def _ended_copy(unit: "LogicalUnit", task: Task) -> CopyOperation:
    copy = _copy(unit, task)
    if copy.in_progress:
        raise invalid_in_cdb(_LIST_IDENTIFIER_FIELD)
    return copy


def _sense(unit: "LogicalUnit", copy: CopyOperation) -> bytes:
    return b"" if copy.sense_data is None else copy.sense_data.to_bytes(descriptor=unit.mode.descriptor_sense)


# LID1.


def receive_copy_status_lid1(unit: "LogicalUnit", task: Task) -> Response:
    """How far it has come; nothing is ever held, so nothing held has been discarded."""
    copy = _copy(unit, task)
    units, count = _Units.BYTES, copy.bytes_transferred
    if count > 0xFFFF_FFFF:
        units, count = _Units.KIBIBYTES, count >> 10
    data = struct.pack(">IBHBI", 8, _STATUS_LID1[copy.state], copy.segments_processed, units, count)
    return allocated(data, _command(task).allocation_length)


def receive_copy_data_lid1(unit: "LogicalUnit", task: Task) -> Response:
    """The held data of a copy that is over: none, as no segment that is supported holds any."""
    _ended_copy(unit, task)
    return allocated(bytes(4), _command(task).allocation_length)


def receive_copy_failure_details_lid1(unit: "LogicalUnit", task: Task) -> Response:
    """The sense of a copy that failed; nothing for one that did not."""
    copy = _ended_copy(unit, task)
    data = bytes(4)
    if copy.state is not CopyState.COMPLETED:
        sense = _sense(unit, copy)
        data = struct.pack(">I52xBxH", 56 + len(sense), _CHECK_CONDITION, len(sense)) + sense
    return allocated(data, _command(task).allocation_length)


def receive_copy_operating_parameters(_unit: "LogicalUnit", task: Task) -> Response:
    """The limits; SNLID: a copy without list identifier is possible. All granularities are one byte (0)."""
    codes = bytes((BLOCK_TO_BLOCK, IDENTIFICATION))
    limits = struct.pack(
        ">BxxxHHIIIIIxxHBBBBxxxB",
        _SNLID,
        MAX_CSCD_DESCRIPTORS,
        MAX_SEGMENT_DESCRIPTORS,
        MAX_DESCRIPTOR_LIST_LENGTH,
        MAX_SEGMENT_LENGTH,
        MAX_INLINE_DATA_LENGTH,
        0,  # HELD DATA LIMIT
        0,  # MAXIMUM STREAM DEVICE TRANSFER SIZE
        MAX_CONCURRENT_COPIES,
        MAX_CONCURRENT_COPIES,
        0,
        0,
        0,
        len(codes),
    )
    data = limits + codes
    return allocated(struct.pack(">I", len(data)) + data, _command(task).allocation_length)


# LID4.


def receive_copy_status_lid4(unit: "LogicalUnit", task: Task) -> Response:
    """How far it has come, in bytes, and the sense of one that failed."""
    copy = _copy(unit, task)
    status = _status_lid4(unit, copy, _Units.BYTES, copy.bytes_transferred)
    return allocated(struct.pack(">I", len(status)) + status, _command(task).allocation_length)


def receive_rod_token_information(unit: "LogicalUnit", task: Task) -> Response:
    """How far it has come, in logical blocks, and the token that POPULATE TOKEN has made."""
    copy = _copy(unit, task)
    status = _status_lid4(unit, copy, _Units.LOGICAL_BLOCKS, copy.bytes_transferred // unit.block_length)
    descriptor = b"" if copy.token is None else bytes(2) + copy.token
    data = status + struct.pack(">I", len(descriptor)) + descriptor
    return allocated(struct.pack(">I", len(data)) + data, _command(task).allocation_length)


def _status_lid4(unit: "LogicalUnit", copy: CopyOperation, units: _Units, count: int) -> bytes:
    """What both have in common, behind AVAILABLE DATA."""
    sense = _sense(unit, copy)
    in_progress = _IN_PROGRESS_IN_BACKGROUND if copy.background else _IN_PROGRESS_IN_FOREGROUND
    return (
        struct.pack(
            ">BBHIBBBBQH6x",
            copy.service_action,
            _STATUS_LID4.get(copy.state, in_progress),
            copy.steps & _COUNTER_MASK,
            _UPDATE_DELAY if copy.in_progress else _NO_UPDATE,
            _CHECK_CONDITION if sense else 0,
            len(sense),
            len(sense),
            units,
            count,
            copy.segments_processed,
        )
        + sense
    )


def report_all_rod_tokens(unit: "LogicalUnit", task: Task) -> Response:
    """The management tokens of the tokens that this unit has made: they tell of the tokens, and are no keys."""
    tokens = b"".join(token.management_token for token in copy_manager_of(unit).tokens)
    data = struct.pack(">I4x", 4 + len(tokens)) + tokens
    return allocated(data, _command(task).allocation_length)
