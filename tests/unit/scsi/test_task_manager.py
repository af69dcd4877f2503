import pytest

from isthmus.scsi.lun import encode_lun
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.persistent_reservations import Registrant, ReservationType
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD, TASK_ABORTED, Task, TaskAttribute
from isthmus.scsi.task_manager import FunctionResult, SamFunction
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_nexus, make_unit, read_10, sense_of, write_10

ON_A_UNIT = [
    SamFunction.ABORT_TASK,
    SamFunction.ABORT_TASK_SET,
    SamFunction.CLEAR_TASK_SET,
    SamFunction.LOGICAL_UNIT_RESET,
]
RESETS = {
    SamFunction.LOGICAL_UNIT_RESET: (0x06, 0x29, 0x03),
    SamFunction.TARGET_WARM_RESET: (0x06, 0x29, 0x03),
    SamFunction.TARGET_COLD_RESET: (0x06, 0x29, 0x01),
}
CLEARED = (0x06, 0x2F, 0x00)
COMPLETE = [FunctionResult.COMPLETE]


def manage(
    bench: Bench,
    function: SamFunction,
    *,
    referenced: Task | None = None,
    nexus: Nexus | None = None,
    lun: int = 0,
) -> list[FunctionResult]:
    """Ask for `function`; gives the list into which its result comes."""
    results: list[FunctionResult] = []
    bench.router.manage(nexus or bench.nexus, function, encode_lun(lun), referenced, results.append)
    return results


def select_task_aborted_status(bench: Bench, *, on: bool) -> None:
    """MODE SELECT (6) with or without TAS."""
    control = bytes([0x0A, 0x0A, 0x02, 0x10, 0x00, 0x40 if on else 0, 0, 0, 0xFF, 0xFF, 0, 0])
    assert bench.run(bytes([0x15, 0x10, 0, 0, 16, 0]), bytes(4) + control) == GOOD
    for nexus in bench.unit.nexuses:
        bench.unit.unit_attentions.clear(nexus)
    bench.owner.ends.clear()


# ABORT TASK.


def test_abort_task() -> None:
    """The task ends unanswered, and no other does."""
    bench = Bench()
    other = bench.task(write_10(0, 1))
    task = bench.task(write_10(1, 1))
    assert manage(bench, SamFunction.ABORT_TASK, referenced=task) == COMPLETE
    assert bench.owner.ends == {task: None}
    assert list(bench.unit.task_set) == [other]


def test_abort_task_is_complete_when_the_operation_is_over() -> None:
    """FUNCTION COMPLETE does not come while the task may still touch the medium."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    task = bench.start(write_10(0, 1), bytes(512))
    results = manage(bench, SamFunction.ABORT_TASK, referenced=task)
    assert results == []
    executor.finish()
    assert results == COMPLETE
    assert bench.owner.ends == {task: None}


def test_abort_of_a_task_that_does_not_exist() -> None:
    """A task that the transport does not know, or that has ended, does not exist."""
    bench = Bench()
    ended = bench.start(TEST_UNIT_READY)
    for referenced in (None, ended):
        results = manage(bench, SamFunction.ABORT_TASK, referenced=referenced)
        assert results == [FunctionResult.TASK_DOES_NOT_EXIST]
    assert bench.owner.ends == {ended: GOOD}


def test_abort_of_a_task_of_somebody_else() -> None:
    """Nobody can abort a task of another nexus, or under another LUN than its own."""
    bench = Bench(unit=make_unit())
    second = make_unit()
    both = make_nexus(bench.unit, second, isid=5)
    bench.router.nexus_established(both)
    bench.unit.unit_attentions.clear(both)
    task = bench.task(write_10(0, 1), nexus=both)
    assert manage(bench, SamFunction.ABORT_TASK, referenced=task) == [FunctionResult.TASK_DOES_NOT_EXIST]
    wrong_lun = manage(bench, SamFunction.ABORT_TASK, referenced=task, nexus=both, lun=1)
    assert wrong_lun == [FunctionResult.TASK_DOES_NOT_EXIST]
    assert task in bench.unit.task_set


# ABORT TASK SET, CLEAR TASK SET.


@pytest.mark.parametrize("task_aborted_status", [False, True])
def test_abort_task_set(task_aborted_status: bool) -> None:
    """All tasks of the nexus end unanswered, whatever TAS says, and those of others go on."""
    bench = Bench()
    other = bench.connect(isid=2)
    select_task_aborted_status(bench, on=task_aborted_status)
    own = [bench.task(write_10(0, 1)), bench.task(write_10(1, 1), attribute=TaskAttribute.ORDERED)]
    others = bench.task(write_10(2, 1), nexus=other)
    assert manage(bench, SamFunction.ABORT_TASK_SET) == COMPLETE
    assert bench.owner.ends == dict.fromkeys(own)
    assert list(bench.unit.task_set) == [others]
    assert bench.unit.unit_attentions.pending(other) is None


def test_clear_task_set_with_task_aborted_status() -> None:
    """With TAS, the tasks of others end with TASK ABORTED, and nobody gets a unit attention."""
    bench = Bench()
    other = bench.connect(isid=2)
    select_task_aborted_status(bench, on=True)
    own, others = bench.task(write_10(0, 1)), bench.task(write_10(2, 1), nexus=other)
    assert manage(bench, SamFunction.CLEAR_TASK_SET) == COMPLETE
    assert bench.owner.ends == {own: None, others: TASK_ABORTED}
    assert bench.run(TEST_UNIT_READY, nexus=other) == GOOD


def test_clear_task_set_without_task_aborted_status() -> None:
    """Without TAS, the tasks of others end unanswered, and their initiators get a unit attention."""
    bench = Bench()
    other, bystander = bench.connect(isid=2), bench.connect(isid=3)
    select_task_aborted_status(bench, on=False)
    own, others = bench.task(write_10(0, 1)), bench.task(write_10(2, 1), nexus=other)
    assert manage(bench, SamFunction.CLEAR_TASK_SET) == COMPLETE
    assert bench.owner.ends == {own: None, others: None}
    assert sense_of(bench.run(TEST_UNIT_READY, nexus=other)) == CLEARED
    assert bench.run(TEST_UNIT_READY, nexus=other) == GOOD
    assert bench.run(TEST_UNIT_READY) == GOOD
    assert bench.run(TEST_UNIT_READY, nexus=bystander) == GOOD


def test_clear_task_set_waits_for_every_operation() -> None:
    """The answers to aborted tasks and the result come when their operations are over."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    other = bench.connect(isid=2)
    own, others = bench.start(write_10(0, 1), bytes(512)), bench.start(write_10(2, 1), bytes(512), nexus=other)
    results = manage(bench, SamFunction.CLEAR_TASK_SET)
    executor.finish()
    assert (bench.owner.ends, results) == ({own: None}, [])
    executor.finish()
    assert (bench.owner.ends, results) == ({own: None, others: TASK_ABORTED}, COMPLETE)


def test_no_victim_gets_to_the_medium_in_the_gap_that_another_leaves() -> None:
    """Tasks that wait for each other, in the task set or for their bytes, all end without a start."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    compare_and_write = bytes([0x89]) + bytes(12) + bytes([1, 0, 0])
    running = bench.start(read_10(0, 1))
    waiting = [
        bench.start(compare_and_write, bytes(1024)),
        bench.start(write_10(0, 1), bytes(512)),
        bench.start(write_10(5, 1), bytes(512), attribute=TaskAttribute.ORDERED),
        bench.start(write_10(6, 1), bytes(512)),
    ]
    results = manage(bench, SamFunction.CLEAR_TASK_SET)
    assert bench.owner.ends == dict.fromkeys(waiting)
    assert len(executor.under_way) == 1
    executor.finish()
    assert bench.owner.ends == dict.fromkeys([*waiting, running])
    assert results == COMPLETE
    assert bench.nexus.grants[0].writes


def test_no_victim_starts_behind_the_lock_that_another_leaves() -> None:
    """A write that waits only for a COMPARE AND WRITE of the same nexus does not start when both are aborted."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    compare_and_write = bytes([0x89]) + bytes(12) + bytes([1, 0, 0])
    reader = bench.start(read_10(0, 1), nexus=bench.connect(isid=2))
    victims = [bench.start(compare_and_write, bytes(1024)), bench.start(write_10(0, 1), bytes(512))]
    assert manage(bench, SamFunction.ABORT_TASK_SET) == COMPLETE
    assert bench.owner.ends == dict.fromkeys(victims)
    executor.finish_all()
    assert bench.owner.status(reader) is Status.GOOD


def test_functions_wait_for_the_engine() -> None:
    """What the engine has under way for the nexus is part of what a function waits for, and nothing new begins."""
    bench = Bench()
    grant = bench.nexus.grants[0]
    grant.begin()
    results = manage(bench, SamFunction.ABORT_TASK_SET)
    bench.unit.refresh_grants()
    assert (results, grant.reads) == ([], False)
    grant.end()
    assert (results, grant.reads) == (COMPLETE, True)


# Resets.


@pytest.mark.parametrize("function", RESETS)
def test_reset(function: SamFunction) -> None:
    """A reset ends all tasks, puts everything back, and every nexus hears of it."""
    bench = Bench()
    unit, other = bench.unit, bench.connect(isid=2)
    select_task_aborted_status(bench, on=False)
    own, others = bench.task(write_10(0, 1)), bench.task(write_10(1, 1), nexus=other)
    unit.reservations.spc2_reserve(other)
    unit.prevent_removal.add(other)
    unit.started = False
    assert manage(bench, function) == COMPLETE
    assert bench.owner.ends == {own: None, others: None}
    assert unit.mode.task_aborted_status
    assert unit.started
    assert not unit.prevent_removal
    for nexus in (bench.nexus, other):
        assert not nexus.grants[0].reads
        assert sense_of(bench.run(TEST_UNIT_READY, nexus=nexus)) == RESETS[function]
        assert bench.run(read_10(0, 1), nexus=nexus).status is Status.GOOD
        assert nexus.grants[0].reads


@pytest.mark.parametrize("function", RESETS)
def test_persistent_reservation_survives_a_reset(function: SamFunction) -> None:
    """A persistent reservation is there to outlive resets."""
    bench = Bench()
    holder = Registrant.of(bench.connect(isid=2))
    bench.unit.reservations.persistent.register(holder, 1)
    bench.unit.reservations.persistent.reserve(holder, ReservationType.WRITE_EXCLUSIVE)
    manage(bench, function)
    bench.unit.unit_attentions.clear(bench.nexus)
    assert bench.run(write_10(0, 1), bytes(512)).status is Status.RESERVATION_CONFLICT


def test_reset_is_complete_when_the_medium_is_quiet() -> None:
    """The result of a reset waits for the operations of all nexuses."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    bench.start(write_10(0, 1), bytes(512), nexus=bench.connect(isid=2))
    results = manage(bench, SamFunction.LOGICAL_UNIT_RESET)
    assert results == []
    executor.finish()
    assert results == COMPLETE


@pytest.mark.parametrize("function", [SamFunction.TARGET_WARM_RESET, SamFunction.TARGET_COLD_RESET])
def test_target_reset_is_for_what_the_nexus_can_reach(function: SamFunction) -> None:
    """Every unit of the nexus is reset, and none that access rules hide from it."""
    bench = Bench()
    second, hidden = make_unit(), make_unit()
    nexus, stranger = make_nexus(bench.unit, second, isid=5), make_nexus(hidden, isid=6)
    for each in (nexus, stranger):
        bench.router.nexus_established(each)
    for unit in (bench.unit, second, hidden):
        unit.started = False
    assert manage(bench, function, nexus=nexus, lun=77) == COMPLETE
    assert [unit.started for unit in (bench.unit, second, hidden)] == [True, True, False]


def test_i_t_nexus_reset() -> None:
    """As if the nexus had been lost and come back: its own tasks and reservation go, others notice nothing."""
    bench = Bench()
    other = bench.connect(isid=2)
    own, others = bench.task(write_10(0, 1)), bench.task(write_10(1, 1), nexus=other)
    bench.unit.reservations.spc2_reserve(bench.nexus)
    bench.unit.prevent_removal.add(bench.nexus)
    assert manage(bench, SamFunction.I_T_NEXUS_RESET) == COMPLETE
    assert bench.owner.ends == {own: None}
    assert others in bench.unit.task_set
    assert not bench.unit.prevent_removal
    assert sense_of(bench.run(TEST_UNIT_READY)) == (0x06, 0x29, 0x07)
    assert bench.run(TEST_UNIT_READY, nexus=other) == GOOD


# What cannot be done.


@pytest.mark.parametrize("function", ON_A_UNIT)
def test_functions_on_a_lun_that_is_not_there(function: SamFunction) -> None:
    """A function for a unit needs a unit."""
    bench = Bench()
    task = bench.task(write_10(0, 1))
    assert manage(bench, function, referenced=task, lun=3) == [FunctionResult.LUN_DOES_NOT_EXIST]
    assert task in bench.unit.task_set


def test_clear_aca_without_a_condition() -> None:
    """Where no ACA condition is in effect, CLEAR ACA has nothing to do, and has done it."""
    assert manage(Bench(), SamFunction.CLEAR_ACA) == [FunctionResult.COMPLETE]


def test_commands_after_a_clear_report_what_happened_before_they_run() -> None:
    """The unit attention is there before the result of the function is."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    other = bench.connect(isid=2)
    bench.start(write_10(0, 1), bytes(512), nexus=other)
    manage(bench, SamFunction.LOGICAL_UNIT_RESET)
    assert bench.unit.unit_attentions.pending(other) is Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED
    assert sense_of(bench.run(TEST_UNIT_READY, nexus=other)) == (0x06, 0x29, 0x03)
