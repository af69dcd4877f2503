from collections.abc import Callable

import pytest

from isthmus.backstores import operations
from isthmus.errors import BackstoreError
from isthmus.scsi.sbc.block_range import CHUNK
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.task import GOOD
from tests.support.disk import BLOCK, LIMITS, Disk, sixteen, ten
from tests.support.primary import CachedMemory, cached_unit
from tests.support.scsi import Bench, HeldExecutor

Cdb = Callable[..., bytes]

SYNCHRONIZE_CACHE = [(ten, 0x35), (sixteen, 0x91)]
PRE_FETCH = [(ten, 0x34), (sixteen, 0x90)]
IMMED = 0x02


@pytest.mark.parametrize(("cdb", "opcode"), SYNCHRONIZE_CACHE)
@pytest.mark.parametrize(("lba", "length"), [(0, 0), (5, 7), (256, 0)])
def test_synchronize_cache(cdb: Cdb, opcode: int, lba: int, length: int) -> None:
    """Everything is durable before the status, whatever the range."""
    disk = Disk(write_back=True)
    assert disk.run(cdb(opcode, lba, length)) == GOOD
    assert disk.operations == [operations.Flush()]


@pytest.mark.parametrize(("cdb", "opcode"), SYNCHRONIZE_CACHE)
def test_synchronize_cache_immediately(cdb: Cdb, opcode: int) -> None:
    """With IMMED the status comes first, and the flush is under way."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    assert bench.run(cdb(opcode, 0, 0, IMMED)) == GOOD
    assert len(executor.operations) == 1
    executor.finish()
    assert not bench.unit.background
    assert bench.run(bytes(6)) == GOOD


def test_synchronize_cache_that_fails() -> None:
    """A flush that fails is never answered with GOOD."""
    disk = Disk(write_back=True)
    disk.fails_at = operations.Flush
    with pytest.raises(BackstoreError):
        disk.run(ten(0x35, 0, 0))


def test_synchronize_cache_that_fails_later() -> None:
    """With IMMED the next command hears of the failure."""
    memory = CachedMemory()
    memory.flush_error = BackstoreError(5, "the disk is broken")
    bench = Bench(unit=cached_unit(memory))
    assert bench.run(ten(0x35, 0, 0, IMMED)) == GOOD
    response = bench.run(bytes(6))
    assert (response.sense[0], response.sense[2], response.sense[12]) == (0x71, 0x03, 0x0C)


@pytest.mark.parametrize(("cdb", "opcode"), PRE_FETCH)
def test_pre_fetch(cdb: Cdb, opcode: int) -> None:
    """The blocks have been read before the status, which is GOOD: nobody promises that the cache keeps them."""
    disk = Disk()
    assert disk.run(cdb(opcode, 2, 3)) == GOOD
    assert disk.operations == [operations.Read(2 * BLOCK, 3 * BLOCK)]


@pytest.mark.parametrize(("cdb", "opcode"), PRE_FETCH)
def test_immediate_pre_fetch(cdb: Cdb, opcode: int) -> None:
    """With IMMED the backstore is asked to begin, and nothing waits for it."""
    disk = Disk()
    assert disk.run(cdb(opcode, 2, 3, IMMED)) == GOOD
    assert disk.memory.prefetched == [(2 * BLOCK, 3 * BLOCK)]


@pytest.mark.parametrize(("cdb", "opcode"), PRE_FETCH)
def test_pre_fetch_to_the_end(cdb: Cdb, opcode: int) -> None:
    """A PREFETCH LENGTH of 0 means all blocks up to the last."""
    disk = Disk()
    disk.run(cdb(opcode, 250, 0, IMMED))
    assert disk.memory.prefetched == [(250 * BLOCK, 6 * BLOCK)]


@pytest.mark.parametrize("flags", [0, IMMED])
def test_pre_fetch_of_more_than_one_command_may_hold(flags: int) -> None:
    """Of a long run the beginning is fetched."""
    disk = Disk()
    disk.run(ten(0x34, 0, 0, flags))
    (operation,) = disk.operations
    assert operation.extent == (0, LIMITS.max_transfer_blocks * BLOCK)


def test_pre_fetch_reads_in_pieces() -> None:
    """A long run does not take its whole length of memory."""
    disk = Disk(num_blocks=4 * CHUNK // BLOCK, limits=LIMITS.for_backstore(Disk().memory, BLOCK))
    disk.run(ten(0x34, 1, 2 * CHUNK // BLOCK + 1))
    assert [operation.extent for operation in disk.operations] == [
        (BLOCK, CHUNK),
        (BLOCK + CHUNK, CHUNK),
        (BLOCK + 2 * CHUNK, BLOCK),
    ]


def test_pre_fetch_from_memory() -> None:
    """Where nothing has to be waited for, nothing has to be fetched."""
    disk = Disk()
    disk.memory.never_blocks = True
    assert disk.run(ten(0x34, 0, 8)) == GOOD
    assert disk.operations == []


@pytest.mark.parametrize(("cdb", "opcode"), SYNCHRONIZE_CACHE + PRE_FETCH)
@pytest.mark.parametrize("flags", [0, IMMED])
@pytest.mark.parametrize(("lba", "length"), [(256, 1), (255, 2), (257, 0), (0xFFFF_FFFF, 0)])
def test_beyond_the_end(cdb: Cdb, opcode: int, flags: int, lba: int, length: int) -> None:
    """A run that exceeds the capacity is refused, with IMMED as well."""
    sense = Disk().refusal(cdb(opcode, lba, length, flags))
    assert sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
    assert sense.specific == FieldPointer(2)
