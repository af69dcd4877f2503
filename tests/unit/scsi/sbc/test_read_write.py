import dataclasses
from collections.abc import Callable

import pytest

from isthmus.backstores import operations
from isthmus.errors import BackstoreError
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD
from tests.support.disk import BLOCK, LIMITS, Disk, pattern, six, sixteen, ten, thirty_two, twelve

Cdb = Callable[..., bytes]

READS = [(six, 0x08), (ten, 0x28), (twelve, 0xA8), (sixteen, 0x88), (thirty_two, 0x0009)]
WRITES = [(six, 0x0A), (ten, 0x2A), (twelve, 0xAA), (sixteen, 0x8A), (thirty_two, 0x000B)]
LONG_READS, LONG_WRITES = READS[1:], WRITES[1:]
LENGTH_BYTE = {six: 4, ten: 7, twelve: 6, sixteen: 10, thirty_two: 28}
LBA_BYTE = {six: 1, ten: 2, twelve: 2, sixteen: 2, thirty_two: 12}
FLAGS_BYTE = {ten: 1, twelve: 1, sixteen: 1, thirty_two: 10}
FUA, DPO = 0x08, 0x10


@pytest.mark.parametrize(("cdb", "opcode"), READS)
def test_read(cdb: Cdb, opcode: int) -> None:
    """READ of every CDB length gives the blocks."""
    disk = Disk()
    disk.fill(3, pattern(2 * BLOCK))
    response = disk.run(cdb(opcode, 3, 2))
    assert response.status is Status.GOOD
    assert bytes(response.data_in) == pattern(2 * BLOCK)
    assert disk.operations == [operations.Read(3 * BLOCK, 2 * BLOCK)]


@pytest.mark.parametrize(("cdb", "opcode"), WRITES)
def test_write(cdb: Cdb, opcode: int) -> None:
    """WRITE of every CDB length changes its blocks and no others."""
    disk = Disk()
    assert disk.run(cdb(opcode, 3, 2), pattern(2 * BLOCK)) == GOOD
    assert disk.blocks(2, 4) == bytes(BLOCK) + pattern(2 * BLOCK) + bytes(BLOCK)


def test_write_passes_the_pieces_through() -> None:
    """Data-out in several pieces reaches the backstore without being joined."""
    disk = Disk()
    disk.run(ten(0x2A, 0, 4), pattern(4 * BLOCK), pieces=3)
    (write,) = disk.operations
    assert isinstance(write, operations.Write)
    assert len(write.data) == 3
    assert disk.blocks(0, 4) == pattern(4 * BLOCK)


@pytest.mark.parametrize(("cdb", "opcode"), LONG_READS)
def test_read_of_nothing(cdb: Cdb, opcode: int) -> None:
    """A TRANSFER LENGTH of 0 is no error, even right behind the last block, and reads nothing."""
    disk = Disk()
    assert disk.run(cdb(opcode, 256, 0)) == GOOD
    assert disk.operations == []


@pytest.mark.parametrize(("cdb", "opcode"), LONG_WRITES)
def test_write_of_nothing(cdb: Cdb, opcode: int) -> None:
    """A WRITE of no blocks is no error and asks for no data."""
    disk = Disk()
    assert disk.run(cdb(opcode, 0, 0)) == GOOD
    assert disk.operations == []


def test_six_byte_length_of_zero() -> None:
    """READ (6) and WRITE (6) of length 0 mean 256 blocks."""
    disk = Disk(limits=dataclasses.replace(LIMITS, max_transfer_blocks=256))
    data = pattern(256 * BLOCK)
    assert disk.run(six(0x0A, 0, 0), data) == GOOD
    assert bytes(disk.run(six(0x08, 0, 0)).data_in) == data


def test_six_byte_address() -> None:
    """READ (6) has 21 bits of LBA, spread over three bytes."""
    disk = Disk(num_blocks=0x1_0203)
    disk.fill(0x1_0202, b"last".ljust(BLOCK))
    assert disk.data(six(0x08, 0x1_0202, 1)).startswith(b"last")


@pytest.mark.parametrize(("cdb", "opcode"), READS + WRITES)
@pytest.mark.parametrize(("lba", "length"), [(256, 1), (255, 2), (0x1F_FFFF, 1)])
def test_beyond_the_end(cdb: Cdb, opcode: int, lba: int, length: int) -> None:
    """A run that exceeds the capacity is refused, and the pointer names the LBA."""
    sense = Disk().refusal(cdb(opcode, lba, length))
    assert sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    assert sense.specific == FieldPointer(LBA_BYTE[cdb])


@pytest.mark.parametrize(("cdb", "opcode"), LONG_READS + LONG_WRITES)
def test_empty_run_beyond_the_end(cdb: Cdb, opcode: int) -> None:
    """Even no blocks are out of range one block after the end."""
    assert Disk().refusal(cdb(opcode, 257, 0)).sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE


@pytest.mark.parametrize("opcode", [0x88, 0x8A])
@pytest.mark.parametrize("lba", [1 << 63, (1 << 64) - 1])
def test_largest_addresses(opcode: int, lba: int) -> None:
    """No LBA of 64 bits wraps around."""
    assert Disk().refusal(sixteen(opcode, lba, 2)).sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE


@pytest.mark.parametrize(("cdb", "opcode"), READS + WRITES)
def test_longer_than_the_limit(cdb: Cdb, opcode: int) -> None:
    """More than MAXIMUM TRANSFER LENGTH is refused, and the pointer names the TRANSFER LENGTH."""
    disk = Disk()
    sense = disk.refusal(cdb(opcode, 0, disk.unit.limits.max_transfer_blocks + 1))
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(LENGTH_BYTE[cdb])


@pytest.mark.parametrize(("cdb", "opcode"), LONG_READS)
@pytest.mark.parametrize("write_back", [False, True])
def test_read_with_force_unit_access(cdb: Cdb, opcode: int, write_back: bool) -> None:
    """FUA brings what a volatile cache holds to the medium before it reads; without such a cache it only reads."""
    disk = Disk(write_back=write_back)
    disk.run(cdb(opcode, 0, 1, FUA | DPO))
    first = [operations.Flush()] if write_back else []
    assert disk.operations == [*first, operations.Read(0, BLOCK)]


@pytest.mark.parametrize(("cdb", "opcode"), LONG_WRITES)
@pytest.mark.parametrize(("write_back", "flags", "durable"), [(True, 0, False), (True, FUA, True), (False, DPO, True)])
def test_durable_writes(cdb: Cdb, opcode: int, write_back: bool, flags: int, durable: bool) -> None:
    """A write is durable with FUA, and without a write cache always."""
    disk = Disk(write_back=write_back)
    disk.run(cdb(opcode, 0, 1, flags), bytes(BLOCK))
    (write,) = disk.operations
    assert isinstance(write, operations.Write)
    assert write.durable is durable


@pytest.mark.parametrize(("cdb", "opcode"), LONG_READS + LONG_WRITES)
@pytest.mark.parametrize("protect", range(1, 8))
def test_protection_fields(cdb: Cdb, opcode: int, protect: int) -> None:
    """RDPROTECT and WRPROTECT have to be 0 where there is no protection information."""
    sense = Disk().refusal(cdb(opcode, 0, 1, protect << 5), bytes(BLOCK))
    assert sense.sense is Sense.INVALID_FIELD_IN_CDB
    assert sense.specific == FieldPointer(FLAGS_BYTE[cdb], 4 + protect.bit_length())


@pytest.mark.parametrize(("cdb", "opcode"), WRITES)
@pytest.mark.parametrize("arrived", [0, 1, 2])
def test_fewer_blocks_than_the_cdb_asks_for(cdb: Cdb, opcode: int, arrived: int) -> None:
    """The whole blocks that came are written; the others keep what they held."""
    disk = Disk()
    disk.fill(0, b"a" * 3 * BLOCK)
    assert disk.run(cdb(opcode, 0, 3), b"b" * arrived * BLOCK) == GOOD
    assert disk.blocks(0, 3) == b"b" * arrived * BLOCK + b"a" * (3 - arrived) * BLOCK


@pytest.mark.parametrize(("cdb", "opcode"), WRITES)
@pytest.mark.parametrize("arrived", [200, BLOCK + 1])
def test_part_of_a_block(cdb: Cdb, opcode: int, arrived: int) -> None:
    """Data-out that ends inside a block is refused, and nothing is written."""
    disk = Disk()
    sense = disk.refusal(cdb(opcode, 0, 2), b"b" * arrived)
    assert sense.sense is Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT
    assert disk.operations == []


@pytest.mark.parametrize(("cdb", "opcode"), WRITES)
def test_more_data_than_the_cdb_asks_for(cdb: Cdb, opcode: int) -> None:
    """A WRITE for which more is offered is processed as usual."""
    disk = Disk()
    assert disk.run(cdb(opcode, 0, 1), b"b" * 2 * BLOCK, offered=2 * BLOCK) == GOOD
    assert disk.blocks(0, 2) == b"b" * BLOCK + bytes(BLOCK)


@pytest.mark.parametrize(
    ("cdb", "operation"), [(ten(0x28, 0, 1), operations.Read), (ten(0x2A, 0, 1), operations.Write)]
)
def test_errors_of_the_backstore_pass(cdb: bytes, operation: type[operations.BlockOperation]) -> None:
    """The handlers leave the errors of the backstore to the device server."""
    disk = Disk()
    disk.fails_at = operation
    with pytest.raises(BackstoreError):
        disk.run(cdb, bytes(BLOCK))


@pytest.mark.parametrize("block_length", [512, 4096])
def test_block_lengths(block_length: int) -> None:
    """Addresses and lengths count in blocks of the unit."""
    disk = Disk(block_length=block_length)
    data = pattern(2 * block_length)
    disk.run(sixteen(0x8A, 5, 2), data)
    assert bytes(disk.memory.content[5 * block_length : 7 * block_length]) == data
    assert disk.data(sixteen(0x88, 5, 2)) == data


@pytest.mark.parametrize("num_blocks", [0, 1, 8])
def test_what_a_read_holds(num_blocks: int) -> None:
    """All of its blocks, whatever the initiator expects; nothing of a write."""
    unit = Disk().unit
    assert unit.table.find(ten(0x28, 0, num_blocks)).parse(ten(0x28, 0, num_blocks), unit).data_in_length == (
        num_blocks * BLOCK
    )
    assert unit.table.find(ten(0x2A, 0, num_blocks)).parse(ten(0x2A, 0, num_blocks), unit).data_in_length == 0
