"""WRITE USING TOKEN (SBC-4): write what a token stands for to blocks of this unit.

The token is looked for in the units that the requesting nexus maps, and in no others: who cannot reach the blocks cannot
use a token for them, however it came by it. The token of zeros (ROD type block device zero) needs no source.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.copy.copy_operations import CopyOperation
from isthmus.scsi.copy.endpoint import Endpoint, EndpointFailure, copy_manager_of, reachable
from isthmus.scsi.copy.populate_token import TokenCommand
from isthmus.scsi.copy.ranges import MAX_LIST_LENGTH, ByteRange, paired, parse_ranges, shortened
from isthmus.scsi.copy.rod_token import TOKEN_LENGTH, RodType, rod_token_length, rod_type
from isthmus.scsi.copy.rod_tokens import RodToken, TokenState
from isthmus.scsi.copy.transfer import Move, Transfer, Zeroing, flushed, run_copy, transfer
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense, SenseData
from isthmus.scsi.spc.parameter_data import invalid_in_list, parameter_list
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["WRITE_USING_TOKEN", "WriteUsingToken", "parse_write_using_token", "write_using_token"]

WRITE_USING_TOKEN: Final = 0x11
"""The service action."""
_HEADER: Final = struct.Struct(f">HB5xQ{TOKEN_LENGTH}s6xH")
_OFFSET_FIELD: Final = 8
_TOKEN_FIELD: Final = 16
_IMMED: Final = 0x01
_DEL_TKN: Final = 0x02
_MADE_HERE: Final = RodType.POINT_IN_TIME_COPY_CHANGE_VULNERABLE
_SENSE_OF_STATE: Final = {
    TokenState.REVOKED: Sense.INVALID_TOKEN_OPERATION_TOKEN_REVOKED,
    TokenState.EXPIRED: Sense.INVALID_TOKEN_OPERATION_TOKEN_EXPIRED,
    TokenState.DELETED: Sense.INVALID_TOKEN_OPERATION_TOKEN_DELETED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteUsingToken(TokenCommand):
    """WRITE USING TOKEN."""


def parse_write_using_token(cdb: bytes, _unit: "LogicalUnit") -> WriteUsingToken:
    """Take the CDB apart."""
    length = int.from_bytes(cdb[10:14])
    if length > MAX_LIST_LENGTH:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR, field=FieldPointer(10))
    return WriteUsingToken(list_identifier=int.from_bytes(cdb[6:10]), parameter_list_length=length)


def write_using_token(unit: "LogicalUnit", task: Task) -> Response | Steps:
    """Write the data of the token, from OFFSET INTO ROD (in blocks of this unit) on, to all of the ranges."""
    command = task.command
    assert isinstance(command, WriteUsingToken)
    if not command.parameter_list_length:
        return GOOD
    data = parameter_list(task)
    ranges = parse_ranges(unit, data, _HEADER.size)
    _, flags, blocks_into_rod, token, _ = _HEADER.unpack_from(data)
    destination = Endpoint(unit, task.nexus, task.lun)
    source = None if _is_zero(token) else _find(token, destination)
    if source is not None and blocks_into_rod * unit.block_length >= source.token.length:
        raise invalid_in_list(_OFFSET_FIELD)
    copy = copy_manager_of(unit).operations.begin(
        task.nexus, command.list_identifier, WRITE_USING_TOKEN, background=bool(flags & _IMMED)
    )
    if source is None:
        return run_copy(copy, _write(copy, _zeroes(destination, ranges), destination, None))
    moves = source.moves(destination, ranges, blocks_into_rod * unit.block_length)
    copy.is_partial = sum(length for _, length in ranges) > source.token.length - blocks_into_rod * unit.block_length
    return run_copy(copy, source.used(_write(copy, moves, destination, source), delete=bool(flags & _DEL_TKN)))


@dataclass(frozen=True, slots=True)
class _Source:
    """A token, and the unit that made it."""

    endpoint: Endpoint
    token: RodToken

    def check(self) -> None:
        """Raise `CheckCondition` if the token is void by now."""
        if self.token.state is not TokenState.VALID:
            raise CheckCondition(_SENSE_OF_STATE[self.token.state])

    def moves(self, destination: Endpoint, ranges: Sequence[ByteRange], skipped: int) -> Iterable[Zeroing]:
        """What goes where; where the data end within a block, the rest of that block is zeroed."""
        available = self.token.length - skipped
        for source_offset, offset, length in paired(self.token.ranges, tuple(shortened(ranges, available)), skipped):
            yield Move(
                source=self.endpoint,
                source_offset=source_offset,
                destination=destination,
                offset=offset,
                length=length,
            )
        padded = available + -available % destination.unit.block_length
        for offset, length in _after(tuple(shortened(ranges, padded)), available):
            yield Zeroing(destination=destination, offset=offset, length=length)

    def used(self, steps: Transfer, *, delete: bool) -> Transfer:
        """`steps`, while which the token does not expire."""
        tokens = copy_manager_of(self.endpoint.unit).tokens
        tokens.begin_use(self.token)
        try:
            yield from steps
        finally:
            tokens.end_use(self.token, delete=delete)


def _after(ranges: Sequence[ByteRange], skipped: int) -> Iterable[ByteRange]:
    """What is left of `ranges` behind their first `skipped` bytes."""
    for offset, length in ranges:
        if length > skipped:
            yield offset + max(0, skipped), length - max(0, skipped)
        skipped -= length


def _is_zero(token: bytes) -> bool:
    """Whether it is the token of zeros; raises `CheckCondition` for one that cannot be a token of ours."""
    kind = rod_type(token)
    if kind not in (RodType.BLOCK_DEVICE_ZERO, _MADE_HERE):
        raise _refused(Sense.INVALID_TOKEN_OPERATION_UNSUPPORTED_TOKEN_TYPE)
    if rod_token_length(token) is None:
        raise _refused(Sense.INVALID_TOKEN_OPERATION_INVALID_TOKEN_LENGTH)
    return kind == RodType.BLOCK_DEVICE_ZERO


def _find(token: bytes, destination: Endpoint) -> _Source:
    for endpoint in reachable(destination.nexus):
        found = copy_manager_of(endpoint.unit).tokens.find(token)
        if found is not None:
            source = _Source(endpoint, found)
            source.check()
            return source
    raise _refused(Sense.INVALID_TOKEN_OPERATION_TOKEN_UNKNOWN)


def _refused(sense: Sense) -> CheckCondition:
    return CheckCondition(sense, field=FieldPointer(_TOKEN_FIELD, in_cdb=False))


def _zeroes(destination: Endpoint, ranges: Sequence[ByteRange]) -> Iterable[Zeroing]:
    for offset, length in ranges:
        yield Zeroing(destination=destination, offset=offset, length=length)


def _write(copy: CopyOperation, moves: Iterable[Zeroing], destination: Endpoint, source: _Source | None) -> Transfer:
    """Do all of `moves`; a failure of the destination's storage is told as that of a WRITE would be."""
    try:
        for move in moves:
            yield from transfer(copy, move, _unchecked if source is None else source.check)
        yield from flushed(destination)
    except EndpointFailure as failure:
        if failure.sense_data is not None and not failure.from_source:
            raise CheckCondition.of(failure.sense_data) from failure
        sense_data = SenseData(sense=Sense.THIRD_PARTY_DEVICE_FAILURE, forwarded=failure.forwarded)
        raise CheckCondition.of(sense_data) from failure


def _unchecked() -> None:
    """Zeros stay what they are."""
