"""The task set of a logical unit: which tasks there are, and which may run (SAM-5 §8).

A task enters in the order in which the transport hands it in, and is DORMANT until it may run and its data-out is
here. Then it is ENABLED: the device server runs it. When it is over it is ENDED, and its owner is told, once.

Which dormant task may run follows from the task attributes (SAM-5 §8.6):

* HEAD OF QUEUE: at once.
* SIMPLE: when no HEAD OF QUEUE task and no older ORDERED task is in the set.
* ORDERED: when no HEAD OF QUEUE task and no older task at all is in the set, and the accesses that the engine makes on
  its own under a grant, which are not in the set, have drained.

There is one task set for all nexuses (TST 000b in the control mode page), and no auto contingent allegiance (NormACA
is 0), so no task is ever blocked by one.

An abort ends a task at once, unless a block operation of it is under way: nobody can call back a write that a disk is
about to do. Then the task is ABORTING, keeps its place in the order, and ends when the operation does. Whoever aborts
can wait for that, so that nothing touches the medium after the function is reported complete.

The table below is the life of a task: state × input → state. An input that it does not list for a state is a bug of
ours, and raises `LocalProtocolError`.
"""

import enum
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from isthmus.errors import LocalProtocolError
from isthmus.scsi.task import Response, Task, TaskAttribute, TaskState

__all__ = ["TRANSITIONS", "TaskInput", "TaskSet"]


class TaskInput(enum.Enum):
    """What can happen to a task that is in the set."""

    ENABLE = "nothing holds it back and its data-out is here"
    OPERATION_STARTED = "a block operation of it was handed over"
    OPERATION_ENDED = "that block operation is over"
    COMPLETE = "the device server has a response"
    ABORT_AT_REST = "it is aborted while none of its block operations is under way"
    ABORT_IN_OPERATION = "it is aborted while one of its block operations is under way"


TRANSITIONS: Final[dict[tuple[TaskState, TaskInput], TaskState]] = {
    (TaskState.DORMANT, TaskInput.ENABLE): TaskState.ENABLED,
    (TaskState.DORMANT, TaskInput.ABORT_AT_REST): TaskState.ENDED,
    (TaskState.ENABLED, TaskInput.OPERATION_STARTED): TaskState.ENABLED,
    (TaskState.ENABLED, TaskInput.OPERATION_ENDED): TaskState.ENABLED,
    (TaskState.ENABLED, TaskInput.COMPLETE): TaskState.ENDED,
    (TaskState.ENABLED, TaskInput.ABORT_AT_REST): TaskState.ENDED,
    (TaskState.ENABLED, TaskInput.ABORT_IN_OPERATION): TaskState.ABORTING,
    (TaskState.ABORTING, TaskInput.ABORT_IN_OPERATION): TaskState.ABORTING,
    (TaskState.ABORTING, TaskInput.OPERATION_ENDED): TaskState.ENDED,
}

TASK_LIMIT: Final = 4096
"""Tasks in one set. A transport's own windows are far smaller (iSCSI here: 128 a session); this bounds their sum."""


class _Entry:
    """What the set knows of one task."""

    __slots__ = ("aborted", "answer", "drained", "number", "operating", "run", "task")

    def __init__(self, task: Task, number: int, run: Callable[[Task], None]) -> None:
        self.task = task
        self.number = number
        self.run = run
        self.drained = task.attribute is not TaskAttribute.ORDERED
        self.operating = False
        self.aborted: Callable[[], None] = _nothing
        self.answer: Response | None = None


class TaskSet:
    """The tasks of one logical unit that have not ended, of all nexuses."""

    def __init__(
        self,
        changed: Callable[[], None] = lambda: None,
        when_idle: Callable[[Callable[[], None]], None] = lambda idle: idle(),
        *,
        limit: int = TASK_LIMIT,
    ) -> None:
        """`changed` is called when `only_simple` changes.

        `when_idle` calls its argument when no access that the engine makes under a grant is under way.
        """
        self._changed = changed
        self._when_idle = when_idle
        self._limit = limit
        self._entries: dict[Task, _Entry] = {}
        self._candidates: dict[Task, _Entry] = {}
        self._ordered: dict[Task, _Entry] = {}
        self._head_of_queue = 0
        self._entered = 0
        self._enabling = False
        self._watches: list[tuple[set[Task], Callable[[], None]]] = []

    def __iter__(self) -> Iterator[Task]:
        """The tasks, oldest first."""
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, task: Task) -> bool:
        return task in self._entries

    @property
    def is_full(self) -> bool:
        """Whether no further task can enter."""
        return len(self._entries) >= self._limit

    @property
    def only_simple(self) -> bool:
        """Whether no task in the set holds others back."""
        return not self._ordered and not self._head_of_queue

    def enter(self, task: Task, run: Callable[[Task], None]) -> None:
        """Accept `task`; `run` is called when it is enabled, which takes `data_out_complete` first."""
        if task in self._entries or task.state is not TaskState.DORMANT:
            raise LocalProtocolError(f"task {task.tag:#x} entered a task set twice")
        self._entered += 1
        entry = self._entries[task] = _Entry(task, self._entered, run)
        if task.attribute is TaskAttribute.HEAD_OF_QUEUE:
            self._head_of_queue += 1
            self._changed()
        elif task.attribute is TaskAttribute.ORDERED:
            self._ordered[task] = entry
            self._changed()
            self._when_idle(lambda: self._drained(entry))

    def data_out_complete(self, task: Task) -> None:
        """The data-out of `task` is here: it runs as soon as its attribute lets it."""
        if task not in self._entries:
            # Aborted while its data was on the way: its owner has been told.
            return
        task.ready = True
        self._candidates[task] = self._entries[task]
        self._enable_candidates()

    def operation_started(self, task: Task) -> None:
        """A block operation of `task` is under way."""
        self._step(task, TaskInput.OPERATION_STARTED)
        self._entries[task].operating = True

    def operation_ended(self, task: Task) -> bool:
        """The block operation is over; says whether the task goes on (if not, it was aborted and has ended now)."""
        entry = self._entries[task]
        entry.operating = False
        self._step(task, TaskInput.OPERATION_ENDED)
        if task.state is TaskState.ENDED:
            self._remove(entry, entry.answer)
            return False
        return True

    def complete(self, task: Task, response: Response) -> None:
        """The device server is through with `task`."""
        self._step(task, TaskInput.COMPLETE)
        self._remove(self._entries[task], response)

    def on_abort(self, task: Task, aborted: Callable[[], None]) -> None:
        """Call `aborted` if `task` is aborted from now on."""
        self._entries[task].aborted = aborted

    def abort(self, tasks: Iterable[Task], answer: Callable[[Task], Response | None]) -> None:
        """Abort those of `tasks` that are in the set, together: none of them runs because another of them goes.

        The owner of a task gets `answer(task)`, now or when the block operation that is under way is over.
        """
        before, self._enabling = self._enabling, True
        try:
            for task in tasks:
                if task in self._entries:
                    self._abort_one(self._entries[task], answer(task))
        finally:
            self._enabling = before
            self._enable_candidates()

    def _abort_one(self, entry: _Entry, answer: Response | None) -> None:
        in_operation = entry.operating
        self._step(entry.task, TaskInput.ABORT_IN_OPERATION if in_operation else TaskInput.ABORT_AT_REST)
        entry.aborted()
        if in_operation:
            entry.answer = answer
        else:
            self._remove(entry, answer)

    def when_ended(self, tasks: Collection[Task], done: Callable[[], None]) -> None:
        """Call `done` once none of `tasks` is in the set any more: at once if none is."""
        remaining = {task for task in tasks if task in self._entries}
        if remaining:
            self._watches.append((remaining, done))
        else:
            done()

    def _step(self, task: Task, task_input: TaskInput) -> None:
        state = TRANSITIONS.get((task.state, task_input))
        if state is None:
            raise LocalProtocolError(f"a task that is {task.state.value} does not take: {task_input.value}")
        task.state = state

    def _drained(self, entry: _Entry) -> None:
        entry.drained = True
        self._enable_candidates()

    def _enable_candidates(self) -> None:
        # A task that ends inside its own run comes back here: the loop below goes on for it, so that a long row of
        # such tasks does not nest.
        if self._enabling:
            return
        self._enabling = True
        try:
            while (entry := self._next_enabled()) is not None:
                del self._candidates[entry.task]
                self._step(entry.task, TaskInput.ENABLE)
                entry.run(entry.task)
        finally:
            self._enabling = False

    def _next_enabled(self) -> _Entry | None:
        return next((entry for entry in self._candidates.values() if self._may_run(entry)), None)

    def _may_run(self, entry: _Entry) -> bool:
        if entry.task.attribute is TaskAttribute.HEAD_OF_QUEUE:
            return True
        if self._head_of_queue:
            return False
        if entry.task.attribute is TaskAttribute.ORDERED:
            return entry.drained and next(iter(self._entries)) is entry.task
        oldest_ordered = next(iter(self._ordered.values()), None)
        return oldest_ordered is None or entry.number < oldest_ordered.number

    def _remove(self, entry: _Entry, response: Response | None) -> None:
        task = entry.task
        del self._entries[task]
        self._candidates.pop(task, None)
        held_others_back = not self.only_simple
        self._ordered.pop(task, None)
        self._head_of_queue -= task.attribute is TaskAttribute.HEAD_OF_QUEUE
        if held_others_back:
            self._changed()
        task.owner.task_ended(task, response)
        self._tell_watches(task)
        self._enable_candidates()

    def _tell_watches(self, task: Task) -> None:
        if not self._watches:
            return
        for remaining, _ in self._watches:
            remaining.discard(task)
        over = [done for remaining, done in self._watches if not remaining]
        self._watches = [watch for watch in self._watches if watch[0]]
        for done in over:
            done()


def _nothing() -> None:
    """What an abort stops of a task that does not run yet."""
