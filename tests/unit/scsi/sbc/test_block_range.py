import pytest

from isthmus.scsi.sbc.block_range import (
    CHUNK,
    SIX,
    SIXTEEN,
    TEN,
    TWELVE,
    BlockRange,
    CdbLayout,
    check_range,
    check_transfer,
)
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from tests.support.disk import LIMITS, Disk

CDBS = [
    (SIX, bytes.fromhex("08 1f0203 09 00"), (0, 0x1F0203, 9)),
    (SIX, bytes.fromhex("08 000000 00 00"), (0, 0, 256)),
    (TEN, bytes.fromhex("28 18 01020304 3f 0506 00"), (0x18, 0x01020304, 0x0506)),
    (TWELVE, bytes.fromhex("a8 18 01020304 05060708 3f 00"), (0x18, 0x01020304, 0x05060708)),
    (SIXTEEN, bytes.fromhex("88 18 0102030405060708 090a0b0c 3f 00"), (0x18, 0x0102030405060708, 0x090A0B0C)),
]


@pytest.mark.parametrize(("layout", "cdb", "fields"), CDBS)
def test_layouts(layout: CdbLayout, cdb: bytes, fields: tuple[int, int, int]) -> None:
    """Each layout finds byte 1, the LBA and the number of blocks."""
    assert layout.unpack(cdb) == fields


@pytest.mark.parametrize(("layout", "cdb", "fields"), CDBS[2:])
def test_places(layout: CdbLayout, cdb: bytes, fields: tuple[int, int, int]) -> None:
    """A layout knows the first bytes of its fields."""
    assert cdb[layout.lba_byte :].startswith(b"\1\2\3\4")
    assert int.from_bytes(cdb[layout.length_byte : layout.length_byte + 2]) in {fields[2], fields[2] >> 16}


def test_bytes_of_a_run() -> None:
    """A run knows its place in bytes."""
    run = BlockRange(lba=3, num_blocks=2, block_length=4096)
    assert (run.offset, run.length) == (12288, 8192)


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_chunks(length: int) -> None:
    """The pieces of a length follow one another, and none is empty or too long."""
    position = 0
    for start, size in BlockRange.chunks(length):
        assert start == position
        assert 0 < size <= CHUNK
        position += size
    assert position == length


@pytest.mark.parametrize(("lba", "num_blocks"), [(0, 256), (255, 1), (256, 0)])
def test_run_within_the_capacity(lba: int, num_blocks: int) -> None:
    """A run may reach the last block."""
    check_range(Disk().unit, TEN, lba, num_blocks)


@pytest.mark.parametrize("layout", [SIX, TEN, TWELVE, SIXTEEN])
def test_refusals(layout: CdbLayout) -> None:
    """The field pointer is that of the layout."""
    unit = Disk().unit
    with pytest.raises(CheckCondition) as beyond:
        check_transfer(unit, layout, 256, 1)
    assert beyond.value.sense_data.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    assert beyond.value.sense_data.specific == FieldPointer(layout.lba_byte)
    with pytest.raises(CheckCondition) as longer:
        check_transfer(unit, layout, 0, LIMITS.max_transfer_blocks + 1)
    assert longer.value.sense_data.sense is Sense.INVALID_FIELD_IN_CDB
    assert longer.value.sense_data.specific == FieldPointer(layout.length_byte)
