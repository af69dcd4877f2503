"""What there is to tell of a copy: the RECEIVE COPY commands of both kinds, and those for ROD tokens (SPC-4 §6.20 to §6.31).

Each nexus is told of its own copies only.
"""

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.copy.copy_list import DESCRIPTOR_TYPES
from isthmus.scsi.copy.copy_operations import CopyOperation, CopyState
from isthmus.scsi.copy.endpoint import copy_manager_of
from isthmus.scsi.copy.limits import (
    MAX_CONCURRENT_COPIES,
    MAX_CSCD_DESCRIPTORS,
    MAX_DESCRIPTOR_LIST_LENGTH,
    MAX_INLINE_DATA_LENGTH,
    MAX_SEGMENT_DESCRIPTORS,
    MAX_SEGMENT_LENGTH,
)
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb
from isthmus.scsi.status import Status
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
_NO_UPDATE: Final = 0xFFFF_FFFE
"""There is nothing to wait for."""
_PARTIAL: Final = 0x03
_COUNTER_MASK: Final = 0xFFFF


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


def _completion_status(copy: CopyOperation) -> Status:
    """The status of the copy, whatever that of its command was."""
    if copy.state is CopyState.FAILED:
        return Status.CHECK_CONDITION
    return Status.TASK_ABORTED if copy.state is CopyState.ABORTED else Status.GOOD


def _is_taken(task: Task, data: bytes) -> bool:
    """Whether the initiator gets all of `data`, or wants none of it any more."""
    return not 0 < _command(task).allocation_length < len(data)


# LID1.


def receive_copy_status_lid1(unit: "LogicalUnit", task: Task) -> Response:
    """How far it has come, and how it ended, which is told once; nothing held is ever discarded."""
    copy = _copy(unit, task)
    if copy.status_told:
        raise invalid_in_cdb(_LIST_IDENTIFIER_FIELD)
    copy.status_told = not copy.in_progress
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
    """The sense of a copy that failed, until it has been told as a whole; nothing for one that did not fail."""
    copy = _ended_copy(unit, task)
    data = bytes(4)
    if copy.state is not CopyState.COMPLETED and not copy.failure_told:
        sense = _sense(unit, copy)
        data = struct.pack(">I52xBxH", 56 + len(sense), _completion_status(copy), len(sense)) + sense
    copy.failure_told |= _is_taken(task, data)
    return allocated(data, _command(task).allocation_length)


def receive_copy_operating_parameters(_unit: "LogicalUnit", task: Task) -> Response:
    """The limits; SNLID: a copy without list identifier is possible. All granularities are one byte (0)."""
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
        len(DESCRIPTOR_TYPES),
    )
    data = limits + DESCRIPTOR_TYPES
    return allocated(struct.pack(">I", len(data)) + data, _command(task).allocation_length)


# LID4.


def receive_copy_status_lid4(unit: "LogicalUnit", task: Task) -> Response:
    """How far it has come, in bytes, and the sense of one that failed."""
    copy = _copy(unit, task)
    status = _status_lid4(unit, copy, _Units.BYTES, copy.bytes_transferred)
    return allocated(struct.pack(">I", len(status)) + status, _command(task).allocation_length)


def receive_rod_token_information(unit: "LogicalUnit", task: Task) -> Response:
    """How far it has come, in logical blocks, and the token that POPULATE TOKEN has made, until it has been told."""
    copy = _copy(unit, task)
    status = _status_lid4(unit, copy, _Units.LOGICAL_BLOCKS, copy.bytes_transferred // unit.block_length)
    descriptor = b"" if copy.token is None or copy.state is not CopyState.COMPLETED else bytes(2) + copy.token
    data = status + struct.pack(">I", len(descriptor)) + descriptor
    data = struct.pack(">I", len(data)) + data
    if descriptor and _is_taken(task, data):
        copy.token = None
    return allocated(data, _command(task).allocation_length)


def _status_lid4(unit: "LogicalUnit", copy: CopyOperation, units: _Units, count: int) -> bytes:
    """What both have in common, behind AVAILABLE DATA."""
    sense = b"" if copy.state is CopyState.ABORTED else _sense(unit, copy)
    padding = bytes(-len(sense) % 4)
    return (
        struct.pack(
            ">BBHIBBBBQH6x",
            copy.service_action,
            _operation_status(copy),
            copy.steps & _COUNTER_MASK,
            _UPDATE_DELAY if copy.in_progress else _NO_UPDATE,
            _completion_status(copy),
            len(sense + padding),
            len(sense),
            units,
            count,
            copy.segments_processed,
        )
        + sense
        + padding
    )


def _operation_status(copy: CopyOperation) -> int:
    """COPY OPERATION STATUS (table 249)."""
    if copy.in_progress:
        return _IN_PROGRESS_IN_BACKGROUND if copy.background else _IN_PROGRESS_IN_FOREGROUND
    if copy.state is CopyState.COMPLETED and copy.is_partial:
        return _PARTIAL
    return _STATUS_LID4[copy.state]


def report_all_rod_tokens(unit: "LogicalUnit", task: Task) -> Response:
    """The management tokens of the tokens that this unit has made: they tell of the tokens, and are no keys."""
    tokens = b"".join(token.management_token for token in copy_manager_of(unit).tokens)
    data = struct.pack(">I4x", 4 + len(tokens)) + tokens
    return allocated(data, _command(task).allocation_length)
