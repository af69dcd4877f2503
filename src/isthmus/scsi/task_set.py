"""The task set of a logical unit: which tasks there are, and which may run (SAM-5 §8).

A task enters in the order in which the transport hands it in, and is DORMANT until it may run and its data-out is
here. Then it is ENABLED: the device server runs it. When it is over it is ENDED, and its owner is told, once.

Which dormant task may run follows from the task attributes (SAM-5 §8.6):

* HEAD OF QUEUE: at once.
* SIMPLE: when no HEAD OF QUEUE task and no older ORDERED task is in the set; with restricted reordering (QUEUE
  ALGORITHM MODIFIER 0h), also when no older task of its nexus is.
* ORDERED: when no HEAD OF QUEUE task and no older task at all is in the set, and the accesses that the engine makes on
  its own under a grant, which are not in the set, have drained.
* ACA: at once. It enters only while an ACA condition is in effect (`contingency`).

TST in the control mode page says whether all nexuses share one task set (000b) or have one each (001b); "in the set"
above then means: among the tasks of the same nexus. The tasks of a logical unit are kept together here in either case.

An auto contingent allegiance (ACA) condition comes into effect for the nexus whose task, with NACA 1, was terminated
with CHECK CONDITION: the faulted nexus (SAM-5 §5.9). Until it is cleared, no dormant task of that task set may run but
an ACA task and PREEMPT AND ABORT, which can end the condition, and the enabled ones are BLOCKED: a block operation of
such a task that is under way ends, but the task does not go on, and does not complete.

An abort ends a task at once, unless a block operation of it is under way: nobody can call back a write that a disk is
about to do. Then the task is ABORTING, keeps its place in the order, and ends when the operation does. Whoever aborts
can wait for that, so that nothing touches the medium after the function is reported complete.

The table below is the life of a task: state × input → state. An input that it does not list for a state is a bug of
ours, and raises `LocalProtocolError`.
"""

import enum
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from isthmus.errors import LocalProtocolError
from isthmus.scsi.task import Response, Task, TaskAttribute, TaskState
from isthmus.scsi.task_set_rules import TaskSetRules

if TYPE_CHECKING:
    from isthmus.scsi.nexus import Nexus

__all__ = ["TRANSITIONS", "Attendant", "TaskInput", "TaskSet"]


class TaskInput(enum.Enum):
    """What can happen to a task that is in the set."""

    ENABLE = "nothing holds it back and its data-out is here"
    OPERATION_STARTED = "a block operation of it was handed over"
    OPERATION_ENDED = "that block operation is over"
    COMPLETE = "the device server has a response"
    BLOCK = "an ACA condition comes into effect"
    UNBLOCK = "that ACA condition is cleared"
    ABORT_AT_REST = "it is aborted while none of its block operations is under way"
    ABORT_IN_OPERATION = "it is aborted while one of its block operations is under way"

    __hash__ = object.__hash__
    """As that of `TaskState`."""


TRANSITIONS: Final[dict[tuple[TaskState, TaskInput], TaskState]] = {
    (TaskState.DORMANT, TaskInput.ENABLE): TaskState.ENABLED,
    (TaskState.DORMANT, TaskInput.ABORT_AT_REST): TaskState.ENDED,
    (TaskState.ENABLED, TaskInput.OPERATION_STARTED): TaskState.ENABLED,
    (TaskState.ENABLED, TaskInput.OPERATION_ENDED): TaskState.ENABLED,
    (TaskState.ENABLED, TaskInput.COMPLETE): TaskState.ENDED,
    (TaskState.ENABLED, TaskInput.ABORT_AT_REST): TaskState.ENDED,
    (TaskState.ENABLED, TaskInput.ABORT_IN_OPERATION): TaskState.ABORTING,
    (TaskState.ENABLED, TaskInput.BLOCK): TaskState.BLOCKED,
    (TaskState.BLOCKED, TaskInput.OPERATION_ENDED): TaskState.BLOCKED,
    (TaskState.BLOCKED, TaskInput.UNBLOCK): TaskState.ENABLED,
    (TaskState.BLOCKED, TaskInput.ABORT_AT_REST): TaskState.ENDED,
    (TaskState.BLOCKED, TaskInput.ABORT_IN_OPERATION): TaskState.ABORTING,
    (TaskState.ABORTING, TaskInput.ABORT_IN_OPERATION): TaskState.ABORTING,
    (TaskState.ABORTING, TaskInput.OPERATION_ENDED): TaskState.ENDED,
}

TASK_LIMIT: Final = 4096
"""Tasks in one set. A transport's own windows are far smaller (iSCSI here: 128 a session); this bounds their sum."""


class Attendant(Protocol):
    """Whoever runs a task, and must know when it may not go on."""

    def aborted(self) -> None:
        """The task is aborted."""

    def blocked(self) -> None:
        """The task must not go on."""

    def unblocked(self) -> None:
        """The task may go on."""


class _Nobody:
    """The attendant of a task that does not run yet."""

    def aborted(self) -> None:
        """There is nothing to stop."""

    def blocked(self) -> None:
        """There is nothing to hold back."""

    def unblocked(self) -> None:
        """There is nothing to go on with."""


_NOBODY: Final = _Nobody()


class _Entry:
    """What the set knows of one task."""

    __slots__ = ("answer", "attendant", "drained", "number", "operating", "run", "task", "unblockable")

    def __init__(self, task: Task, number: int, run: Callable[[Task], None]) -> None:
        self.task = task
        self.number = number
        self.run = run
        self.drained = task.attribute is not TaskAttribute.ORDERED
        self.operating = False
        self.attendant: Attendant = _NOBODY
        self.answer: Response | None = None
        passes = task.descriptor is not None and task.descriptor.passes_aca
        self.unblockable = passes or task.attribute is TaskAttribute.ACA
        """Whether no ACA condition holds it back."""


class TaskSet:
    """The tasks of one logical unit that have not ended, of all nexuses."""

    def __init__(
        self,
        changed: Callable[[], None] = lambda: None,
        when_idle: Callable[[Callable[[], None]], None] = lambda idle: idle(),
        rules: Callable[[], TaskSetRules] = TaskSetRules,
        *,
        limit: int = TASK_LIMIT,
    ) -> None:
        """`changed` is called when what `holds_back` says may have changed for other reasons than the rules.

        `when_idle` calls its argument when no access that the engine makes under a grant is under way. `rules` tells
        the rules of the moment.
        """
        self._changed = changed
        self._when_idle = when_idle
        self._rules = rules
        self._limit = limit
        self._entries: dict[Task, _Entry] = {}
        self._candidates: dict[Task, _Entry] = {}
        self._ordered: dict[Task, _Entry] = {}
        self._head_of_queue: dict[Task, _Entry] = {}
        self._faulted: dict[Nexus, None] = {}
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
    def limit(self) -> int | None:
        """How many tasks can be in the set, if that is not left to us; those that are in it beyond that stay."""
        return None if self._limit == TASK_LIMIT else self._limit

    @limit.setter
    def limit(self, limit: int | None) -> None:
        self._limit = TASK_LIMIT if limit is None else limit

    @property
    def is_full(self) -> bool:
        """Whether no further task can enter."""
        return len(self._entries) >= self._limit

    def sharing(self, nexus: "Nexus") -> list[Task]:
        """The tasks of the task set that `nexus` uses, oldest first."""
        shared = not self._rules().per_nexus
        return [task for task in self._entries if shared or task.nexus is nexus]

    def holds_back(self, nexus: "Nexus") -> bool:
        """Whether a SIMPLE task of `nexus` could have to wait: then the engine must not pass the set by."""
        if self._rules().restricted_reordering or self.is_blocked(nexus):
            return True
        return self._first(self._ordered, nexus) is not None or self._first(self._head_of_queue, nexus) is not None

    # Tasks.

    def enter(self, task: Task, run: Callable[[Task], None]) -> None:
        """Accept `task`; `run` is called when it is enabled, which takes `data_out_complete` first."""
        if task in self._entries or task.state is not TaskState.DORMANT:
            raise LocalProtocolError(f"task {task.tag:#x} entered a task set twice")
        self._entered += 1
        entry = self._entries[task] = _Entry(task, self._entered, run)
        if task.attribute is TaskAttribute.HEAD_OF_QUEUE:
            self._head_of_queue[task] = entry
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

    def attend(self, task: Task, attendant: Attendant) -> None:
        """From now on `attendant` runs `task`."""
        self._entries[task].attendant = attendant

    def abort(self, tasks: Iterable[Task], answer: Callable[[Task], Response | None]) -> None:
        """Abort those of `tasks` that are in the set, together: none of them runs because another of them goes.

        The owner of a task gets `answer(task)`, now or when the block operation that is under way is over.
        """
        with self._paused():
            for task in tasks:
                if task in self._entries:
                    self._abort_one(self._entries[task], answer(task))

    def _abort_one(self, entry: _Entry, answer: Response | None) -> None:
        in_operation = entry.operating
        self._step(entry.task, TaskInput.ABORT_IN_OPERATION if in_operation else TaskInput.ABORT_AT_REST)
        entry.attendant.aborted()
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

    # ACA conditions.

    @property
    def faulted(self) -> tuple["Nexus", ...]:
        """The nexuses for which an ACA condition is in effect."""
        return tuple(self._faulted)

    def is_blocked(self, nexus: "Nexus") -> bool:
        """Whether an ACA condition is in effect for the task set that `nexus` uses."""
        return bool(self._faulted) and (nexus in self._faulted or not self._rules().per_nexus)

    def establish_aca(self, nexus: "Nexus", cause: Task) -> None:
        """An ACA condition comes into effect for `nexus`, whose task `cause` is about to complete."""
        self._faulted[nexus] = None
        with self._paused():
            for entry in tuple(self._entries.values()):
                blockable = entry.task.state is TaskState.ENABLED and not entry.unblockable
                if blockable and entry.task is not cause and self.is_blocked(entry.task.nexus):
                    self._step(entry.task, TaskInput.BLOCK)
                    entry.attendant.blocked()
        self._changed()

    def clear_aca(self, nexus: "Nexus") -> None:
        """The ACA condition of `nexus`, if there is one, is over: what it has blocked goes on."""
        if nexus not in self._faulted:
            return
        del self._faulted[nexus]
        with self._paused():
            for entry in tuple(self._entries.values()):
                if entry.task.state is TaskState.BLOCKED and not self.is_blocked(entry.task.nexus):
                    self._step(entry.task, TaskInput.UNBLOCK)
                    entry.attendant.unblocked()
        self._changed()

    # Who may run.

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Enable no task before the `with` block is over."""
        before, self._enabling = self._enabling, True
        try:
            yield
        finally:
            self._enabling = before
            self._enable_candidates()

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
        if self._enabling or not self._candidates:
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
        for entry in self._candidates.values():
            if self._may_run(entry):
                return entry
        return None

    def _may_run(self, entry: _Entry) -> bool:
        attribute, nexus = entry.task.attribute, entry.task.nexus
        if attribute is TaskAttribute.SIMPLE and not (self._faulted or self._head_of_queue or self._ordered):
            return self._simple_may_run(entry)
        if attribute is TaskAttribute.ACA:
            return True
        if self.is_blocked(nexus):
            return entry.unblockable
        if attribute is TaskAttribute.HEAD_OF_QUEUE:
            return True
        if self._first(self._head_of_queue, nexus) is not None:
            return False
        if attribute is TaskAttribute.ORDERED:
            return entry.drained and self._first(self._entries, nexus) is entry
        return self._simple_may_run(entry)

    def _simple_may_run(self, entry: _Entry) -> bool:
        ordered = self._first(self._ordered, entry.task.nexus)
        if ordered is not None and ordered.number < entry.number:
            return False
        if not self._rules().restricted_reordering:
            return True
        return next(other for other in self._entries.values() if other.task.nexus is entry.task.nexus) is entry

    def _first(self, entries: dict[Task, _Entry], nexus: "Nexus") -> _Entry | None:
        """The oldest of `entries` in the task set that `nexus` uses."""
        if not entries:
            return None
        shared = not self._rules().per_nexus
        return next((entry for entry in entries.values() if shared or entry.task.nexus is nexus), None)

    def _remove(self, entry: _Entry, response: Response | None) -> None:
        task = entry.task
        del self._entries[task]
        self._candidates.pop(task, None)
        ordered = self._ordered.pop(task, None)
        if ordered is not None or self._head_of_queue.pop(task, None) is not None:
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
