"""Work of a logical unit that does not end with a task: what goes on behind an early status, or through resets.

A handler yields `Background(steps)`. With `awaited` it goes on when the steps are over, with their result, or with what
they raise; the steps go on even if the task is aborted meanwhile (SBC-4 §4.11: a sanitize operation survives every
reset). Without, it goes on at once and can give the status that IMMED asks for; what the steps then meet is theirs to
tell, as a deferred error (`unit.deferred_errors`).

Between two operations of such work everybody else gets their turn, even if the backstore never blocks.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import WOULD_BLOCK, BlockOperation, WouldBlock
from isthmus.errors import BackstoreError
from isthmus.scsi.block_executor import BlockExecutor
from isthmus.scsi.elsewhere import Place, place_of
from isthmus.scsi.range_lock import Hold
from isthmus.scsi.waiting import Until

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["Background", "BackgroundRun", "BackgroundSteps", "OnOver"]

BackgroundSteps = Generator[BlockOperation, Any, Any]
"""Yields block operations and gets their results, like a handler, and may return something."""

OnOver = Callable[[Any, Exception | None], None]
"""Called once, with what the steps returned or raised."""


@dataclass(frozen=True, slots=True)
class Background(BlockOperation):
    """Asks for `steps` to be done in the background."""

    steps: BackgroundSteps
    awaited: bool

    def run(self, backstore: Backstore) -> Any:
        """Do all of it here and now: for whoever has no background."""
        step: Callable[[Any], BlockOperation] = self.steps.send
        value: Any = None
        try:
            while True:
                operation = step(value)
                try:
                    step, value = self.steps.send, operation.run(backstore)
                except BackstoreError as error:
                    step, value = self.steps.throw, error
        except StopIteration as stop:
            return stop.value


@dataclass(frozen=True, slots=True)
class _InTurn(BlockOperation):
    """An operation that is done by a worker, so that the main loop comes to other things before the next one."""

    operation: BlockOperation

    def run(self, backstore: Backstore) -> Any:
        return self.operation.run(backstore)

    def run_inline(self, backstore: Backstore) -> Literal[WouldBlock.WOULD_BLOCK]:
        return WOULD_BLOCK

    @property
    def exclusive(self) -> bool:
        return self.operation.exclusive

    @property
    def extent(self) -> tuple[int, int]:
        return self.operation.extent


class BackgroundRun:
    """Some steps on their way. Like a task, they keep to the range lock; unlike one, nobody can abort them."""

    def __init__(
        self,
        unit: "LogicalUnit",
        executor: BlockExecutor,
        steps: BackgroundSteps,
        over: OnOver,
        asked: Callable[[BlockOperation], None] = lambda _: None,
    ) -> None:
        """`over` is called at the end, `asked` with each operation before it starts."""
        self._unit = unit
        self._asked = asked
        self._executor = executor
        self._steps = steps
        self._on_over = over
        self._hold: Hold | None = None
        self._place: Place | None = None
        self._result: Any = None
        self._error: Exception | None = None
        self._requesting = False
        self._operation_over = False
        self._stopped = False

    def start(self) -> None:
        """Begin; the steps may be over before this returns."""
        self._unit.background.add(self)
        self._drive()

    def stop(self) -> None:
        """Begin no further operation, and tell nobody: the server ends."""
        self._stopped = True
        self._unit.background.discard(self)

    def _drive(self) -> None:
        while not self._stopped and (operation := self._next()) is not None:
            if not self._over_at_once(operation):
                return
        if self._stopped:
            self._steps.close()

    def _next(self) -> BlockOperation | None:
        """The next operation; None when there is none, after whoever waits for the end has been told."""
        try:
            return self._steps.send(self._result) if self._error is None else self._steps.throw(self._error)
        except StopIteration as stop:
            self._end(stop.value, None)
        except Exception as error:  # noqa: BLE001  whatever it is, who waits must hear of it
            self._end(None, error)
        return None

    def _end(self, result: Any, error: Exception | None) -> None:
        self._unit.background.discard(self)
        self._on_over(result, error)

    def _over_at_once(self, operation: BlockOperation) -> bool:
        """Ask for `operation`; says whether it is over already."""
        self._asked(operation)
        if isinstance(operation, Until):
            return self._wait(operation)
        self._place = place_of(operation, self._unit)
        self._operation_over = False
        self._hold = Hold.of(operation, self._start)
        self._requesting = True
        self._place.lock.acquire(self._hold)
        self._requesting = False
        return self._operation_over

    def _wait(self, until: Until) -> bool:
        """Start what `until` waits for; says whether that is over already."""
        self._operation_over = False
        self._requesting = True
        until.begin(self._waited)
        self._requesting = False
        return self._operation_over

    def _waited(self, result: Any, error: Exception | None) -> None:
        self._operation_over = True
        self._result, self._error = result, error
        if not self._requesting:
            self._drive()

    def _start(self) -> None:
        assert self._place is not None
        try:
            self._executor.submit(self._place.begin(), _InTurn(self._place.operation), self._done)
        except Exception as error:
            if self._operation_over:
                raise
            self._done(None, error)

    def _done(self, result: Any, error: Exception | None) -> None:
        assert self._hold is not None
        assert self._place is not None
        self._operation_over = True
        self._result, self._error = result, error
        self._place.lock.release(self._hold)
        self._hold = None
        if not self._requesting:
            self._drive()
