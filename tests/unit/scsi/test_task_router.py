import pytest

from isthmus.scsi.nexus import LunMapping
from isthmus.scsi.sense import Sense
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD, TaskAttribute, TaskState
from isthmus.scsi.task_router import TaskRouter
from isthmus.scsi.task_set import TaskSet
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_nexus, make_unit, read_10, sense_of, write_10

POWER_ON = (0x06, 0x29, 0x00)


def test_a_new_nexus_hears_of_the_power_on() -> None:
    """The first command of a session reports POWER ON, RESET, OR BUS DEVICE RESET OCCURRED, the second one runs."""
    bench = Bench()
    nexus = bench.connect(isid=2, quiet=False)
    assert sense_of(bench.run(TEST_UNIT_READY, nexus=nexus)) == POWER_ON
    assert bench.run(TEST_UNIT_READY, nexus=nexus) == GOOD


def test_grants_stand_from_the_second_command_on() -> None:
    """The engine may serve reads and writes alone once the unit attention is reported."""
    bench = Bench()
    nexus = bench.connect(isid=2, quiet=False)
    grant = nexus.grants[0]
    before = (grant.reads, grant.writes)
    bench.run(TEST_UNIT_READY, nexus=nexus)
    assert (before, (grant.reads, grant.writes)) == ((False, False), (True, True))


def test_each_unit_has_its_tasks() -> None:
    """The LUN says which unit a task is for."""
    first, second = make_unit(), make_unit()
    bench = Bench(unit=first)
    nexus = make_nexus(first, second, isid=9)
    bench.router.nexus_established(nexus)
    for unit in (first, second):
        unit.unit_attentions.clear(nexus)
    bench.run(write_10(0, 1), b"x" * 512, nexus=nexus, lun=1)
    assert bytes(bench.run(read_10(0, 1), nexus=nexus).data_in) == bytes(512)
    assert bytes(bench.run(read_10(0, 1), nexus=nexus, lun=1).data_in) == b"x" * 512


def test_data_out_for_a_task_that_has_ended_is_ignored() -> None:
    """The transport need not know whether a task has ended already."""
    bench = Bench()
    refused = bench.task(write_10(bench.unit.num_blocks, 1))
    elsewhere = bench.task(write_10(0, 1), lun=7)
    for task in (refused, elsewhere):
        assert task.state is TaskState.ENDED
        bench.router.data_out_complete(task)
    assert len(bench.owner.ends) == 2


def test_task_set_full_and_busy() -> None:
    """When nothing more fits, who has tasks in the set is told TASK SET FULL, and who has none BUSY."""
    bench = Bench()
    bench.unit.task_set = TaskSet(limit=1)
    stranger = bench.connect(isid=2)
    waiting = bench.task(write_10(0, 1))
    assert bench.run(TEST_UNIT_READY).status is Status.TASK_SET_FULL
    assert bench.run(TEST_UNIT_READY, nexus=stranger).status is Status.BUSY
    bench.router.data_out_complete(waiting)
    assert bench.run(TEST_UNIT_READY, nexus=stranger) == GOOD


def test_ordered_task_between_simple_ones() -> None:
    """The medium is touched in the order that the attributes ask for."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    first = bench.start(write_10(0, 1), b"1" * 512)
    barrier = bench.start(write_10(0, 1), b"2" * 512, attribute=TaskAttribute.ORDERED)
    last = bench.start(write_10(0, 1), b"3" * 512)
    for _ in range(3):
        assert len(executor.under_way) == 1
        executor.finish()
    assert list(bench.owner.ends) == [first, barrier, last]


# Lost nexuses.


def test_a_lost_nexus_takes_its_tasks_with_it() -> None:
    """Its tasks end unanswered, those of others go on."""
    bench = Bench()
    other = bench.connect(isid=2)
    own, others = bench.task(write_10(0, 1)), bench.task(write_10(1, 1), nexus=other)
    done: list[bool] = []
    bench.router.nexus_lost(bench.nexus, lambda: done.append(True))
    assert bench.owner.ends == {own: None}
    assert list(bench.unit.task_set) == [others]
    assert done == [True]


def test_a_lost_nexus_is_forgotten() -> None:
    """Unit attentions, an SPC-2 reservation and PREVENT go with the session; mode parameters stay."""
    bench = Bench()
    nexus = bench.connect(isid=2)
    bench.unit.unit_attentions.establish(nexus, Sense.MODE_PARAMETERS_CHANGED)
    bench.unit.reservations.spc2_reserve(nexus)
    bench.unit.prevent_removal.add(nexus)
    bench.unit.refresh_grants()
    statuses, grants = [bench.run(read_10(0, 1)).status], [bench.nexus.grants[0].reads]
    lost = nexus.grants[0]
    bench.router.nexus_lost(nexus)
    statuses.append(bench.run(read_10(0, 1)).status)
    grants += [bench.nexus.grants[0].reads, lost.reads]
    assert statuses == [Status.RESERVATION_CONFLICT, Status.GOOD]
    assert grants == [False, True, False]
    assert bench.unit.nexuses == {bench.nexus}
    assert not bench.unit.prevent_removal
    assert bench.unit.unit_attentions.pending(nexus) is None


def test_a_lost_nexus_keeps_no_unit() -> None:
    """Once nothing comes through it any more, whoever still has the nexus."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    nexus = bench.connect(isid=2)
    bench.start(write_10(0, 1), b"1" * 512, nexus=nexus)
    bench.router.nexus_lost(nexus)
    assert bench.unit in nexus.logical_units
    executor.finish()
    assert not nexus.logical_units
    assert not nexus.grants


def test_losing_a_nexus_twice_does_nothing() -> None:
    """A nexus that is gone, or was never there, has nothing to lose."""
    bench = Bench()
    done: list[bool] = []
    for _ in range(2):
        bench.router.nexus_lost(bench.nexus, lambda: done.append(True))
    bench.router.nexus_lost(make_nexus(bench.unit, isid=8), lambda: done.append(True))
    assert done == [True] * 3


def test_units_that_are_no_longer_mapped_are_told() -> None:
    """A nexus is lost for the units that it has reached, whatever its mappings are by then."""
    bench = Bench()
    bench.nexus.mappings.clear()
    bench.router.nexus_lost(bench.nexus)
    assert not bench.unit.nexuses


def test_the_old_write_of_a_lost_nexus_does_not_land_on_the_new_one() -> None:
    """After a session is reinstated, what it writes waits for what the old session has under way."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    done: list[bool] = []
    old = bench.start(write_10(0, 1), b"o" * 512)
    bench.router.nexus_lost(bench.nexus, lambda: done.append(True))
    again = bench.connect(isid=1)
    new = bench.start(write_10(0, 1), b"n" * 512, nexus=again)
    assert (len(executor.under_way), done) == (1, [])
    assert not again.grants[0].writes
    executor.finish()
    assert (len(executor.under_way), done) == (1, [True])
    executor.finish()
    assert bench.owner.ends == {old: None, new: GOOD}
    assert again.grants[0].writes


def test_the_engine_s_access_for_a_lost_nexus_is_waited_for() -> None:
    """An access that the engine began on its own keeps later ones off until it is over."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    done: list[bool] = []
    grant = bench.nexus.grants[0]
    grant.begin()
    bench.router.nexus_lost(bench.nexus, lambda: done.append(True))
    again = bench.connect(isid=1)
    bench.start(read_10(0, 1), nexus=again)
    assert (len(executor.under_way), done, again.grants[0].reads) == (0, [], False)
    grant.end()
    assert (len(executor.under_way), done, again.grants[0].reads) == (1, [True], True)


@pytest.mark.parametrize("count", [1, 3])
def test_done_comes_after_the_last_unit(count: int) -> None:
    """A nexus is gone when it is gone from every unit."""
    executor = HeldExecutor()
    units = [make_unit() for _ in range(count)]
    router = TaskRouter(executor)
    nexus = make_nexus(*units)
    nexus.mappings[count] = LunMapping(units[0])
    router.nexus_established(nexus)
    bench = Bench(unit=units[0], executor=executor)
    for lun, unit in enumerate(units):
        unit.unit_attentions.clear(nexus)
        bench.start(read_10(0, 1), nexus=nexus, lun=lun)
    done: list[bool] = []
    router.nexus_lost(nexus, lambda: done.append(True))
    for _ in range(count):
        assert done == []
        executor.finish()
    assert done == [True]


def test_a_delivery_that_failed_concerns_the_task_set() -> None:
    """The transport answers with CHECK CONDITION itself; NACA and QERR hold for that as well."""
    bench = Bench()
    task = bench.task(write_10(0, 1)[:9] + b"\x04")
    bench.unit.task_set.abort((task,), lambda _: None)
    bench.router.delivery_failed(task)
    assert bench.unit.task_set.faulted == (bench.nexus,)


def test_a_delivery_that_failed_at_no_unit() -> None:
    """Where there is no unit nobody is concerned."""
    bench = Bench()
    task = bench.task(write_10(0, 1)[:9] + b"\x04", lun=7)
    bench.router.delivery_failed(task)
    assert bench.unit.task_set.faulted == ()
