"""POPULATE TOKEN (SBC-4 §5.12): make a token that stands for blocks of this unit, as they are now."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import BlockOperation
from isthmus.scsi.cdb import Command
from isthmus.scsi.copy.copy_operations import CopyOperation, CopyState
from isthmus.scsi.copy.cscd import creator_descriptor
from isthmus.scsi.copy.endpoint import copy_manager_of
from isthmus.scsi.copy.limits import DEFAULT_INACTIVITY_TIMEOUT, MAX_INACTIVITY_TIMEOUT
from isthmus.scsi.copy.ranges import MAX_LIST_LENGTH, ByteRange, hull, parse_ranges
from isthmus.scsi.copy.rod_token import RodType, encode_token
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_list, parameter_list
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = ["POPULATE_TOKEN", "PopulateToken", "TokenCommand", "parse_populate_token", "populate_token"]

POPULATE_TOKEN: Final = 0x10
"""The service action."""
_HEADER: Final = struct.Struct(">HBxII2xH")
_IMMED: Final = 0x01
_RTV: Final = 0x02
_OFFERED: Final = (RodType.POINT_IN_TIME_COPY_CHANGE_VULNERABLE, RodType.POINT_IN_TIME_COPY_ANY)
"""What can be asked for; both give a token that changes revoke."""
_SCSI_NAME_STRING: Final = 0x28
"""ASSOCIATION 10b (target device), DESIGNATOR TYPE 8h."""
_ISCSI_UTF_8: Final = 0x53
_PIV: Final = 0x80
_LBPME_LBPRZ: Final = 0xC000


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCommand(Command):
    """POPULATE TOKEN or WRITE USING TOKEN: all that matters stands in the parameter list."""

    list_identifier: int
    parameter_list_length: int

    @property
    def data_out_length(self) -> int:
        return self.parameter_list_length


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulateToken(TokenCommand):
    """POPULATE TOKEN."""


@dataclass(frozen=True, slots=True)
class _Settle(BlockOperation):
    """Calls `settled` at a moment when nothing is under way that touches `extent`, before anything else may start."""

    extent_settled: ByteRange
    settled: Callable[[], None]

    def run(self, backstore: Backstore) -> None:
        self.settled()

    def run_inline(self, backstore: Backstore) -> None:
        """Always at once: what is settled is no affair of the backstore."""
        self.settled()

    @property
    def exclusive(self) -> bool:
        return True

    @property
    def extent(self) -> tuple[int, int]:
        return self.extent_settled

    @property
    def changes(self) -> tuple[tuple[int, int], ...]:
        return ()


def parse_populate_token(cdb: bytes, _unit: "LogicalUnit") -> PopulateToken:
    """Take the CDB apart."""
    length = int.from_bytes(cdb[10:14])
    if 0 < length < _HEADER.size or length > MAX_LIST_LENGTH:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR, field=FieldPointer(10))
    return PopulateToken(list_identifier=int.from_bytes(cdb[6:10]), parameter_list_length=length)


def populate_token(unit: "LogicalUnit", task: Task) -> Response | Steps:
    """Make the token, which RECEIVE ROD TOKEN INFORMATION then gives. It is there at once, with IMMED or without."""
    command = task.command
    assert isinstance(command, PopulateToken)
    if not command.parameter_list_length:
        return GOOD
    data = parameter_list(task)
    ranges = parse_ranges(unit, data, _HEADER.size)
    timeout = _inactivity_timeout(data)
    manager = copy_manager_of(unit)
    if manager.tokens.is_full:
        raise CheckCondition(Sense.INSUFFICIENT_RESOURCES_TO_CREATE_ROD_TOKEN)
    token = _token(unit, task.nexus, ranges)
    copy = manager.operations.begin(task.nexus, command.list_identifier, POPULATE_TOKEN)

    def settled() -> None:
        manager.tokens.add(token, ranges, inactivity_timeout=timeout)
        copy.token = token
        copy.bytes_transferred = sum(length for _, length in ranges)

    return _steps(copy, _Settle(hull(ranges), settled))


def _steps(copy: CopyOperation, settle: _Settle) -> Steps:
    try:
        yield settle
        copy.end(CopyState.COMPLETED)
    finally:
        if copy.in_progress:
            copy.end(CopyState.ABORTED)
    return GOOD


def _inactivity_timeout(data: bytes) -> int:
    """Seconds; raises `CheckCondition` for a time, or a type of ROD, that cannot be had."""
    _, flags, timeout, kind, _ = _HEADER.unpack_from(data)
    if timeout > MAX_INACTIVITY_TIMEOUT:
        raise invalid_in_list(4)
    if flags & _RTV and kind not in _OFFERED:
        raise invalid_in_list(8)
    return timeout or DEFAULT_INACTIVITY_TIMEOUT


def _token(unit: "LogicalUnit", nexus: "Nexus", ranges: Sequence[ByteRange]) -> bytes:
    randomness = copy_manager_of(unit).services.randomness
    return encode_token(
        kind=RodType.POINT_IN_TIME_COPY_CHANGE_VULNERABLE,
        identifier=int.from_bytes(randomness(8)),
        creator=creator_descriptor(unit.identity, unit.block_length),
        num_bytes=sum(length for _, length in ranges),
        device_specific=_device_specific(unit),
        target_descriptor=_target_descriptor(nexus),
        randomness=randomness,
    )


def _device_specific(unit: "LogicalUnit") -> bytes:
    """As in READ CAPACITY (16): logical block length, blocks per physical block, provisioning."""
    exponent = (unit.physical_block_length // unit.block_length).bit_length() - 1
    provisioning = _LBPME_LBPRZ if unit.backstore.capabilities.discard else 0
    return struct.pack(">IxBH", unit.block_length, exponent, provisioning).ljust(32, b"\0")


def _target_descriptor(nexus: "Nexus") -> bytes:
    """The name of the target, as a designation descriptor (SPC-5 §7.7.6.11)."""
    name = nexus.target_name.encode() + b"\0"
    name += bytes(-len(name) % 4)
    return bytes((_ISCSI_UTF_8, _PIV | _SCSI_NAME_STRING, 0, len(name))) + name
