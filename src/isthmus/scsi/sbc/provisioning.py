"""UNMAP (SBC-4 §5.35): giving back the room of blocks that nobody needs any more."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores import operations
from isthmus.scsi.cdb import Command
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.task import GOOD, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["Unmap", "parse_unmap", "unmap"]

_ANCHOR: Final = 0x01
_HEADER: Final = struct.Struct(">HH4x")
_DESCRIPTOR: Final = struct.Struct(">QI4x")
_DESCRIPTOR_DATA_LENGTH: Final = FieldPointer(2, in_cdb=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmap(Command):
    """UNMAP; the blocks stand in the parameter list."""

    parameter_list_length: int
    anchor: bool = False
    """The blocks keep their room (SBC-4 §4.7.3.4.3)."""

    @property
    def data_out_length(self) -> int:
        return self.parameter_list_length


def parse_unmap(cdb: bytes, unit: "LogicalUnit") -> Unmap:
    """Take the CDB apart. ANCHOR needs ANC_SUP (§6.6.7)."""
    anchor = bool(cdb[1] & _ANCHOR)
    if anchor and not unit.backstore.capabilities.anchor:
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(1, 0))
    length = int.from_bytes(cdb[7:9])
    if 0 < length < _HEADER.size:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR, field=FieldPointer(7))
    return Unmap(parameter_list_length=length, anchor=anchor)


def unmap(unit: "LogicalUnit", task: Task) -> Steps:
    """Check every descriptor, then give back the blocks of all of them."""
    command = task.command
    assert isinstance(command, Unmap)
    ranges = _merged(_byte_ranges(unit, _descriptors(unit, task)))
    if ranges:
        yield operations.Discard(ranges, anchor=command.anchor)
        if not unit.mode.write_cache_enabled:
            yield operations.Flush()
    return GOOD


def _descriptors(unit: "LogicalUnit", task: Task) -> list[tuple[int, int]]:
    """The block descriptors of the parameter list, as (LBA, number of blocks); a truncated one is ignored (§5.35.2)."""
    data = task.data_out_bytes
    if not task.data_out_wanted:
        return []
    if len(data) < _HEADER.size:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    _, descriptor_data_length = _HEADER.unpack_from(data)
    count = min(descriptor_data_length, len(data) - _HEADER.size) // _DESCRIPTOR.size
    if count > unit.limits.max_unmap_descriptors:
        raise CheckCondition(Sense.INVALID_FIELD_IN_PARAMETER_LIST, field=_DESCRIPTOR_DATA_LENGTH)
    end = _HEADER.size + count * _DESCRIPTOR.size
    return list(_DESCRIPTOR.iter_unpack(data[_HEADER.size : end]))


def _byte_ranges(unit: "LogicalUnit", descriptors: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Each descriptor as (offset, length) in bytes; raises `CheckCondition` for what exceeds the unit or its limits."""
    total = 0
    for index, (lba, num_blocks) in enumerate(descriptors):
        place = _HEADER.size + index * _DESCRIPTOR.size
        if lba + num_blocks > unit.num_blocks:
            raise CheckCondition(Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, field=FieldPointer(place, in_cdb=False))
        total += num_blocks
        if total > unit.limits.max_unmap_blocks:
            raise CheckCondition(Sense.INVALID_FIELD_IN_PARAMETER_LIST, field=FieldPointer(place + 8, in_cdb=False))
        yield lba * unit.block_length, num_blocks * unit.block_length


def _merged(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """`ranges` in order, neighbours and overlaps joined: storage gives back only whole units of its own."""
    merged: list[tuple[int, int]] = []
    for offset, length in sorted(each for each in ranges if each[1]):
        if merged and offset <= sum(merged[-1]):
            start, before = merged[-1]
            merged[-1] = (start, max(before, offset + length - start))
        else:
            merged.append((offset, length))
    return tuple(merged)
