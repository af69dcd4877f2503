import pytest

from isthmus.backstores import operations
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.task import GOOD
from tests.support.disk import BLOCK, LIMITS, Disk, sixteen

ORWRITE = 0x8B
FUA, DPO = 0x08, 0x10


def test_bits_are_set() -> None:
    """Bits of the data are set on the medium; no bit is cleared, and no other block touched."""
    disk = Disk()
    disk.fill(1, b"\xa5\x00\xff\x01" * (2 * BLOCK // 4))
    assert disk.run(sixteen(ORWRITE, 1, 2, DPO), b"\x5a\x00\x00\x03" * (2 * BLOCK // 4), pieces=3) == GOOD
    assert disk.blocks(0, 4) == bytes(BLOCK) + b"\xff\x00\xff\x03" * (2 * BLOCK // 4) + bytes(BLOCK)


def test_one_operation() -> None:
    """Reading and writing are one exclusive operation."""
    disk = Disk()
    disk.run(sixteen(ORWRITE, 1, 2), bytes(2 * BLOCK))
    (operation,) = disk.operations
    assert operation.exclusive
    assert operation.extent == (BLOCK, 2 * BLOCK)


@pytest.mark.parametrize(("write_back", "flags", "durable"), [(True, 0, False), (True, FUA, True), (False, 0, True)])
def test_durability(write_back: bool, flags: int, durable: bool) -> None:
    """The write is durable with FUA, and without a write cache always."""
    disk = Disk(write_back=write_back)
    disk.run(sixteen(ORWRITE, 0, 1, flags), bytes(BLOCK))
    (operation,) = disk.operations
    assert isinstance(operation, operations.OrWrite)
    assert operation.durable is durable


def test_no_blocks() -> None:
    """No blocks are no error."""
    disk = Disk()
    assert disk.run(sixteen(ORWRITE, 0, 0)) == GOOD
    assert disk.operations == []


def test_short_data() -> None:
    """Whole blocks that came are merged; part of a block is refused."""
    disk = Disk()
    assert disk.run(sixteen(ORWRITE, 0, 2), b"\xff" * BLOCK) == GOOD
    assert disk.blocks(0, 2) == b"\xff" * BLOCK + bytes(BLOCK)
    sense = disk.refusal(sixteen(ORWRITE, 0, 2), b"\xff" * (BLOCK + 1))
    assert sense.sense is Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT


@pytest.mark.parametrize(("lba", "length"), [(256, 1), (255, 2), (257, 0), (1 << 63, 1)])
def test_beyond_the_end(lba: int, length: int) -> None:
    """A run that exceeds the capacity is refused."""
    sense = Disk().refusal(sixteen(ORWRITE, lba, length))
    assert sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    assert sense.specific == FieldPointer(2)


def test_longer_than_the_limit() -> None:
    """More than MAXIMUM TRANSFER LENGTH is refused."""
    sense = Disk().refusal(sixteen(ORWRITE, 0, LIMITS.max_transfer_blocks + 1))
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(10)


@pytest.mark.parametrize("protect", range(1, 8))
def test_protection_field(protect: int) -> None:
    """ORPROTECT has to be 0 where there is no protection information."""
    assert Disk().refusal(sixteen(ORWRITE, 0, 1, protect << 5)).sense is Sense.INVALID_FIELD_IN_CDB
