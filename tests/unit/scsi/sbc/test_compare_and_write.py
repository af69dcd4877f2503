import struct

import pytest

from isthmus.backstores import operations
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.task import GOOD
from tests.support.disk import BLOCK, LIMITS, Disk, pattern

FUA, DPO = 0x08, 0x10


def compare_and_write(lba: int, num_blocks: int, flags: int = 0) -> bytes:
    """A COMPARE AND WRITE CDB."""
    return struct.pack(">BBQ3xBxx", 0x89, flags, lba, num_blocks)


@pytest.mark.parametrize("num_blocks", [1, LIMITS.max_compare_and_write_blocks])
def test_match(num_blocks: int) -> None:
    """If the blocks are what was expected, the new ones take their place."""
    disk = Disk()
    old, new = pattern(num_blocks * BLOCK), pattern(num_blocks * BLOCK, seed=9)
    disk.fill(3, old)
    assert disk.run(compare_and_write(3, num_blocks, DPO), old + new, pieces=3) == GOOD
    assert disk.blocks(2, num_blocks + 2) == bytes(BLOCK) + new + bytes(BLOCK)


@pytest.mark.parametrize("place", [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK - 1])
def test_miscompare(place: int) -> None:
    """If one byte differs, nothing is written, and INFORMATION is its offset."""
    disk = Disk()
    old = pattern(2 * BLOCK)
    disk.fill(3, old)
    expected = bytearray(old)
    expected[place] ^= 1
    sense = disk.refusal(compare_and_write(3, 2), bytes(expected) + bytes(2 * BLOCK))
    assert sense.sense is Sense.MISCOMPARE_DURING_VERIFY_OPERATION
    assert sense.information == place
    assert sense.to_bytes()[0] & 0x80
    assert disk.blocks(3, 2) == old


def test_one_operation() -> None:
    """Comparison and writing are one exclusive operation over all of the blocks."""
    disk = Disk()
    disk.run(compare_and_write(3, 2), bytes(4 * BLOCK))
    (operation,) = disk.operations
    assert operation.exclusive
    assert operation.extent == (3 * BLOCK, 2 * BLOCK)


@pytest.mark.parametrize(("write_back", "flags", "durable"), [(True, 0, False), (True, FUA, True), (False, 0, True)])
def test_durability(write_back: bool, flags: int, durable: bool) -> None:
    """The write is durable with FUA, and without a write cache always."""
    disk = Disk(write_back=write_back)
    disk.run(compare_and_write(0, 1, flags), bytes(2 * BLOCK))
    (operation,) = disk.operations
    assert isinstance(operation, operations.CompareAndWrite)
    assert operation.durable is durable


def test_no_blocks() -> None:
    """No blocks are no error."""
    disk = Disk()
    assert disk.run(compare_and_write(256, 0)) == GOOD
    assert disk.operations == []


def test_data_for_no_blocks() -> None:
    """Data offered for no blocks means a count that did not fit into its byte, and is refused there."""
    disk = Disk()
    sense = disk.refusal(compare_and_write(0, 0), offered=2 * 256 * BLOCK)
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(13)


def test_longer_than_the_limit() -> None:
    """More than MAXIMUM COMPARE AND WRITE LENGTH is refused, and the pointer names the field."""
    sense = Disk().refusal(compare_and_write(0, LIMITS.max_compare_and_write_blocks + 1))
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(13)


@pytest.mark.parametrize(("lba", "num_blocks"), [(256, 1), (255, 2), (257, 0), ((1 << 64) - 1, 1)])
def test_beyond_the_end(lba: int, num_blocks: int) -> None:
    """A run that exceeds the capacity is refused."""
    sense = Disk().refusal(compare_and_write(lba, num_blocks), bytes(2 * num_blocks * BLOCK))
    assert sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    assert sense.specific == FieldPointer(2)


@pytest.mark.parametrize(("sent", "offered"), [(4, None), (5, None), (0, None), (6, 7), (6, 8)])
def test_another_length_of_data(sent: int, offered: int | None) -> None:
    """Anything but exactly the two instances is refused before the blocks are looked at."""
    disk = Disk()
    cdb = compare_and_write(0, 3)
    sense = disk.refusal(cdb, bytes(sent * BLOCK), offered=None if offered is None else offered * BLOCK)
    assert sense.sense is Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT
    assert disk.operations == []


@pytest.mark.parametrize("protect", range(1, 8))
def test_protection_field(protect: int) -> None:
    """WRPROTECT has to be 0 where there is no protection information."""
    sense = Disk().refusal(compare_and_write(0, 1, protect << 5), bytes(2 * BLOCK))
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(1, 4 + protect.bit_length())
