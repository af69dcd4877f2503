"""READ and WRITE (6), (10), (12), (16) and (32) (SBC-4 §5.16 to §5.19, §5.40 to §5.43; SBC-2 §5.5 and §5.24 for (6)).

What is written when the initiator sends less than the CDB asks for: see `data_out`. A READ gives all its blocks; the
transport cuts them to what the initiator expects.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.backstores import operations
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sbc.block_range import BlockRange, CdbLayout, check_transfer
from isthmus.scsi.sbc.data_out import whole_blocks
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["Read", "Write", "parse_read", "parse_write", "read", "write"]

_DPO = 0x10
_FUA = 0x08


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(BlockRange):
    """READ, whatever its CDB length."""

    fua: bool
    dpo: bool

    @property
    def data_in_length(self) -> int:
        return self.num_blocks * self.block_length


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(BlockRange):
    """WRITE, whatever its CDB length."""

    fua: bool
    dpo: bool

    @property
    def data_out_length(self) -> int:
        return self.num_blocks * self.block_length


def parse_read(layout: CdbLayout, cdb: bytes, unit: "LogicalUnit") -> Read:
    """Take a READ CDB apart."""
    flags, lba, num_blocks = layout.unpack(cdb)
    check_transfer(unit, layout, lba, num_blocks)
    return Read(
        lba=lba,
        num_blocks=num_blocks,
        block_length=unit.block_length,
        fua=bool(flags & _FUA),
        dpo=bool(flags & _DPO),
    )


def parse_write(layout: CdbLayout, cdb: bytes, unit: "LogicalUnit") -> Write:
    """Take a WRITE CDB apart."""
    flags, lba, num_blocks = layout.unpack(cdb)
    check_transfer(unit, layout, lba, num_blocks)
    return Write(
        lba=lba,
        num_blocks=num_blocks,
        block_length=unit.block_length,
        fua=bool(flags & _FUA),
        dpo=bool(flags & _DPO),
    )


def read(unit: "LogicalUnit", task: Task) -> Steps:
    """Read the blocks; with FUA, what the cache holds of them is on the medium before (SBC-4 §5.16)."""
    command = task.command
    assert isinstance(command, Read)
    if not command.num_blocks:
        return GOOD
    if command.fua and unit.backstore.write_back:
        yield operations.Flush()
    return Response(data_in=(yield operations.Read(command.offset, command.length)))


def write(unit: "LogicalUnit", task: Task) -> Steps:
    """Write the blocks that came; with FUA, or without a write cache, they are on the medium before GOOD."""
    command = task.command
    assert isinstance(command, Write)
    length = whole_blocks(task, command.block_length)
    if length:
        durable = command.fua or not unit.mode.write_cache_enabled
        yield operations.Write(command.offset, task.data_out, length, durable)
    return GOOD
