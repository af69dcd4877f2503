import errno

import pytest

from isthmus.backstores.operations import Flush, Write
from isthmus.errors import BackstoreError
from isthmus.scsi.sense import Sense
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD
from tests.support.primary import CachedMemory, cached_unit, in_cdb, refusal
from tests.support.scsi import Bench, HeldExecutor, read_10, write_10

TEST_UNIT_READY = bytes(6)
STOPPED = Sense.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED


def start_stop(flags: int, *, condition: int = 0, modifier: int = 0, immediate: bool = False) -> bytes:
    """START STOP UNIT; `flags` are NO_FLUSH (4), LOEJ (2) and START (1)."""
    return bytes((0x1B, immediate, 0, modifier, condition << 4 | flags, 0))


START, STOP, STOP_WITHOUT_FLUSH = start_stop(1), start_stop(0), start_stop(4)


def prevent(value: int) -> bytes:
    """PREVENT ALLOW MEDIUM REMOVAL."""
    return bytes((0x1E, 0, 0, 0, value, 0))


def cached_bench() -> tuple[Bench, CachedMemory]:
    """A target whose unit has a write cache, and its memory."""
    memory = CachedMemory()
    return Bench(unit=cached_unit(memory)), memory


@pytest.mark.parametrize("immediate", [False, True])
def test_stop_and_start(immediate: bool) -> None:
    """A stopped unit is not ready for the medium, on either way, until it is started again."""
    bench, memory = cached_bench()
    (grant,) = bench.nexus.grants.values()
    assert bench.run(start_stop(0, immediate=immediate)) == GOOD
    assert memory.flushes == 1
    assert (grant.reads, grant.writes) == (False, False)
    assert refusal(bench.run(TEST_UNIT_READY))[0] is STOPPED
    assert refusal(bench.run(read_10(0, 1)))[0] is STOPPED
    assert bench.run(start_stop(1, immediate=immediate)) == GOOD
    assert bench.run(TEST_UNIT_READY) == GOOD
    assert (grant.reads, grant.writes) == (True, True)


def test_stop_without_flush() -> None:
    """NO_FLUSH leaves the cache as it is."""
    bench, memory = cached_bench()
    assert bench.run(STOP_WITHOUT_FLUSH) == GOOD
    assert memory.flushes == 0
    assert not bench.unit.started


def test_stop_what_is_stopped() -> None:
    """Stopping twice is no error, and has nothing left to flush; starting never flushes."""
    bench, memory = cached_bench()
    assert bench.run(START) == GOOD
    bench.run(STOP)
    assert bench.run(STOP) == GOOD
    assert memory.flushes == 1


def test_stop_that_fails() -> None:
    """A unit whose cache cannot be made durable does not stop."""
    bench, memory = cached_bench()
    memory.flush_error = BackstoreError(errno.EIO, "the disk is broken")
    assert bench.run(STOP).status is Status.CHECK_CONDITION
    assert bench.unit.started
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_nothing_slips_in_behind_the_flush() -> None:
    """A unit that stops takes no more writes, and flushes only when those that were under way are over."""
    executor = HeldExecutor()
    bench = Bench(unit=cached_unit(CachedMemory()), executor=executor)
    (grant,) = bench.nexus.grants.values()
    write = bench.start(write_10(0, 1), bytes(512))
    grant.begin()
    stop = bench.start(STOP)
    assert not grant.writes
    assert [type(operation) for operation in executor.operations] == [Write]
    executor.finish_all()
    assert bench.owner.status(write) is Status.GOOD
    assert stop not in bench.owner.ends
    grant.end()
    executor.finish(0)
    assert [type(operation) for operation in executor.operations] == [Flush]
    executor.finish_all()
    assert bench.owner.status(stop) is Status.GOOD


def test_active_power_condition() -> None:
    """The active power condition is the one there is, and it means started."""
    bench = Bench()
    bench.run(STOP)
    assert bench.run(start_stop(0, condition=1)) == GOOD
    assert bench.run(TEST_UNIT_READY) == GOOD
    assert refusal(bench.run(start_stop(0, condition=1, modifier=1))) == in_cdb(3, 3)


@pytest.mark.parametrize("condition", [0x2, 0x3, 0x5, 0x7, 0xA, 0xB, 0xF])
def test_other_power_conditions(condition: int) -> None:
    """Idle, standby and the timers are refused, whatever START says."""
    bench = Bench()
    assert refusal(bench.run(start_stop(0, condition=condition))) == in_cdb(4, 7)
    assert bench.run(TEST_UNIT_READY) == GOOD


@pytest.mark.parametrize("flags", [2, 3])
def test_load_and_eject(flags: int) -> None:
    """A medium that is not removable is neither loaded nor ejected."""
    bench = Bench()
    assert refusal(bench.run(start_stop(flags))) == in_cdb(4, 1)
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_starting_beside_a_reservation() -> None:
    """Another nexus' reservation keeps nobody from starting the unit, but from all else."""
    bench = Bench()
    other = bench.connect(isid=2)
    bench.run(bytes((0x16, 0, 0, 0, 0, 0)))
    assert bench.run(START, nexus=other) == GOOD
    assert bench.run(prevent(0), nexus=other) == GOOD
    for cdb in (STOP, start_stop(0, condition=1), prevent(1)):
        assert bench.run(cdb, nexus=other).status is Status.RESERVATION_CONFLICT


def test_prevent_and_allow() -> None:
    """Each nexus prevents and allows for itself, and what it prevents ends with it."""
    bench = Bench()
    other = bench.connect(isid=2)
    assert bench.run(prevent(1)) == GOOD
    assert bench.run(prevent(1), nexus=other) == GOOD
    assert bench.unit.prevent_removal == {bench.nexus, other}
    assert bench.run(prevent(0)) == GOOD
    assert bench.run(prevent(0)) == GOOD
    bench.router.nexus_lost(other)
    assert bench.unit.prevent_removal == set()


@pytest.mark.parametrize("value", [2, 3])
def test_obsolete_prevent(value: int) -> None:
    """The persistent prevention of changers is refused."""
    assert refusal(Bench().run(prevent(value))) == in_cdb(4, 1)
