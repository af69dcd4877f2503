"""One enabled task on its way through its handler: block operations out, results in, a response at the end.

The generator is driven by a loop, not by callbacks that nest: a command with thousands of operations that all end at
once costs no stack.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from isthmus.backstores.operations import BlockOperation
from isthmus.errors import BackstoreError, LocalProtocolError
from isthmus.scsi.background import Background, BackgroundRun
from isthmus.scsi.block_executor import BlockExecutor
from isthmus.scsi.contingency import asks_for_aca, before_status
from isthmus.scsi.elsewhere import AnyRangeLock, Place, place_of
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.range_lock import Hold
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response, Task, TaskState
from isthmus.scsi.throttle import Turn, moved_by
from isthmus.scsi.waiting import Until

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["Execution", "Failure", "Obstacle"]

Obstacle = Callable[["LogicalUnit", Task], "Response | None"]


class Failure(Protocol):
    """Turns an exception into the response of the task."""

    def __call__(
        self, task: Task, unit: "LogicalUnit", error: Exception, operation: BlockOperation | None = None, /
    ) -> Response:
        """`operation` is the last one that was asked for."""


class Execution:
    """The run of one task."""

    __slots__ = (
        "_error",
        "_executor",
        "_failure",
        "_gone",
        "_hold",
        "_operation",
        "_over",
        "_parked",
        "_place",
        "_requesting",
        "_result",
        "_stepping",
        "_steps",
        "_task",
        "_turn",
        "_unit",
    )

    def __init__(self, task: Task, unit: "LogicalUnit", executor: BlockExecutor, failure: Failure) -> None:
        self._task = task
        self._unit = unit
        self._executor = executor
        self._failure = failure
        self._steps: Steps | None = None
        self._operation: BlockOperation | None = None
        self._place: Place | None = None
        self._hold: Hold | None = None
        self._result: Any = None
        self._error: Exception | None = None
        self._requesting = False
        self._over = False
        self._stepping = False
        self._gone = False
        self._parked: Callable[[], None] | None = None
        """How to go on when no ACA condition blocks the task any more."""
        self._turn: Turn | None = None
        """The place of the task in the line of a unit that is limited."""

    def run(self, obstacle: Obstacle) -> None:
        """Run the task, unless there is an `obstacle`."""
        self._unit.task_set.attend(self._task, self)
        throttle = self._unit.throttle
        moved = None if throttle is None else moved_by(self._task)
        if throttle is not None and moved is not None:
            self._turn = throttle.admit(moved, partial(self._admitted, obstacle))
        if self._turn is None:
            self._run(obstacle)

    def _admitted(self, obstacle: Obstacle) -> None:
        """The limits of the unit let the task go on."""
        if not (self._gone or self._is_parked(partial(self._admitted, obstacle))):
            self._run(obstacle)

    def _run(self, obstacle: Obstacle) -> None:
        group = self._unit.alua.group_of(self._task.nexus.relative_target_port_id)
        delay = group.command_delay
        if delay:
            self._unit.alua.later(delay, partial(self._run_late, obstacle))
        else:
            self._drive(self._begin(obstacle))

    def _run_late(self, obstacle: Obstacle) -> None:
        """The delay of a target port group that is not optimized is over."""
        if not (self._gone or self._is_parked(partial(self._run_late, obstacle))):
            self._drive(self._begin(obstacle))

    def _begin(self, obstacle: Obstacle) -> object:
        assert self._task.descriptor is not None
        try:
            outcome = obstacle(self._unit, self._task) or self._task.descriptor.handler(self._unit, self._task)
        except Exception as error:  # noqa: BLE001  whatever it is, the initiator gets an answer
            return self._failure(self._task, self._unit, error)
        if isinstance(outcome, Response):
            return outcome
        self._steps = outcome
        return self._step()

    def _step(self) -> object:
        """Let the handler go on with the last result: gives the next operation, or the response."""
        assert self._steps is not None
        self._stepping = True
        try:
            if self._error is not None:
                return self._steps.throw(self._error)
            return self._steps.send(self._result)
        except StopIteration as stop:
            return stop.value
        except Exception as error:  # noqa: BLE001  whatever it is, the initiator gets an answer
            return self._failure(self._task, self._unit, error, self._operation)
        finally:
            self._stepping = False

    def _drive(self, outcome: object) -> None:
        while isinstance(outcome, BlockOperation) and not self._gone:
            if self._task.state is TaskState.BLOCKED:
                self._parked = partial(self._drive, outcome)
                return
            if not self._over_at_once(outcome) or self._is_parked(self._go_on):
                return
            outcome = self._step()
        if self._gone:
            self._leave()
        else:
            self._respond(outcome)

    def _go_on(self) -> None:
        """What the handler waited for is over."""
        if not self._is_parked(self._go_on):
            self._drive(self._step())

    def _is_parked(self, go_on: Callable[[], None]) -> bool:
        """Whether the task is blocked; then `go_on` is called when it is not any more."""
        if self._task.state is not TaskState.BLOCKED:
            return False
        self._parked = go_on
        return True

    def _over_at_once(self, operation: BlockOperation) -> bool:
        """Ask for `operation`; says whether it is over already, and the task goes on."""
        if isinstance(operation, Background):
            return self._to_background(operation)
        if isinstance(operation, Until):
            return self._wait(operation)
        self._operation = operation
        self._over = False
        self._place = place_of(operation, self._unit)
        self._hold = Hold.of(operation, self._start)
        self._requesting = True
        self._lock.acquire(self._hold)
        self._requesting = False
        return self._over and not self._gone

    @property
    def _lock(self) -> AnyRangeLock:
        """What keeps the last operation apart from others."""
        return self._unit.range_lock if self._place is None else self._place.lock

    def _start(self) -> None:
        assert self._place is not None
        self._unit.task_set.operation_started(self._task)
        try:
            self._executor.submit(self._place.begin(), self._place.operation, self._done)
        except Exception as error:
            if self._over:
                raise
            self._done(None, error)

    def _done(self, result: Any, error: BackstoreError | Exception | None) -> None:
        """The operation is over. If it ended inside `_over_at_once`, the loop in `_drive` goes on, else it starts again."""
        assert self._hold is not None
        self._over = True
        self._result, self._error = result, error
        # While others start in the room that this makes, the task still counts as in its operation: if one of them
        # aborts it, it ends below and not in the middle.
        self._lock.release(self._hold)
        self._hold = None
        if not self._unit.task_set.operation_ended(self._task):
            self._leave()
        elif not self._requesting:
            self._go_on()

    def _to_background(self, work: Background) -> bool:
        """Start `work`; says whether the task goes on at once. While the task waits for it, nothing of its own is under way."""
        self._over = not work.awaited
        self._result, self._error = None, None
        self._requesting = True
        over = self._background_over if work.awaited else self._unawaited_over
        BackgroundRun(self._unit, self._executor, work.steps, over, self._note_operation).start()
        self._requesting = False
        return self._over and not self._gone

    def _note_operation(self, operation: BlockOperation) -> None:
        """What is asked for in the background stands for what the task asks for, if it fails there."""
        self._operation = operation

    def _wait(self, until: Until) -> bool:
        """Start what `until` waits for; says whether that is over already, and the task goes on."""
        self._over = False
        self._requesting = True
        until.begin(self._background_over)
        self._requesting = False
        return self._over and not self._gone

    def _background_over(self, result: Any, error: Exception | None) -> None:
        self._over = True
        self._result, self._error = result, error
        if not self._requesting and not self._gone:
            self._go_on()

    def _unawaited_over(self, _result: Any, error: Exception | None) -> None:
        if error is not None:
            # Steps that nobody awaits tell of what the storage does themselves: this is a bug, to be reported as one.
            self._failure(self._task, self._unit, LocalProtocolError(f"unawaited work ended with {error!r}"))

    # Attendant.

    def aborted(self) -> None:
        """See `Attendant.aborted`."""
        self._parked = None
        if self._hold is not None and self._lock.is_holding(self._hold):
            self._lock.isolate(self._hold)
        elif self._task.state is not TaskState.ABORTING:
            if self._hold is not None:
                self._lock.release(self._hold)
            self._leave()

    def blocked(self) -> None:
        """See `Attendant.blocked`. An operation that waits for others gives up its place: it must not start now."""
        if self._hold is not None and not self._lock.is_holding(self._hold):
            assert self._operation is not None
            self._lock.release(self._hold)
            self._hold = None
            self._parked = partial(self._drive, self._operation)

    def unblocked(self) -> None:
        """See `Attendant.unblocked`."""
        go_on, self._parked = self._parked, None
        if go_on is not None:
            go_on()

    def _leave(self) -> None:
        self._gone = True
        if self._turn is not None:
            self._turn.give_up()
        # A handler that is running (it has aborted its own task) is closed when it comes back.
        if self._steps is not None and not self._stepping:
            self._steps.close()

    def _respond(self, outcome: object) -> None:
        if not isinstance(outcome, Response):
            problem = LocalProtocolError(f"a handler gave {type(outcome).__name__}, which is no response")
            outcome = self._failure(self._task, self._unit, problem)
        response: Response = outcome
        self._unit.when_aborts_over(self._task, lambda: self._complete(response))

    def _complete(self, response: Response) -> None:
        # It may have been aborted itself while it waited for those that it aborted.
        if self._task.state is TaskState.ENABLED:
            if self._begins_aca(response) and self._unit.grants.any_in_flight:
                # What the engine does cannot be blocked, so it has to be over before others are.
                self._unit.grants.when_idle(partial(self._complete, response))
                return
            before_status(self._unit, self._task, response)
            self._finish(response)
        else:
            self._is_parked(partial(self._complete, response))

    def _begins_aca(self, response: Response) -> bool:
        return response.status is Status.CHECK_CONDITION and asks_for_aca(self._task.cdb)

    def _finish(self, response: Response) -> None:
        # Its own CHECK CONDITION may have let others run, one of which may have aborted or blocked it in turn.
        if self._task.state is TaskState.ENABLED:
            self._unit.statistics.count(self._task, response)
            self._unit.task_set.complete(self._task, response)
        else:
            self._is_parked(partial(self._finish, response))
