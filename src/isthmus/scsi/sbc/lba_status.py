"""GET LBA STATUS (16) (SBC-4 §5.6): which blocks take room, as the storage has it at this moment."""

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

_ALL: Final = {Provisioning.MAPPED: 3, Provisioning.DEALLOCATED: 1, Provisioning.ANCHORED: 2}
REPORT_TYPES: Final[dict[int, dict[Provisioning, int]]] = {
    0x00: {**_ALL, Provisioning.MAPPED: 0},
    0x01: _ALL,
    0x02: {Provisioning.MAPPED: 3},
    0x03: {Provisioning.DEALLOCATED: 1},
    0x04: {Provisioning.ANCHORED: 2},
}
"""By REPORT TYPE (SBC-4 table 49), the blocks it asks for and their PROVISIONING STATUS (table 53).

Type 10h, blocks that may give an unrecovered error, is missing: no backstore knows that before it reads them.
"""
_UNKNOWN: Final = 4
"""The PROVISIONING STATUS of blocks of a storage that can give room back but not tell where it has."""

MAX_DESCRIPTORS: Final = 1024
"""In one answer, and in one look at the storage: to find an extent may take two system calls."""

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
    codes = _status_codes(unit, command.report_type)
    most = min(command.fitting_descriptors, MAX_DESCRIPTORS)
    position, end, length = command.lba, unit.num_blocks, unit.block_length
    found: list[_Run] = []
    while position < end and len(found) < most:
        # With type 00h every extent is reported, with the others perhaps none.
        limit = MAX_DESCRIPTORS if command.report_type else most
        extents = yield operations.MapStatus(position * length, (end - position) * length, limit)
        runs = list(_block_runs(extents, position, length))
        found += (part for run in runs if run.provisioning in codes for part in _split(run))
        position = runs[-1].lba + runs[-1].num_blocks
    complete = position >= end and len(found) <= most
    descriptors = [_DESCRIPTOR.pack(run.lba, run.num_blocks, codes[run.provisioning]) for run in found[:most]]
    return Response(data_in=_parameter_data(command, descriptors, complete=complete))


def _status_codes(unit: "LogicalUnit", report_type: int) -> dict[Provisioning, int]:
    """The entry of `REPORT_TYPES`; but what a backstore without `map_status` calls mapped may be anything."""
    capabilities = unit.backstore.capabilities
    if report_type == 0 or capabilities.map_status or not capabilities.discard:
        return REPORT_TYPES[report_type]
    return {Provisioning.MAPPED: _UNKNOWN} if report_type == 1 else {}


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


def _parameter_data(command: GetLbaStatus, descriptors: list[bytes], *, complete: bool) -> bytes:
    """The parameter data (§5.6.2): RTP, as REPORT TYPE was heeded, and why the list ends where it does."""
    condition = 0
    if complete:
        condition = _DUE_TO_CAPACITY
    elif len(descriptors) == command.fitting_descriptors:
        condition = _DUE_TO_ALLOCATION_LENGTH
    body = b"".join(descriptors)
    return (_HEADER.pack(_HEADER.size - 4 + len(body), condition | _RTP) + body)[: command.allocation_length]
