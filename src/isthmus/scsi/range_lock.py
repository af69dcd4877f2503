"""Keeps exclusive block operations apart from all others on the same bytes (SBC-4 §5.3: COMPARE AND WRITE is atomic).

Every operation passes here. Two operations conflict if their extents share a byte and one of them is exclusive. An
operation starts when it conflicts with none that is under way and with none that came before it: so an exclusive
operation is not starved by a stream of others. Where no exclusive operation is about, this costs next to nothing.

The engine's own accesses do not pass here. So an exclusive operation is announced first (`exclusive_pending`, which
withdraws the grants) and waits until those accesses are over.

What is under way for a task that has been aborted, or for a nexus that is lost, is exclusive from then on (`isolate`,
`isolate_all`): its initiator may write the same blocks anew, and the old write must not come after the new one.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from isthmus.backstores.operations import BlockOperation

__all__ = ["Hold", "RangeLock"]

WhenIdle = Callable[[Callable[[], None]], None]
"""Calls its argument, at once or later, when no access of the engine is under way."""

_EVERYTHING: Final = (0, 1 << 80)


class Hold:
    """One operation's place in the lock: waiting, then holding, then gone."""

    __slots__ = ("drained", "exclusive", "length", "offset", "start")

    def __init__(self, extent: tuple[int, int], *, exclusive: bool, start: Callable[[], None]) -> None:
        """`extent` is (offset, length) in bytes; `start` is called when the operation may start."""
        self.offset, self.length = extent
        self.exclusive = exclusive
        self.start = start
        self.drained = not exclusive
        """Whether the engine's accesses that began before this operation came are over."""

    @classmethod
    def of(cls, operation: BlockOperation, start: Callable[[], None]) -> "Hold":
        """A place for `operation`."""
        return cls(operation.extent, exclusive=operation.exclusive, start=start)

    def conflicts(self, other: "Hold") -> bool:
        """Whether the two must not overlap in time."""
        if not (self.exclusive or other.exclusive):
            return False
        return max(self.offset, other.offset) < min(self.offset + self.length, other.offset + other.length)


class RangeLock:
    """The operations of one logical unit, in the order in which they came."""

    def __init__(self, changed: Callable[[], None] = lambda: None, when_idle: WhenIdle = lambda idle: idle()) -> None:
        """`changed` is called when `exclusive_pending` changes."""
        self._changed = changed
        self._when_idle = when_idle
        self._holding: set[Hold] = set()
        self._waiting: deque[Hold] = deque()
        self._exclusive = 0
        self._starting = False

    @property
    def exclusive_pending(self) -> bool:
        """Whether an exclusive operation waits or is under way."""
        return self._exclusive > 0

    def acquire(self, hold: Hold) -> None:
        """Call `hold.start` when its operation may start, which may be before this returns."""
        if not (hold.exclusive or self._exclusive):
            self._holding.add(hold)
            hold.start()
            return
        self._waiting.append(hold)
        if hold.exclusive:
            self._count_exclusive(1)
            self._when_idle(lambda: self._drained(hold))
        self._start_waiting()

    def release(self, hold: Hold) -> None:
        """The operation has ended, or (if it has not started) is not wanted any more."""
        if hold in self._holding:
            self._holding.remove(hold)
        else:
            self._waiting.remove(hold)
        if hold.exclusive:
            self._count_exclusive(-1)
        if self._waiting:
            self._start_waiting()

    def isolate(self, hold: Hold) -> None:
        """Nothing may overlap any more with `hold`, which is under way, until it is released."""
        if not hold.exclusive:
            hold.exclusive = True
            self._count_exclusive(1)

    def isolate_all(self) -> Hold:
        """Nothing may start any more until the hold that this gives is released."""
        hold = Hold(_EVERYTHING, exclusive=True, start=_nothing)
        self._holding.add(hold)
        self._count_exclusive(1)
        return hold

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Start nothing that waits before the `with` block is over."""
        before, self._starting = self._starting, True
        try:
            yield
        finally:
            self._starting = before
            self._start_waiting()

    def is_holding(self, hold: Hold) -> bool:
        """Whether the operation has started and not ended."""
        return hold in self._holding

    def _drained(self, hold: Hold) -> None:
        hold.drained = True
        self._start_waiting()

    def _count_exclusive(self, step: int) -> None:
        before = self.exclusive_pending
        self._exclusive += step
        if self.exclusive_pending is not before:
            self._changed()

    def _start_waiting(self) -> None:
        # An operation that ends inside its own start comes back here: the loop below goes on for it.
        if self._starting:
            return
        self._starting = True
        try:
            while (hold := self._next_startable()) is not None:
                self._waiting.remove(hold)
                self._holding.add(hold)
                hold.start()
        finally:
            self._starting = False

    def _next_startable(self) -> Hold | None:
        earlier: list[Hold] = []
        for hold in self._waiting:
            if hold.drained and not any(map(hold.conflicts, self._holding)) and not any(map(hold.conflicts, earlier)):
                return hold
            earlier.append(hold)
        return None


def _nothing() -> None:
    """What starts with a hold that stands for accesses already under way."""
