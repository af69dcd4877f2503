"""EXTENDED COPY (LID1) and (LID4), and COPY OPERATION ABORT (SPC-4 §6.3, §6.4)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from isthmus.scsi.cdb import Command
from isthmus.scsi.copy.copy_list import (
    LID1_HEADER_LENGTH,
    LID4_HEADER_LENGTH,
    CopyList,
    parse_lid1_list,
    parse_lid4_list,
)
from isthmus.scsi.copy.copy_operations import CopyOperation
from isthmus.scsi.copy.endpoint import Endpoint, EndpointFailure, copy_manager_of
from isthmus.scsi.copy.limits import MAX_DESCRIPTOR_LIST_LENGTH, MAX_INLINE_DATA_LENGTH
from isthmus.scsi.copy.segments import (
    COPY_MANAGER_UNIT,
    DESTINATION_FIELD,
    SOURCE_FIELD,
    BlockToBlock,
    ByteToByte,
    CopySegment,
    Segment,
    VerifyCscd,
)
from isthmus.scsi.copy.transfer import Move, Transfer, flushed, run_copy, transfer
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, FieldPointer, SegmentPointer, Sense, SenseData
from isthmus.scsi.spc.parameter_data import invalid_in_cdb, parameter_list
from isthmus.scsi.task import GOOD, Response, Task
from isthmus.scsi.waiting import Until

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "CopyOperationAbort",
    "ExtendedCopy",
    "copy_operation_abort",
    "extended_copy",
    "parse_copy_operation_abort",
    "parse_extended_copy_lid1",
    "parse_extended_copy_lid4",
]

_SOURCE_LBA_FIELD = 12
_DESTINATION_LBA_FIELD = 20
_SOURCE_OFFSET_FIELD = 28
_DESTINATION_OFFSET_FIELD = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedCopy(Command):
    """EXTENDED COPY, with either length of its list identifier."""

    service_action: int
    parameter_list_length: int
    parse_list: Callable[[bytes], CopyList]

    @property
    def data_out_length(self) -> int:
        return self.parameter_list_length


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOperationAbort(Command):
    """COPY OPERATION ABORT."""

    list_identifier: int


def _parse(header: int, parse_list: Callable[[bytes], CopyList], cdb: bytes, _unit: "LogicalUnit") -> ExtendedCopy:
    length = int.from_bytes(cdb[10:14])
    if length > header + MAX_DESCRIPTOR_LIST_LENGTH + MAX_INLINE_DATA_LENGTH:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR, field=FieldPointer(10))
    return ExtendedCopy(service_action=cdb[1] & 0x1F, parameter_list_length=length, parse_list=parse_list)


parse_extended_copy_lid1 = partial(_parse, LID1_HEADER_LENGTH, parse_lid1_list)
parse_extended_copy_lid4 = partial(_parse, LID4_HEADER_LENGTH, parse_lid4_list)


def extended_copy(unit: "LogicalUnit", task: Task) -> Response | Steps:
    """Check the whole parameter list, then copy segment after segment; without a parameter list there is nothing to do."""
    command = task.command
    assert isinstance(command, ExtendedCopy)
    if not command.parameter_list_length:
        return GOOD
    copy_list = command.parse_list(parameter_list(task))
    copy = copy_manager_of(unit).operations.begin(
        task.nexus, copy_list.list_identifier, command.service_action, background=copy_list.immediate
    )
    return run_copy(copy, _Segments(copy_list, copy, Endpoint(unit, task.nexus, task.lun)).process())


class _Segments:
    """The segments of one copy."""

    def __init__(self, copy_list: CopyList, copy: CopyOperation, copy_manager: Endpoint) -> None:
        """`copy_manager` is the unit that the command was sent to."""
        self._copy_list = copy_list
        self._copy = copy
        self._copy_manager = copy_manager
        self._destinations: dict[LogicalUnit, Endpoint] = {}

    def process(self) -> Transfer:
        """Do all of them; raises `CheckCondition` with COPY ABORTED for the first that fails."""
        for segment in self._copy_list.segments:
            self._copy.segments_processed += 1
            if isinstance(segment, VerifyCscd):
                self._verify(segment)
            elif isinstance(segment, CopySegment):
                yield from self._process_copy(segment)
        for destination in self._destinations.values():
            yield from _flushed(destination)

    def _verify(self, segment: VerifyCscd) -> None:
        """Find the unit, and ask it whether it is ready, if that is wanted."""
        endpoint = self._endpoint(segment, segment.source, SOURCE_FIELD)
        if segment.test_unit_ready:
            try:
                endpoint.check_ready()
            except EndpointFailure as failure:
                raise self._failed_at(segment, segment.source, failure) from failure

    def _process_copy(self, segment: CopySegment) -> Transfer:
        move = self._move(segment)
        if move.length:
            yield from self._copied(segment, move)
            self._destinations[move.destination.unit] = move.destination

    def _copied(self, segment: CopySegment, move: Move) -> Transfer:
        """Do `move`; a failure names the segment, the CSCD descriptor, and how much of the segment is left."""
        before = self._copy.bytes_transferred
        try:
            yield from transfer(self._copy, move)
        except EndpointFailure as failure:
            identifier = segment.source if failure.from_source else segment.destination
            residual = _residual(move, self._copy.bytes_transferred - before)
            raise self._failed_at(segment, identifier, failure, residual) from failure

    def _failed_at(
        self, segment: Segment, identifier: int, failure: EndpointFailure, residual: int | None = None
    ) -> CheckCondition:
        """`segment` fails as the unit of CSCD descriptor `identifier` does not do its part."""
        sense_data = SenseData(
            sense=Sense.THIRD_PARTY_DEVICE_FAILURE,
            specific=self._pointer(identifier),
            information=residual,
            segment=segment.number,
            forwarded=failure.forwarded,
        )
        return CheckCondition.of(sense_data)

    def _pointer(self, identifier: int) -> SegmentPointer | None:
        """To the CSCD descriptor of a unit that fails, if it has one."""
        if identifier == COPY_MANAGER_UNIT:
            return None
        return SegmentPointer(self._copy_list.cscds[identifier].place, in_segment=False)

    def _move(self, segment: CopySegment) -> Move:
        source = self._endpoint(segment, segment.source, SOURCE_FIELD)
        destination = self._endpoint(segment, segment.destination, DESTINATION_FIELD)
        source_block, destination_block = source.unit.block_length, destination.unit.block_length
        source_offset = destination_offset = length = 0
        if isinstance(segment, BlockToBlock):
            length = segment.num_blocks * (destination_block if segment.counts_destination_blocks else source_block)
            # Nothing is carried over to another segment, or padded: whole blocks fit, or do not.
            if length % source_block or length % destination_block:
                raise _failed(segment, Sense.UNEXPECTED_INEXACT_SEGMENT, segment.length_field)
        elif isinstance(segment, ByteToByte):
            source_offset, destination_offset = segment.source_offset, segment.destination_offset
            length = segment.num_bytes
            if source_offset >= source_block:
                raise _failed(segment, Sense.COPY_ABORTED, _SOURCE_OFFSET_FIELD)
            if destination_offset >= destination_block:
                raise _failed(segment, Sense.COPY_ABORTED, _DESTINATION_OFFSET_FIELD)
        move = Move(
            source=source,
            source_offset=segment.source_lba * source_block + source_offset,
            destination=destination,
            offset=segment.destination_lba * destination_block + destination_offset,
            length=length,
        )
        _check(segment, move)
        return move

    def _endpoint(self, segment: Segment, identifier: int, field: int) -> Endpoint:
        """The unit that the CSCD DESCRIPTOR ID in `field` of `segment` means."""
        if identifier == COPY_MANAGER_UNIT:
            return self._copy_manager
        if identifier >= len(self._copy_list.cscds):
            raise _failed(segment, Sense.UNREACHABLE_COPY_TARGET, field)
        descriptor = self._copy_list.cscds[identifier]
        endpoint = descriptor.resolve(self._copy_manager.nexus)
        if endpoint is None:
            raise self._refused(segment, identifier, Sense.COPY_TARGET_DEVICE_NOT_REACHABLE)
        if descriptor.device_type != 0:
            raise self._refused(segment, identifier, Sense.INCORRECT_COPY_TARGET_DEVICE_TYPE)
        if descriptor.block_length not in (0, endpoint.unit.block_length):
            raise self._refused(segment, identifier, Sense.INVALID_OPERATION_FOR_COPY_SOURCE_OR_DESTINATION)
        return endpoint

    def _refused(self, segment: Segment, identifier: int, sense: Sense) -> CheckCondition:
        """`segment` cannot be done for its CSCD descriptor `identifier`."""
        pointer = self._pointer(identifier)
        return CheckCondition.of(SenseData(sense=sense, specific=pointer, segment=segment.number))


def _check(segment: CopySegment, move: Move) -> None:
    """Both ranges are inside their units."""
    source, destination = move.source.unit, move.destination.unit
    if move.source_offset + move.length > source.num_blocks * source.block_length:
        raise _failed(segment, Sense.COPY_ABORTED, _SOURCE_LBA_FIELD)
    if move.offset + move.length > destination.num_blocks * destination.block_length:
        raise _failed(segment, Sense.COPY_ABORTED, _DESTINATION_LBA_FIELD)


def _failed(segment: Segment, sense: Sense, field: int) -> CheckCondition:
    """`segment` cannot be done for what stands in its byte `field`."""
    return CheckCondition.of(SenseData(sense=sense, specific=SegmentPointer(field), segment=segment.number))


def _residual(move: Move, done: int) -> int | None:
    """Blocks of the destination that are not written, if some are (SPC-4 §5.17.7.4); what is written last counts first.

    A block that is not written as a whole counts.
    """
    if not done:
        return None
    written = 0 if move.is_backwards else done
    return -(-(move.length - written) // move.destination.unit.block_length)


def _flushed(destination: Endpoint) -> Transfer:
    try:
        yield from flushed(destination)
    except EndpointFailure as failure:
        sense_data = SenseData(sense=Sense.THIRD_PARTY_DEVICE_FAILURE, forwarded=failure.forwarded)
        raise CheckCondition.of(sense_data) from failure


def parse_copy_operation_abort(cdb: bytes, _unit: "LogicalUnit") -> CopyOperationAbort:
    """Take the CDB apart."""
    return CopyOperationAbort(list_identifier=int.from_bytes(cdb[2:6]))


def copy_operation_abort(unit: "LogicalUnit", task: Task) -> Steps:
    """End a copy of this nexus; GOOD when nothing more is written for it."""
    command = task.command
    assert isinstance(command, CopyOperationAbort)
    copy = copy_manager_of(unit).operations.find(task.nexus, command.list_identifier)
    if copy is None or not copy.in_progress:
        raise invalid_in_cdb(2)
    copy.abort_requested = True

    def begin(over: Callable[[Any, Exception | None], None]) -> None:
        copy.when_over(lambda: over(None, None))

    yield Until(begin)
    return GOOD
