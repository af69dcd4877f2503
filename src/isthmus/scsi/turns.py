"""Turns: what must not be done by two at a time, is done by one after the other."""

from collections import deque
from collections.abc import Callable
from typing import Any

from isthmus.scsi.background import Background, BackgroundSteps
from isthmus.scsi.waiting import Until

__all__ = ["Turn", "Turns"]


class Turns:
    """Lets in one at a time, in the order in which they come."""

    def __init__(self) -> None:
        self._current: Turn | None = None
        self._waiting: deque[Turn] = deque()
        self._passing = False

    def in_turn(self, steps: BackgroundSteps) -> BackgroundSteps:
        """What a handler delegates to (`yield from`), to have `steps` done when it is its turn; gives their result.

        A task that is aborted before that leaves its place. Once begun, the steps go on whatever becomes of the task.
        """
        turn = Turn(self)
        try:
            yield Until(turn.wait)
        except GeneratorExit:
            turn.leave()
            raise
        return (yield Background(_to_the_end(turn, steps), awaited=True))

    def enter(self, turn: "Turn") -> None:
        """Let `turn` begin when it may, which may be before this returns."""
        self._waiting.append(turn)
        self._pass_on()

    def leave(self, turn: "Turn") -> None:
        """`turn` is over, or will not be needed."""
        if turn is self._current:
            self._current = None
            self._pass_on()
        else:
            self._waiting.remove(turn)

    def _pass_on(self) -> None:
        # A turn that is over before `begin` returns comes back here: the loop goes on for it, so that a long row of such
        # turns does not nest.
        if self._passing:
            return
        self._passing = True
        try:
            while self._waiting and self._current is None:
                self._current = self._waiting.popleft()
                self._current.begin()
        finally:
            self._passing = False


class Turn:
    """One turn: waited for, then had, then left."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._over: Callable[[Any, Exception | None], None] | None = None

    def wait(self, over: Callable[[Any, Exception | None], None]) -> None:
        """Call `over` when the turn begins."""
        self._over = over
        self._turns.enter(self)

    def begin(self) -> None:
        """It is this one's turn."""
        assert self._over is not None
        self._over(None, None)

    def leave(self) -> None:
        """The next may come."""
        self._turns.leave(self)


def _to_the_end(turn: Turn, steps: BackgroundSteps) -> BackgroundSteps:
    try:
        return (yield from steps)
    finally:
        turn.leave()
