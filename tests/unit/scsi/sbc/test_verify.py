from collections.abc import Callable

import pytest

from isthmus.backstores import operations
from isthmus.errors import BackstoreError
from isthmus.scsi.sbc.block_range import CHUNK
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.task import GOOD
from tests.support.disk import BLOCK, LIMITS, Disk, pattern, sixteen, ten, thirty_two, twelve

Cdb = Callable[..., bytes]

VERIFY = [(ten, 0x2F), (twelve, 0xAF), (sixteen, 0x8F), (thirty_two, 0x000A)]
WRITE_AND_VERIFY = [(ten, 0x2E), (twelve, 0xAE), (sixteen, 0x8E), (thirty_two, 0x000C)]
LENGTH_BYTE = {ten: 7, twelve: 6, sixteen: 10, thirty_two: 28}
FLAGS_BYTE = {ten: 1, twelve: 1, sixteen: 1, thirty_two: 10}
NOTHING, EVERY_BLOCK, RESERVED, ONE_BLOCK = 0b00 << 1, 0b01 << 1, 0b10 << 1, 0b11 << 1
DPO = 0x10
MORE_THAN_A_CHUNK = 3 * CHUNK // BLOCK // 2


@pytest.mark.parametrize(("cdb", "opcode"), VERIFY)
def test_medium_verification(cdb: Cdb, opcode: int) -> None:
    """VERIFY without a comparison reads the blocks, and wants no data."""
    disk = Disk()
    assert disk.run(cdb(opcode, 2, 3, DPO)) == GOOD
    assert disk.operations == [operations.Read(2 * BLOCK, 3 * BLOCK)]


@pytest.mark.parametrize(("cdb", "opcode"), VERIFY)
def test_equal_blocks(cdb: Cdb, opcode: int) -> None:
    """A comparison with what is there succeeds."""
    disk = Disk()
    disk.fill(2, pattern(3 * BLOCK))
    assert disk.run(cdb(opcode, 2, 3, EVERY_BLOCK), pattern(3 * BLOCK), pieces=2) == GOOD


@pytest.mark.parametrize(("cdb", "opcode"), VERIFY)
@pytest.mark.parametrize("place", [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK - 1])
def test_difference(cdb: Cdb, opcode: int, place: int) -> None:
    """A comparison that fails tells the offset of the first difference."""
    disk = Disk()
    data = bytearray(pattern(3 * BLOCK))
    disk.fill(2, bytes(data))
    data[place] ^= 0xFF
    data[-1] ^= 0xFF if place != len(data) - 1 else 0
    sense = disk.refusal(cdb(opcode, 2, 3, EVERY_BLOCK), bytes(data))
    assert sense.sense is Sense.MISCOMPARE_DURING_VERIFY_OPERATION
    assert sense.information == place


@pytest.mark.parametrize(("cdb", "opcode"), VERIFY)
def test_one_block_for_all(cdb: Cdb, opcode: int) -> None:
    """BYTCHK 11b compares every block with the one that was sent."""
    disk = Disk()
    disk.fill(2, pattern(BLOCK) * 4)
    assert disk.run(cdb(opcode, 2, 4, ONE_BLOCK), pattern(BLOCK)) == GOOD
    disk.fill(5, b"x")
    sense = disk.refusal(cdb(opcode, 2, 4, ONE_BLOCK), pattern(BLOCK))
    assert sense.sense is Sense.MISCOMPARE_DURING_VERIFY_OPERATION
    assert sense.information == 3 * BLOCK


@pytest.mark.parametrize("check", [EVERY_BLOCK, ONE_BLOCK])
@pytest.mark.parametrize("block", [0, CHUNK // BLOCK, MORE_THAN_A_CHUNK - 1])
def test_long_comparison(check: int, block: int) -> None:
    """A run is compared piece by piece, and the offset counts from its start."""
    disk = Disk(num_blocks=MORE_THAN_A_CHUNK, limits=LIMITS.__class__.for_backstore(Disk().memory, BLOCK))
    disk.fill(block, b"\0\1")
    data = bytes(BLOCK if check == ONE_BLOCK else MORE_THAN_A_CHUNK * BLOCK)
    sense = disk.refusal(sixteen(0x8F, 0, MORE_THAN_A_CHUNK, check), data)
    assert sense.information == block * BLOCK + 1
    disk.fill(block, b"\0\0")
    assert disk.run(sixteen(0x8F, 0, MORE_THAN_A_CHUNK, check), data) == GOOD
    assert len(disk.operations) == 2


@pytest.mark.parametrize("check", [NOTHING, EVERY_BLOCK, ONE_BLOCK])
def test_verify_of_nothing(check: int) -> None:
    """A VERIFICATION LENGTH of 0 is no error, wants no data and touches nothing."""
    disk = Disk(write_back=True)
    assert disk.run(ten(0x2F, 256, 0, check)) == GOOD
    assert disk.operations == []


@pytest.mark.parametrize("check", [NOTHING, EVERY_BLOCK, ONE_BLOCK])
def test_verify_looks_behind_the_cache(check: int) -> None:
    """What a volatile cache holds goes to the medium before that is verified."""
    disk = Disk(write_back=True)
    disk.run(ten(0x2F, 0, 1, check), bytes(BLOCK))
    assert disk.operations == [operations.Flush(), operations.Read(0, BLOCK)]


@pytest.mark.parametrize(("check", "data"), [(EVERY_BLOCK, 0), (EVERY_BLOCK, BLOCK), (ONE_BLOCK, BLOCK - 1)])
def test_too_little_to_compare_with(check: int, data: int) -> None:
    """A comparison needs all of its data."""
    disk = Disk()
    sense = disk.refusal(ten(0x2F, 0, 2, check), bytes(data))
    assert sense.sense is Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT
    assert disk.operations == []


def test_unreadable_block() -> None:
    """A block that cannot be read fails the verification with the error of the backstore."""
    disk = Disk()
    disk.fails_at = operations.Read
    with pytest.raises(BackstoreError):
        disk.run(ten(0x2F, 0, 1))


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_AND_VERIFY)
@pytest.mark.parametrize("check", [NOTHING, EVERY_BLOCK])
@pytest.mark.parametrize("write_back", [False, True])
def test_write_and_verify(cdb: Cdb, opcode: int, check: int, write_back: bool) -> None:
    """The blocks are written to the medium itself and read back."""
    disk = Disk(write_back=write_back)
    assert disk.run(cdb(opcode, 2, 3, check | DPO), pattern(3 * BLOCK), pieces=2) == GOOD
    assert disk.blocks(2, 3) == pattern(3 * BLOCK)
    write, read = disk.operations
    assert isinstance(write, operations.Write)
    assert write.durable
    assert read == operations.Read(2 * BLOCK, 3 * BLOCK)


@pytest.mark.parametrize(("check", "fails"), [(NOTHING, False), (EVERY_BLOCK, True)])
def test_medium_that_forgets(monkeypatch: pytest.MonkeyPatch, check: int, fails: bool) -> None:
    """If other data are read back than were written, the comparison says where."""
    disk = Disk()
    monkeypatch.setattr(disk.memory, "write", lambda *_args, **_options: None)
    cdb = ten(0x2E, 0, 2, check)
    data = bytes(BLOCK + 5) + b"x" * (BLOCK - 5)
    if fails:
        sense = disk.refusal(cdb, data)
        assert sense.sense is Sense.MISCOMPARE_DURING_VERIFY_OPERATION
        assert sense.information == BLOCK + 5
    else:
        assert disk.run(cdb, data) == GOOD


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_AND_VERIFY)
@pytest.mark.parametrize("arrived", [0, 1])
def test_fewer_blocks_than_the_cdb_asks_for(cdb: Cdb, opcode: int, arrived: int) -> None:
    """The whole blocks that came are written and compared; the others keep what they held."""
    disk = Disk()
    disk.fill(0, b"a" * 2 * BLOCK)
    assert disk.run(cdb(opcode, 0, 2, EVERY_BLOCK), b"b" * arrived * BLOCK) == GOOD
    assert disk.blocks(0, 2) == b"b" * arrived * BLOCK + b"a" * (2 - arrived) * BLOCK


def test_part_of_a_block() -> None:
    """WRITE AND VERIFY writes no block in part."""
    disk = Disk()
    sense = disk.refusal(ten(0x2E, 0, 1), bytes(200))
    assert sense.sense is Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT
    assert disk.operations == []


@pytest.mark.parametrize(("cdb", "opcode"), VERIFY + WRITE_AND_VERIFY)
def test_reserved_byte_check(cdb: Cdb, opcode: int) -> None:
    """BYTCHK 10b is reserved."""
    sense = Disk().refusal(cdb(opcode, 0, 1, RESERVED))
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(FLAGS_BYTE[cdb], 2)


@pytest.mark.parametrize(("cdb", "opcode"), WRITE_AND_VERIFY)
def test_byte_check_that_only_verify_has(cdb: Cdb, opcode: int) -> None:
    """BYTCHK 11b is reserved in WRITE AND VERIFY."""
    sense = Disk().refusal(cdb(opcode, 0, 1, ONE_BLOCK), bytes(BLOCK))
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(FLAGS_BYTE[cdb], 2)


@pytest.mark.parametrize(("cdb", "opcode"), VERIFY + WRITE_AND_VERIFY)
@pytest.mark.parametrize(("lba", "length"), [(256, 1), (255, 2), (257, 0), (0xFFFF_FFFF, 1)])
def test_beyond_the_end(cdb: Cdb, opcode: int, lba: int, length: int) -> None:
    """A run that exceeds the capacity is refused."""
    sense = Disk().refusal(cdb(opcode, lba, length, EVERY_BLOCK), bytes(length * BLOCK))
    assert sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    assert sense.specific == FieldPointer(12 if cdb is thirty_two else 2)


@pytest.mark.parametrize(("cdb", "opcode"), VERIFY + WRITE_AND_VERIFY)
@pytest.mark.parametrize("check", [NOTHING, EVERY_BLOCK])
def test_longer_than_the_limit(cdb: Cdb, opcode: int, check: int) -> None:
    """MAXIMUM TRANSFER LENGTH holds for every BYTCHK."""
    sense = Disk().refusal(cdb(opcode, 0, LIMITS.max_transfer_blocks + 1, check))
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(LENGTH_BYTE[cdb])


@pytest.mark.parametrize(("cdb", "opcode"), VERIFY + WRITE_AND_VERIFY)
@pytest.mark.parametrize("protect", range(1, 8))
def test_protection_fields(cdb: Cdb, opcode: int, protect: int) -> None:
    """VRPROTECT and WRPROTECT have to be 0 where there is no protection information."""
    sense = Disk().refusal(cdb(opcode, 0, 1, protect << 5), bytes(BLOCK))
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(FLAGS_BYTE[cdb], 4 + protect.bit_length())
