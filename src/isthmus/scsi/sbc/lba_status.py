"""GET LBA STATUS (16) (SBC-4 §5.7): which blocks take room, as the storage has it at this moment."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores import operations
from isthmus.backstores.base import Extent, Provisioning
from isthmus.scsi.cdb import Command
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["REPORT_TYPES", "GetLbaStatus", "get_lba_status", "parse_get_lba_status"]

REPORT_TYPES: Final = {
    0x00: frozenset(Provisioning),
    0x01: frozenset({Provisioning.DEALLOCATED, Provisioning.ANCHORED}),
    0x02: frozenset({Provisioning.MAPPED}),
    0x03: frozenset({Provisioning.DEALLOCATED}),
    0x04: frozenset({Provisioning.ANCHORED}),
}
"""The states that each REPORT TYPE asks for (SBC-4 table 60). 10h, blocks that may be unreadable, is not known here."""

MAX_DESCRIPTORS: Final = 1024
"""In one answer, and in one look at the storage: finding an extent may cost the storage two system calls. The initiator goes on where it ends."""

_HEADER: Final = struct.Struct(">IxxxB")
_DESCRIPTOR: Final = struct.Struct(">QIB3x")
_MOST_BLOCKS: Final = 0xFFFF_FFFF
_RTP: Final = 0x01
_DUE_TO_ALLOCATION_LENGTH: Final = 0b001 << 1
_DUE_TO_CAPACITY: Final = 0b011 << 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GetLbaStatus(Command):
    """GET LBA STATUS (16)."""

    lba: int
    allocation_length: int
    report_type: int

    @property
    def fitting_descriptors(self) -> int:
        """As many as the allocation length holds, and at least one, of which the initiator may get a part."""
        return max((self.allocation_length - _HEADER.size) // _DESCRIPTOR.size, 1)


@dataclass(frozen=True, slots=True)
class _Run:
    """Blocks of one state."""

    lba: int
    num_blocks: int
    provisioning: Provisioning


def parse_get_lba_status(cdb: bytes, unit: "LogicalUnit") -> GetLbaStatus:
    """Take the CDB apart."""
    lba = int.from_bytes(cdb[2:10])
    if lba >= unit.num_blocks:
        raise CheckCondition(Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, field=FieldPointer(2))
    if cdb[14] not in REPORT_TYPES:
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(14))
    return GetLbaStatus(lba=lba, allocation_length=int.from_bytes(cdb[10:14]), report_type=cdb[14])


def get_lba_status(unit: "LogicalUnit", task: Task) -> Steps:
    """Ask the backstore for extents until there are enough descriptors, or no blocks any more."""
    command = task.command
    assert isinstance(command, GetLbaStatus)
    wanted = REPORT_TYPES[command.report_type]
    most = min(command.fitting_descriptors, MAX_DESCRIPTORS)
    # Every extent is reported with type 00h; with the others, one in two at the most.
    limit = most if command.report_type == 0 else MAX_DESCRIPTORS
    position, end, length = command.lba, unit.num_blocks, unit.block_length
    found: list[_Run] = []
    while position < end and len(found) < most:
        extents = yield operations.MapStatus(position * length, (end - position) * length, limit)
        runs = list(_block_runs(extents, position, length))
        found += (part for run in runs if run.provisioning in wanted for part in _split(run))
        position = runs[-1].lba + runs[-1].num_blocks
    complete = position >= end and len(found) <= most
    return Response(data_in=_parameter_data(command, found[:most], complete=complete)[: command.allocation_length])


def _block_runs(extents: Iterable[Extent], lba: int, block_length: int) -> Iterator[_Run]:
    """Byte extents as block runs, at least one: a block counts as mapped unless all of it is not."""
    done = position = 0
    for extent in extents:
        first, position = position, position + extent.length
        start, end = -(-first // block_length), position // block_length
        if extent.provisioning is Provisioning.MAPPED or start >= end:
            continue
        if start > done:
            yield _Run(lba + done, start - done, Provisioning.MAPPED)
        yield _Run(lba + start, end - start, extent.provisioning)
        done = end
    rest = position // block_length - done
    if rest or not done:
        yield _Run(lba + done, max(rest, 1), Provisioning.MAPPED)


def _split(run: _Run) -> Iterator[_Run]:
    """NUMBER OF LOGICAL BLOCKS has 32 bits."""
    for start in range(0, run.num_blocks, _MOST_BLOCKS):
        yield _Run(run.lba + start, min(_MOST_BLOCKS, run.num_blocks - start), run.provisioning)


def _parameter_data(command: GetLbaStatus, runs: list[_Run], *, complete: bool) -> bytes:
    """The parameter data (§5.7.3): RTP, as REPORT TYPE was heeded, and why the list ends where it does."""
    condition = 0
    if complete:
        condition = _DUE_TO_CAPACITY
    elif len(runs) == command.fitting_descriptors:
        condition = _DUE_TO_ALLOCATION_LENGTH
    descriptors = b"".join(_DESCRIPTOR.pack(run.lba, run.num_blocks, run.provisioning.value) for run in runs)
    return _HEADER.pack(_HEADER.size - 4 + len(descriptors), condition | _RTP) + descriptors
