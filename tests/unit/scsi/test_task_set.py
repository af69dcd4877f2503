import itertools
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import LocalProtocolError
from isthmus.scsi.command_table import DISK_COMMANDS
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.task import GOOD, Response, Task, TaskAttribute, TaskState
from isthmus.scsi.task_set import TRANSITIONS, TaskInput, TaskSet
from isthmus.scsi.task_set_rules import TaskSetRules
from tests.support.scsi import Owner, limited_stack, make_nexus

SIMPLE, ORDERED, HEAD_OF_QUEUE = TaskAttribute.SIMPLE, TaskAttribute.ORDERED, TaskAttribute.HEAD_OF_QUEUE
NEXUS = make_nexus()
ABORTED = Response()


class Scene:
    """A task set whose enabled tasks run until the test completes them."""

    def __init__(self, **options: Any) -> None:
        self.owner = Owner()
        self.task_set = TaskSet(**options)
        self.running: list[Task] = []
        self._tags = itertools.count()

    def enter(self, attribute: TaskAttribute = SIMPLE, *, ready: bool = True, nexus: Nexus = NEXUS) -> Task:
        """One more task; `ready`: with all its data-out."""
        task = Task(nexus=nexus, lun=0, tag=next(self._tags), cdb=bytes(16), owner=self.owner, attribute=attribute)
        self.task_set.enter(task, self.running.append)
        if ready:
            self.task_set.data_out_complete(task)
        return task

    def complete(self, *tasks: Task) -> None:
        """The device server is through with `tasks`."""
        for task in tasks:
            self.running.remove(task)
            self.task_set.complete(task, GOOD)

    def abort(self, *tasks: Task, answer: Response | None = None) -> None:
        """Abort `tasks` together."""
        self.task_set.abort(tasks, lambda _: answer)


class Attendance:
    """Notes what the one who runs `task` is told, and the state of the task by then."""

    def __init__(self, task: Task, told: list[tuple[str, TaskState]]) -> None:
        self._task = task
        self._told = told

    def aborted(self) -> None:
        self._told.append(("aborted", self._task.state))

    def blocked(self) -> None:
        self._told.append(("blocked", self._task.state))

    def unblocked(self) -> None:
        self._told.append(("unblocked", self._task.state))


# The table.


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("task_input", TaskInput)
def test_every_state_and_input(state: TaskState, task_input: TaskInput) -> None:
    """Each pair leads to the state of the table, or is refused and changes nothing."""
    scene = Scene()
    task = scene.enter(ready=False)
    task.state = state
    expected = TRANSITIONS.get((state, task_input))
    if expected is None:
        with pytest.raises(LocalProtocolError, match=state.value):
            scene.task_set._step(task, task_input)
        assert task.state is state
    else:
        scene.task_set._step(task, task_input)
        assert task.state is expected


def test_an_ended_task_takes_nothing() -> None:
    """No input leads out of ENDED, and every other state leads there."""
    assert not [state for state, _ in TRANSITIONS if state is TaskState.ENDED]
    reachable = {state for (state, _), target in TRANSITIONS.items() if target is TaskState.ENDED}
    assert reachable == set(TaskState) - {TaskState.ENDED}


def test_life_of_a_task() -> None:
    """A task is dormant until its data-out is here, enabled until its response, and told to its owner once."""
    scene = Scene()
    task = scene.enter(ready=False)
    assert task.state is TaskState.DORMANT
    scene.task_set.data_out_complete(task)
    assert scene.running == [task]
    scene.complete(task)
    assert scene.owner.ends == {task: GOOD}
    assert task not in scene.task_set


def test_a_task_enters_once() -> None:
    """A task that is in a set, or has been, is not taken again."""
    scene = Scene()
    task = scene.enter()
    with pytest.raises(LocalProtocolError):
        scene.task_set.enter(task, scene.running.append)
    scene.complete(task)
    with pytest.raises(LocalProtocolError):
        scene.task_set.enter(task, scene.running.append)


# The order.


def test_simple_tasks_run_side_by_side() -> None:
    """SIMPLE tasks do not wait for one another, and end in any order."""
    scene = Scene()
    first, second = scene.enter(), scene.enter()
    assert scene.running == [first, second]
    scene.complete(second, first)
    assert list(scene.owner.ends) == [second, first]


def test_untagged_is_simple() -> None:
    """A task without an attribute is a SIMPLE one."""
    scene = Scene()
    scene.enter()
    task = scene.enter(TaskAttribute.UNTAGGED)
    assert task in scene.running


def test_ordered_waits_for_all_before_and_holds_all_behind() -> None:
    """ORDERED is a barrier."""
    scene = Scene()
    before = [scene.enter(), scene.enter(ready=False)]
    barrier = scene.enter(ORDERED)
    behind = [scene.enter(), scene.enter(ORDERED), scene.enter()]
    assert scene.running == [before[0]]
    scene.complete(before[0])
    assert scene.running == []
    scene.task_set.data_out_complete(before[1])
    scene.complete(before[1])
    assert scene.running == [barrier]
    scene.complete(barrier)
    assert scene.running == [behind[0]]
    scene.complete(behind[0])
    assert scene.running == [behind[1]]
    scene.complete(behind[1])
    assert scene.running == [behind[2]]


def test_head_of_queue_overtakes() -> None:
    """HEAD OF QUEUE runs at once, whatever waits, and what is behind it waits for it."""
    scene = Scene()
    first, barrier = scene.enter(), scene.enter(ORDERED)
    urgent = scene.enter(HEAD_OF_QUEUE)
    later = scene.enter()
    assert scene.running == [first, urgent]
    scene.complete(first)
    assert scene.running == [urgent]
    scene.complete(urgent)
    assert scene.running == [barrier]
    scene.complete(barrier)
    assert scene.running == [later]


def test_head_of_queue_holds_dormant_older_tasks() -> None:
    """A SIMPLE task that is not enabled yet waits for a younger HEAD OF QUEUE task."""
    scene = Scene()
    slow = scene.enter(ready=False)
    urgent = scene.enter(HEAD_OF_QUEUE)
    scene.task_set.data_out_complete(slow)
    assert scene.running == [urgent]
    scene.complete(urgent)
    assert scene.running == [slow]


def test_ordered_waits_for_the_engine() -> None:
    """An ORDERED task waits for the accesses that the engine makes on its own, and has the grants withdrawn first."""
    idle: list[Callable[[], None]] = []
    seen: list[bool] = []
    task_set = TaskSet(lambda: seen.append(not task_set.holds_back(NEXUS)), idle.append)
    scene = Scene()
    scene.task_set = task_set
    barrier = scene.enter(ORDERED)
    assert seen == [False]
    assert scene.running == []
    idle[0]()
    assert scene.running == [barrier]
    scene.complete(barrier)
    assert seen == [False, True]


@pytest.mark.parametrize("attribute", [ORDERED, HEAD_OF_QUEUE])
def test_tasks_that_hold_back_are_told_of(attribute: TaskAttribute) -> None:
    """`holds_back` is true from the entry of such a task to its end."""
    seen: list[bool] = []
    scene = Scene()
    scene.task_set = TaskSet(lambda: seen.append(not scene.task_set.holds_back(NEXUS)))
    scene.enter()
    task = scene.enter(attribute, ready=False)
    assert seen == [False]
    scene.abort(task)
    assert seen == [False, True]


def test_tasks_that_end_at_once_do_not_nest() -> None:
    """A long row of tasks that each end inside their run takes no stack."""
    scene = Scene()
    barrier = scene.enter(ORDERED)
    for _ in range(300):
        task = Task(nexus=NEXUS, lun=0, tag=0, cdb=bytes(16), owner=scene.owner, attribute=ORDERED)
        scene.task_set.enter(task, lambda task: scene.task_set.complete(task, GOOD))
        scene.task_set.data_out_complete(task)
    with limited_stack(100):
        scene.complete(barrier)
    assert len(scene.owner.ends) == 301


def test_full() -> None:
    """The set says when it can take no more."""
    scene = Scene(limit=2)
    seen = [scene.task_set.is_full]
    first = scene.enter()
    seen.append(scene.task_set.is_full)
    scene.enter()
    seen.append(scene.task_set.is_full)
    scene.complete(first)
    seen.append(scene.task_set.is_full)
    assert seen == [False, False, True, False]


# Aborts.


def test_abort_of_a_dormant_task() -> None:
    """A task that does not run is gone at once, and what it held back runs."""
    scene = Scene()
    barrier = scene.enter(ORDERED, ready=False)
    later = scene.enter()
    scene.abort(barrier)
    assert scene.owner.ends == {barrier: None}
    assert scene.running == [later]


def test_abort_at_rest_tells_whoever_runs_the_task() -> None:
    """An enabled task without an operation under way ends at once."""
    scene = Scene()
    told: list[tuple[str, TaskState]] = []
    task = scene.enter()
    attendant = Attendance(task, told)
    scene.task_set.attend(task, attendant)
    scene.abort(task, answer=ABORTED)
    assert told == [("aborted", TaskState.ENDED)]
    assert scene.owner.ends == {task: ABORTED}


def test_abort_during_an_operation_waits_for_it() -> None:
    """A task whose operation is under way keeps its place until that is over, and then ends with the abort's answer."""
    scene = Scene()
    task, barrier = scene.enter(), scene.enter(ORDERED)
    scene.task_set.operation_started(task)
    scene.abort(task, answer=ABORTED)
    assert task.state is TaskState.ABORTING
    assert scene.owner.ends == {}
    assert scene.running == [task]
    assert scene.task_set.operation_ended(task) is False
    assert scene.owner.ends == {task: ABORTED}
    assert barrier in scene.running


def test_the_last_abort_counts() -> None:
    """A task that is aborted again by a lost nexus is answered with nothing."""
    scene = Scene()
    task = scene.enter()
    scene.task_set.operation_started(task)
    scene.abort(task, answer=ABORTED)
    scene.abort(task)
    scene.task_set.operation_ended(task)
    assert scene.owner.ends == {task: None}


def test_operation_that_is_not_aborted_goes_on() -> None:
    """Between its operations a task is enabled."""
    scene = Scene()
    task = scene.enter()
    scene.task_set.operation_started(task)
    assert scene.task_set.operation_ended(task) is True
    assert task.state is TaskState.ENABLED


def test_tasks_aborted_together_do_not_start_one_another() -> None:
    """No victim runs in the gap that another victim leaves."""
    scene = Scene()
    barrier = scene.enter(ORDERED, ready=False)
    held, spared = scene.enter(), scene.enter()
    scene.abort(barrier, held)
    assert scene.running == [spared]
    assert scene.owner.ends == {barrier: None, held: None}


def test_data_for_an_aborted_task_is_ignored() -> None:
    """Data-out that arrives after the abort does not bring the task back."""
    scene = Scene()
    task = scene.enter(ready=False)
    scene.abort(task)
    scene.task_set.data_out_complete(task)
    assert scene.running == []


def test_abort_of_a_task_that_has_ended_does_nothing() -> None:
    """A task is told to its owner once, however late the abort."""
    scene = Scene()
    task = scene.enter()
    scene.complete(task)
    scene.abort(task)
    assert scene.owner.ends == {task: GOOD}


def test_when_ended() -> None:
    """Whoever waits for tasks is called when the last of them has gone, or at once if none is there."""
    scene = Scene()
    over: list[str] = []
    first, second, third = scene.enter(), scene.enter(), scene.enter()
    scene.task_set.when_ended((), lambda: over.append("nothing"))
    scene.task_set.when_ended((first, second), lambda: over.append("both"))
    scene.task_set.when_ended((third,), lambda: over.append("third"))
    scene.complete(first)
    assert over == ["nothing"]
    scene.complete(second)
    assert over == ["nothing", "both"]
    scene.task_set.when_ended((first, second), lambda: over.append("long ago"))
    scene.abort(third)
    assert over == ["nothing", "both", "long ago", "third"]


@given(st.data())
def test_sam_rules_hold_in_every_history(data: st.DataObject) -> None:
    """Whatever enters, ends and is aborted: none runs before its time, and none that may run is held."""
    scene = Scene()
    alive: list[Task] = []
    for _ in range(data.draw(st.integers(0, 20))):
        waiting = [task for task in alive if not task.ready]
        step = data.draw(st.sampled_from(["enter", "data", "complete", "abort"]))
        was_running = list(scene.running)
        if step == "enter":
            attribute = data.draw(st.sampled_from([SIMPLE, ORDERED, HEAD_OF_QUEUE]))
            alive.append(scene.enter(attribute, ready=False))
        elif step == "data" and waiting:
            scene.task_set.data_out_complete(data.draw(st.sampled_from(waiting)))
        elif step == "complete" and scene.running:
            task = data.draw(st.sampled_from(scene.running))
            alive.remove(task)
            was_running.remove(task)
            scene.complete(task)
        elif step == "abort" and alive:
            task = data.draw(st.sampled_from(alive))
            alive.remove(task)
            if task in scene.running:
                scene.running.remove(task)
                was_running.remove(task)
            scene.abort(task)
        allowed = [task for task in alive if task in was_running or (task.ready and _may_run(task, alive))]
        assert sorted(scene.running, key=alive.index) == allowed


def _may_run(task: Task, alive: list[Task]) -> bool:
    """SAM-5 §8.6, read literally; `alive` is in the order of arrival."""
    older = alive[: alive.index(task)]
    if task.attribute is HEAD_OF_QUEUE:
        return True
    if any(other.attribute is HEAD_OF_QUEUE for other in alive):
        return False
    if task.attribute is ORDERED:
        return not older
    return not any(other.attribute is ORDERED for other in older)


# The rules of the Control page.

OTHER = make_nexus(isid=2)
PER_NEXUS = TaskSetRules(per_nexus=True)
RESTRICTED = TaskSetRules(restricted_reordering=True)


def test_a_task_set_for_each_nexus() -> None:
    """With TST 001b the ORDERED and HEAD OF QUEUE tasks of one nexus hold back its own tasks alone."""
    scene = Scene(rules=lambda: PER_NEXUS)
    before = scene.enter()
    barrier, urgent = scene.enter(ORDERED), scene.enter(HEAD_OF_QUEUE)
    held = scene.enter()
    theirs = [scene.enter(nexus=OTHER), scene.enter(ORDERED, nexus=OTHER)]
    assert scene.running == [before, urgent, theirs[0]]
    assert scene.task_set.holds_back(NEXUS)
    scene.complete(theirs[0])
    assert scene.running == [before, urgent, theirs[1]]
    scene.complete(theirs[1])
    assert not scene.task_set.holds_back(OTHER)
    assert scene.task_set.sharing(NEXUS) == [before, barrier, urgent, held]
    assert scene.task_set.sharing(OTHER) == []
    scene.complete(before, urgent, barrier)
    assert scene.running == [held]


def test_one_task_set_for_all() -> None:
    """With TST 000b they hold back everybody."""
    scene = Scene()
    first, barrier = scene.enter(), scene.enter(ORDERED, nexus=OTHER)
    assert scene.task_set.holds_back(NEXUS)
    assert scene.task_set.sharing(NEXUS) == [first, barrier]


def test_restricted_reordering() -> None:
    """With QUEUE ALGORITHM MODIFIER 0h a SIMPLE task waits for the older ones of its nexus, and for no others."""
    scene = Scene(rules=lambda: RESTRICTED)
    first, second = scene.enter(ready=False), scene.enter()
    theirs = scene.enter(nexus=OTHER)
    assert scene.running == [theirs]
    scene.task_set.data_out_complete(first)
    assert scene.running == [theirs, first]
    scene.complete(first)
    assert scene.running == [theirs, second]
    assert scene.task_set.holds_back(NEXUS)


def test_restricted_reordering_does_not_hold_what_is_urgent() -> None:
    """HEAD OF QUEUE runs at once nevertheless."""
    scene = Scene(rules=lambda: RESTRICTED)
    first, urgent = scene.enter(), scene.enter(HEAD_OF_QUEUE)
    assert scene.running == [first, urgent]


@given(st.lists(st.sampled_from([NEXUS, OTHER]), max_size=8), st.randoms(use_true_random=False))
def test_restricted_reordering_keeps_the_order_of_each_nexus(nexuses: list[Nexus], random: Random) -> None:
    """However data arrives, SIMPLE tasks of one nexus begin in their order."""
    scene = Scene(rules=lambda: RESTRICTED)
    tasks = [scene.enter(ready=False, nexus=nexus) for nexus in nexuses]
    begun: list[Task] = []
    for task in random.sample(tasks, len(tasks)):
        scene.task_set.data_out_complete(task)
        while scene.running:
            begun.append(scene.running[0])
            scene.complete(scene.running[0])
    for nexus in (NEXUS, OTHER):
        assert [task for task in begun if task.nexus is nexus] == [task for task in tasks if task.nexus is nexus]


# ACA conditions.

ACA = TaskAttribute.ACA


def fault(scene: Scene, cause: Task) -> None:
    """The task ends with CHECK CONDITION and NACA."""
    scene.task_set.establish_aca(cause.nexus, cause)
    scene.complete(cause)


def test_aca_blocks_enabled_and_dormant_tasks() -> None:
    """Enabled tasks are told, dormant ones just do not begin, but for ACA tasks."""
    scene = Scene()
    cause, enabled = scene.enter(), scene.enter(nexus=OTHER)
    told: list[tuple[str, TaskState]] = []
    scene.task_set.attend(enabled, Attendance(enabled, told))
    fault(scene, cause)
    assert told == [("blocked", TaskState.BLOCKED)]
    dormant, urgent = scene.enter(), scene.enter(HEAD_OF_QUEUE)
    repair = scene.enter(ACA)
    assert scene.running == [enabled, repair]
    assert (dormant.state, urgent.state) == (TaskState.DORMANT, TaskState.DORMANT)
    scene.complete(repair)
    scene.task_set.clear_aca(NEXUS)
    assert told[1:] == [("unblocked", TaskState.ENABLED)]
    assert scene.running == [enabled, urgent]


def test_aca_in_sets_of_their_own() -> None:
    """With TST 001b each nexus has its own condition."""
    scene = Scene(rules=lambda: PER_NEXUS)
    cause, theirs = scene.enter(), scene.enter(nexus=OTHER)
    fault(scene, cause)
    assert theirs.state is TaskState.ENABLED
    assert scene.task_set.is_blocked(NEXUS)
    assert not scene.task_set.is_blocked(OTHER)
    fault(scene, theirs)
    assert list(scene.task_set.faulted) == [NEXUS, OTHER]
    scene.task_set.clear_aca(OTHER)
    assert list(scene.task_set.faulted) == [NEXUS]


def test_clearing_what_is_not_there() -> None:
    """Nothing happens, and nobody is told of a change."""
    changes: list[None] = []
    scene = Scene(changed=lambda: changes.append(None))
    scene.task_set.clear_aca(NEXUS)
    assert changes == []


def test_a_blocked_task_does_not_complete() -> None:
    """Whoever runs it has to wait; that its operation ends is in order."""
    scene = Scene()
    cause, blocked = scene.enter(), scene.enter()
    scene.task_set.operation_started(blocked)
    fault(scene, cause)
    assert scene.task_set.operation_ended(blocked)
    with pytest.raises(LocalProtocolError):
        scene.task_set.complete(blocked, GOOD)
    assert blocked.state is TaskState.BLOCKED


@pytest.mark.parametrize("operating", [False, True])
def test_abort_of_a_blocked_task(operating: bool) -> None:
    """It ends as any other does."""
    scene = Scene()
    cause, blocked = scene.enter(), scene.enter()
    if operating:
        scene.task_set.operation_started(blocked)
    fault(scene, cause)
    scene.abort(blocked, answer=ABORTED)
    assert (blocked in scene.owner.ends) is not operating
    if operating:
        assert not scene.task_set.operation_ended(blocked)
    assert scene.owner.ends[blocked] is ABORTED


def test_preempt_and_abort_passes() -> None:
    """A task whose row says so runs although its nexus is blocked, whatever older task it would wait for."""
    scene = Scene()
    cause, older = scene.enter(), scene.enter(ORDERED)
    scene.task_set.establish_aca(NEXUS, cause)
    scene.complete(cause)
    task = Task(nexus=OTHER, lun=0, tag=9, cdb=bytes(16), owner=scene.owner)
    task.descriptor = DISK_COMMANDS.lookup(0x5F, ReserveOutAction.PREEMPT_AND_ABORT)
    scene.task_set.enter(task, scene.running.append)
    scene.task_set.data_out_complete(task)
    assert scene.running == [task]
    assert older.state is TaskState.DORMANT
