import struct
from collections.abc import Callable

import pytest

from isthmus.backstores.base import Capabilities
from isthmus.scsi.sense import FieldPointer, Sense
from tests.support.disk import Disk


def capacity_10(lba: int = 0, pmi: int = 0) -> bytes:
    """A READ CAPACITY (10) CDB."""
    return struct.pack(">BxIxxBx", 0x25, lba, pmi)


def capacity_16(allocation_length: int = 32, lba: int = 0, pmi: int = 0) -> bytes:
    """A READ CAPACITY (16) CDB."""
    return struct.pack(">BBQIBx", 0x9E, 0x10, lba, allocation_length, pmi)


@pytest.mark.parametrize("block_length", [512, 4096])
def test_read_capacity_10(block_length: int) -> None:
    """READ CAPACITY (10) gives the last LBA and the block length."""
    assert Disk(block_length=block_length).data(capacity_10()) == struct.pack(">II", 255, block_length)


@pytest.mark.parametrize(("num_blocks", "last"), [(1 << 32, 0xFFFF_FFFF), ((1 << 32) + 1, 0xFFFF_FFFF)])
def test_capacity_that_ten_bytes_cannot_tell(num_blocks: int, last: int) -> None:
    """FFFFFFFFh sends the initiator to READ CAPACITY (16)."""
    disk = Disk()
    disk.memory.size = num_blocks * 512
    assert disk.data(capacity_10()) == struct.pack(">II", last, 512)
    assert disk.data(capacity_16())[:8] == struct.pack(">Q", num_blocks - 1)


def test_capacity_that_ten_bytes_can_just_tell() -> None:
    """The last LBA FFFFFFFEh is told as it is."""
    disk = Disk()
    disk.memory.size = 0xFFFF_FFFF * 512
    assert disk.data(capacity_10()) == struct.pack(">II", 0xFFFF_FFFE, 512)


def test_read_capacity_16() -> None:
    """READ CAPACITY (16) of a thin unit: LBPME and LBPRZ are 1, nothing is protected, LBA 0 is aligned."""
    expected = struct.pack(">QIBBH16x", 255, 512, 0, 0, 0xC000)
    assert Disk().data(capacity_16()) == expected


def test_fully_provisioned() -> None:
    """A storage that takes no room back is not thin."""
    data = Disk(capabilities=Capabilities()).data(capacity_16())
    assert data[14:16] == b"\0\0"


@pytest.mark.parametrize(
    ("block_length", "physical", "exponent"), [(512, 512, 0), (512, 4096, 3), (4096, 4096, 0), (512, 1 << 20, 11)]
)
def test_physical_blocks(block_length: int, physical: int, exponent: int) -> None:
    """LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT is what the storage writes at once."""
    disk = Disk(block_length=block_length, physical_block_length=physical)
    assert disk.data(capacity_16())[13] == exponent


@pytest.mark.parametrize("allocation_length", [*range(17), 31, 32, 33, 0xFFFF_FFFF])
def test_allocation_length(allocation_length: int) -> None:
    """The data are cut to the allocation length, which is never an error."""
    disk = Disk()
    assert disk.data(capacity_16(allocation_length)) == disk.data(capacity_16())[:allocation_length]


@pytest.mark.parametrize("capacity", [capacity_10, capacity_16])
def test_partial_medium_indicator(capacity: Callable[..., bytes]) -> None:
    """With the obsolete PMI an LBA is allowed, and the answer is the same."""
    disk = Disk()
    assert disk.data(capacity(lba=17, pmi=1)) == disk.data(capacity())


@pytest.mark.parametrize("capacity", [capacity_10, capacity_16])
@pytest.mark.parametrize(
    ("lba", "pmi", "expected"),
    [(1, 0, Sense.INVALID_FIELD_IN_CDB), (256, 1, Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)],
)
def test_obsolete_address(capacity: Callable[..., bytes], lba: int, pmi: int, expected: Sense) -> None:
    """Without PMI the obsolete LBA has to be 0, with it a block of the unit."""
    sense = Disk().refusal(capacity(lba=lba, pmi=pmi))
    assert sense.sense is expected
    assert sense.specific == FieldPointer(2)


def test_lowest_aligned_block() -> None:
    """For storage whose physical blocks do not begin with block 0."""
    disk = Disk(capabilities=Capabilities())
    disk.unit.lowest_aligned_lba = 7
    assert disk.data(capacity_16())[14:16] == b"\0\7"
