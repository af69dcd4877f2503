"""ORWRITE (16) (SBC-4 §5.10): setting bits in blocks, as one operation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.backstores import operations
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sbc.block_range import BlockRange, CdbLayout, check_transfer
from isthmus.scsi.sbc.data_out import whole_blocks
from isthmus.scsi.task import GOOD, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["OrWrite", "or_write", "parse_or_write"]

_DPO = 0x10
_FUA = 0x08


@dataclass(frozen=True, slots=True, kw_only=True)
class OrWrite(BlockRange):
    """ORWRITE (16)."""

    fua: bool
    dpo: bool

    @property
    def data_out_length(self) -> int:
        return self.length


def parse_or_write(layout: CdbLayout, cdb: bytes, unit: "LogicalUnit") -> OrWrite:
    """Take an ORWRITE CDB apart."""
    flags, lba, num_blocks = layout.unpack(cdb)
    check_transfer(unit, layout, lba, num_blocks)
    return OrWrite(
        lba=lba,
        num_blocks=num_blocks,
        block_length=unit.block_length,
        fua=bool(flags & _FUA),
        dpo=bool(flags & _DPO),
    )


def or_write(unit: "LogicalUnit", task: Task) -> Steps:
    """Merge the blocks that came into those on the medium; nobody sees a state between."""
    command = task.command
    assert isinstance(command, OrWrite)
    if whole_blocks(task, command.block_length):
        durable = command.fua or not unit.mode.write_cache_enabled
        yield operations.OrWrite(command.offset, task.data_out_bytes, durable=durable)
    return GOOD
