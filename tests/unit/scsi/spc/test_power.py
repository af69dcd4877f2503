import errno

import pytest

from isthmus.backstores.operations import Flush, Write
from isthmus.errors import BackstoreError
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.sense import Sense, SenseKey
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD
from tests.support.primary import CachedMemory, cached_unit, data_of, in_cdb, inquiry, refusal
from tests.support.scsi import Bench, HeldExecutor, make_unit, read_10, write_10

REQUEST_SENSE = bytes((3, 0, 0, 0, 18, 0))
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


def test_immediate_stop_that_fails() -> None:
    """With IMMED the failure is told with the next command, as a deferred error, and once."""
    bench, memory = cached_bench()
    memory.flush_error = BackstoreError(errno.EIO, "the disk is broken")
    assert bench.run(start_stop(0, immediate=True)) == GOOD
    assert bench.unit.started
    (grant,) = bench.nexus.grants.values()
    assert (grant.reads, grant.writes) == (False, False)
    response = bench.run(TEST_UNIT_READY)
    assert response.sense[0] == 0x71
    assert response.sense[2] == SenseKey.MEDIUM_ERROR
    assert (grant.reads, grant.writes) == (True, True)
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_immediate_answers_first() -> None:
    """With IMMED the status does not wait for the flush, but the unit is stopped already."""
    executor = HeldExecutor()
    bench = Bench(unit=cached_unit(CachedMemory()), executor=executor)
    assert bench.run(start_stop(0, immediate=True)) == GOOD
    assert len(executor.operations) == 1
    assert refusal(bench.run(TEST_UNIT_READY))[0] is STOPPED
    executor.finish_all()
    assert not bench.unit.background


@pytest.mark.parametrize("condition", [0x1, 0x7])
def test_active_power_condition(condition: int) -> None:
    """ACTIVE starts a unit; LU_CONTROL leaves it as it is."""
    bench = Bench()
    bench.run(STOP)
    assert bench.run(start_stop(0, condition=condition)) == GOOD
    assert bench.unit.started == (condition == 1)
    assert refusal(bench.run(start_stop(0, condition=condition, modifier=1))) == in_cdb(3, 3)


@pytest.mark.parametrize(
    ("condition", "modifier", "sense"),
    [
        (0x2, 0, Sense.IDLE_CONDITION_ACTIVATED_BY_COMMAND),
        (0x2, 2, Sense.IDLE_C_CONDITION_ACTIVATED_BY_COMMAND),
        (0xA, 2, Sense.IDLE_C_CONDITION_ACTIVATED_BY_TIMER),
        (0x3, 0, Sense.STANDBY_CONDITION_ACTIVATED_BY_COMMAND),
        (0xB, 1, Sense.STANDBY_Y_CONDITION_ACTIVATED_BY_TIMER),
    ],
)
def test_low_power_conditions(condition: int, modifier: int, sense: Sense) -> None:
    """A unit that idles or stands by says so, is ready all the same, and wakes when its medium is accessed."""
    bench = Bench()
    (grant,) = bench.nexus.grants.values()
    bench.run(STOP)
    assert bench.run(start_stop(0, condition=condition, modifier=modifier)) == GOOD
    assert bench.run(TEST_UNIT_READY) == GOOD
    assert (grant.reads, grant.writes) == (False, False)
    told = data_of(bench.run(REQUEST_SENSE))
    assert (told[2], told[12], told[13]) == (sense.key, sense.asc, sense.ascq)
    bench.run(read_10(0, 1))
    assert (grant.reads, grant.writes) == (True, True)
    assert data_of(bench.run(REQUEST_SENSE))[12] == 0


@pytest.mark.parametrize(("condition", "modifier"), [(0x1, 1), (0x2, 3), (0x3, 2), (0x7, 1), (0xA, 3), (0xB, 2)])
def test_power_condition_modifier(condition: int, modifier: int) -> None:
    """A modifier that the power condition does not have is refused."""
    assert refusal(Bench().run(start_stop(0, condition=condition, modifier=modifier))) == in_cdb(3, 3)


@pytest.mark.parametrize("condition", [0x4, 0x5, 0x6, 0x8, 0x9, 0xC, 0xF])
def test_reserved_power_conditions(condition: int) -> None:
    """Values that are reserved or obsolete are refused, whatever START says; a removable unit ignores them."""
    bench = Bench()
    assert refusal(bench.run(start_stop(0, condition=condition))) == in_cdb(4, 7)
    assert bench.run(TEST_UNIT_READY) == GOOD
    bench = removable_bench()
    assert bench.run(start_stop(2, condition=condition)) == GOOD
    assert bench.run(TEST_UNIT_READY) == GOOD


@pytest.mark.parametrize("flags", [2, 3])
def test_load_and_eject_of_a_fixed_medium(flags: int) -> None:
    """A medium that is not removable is neither loaded nor ejected."""
    bench = Bench()
    assert refusal(bench.run(start_stop(flags))) == in_cdb(4, 1)
    assert bench.run(TEST_UNIT_READY) == GOOD


def removable_bench() -> Bench:
    """A target whose unit has a removable medium and a write cache."""
    return Bench(unit=LogicalUnit(CachedMemory(), removable=True))


@pytest.mark.parametrize("immediate", [False, True])
def test_eject_and_load(immediate: bool) -> None:
    """Without a medium nothing that needs one runs; when it is back, the other nexuses hear of a change."""
    bench = removable_bench()
    other = bench.connect(isid=2)
    (grant,) = bench.nexus.grants.values()
    assert bench.run(start_stop(2, immediate=immediate)) == GOOD
    assert (grant.reads, grant.writes) == (False, False)
    assert refusal(bench.run(TEST_UNIT_READY)) == (Sense.MEDIUM_NOT_PRESENT, None)
    assert refusal(bench.run(read_10(0, 1)))[0] is Sense.MEDIUM_NOT_PRESENT
    assert refusal(bench.run(write_10(0, 1), bytes(512)))[0] is Sense.MEDIUM_NOT_PRESENT
    assert data_of(bench.run(REQUEST_SENSE))[12] == 0x3A
    assert bench.run(start_stop(2)) == GOOD
    assert bench.run(start_stop(3, immediate=immediate)) == GOOD
    assert bench.run(TEST_UNIT_READY) == GOOD
    assert (grant.reads, grant.writes) == (True, True)
    changed = Sense.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED
    assert refusal(bench.run(TEST_UNIT_READY, nexus=other))[0] is changed
    assert bench.run(start_stop(3)) == GOOD
    assert bench.run(TEST_UNIT_READY, nexus=other) == GOOD


def test_eject_makes_durable() -> None:
    """A medium leaves with all that was written, and stays in if that cannot be had."""
    memory = CachedMemory()
    bench = Bench(unit=LogicalUnit(memory, removable=True))
    memory.flush_error = BackstoreError(errno.EIO, "the disk is broken")
    assert bench.run(start_stop(2)).status is Status.CHECK_CONDITION
    assert bench.run(TEST_UNIT_READY) == GOOD
    memory.flush_error = None
    assert bench.run(start_stop(2)) == GOOD
    assert memory.flushes == 2


def test_stop_of_a_removable_medium() -> None:
    """A stop that does not eject makes the cache durable, and leaves the unit ready."""
    memory = CachedMemory()
    bench = Bench(unit=LogicalUnit(memory, removable=True))
    assert bench.run(STOP) == GOOD
    assert memory.flushes == 1
    assert bench.run(TEST_UNIT_READY) == GOOD


@pytest.mark.parametrize("flags", [2, 3])
def test_prevented_removal(flags: int) -> None:
    """While any nexus prevents it the medium is neither ejected nor loaded; a nexus that is lost prevents nothing."""
    bench = removable_bench()
    other = bench.connect(isid=2)
    if flags == 3:
        bench.run(start_stop(2))
    assert bench.run(prevent(1), nexus=other) == GOOD
    assert refusal(bench.run(start_stop(flags))) == (Sense.MEDIUM_REMOVAL_PREVENTED, None)
    bench.router.nexus_lost(other)
    assert bench.run(start_stop(flags)) == GOOD


def test_reset_and_a_removable_medium() -> None:
    """A reset allows the removal again, and does not load a medium."""
    bench = removable_bench()
    bench.run(prevent(1))
    bench.unit.reset(Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, by=bench.nexus, done=lambda: None)
    bench.unit.unit_attentions.clear(bench.nexus)
    assert bench.run(start_stop(2)) == GOOD
    bench.unit.reset(Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, by=bench.nexus, done=lambda: None)
    bench.unit.unit_attentions.clear(bench.nexus)
    assert refusal(bench.run(TEST_UNIT_READY))[0] is Sense.MEDIUM_NOT_PRESENT


@pytest.mark.parametrize(("removable", "rmb"), [(False, 0), (True, 0x80)])
def test_removable_is_announced(removable: bool, rmb: int) -> None:
    """RMB tells initiators that the medium can be removed."""
    bench = Bench(unit=make_unit(removable=removable))
    assert data_of(bench.run(inquiry()))[1] == rmb


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
