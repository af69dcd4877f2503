import dataclasses
from collections.abc import Callable

import pytest

from isthmus.backstores import operations
from isthmus.backstores.base import Capabilities
from isthmus.backstores.operations import BlockOperation
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.task import GOOD
from tests.support.disk import BLOCK, LIMITS, THIN, Disk, pattern, sixteen, ten, thirty_two

Cdb = Callable[..., bytes]

WRITE_SAME = [(ten, 0x41), (sixteen, 0x93), (thirty_two, 0x000D)]
LENGTH_BYTE = {ten: 7, sixteen: 10, thirty_two: 28}
FLAGS_BYTE = {ten: 1, sixteen: 1, thirty_two: 10}
ANCHOR, UNMAP, NDOB = 0x10, 0x08, 0x01
ZEROS = bytes(BLOCK)
ANCHORS = dataclasses.replace(THIN, anchor=True)


def without_length_bound() -> Disk:
    """A disk that takes no number of blocks for all of the rest."""
    return Disk(limits=dataclasses.replace(LIMITS, write_same_non_zero=False))


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_SAME)
@pytest.mark.parametrize("flags", [0, UNMAP])
@pytest.mark.parametrize("block", [pattern(BLOCK), ZEROS[:-1] + b"\1"])
def test_data(cdb: Cdb, opcode: int, flags: int, block: bytes) -> None:
    """Data that are not zeros are written to every block of the run, with UNMAP as well."""
    disk = Disk()
    disk.fill(2, b"a" * 5 * BLOCK)
    assert disk.run(cdb(opcode, 3, 3, flags), block) == GOOD
    assert disk.blocks(2, 5) == b"a" * BLOCK + block * 3 + b"a" * BLOCK
    assert disk.operations[0] == operations.WriteRepeated(3 * BLOCK, 3 * BLOCK, block)


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_SAME)
@pytest.mark.parametrize(
    ("flags", "operation"),
    [(0, operations.WriteZeroes(3 * BLOCK, 3 * BLOCK)), (UNMAP, operations.Discard(((3 * BLOCK, 3 * BLOCK),)))],
)
def test_zeros(cdb: Cdb, opcode: int, flags: int, operation: BlockOperation) -> None:
    """Zeros keep the room of the blocks; with UNMAP they give it back."""
    disk = Disk()
    disk.fill(2, b"a" * 5 * BLOCK)
    assert disk.run(cdb(opcode, 3, 3, flags), ZEROS) == GOOD
    assert disk.blocks(2, 5) == b"a" * BLOCK + ZEROS * 3 + b"a" * BLOCK
    assert disk.operations[0] == operation


@pytest.mark.parametrize(("flags", "operation"), [(NDOB, operations.WriteZeroes), (NDOB | UNMAP, operations.Discard)])
def test_no_data_out_buffer(flags: int, operation: type[BlockOperation]) -> None:
    """With NDOB nothing is transferred, and the block is zeros."""
    disk = Disk()
    disk.fill(0, b"a" * BLOCK)
    assert disk.run(sixteen(0x93, 0, 1, flags)) == GOOD
    assert disk.blocks(0, 1) == ZEROS
    assert isinstance(disk.operations[0], operation)


def test_ten_bytes_have_no_ndob() -> None:
    """WRITE SAME (10) has no NDOB bit."""
    sense = Disk().refusal(ten(0x41, 0, 1, NDOB))
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(1, 0)


@pytest.mark.parametrize("flags", [0, UNMAP])
@pytest.mark.parametrize("block", [pattern(BLOCK), ZEROS])
@pytest.mark.parametrize("write_back", [False, True])
def test_durability(flags: int, block: bytes, write_back: bool) -> None:
    """Without a write cache the blocks are durable before GOOD."""
    disk = Disk(write_back=write_back)
    disk.run(ten(0x41, 0, 2, flags), block)
    assert (disk.operations[-1] == operations.Flush()) is not write_back


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_SAME)
@pytest.mark.parametrize("flags", [0, UNMAP])
def test_no_blocks(cdb: Cdb, opcode: int, flags: int) -> None:
    """With WSNZ a run without a length is refused, and the pointer names the field."""
    sense = Disk().refusal(cdb(opcode, 0, 0, flags), ZEROS)
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(LENGTH_BYTE[cdb])


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_SAME)
def test_no_blocks_where_they_mean_the_rest(cdb: Cdb, opcode: int) -> None:
    """Without WSNZ no blocks mean those up to the end, as far as MAXIMUM WRITE SAME LENGTH allows."""
    disk = without_length_bound()
    most = LIMITS.max_write_same_blocks
    assert disk.run(cdb(opcode, 256 - most, 0), pattern(BLOCK)) == GOOD
    assert disk.blocks(256 - most - 1, most + 1) == ZEROS + pattern(BLOCK) * most
    assert disk.refusal(cdb(opcode, 256 - most - 1, 0), ZEROS).sense is Sense.INVALID_FIELD_IN_CDB
    assert disk.refusal(cdb(opcode, 257, 0), ZEROS).sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_SAME)
@pytest.mark.parametrize("flags", [0, UNMAP])
def test_most_blocks(cdb: Cdb, opcode: int, flags: int) -> None:
    """MAXIMUM WRITE SAME LENGTH blocks are accepted, one more is not."""
    disk = Disk()
    assert disk.run(cdb(opcode, 0, LIMITS.max_write_same_blocks, flags), ZEROS) == GOOD
    sense = disk.refusal(cdb(opcode, 0, LIMITS.max_write_same_blocks + 1, flags), ZEROS)
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(LENGTH_BYTE[cdb])


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_SAME)
@pytest.mark.parametrize(("lba", "length"), [(256, 1), (255, 2), (257, 0), (0xFFFF_FFFF, 1)])
def test_beyond_the_end(cdb: Cdb, opcode: int, lba: int, length: int) -> None:
    """A run that exceeds the capacity is refused."""
    sense = Disk().refusal(cdb(opcode, lba, length), ZEROS)
    assert sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    assert sense.specific == FieldPointer(12 if cdb is thirty_two else 2)


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_SAME)
@pytest.mark.parametrize(
    ("arrived", "offered"), [(0, None), (BLOCK // 2, None), (BLOCK - 1, BLOCK - 1), (BLOCK, 2 * BLOCK)]
)
def test_another_length_of_data(cdb: Cdb, opcode: int, arrived: int, offered: int | None) -> None:
    """Anything but exactly one block is refused, and nothing is written."""
    disk = Disk()
    sense = disk.refusal(cdb(opcode, 0, 1, UNMAP), bytes(arrived), offered=offered)
    assert sense.sense is Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT
    assert disk.operations == []


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_SAME)
@pytest.mark.parametrize(
    ("flags", "capabilities"), [(ANCHOR, THIN), (ANCHOR | UNMAP, THIN), (ANCHOR, ANCHORS)], ids=["0", "1", "2"]
)
def test_anchor_that_is_refused(cdb: Cdb, opcode: int, flags: int, capabilities: Capabilities) -> None:
    """ANCHOR needs storage that can keep room, and means nothing without UNMAP (SBC-4 table 139)."""
    sense = Disk(capabilities=capabilities).refusal(cdb(opcode, 0, 1, flags), ZEROS)
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(FLAGS_BYTE[cdb], 4)


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_SAME)
def test_anchor(cdb: Cdb, opcode: int) -> None:
    """The data are given back, and the room is kept."""
    disk = Disk(capabilities=ANCHORS)
    disk.fill(0, b"a" * 2 * BLOCK)
    assert disk.run(cdb(opcode, 0, 1, ANCHOR | UNMAP), ZEROS) == GOOD
    assert disk.operations[0] == operations.Discard(((0, BLOCK),), anchor=True)
    assert disk.blocks(0, 2) == ZEROS + b"a" * BLOCK


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_SAME)
def test_unit_that_is_not_thin(cdb: Cdb, opcode: int) -> None:
    """A unit whose storage takes no room back refuses UNMAP, and writes without it."""
    disk = Disk(capabilities=Capabilities())
    sense = disk.refusal(cdb(opcode, 0, 1, UNMAP), ZEROS)
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(FLAGS_BYTE[cdb], 3)
    assert disk.run(cdb(opcode, 0, 1), pattern(BLOCK)) == GOOD
    assert disk.blocks(0, 1) == pattern(BLOCK)


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_SAME)
@pytest.mark.parametrize("protect", range(1, 8))
def test_protection_field(cdb: Cdb, opcode: int, protect: int) -> None:
    """WRPROTECT has to be 0 where there is no protection information."""
    sense = Disk().refusal(cdb(opcode, 0, 1, protect << 5), ZEROS)
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(FLAGS_BYTE[cdb], 4 + protect.bit_length())
