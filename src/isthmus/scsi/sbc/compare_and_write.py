"""COMPARE AND WRITE (SBC-4 §5.3): the test-and-set of block storage; clusters keep their locks with it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.backstores import operations
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sbc.block_range import BlockRange
from isthmus.scsi.sbc.data_out import exact_data_out
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.task import GOOD, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["CompareAndWrite", "compare_and_write", "parse_compare_and_write"]

_DPO = 0x10
_FUA = 0x08


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareAndWrite(BlockRange):
    """COMPARE AND WRITE. The data-out is the blocks to compare with, then those to write."""

    fua: bool
    dpo: bool

    @property
    def data_out_length(self) -> int:
        return 2 * self.length


def parse_compare_and_write(cdb: bytes, unit: "LogicalUnit") -> CompareAndWrite:
    """Take the CDB apart; MAXIMUM COMPARE AND WRITE LENGTH (§6.6.4) bounds the one byte of NUMBER OF LOGICAL BLOCKS."""
    flags, lba, num_blocks = cdb[1], int.from_bytes(cdb[2:10]), cdb[13]
    if lba + num_blocks > unit.num_blocks:
        raise CheckCondition(Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, field=FieldPointer(2))
    if num_blocks > unit.limits.max_compare_and_write_blocks:
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(13))
    return CompareAndWrite(
        lba=lba,
        num_blocks=num_blocks,
        block_length=unit.block_length,
        fua=bool(flags & _FUA),
        dpo=bool(flags & _DPO),
    )


def compare_and_write(unit: "LogicalUnit", task: Task) -> Steps:
    """Compare and write in one operation; a difference is told by its offset in the data-out, and nothing is written."""
    command = task.command
    assert isinstance(command, CompareAndWrite)
    if task.data_out_offered and not command.num_blocks:
        # More blocks than one byte can count: an initiator that offers data means some.
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(13))
    data = exact_data_out(task, command.data_out_length)
    if not command.num_blocks:
        return GOOD
    durable = command.fua or not unit.mode.write_cache_enabled
    miscompare = yield operations.CompareAndWrite(
        command.offset, data[: command.length], data[command.length :], durable=durable
    )
    if miscompare is not None:
        raise CheckCondition(Sense.MISCOMPARE_DURING_VERIFY_OPERATION, information=miscompare.offset)
    return GOOD
