"""VERIFY and WRITE AND VERIFY (10), (12), (16) and (32) (SBC-4 §5.36 to §5.39, §5.44 to §5.47).

A medium verification reads the blocks and drops them: what cannot be read is an error of the command. A comparison
that fails says in INFORMATION how many bytes from the start of the run the first difference is; for BYTCHK 11b that
counts the block as if it had been sent once for each block of the run.
"""

import enum
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.backstores import operations
from isthmus.backstores.operations import BlockOperation, first_difference
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sbc.block_range import BlockRange, CdbLayout, check_transfer
from isthmus.scsi.sbc.data_out import exact_data_out, whole_blocks
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.task import GOOD, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "ByteCheck",
    "Verify",
    "WriteAndVerify",
    "parse_verify",
    "parse_write_and_verify",
    "verify",
    "write_and_verify",
]

_DPO = 0x10


class ByteCheck(enum.IntEnum):
    """The BYTCHK field: what the blocks on the medium are compared with (SBC-4 table 123)."""

    NOTHING = 0b00
    EVERY_BLOCK = 0b01
    ONE_BLOCK = 0b11
    """One block of data-out, for every block of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify(BlockRange):
    """VERIFY, whatever its CDB length."""

    byte_check: ByteCheck
    dpo: bool

    @property
    def data_out_length(self) -> int:
        if self.byte_check is ByteCheck.EVERY_BLOCK:
            return self.length
        return self.block_length if self.byte_check is ByteCheck.ONE_BLOCK and self.num_blocks else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteAndVerify(BlockRange):
    """WRITE AND VERIFY, whatever its CDB length."""

    compare: bool
    dpo: bool

    @property
    def data_out_length(self) -> int:
        return self.length


def _byte_check(layout: CdbLayout, flags: int) -> ByteCheck:
    code = flags >> 1 & 0b11
    if code == 0b10:
        raise _invalid_byte_check(layout)
    return ByteCheck(code)


def _invalid_byte_check(layout: CdbLayout) -> CheckCondition:
    return CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(layout.flags_byte, 2))


def parse_verify(layout: CdbLayout, cdb: bytes, unit: "LogicalUnit") -> Verify:
    """Take a VERIFY CDB apart; MAXIMUM TRANSFER LENGTH bounds it even if nothing is transferred (§5.36)."""
    flags, lba, num_blocks = layout.unpack(cdb)
    byte_check = _byte_check(layout, flags)
    check_transfer(unit, layout, lba, num_blocks)
    return Verify(
        lba=lba,
        num_blocks=num_blocks,
        block_length=unit.block_length,
        byte_check=byte_check,
        dpo=bool(flags & _DPO),
    )


def parse_write_and_verify(layout: CdbLayout, cdb: bytes, unit: "LogicalUnit") -> WriteAndVerify:
    """Take a WRITE AND VERIFY CDB apart; BYTCHK 11b is reserved here."""
    flags, lba, num_blocks = layout.unpack(cdb)
    byte_check = _byte_check(layout, flags)
    if byte_check is ByteCheck.ONE_BLOCK:
        raise _invalid_byte_check(layout)
    check_transfer(unit, layout, lba, num_blocks)
    return WriteAndVerify(
        lba=lba,
        num_blocks=num_blocks,
        block_length=unit.block_length,
        compare=byte_check is ByteCheck.EVERY_BLOCK,
        dpo=bool(flags & _DPO),
    )


def verify(unit: "LogicalUnit", task: Task) -> Steps:
    """Bring cached blocks to the medium, which is what is verified; then read them, and compare if asked."""
    command = task.command
    assert isinstance(command, Verify)
    expected = exact_data_out(task, command.data_out_length) if command.data_out_length else None
    if command.num_blocks and unit.backstore.write_back:
        yield operations.Flush()
    yield from _check_medium(command, command.length, expected)
    return GOOD


def write_and_verify(_unit: "LogicalUnit", task: Task) -> Steps:
    """Write what came to the medium itself, whatever the cache settings, and read it back."""
    command = task.command
    assert isinstance(command, WriteAndVerify)
    length = whole_blocks(task, command.block_length)
    if length:
        yield operations.Write(command.offset, task.data_out, length, durable=True)
        yield from _check_medium(command, length, task.data_out_bytes if command.compare else None)
    return GOOD


def _check_medium(
    command: BlockRange, length: int, expected: memoryview | None
) -> Generator[BlockOperation, Any, None]:
    """Read the first `length` bytes of the run, and compare them with `expected`, repeated as often as it fits."""
    for start, size in command.chunks(length):
        present = yield operations.Read(command.offset + start, size)
        if expected is not None:
            _compare(present, _repeated(expected, start, size), start)


def _repeated(pattern: memoryview, start: int, size: int) -> memoryview:
    """`size` bytes from `start` of `pattern` written over and over; chunks start at multiples of the block length."""
    if start + size <= len(pattern):
        return pattern[start : start + size]
    return memoryview(bytes(pattern) * (size // len(pattern)))


def _compare(present: memoryview, expected: memoryview, start: int) -> None:
    difference = first_difference(present, expected)
    if difference < len(present):
        raise CheckCondition(Sense.MISCOMPARE_DURING_VERIFY_OPERATION, information=start + difference)
