"""WRITE SAME (10), (16) and (32) (SBC-4 §5.52 to §5.54): one block, written to a whole run of them.

With UNMAP the blocks are given back, provided that they then read as what was to be written; that is so for zeros
alone (LBPRZ). Other data are written even then (§4.7.3.4.4). With ANCHOR besides, they keep their room.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.backstores import operations
from isthmus.backstores.operations import BlockOperation
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sbc.block_range import BlockRange, CdbLayout, check_range
from isthmus.scsi.sbc.data_out import exact_data_out
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.task import GOOD, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["WriteSame", "parse_write_same", "write_same"]

_ANCHOR = 0x10
_UNMAP = 0x08
_NDOB = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSame(BlockRange):
    """WRITE SAME, whatever its CDB length."""

    unmap: bool
    anchor: bool = False
    no_data_out_buffer: bool
    """NDOB: no data is transferred, and the block is all zeros."""

    @property
    def data_out_length(self) -> int:
        return 0 if self.no_data_out_buffer else self.block_length


def parse_write_same(layout: CdbLayout, cdb: bytes, unit: "LogicalUnit") -> WriteSame:
    """Take a WRITE SAME CDB apart. WRITE SAME (10) has no NDOB: its usage mask keeps that bit 0."""
    flags, lba, num_blocks = layout.unpack(cdb)
    _check_flags(layout, flags, unit)
    check_range(unit, layout, lba, num_blocks)
    if not num_blocks and not unit.limits.write_same_non_zero:
        num_blocks = unit.num_blocks - lba
    if not 0 < num_blocks <= unit.limits.max_write_same_blocks:
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(layout.length_byte))
    return WriteSame(
        lba=lba,
        num_blocks=num_blocks,
        block_length=unit.block_length,
        unmap=bool(flags & _UNMAP),
        anchor=bool(flags & _ANCHOR),
        no_data_out_buffer=bool(flags & _NDOB),
    )


def _check_flags(layout: CdbLayout, flags: int, unit: "LogicalUnit") -> None:
    """ANCHOR needs ANC_SUP and means nothing without UNMAP (§5.52, §6.6.7); UNMAP needs a thinly provisioned unit."""
    if flags & _ANCHOR and not (flags & _UNMAP and unit.backstore.capabilities.anchor):
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(layout.flags_byte, 4))
    if flags & _UNMAP and not unit.backstore.capabilities.discard:
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(layout.flags_byte, 3))


def write_same(unit: "LogicalUnit", task: Task) -> Steps:
    """Write the block over the run, or give the run back."""
    command = task.command
    assert isinstance(command, WriteSame)
    block = bytes(command.block_length)
    if not command.no_data_out_buffer:
        block = bytes(exact_data_out(task, command.block_length))
    yield _operation(command, block)
    if not unit.mode.write_cache_enabled:
        yield operations.Flush()
    return GOOD


def _operation(command: WriteSame, block: bytes) -> BlockOperation:
    if any(block):
        return operations.WriteRepeated(command.offset, command.length, block)
    if command.unmap:
        return operations.Discard(((command.offset, command.length),), anchor=command.anchor)
    return operations.WriteZeroes(command.offset, command.length)
