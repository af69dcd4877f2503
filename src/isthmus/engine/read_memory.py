"""How much memory reads may hold: what is read and not sent yet.

A read that takes the long way holds all of its data from when it begins until the socket has taken them. Without a bound,
a peer that asks for much and takes nothing would make a session hold its whole window of the largest commands, 2 GiB.

A read that finds no room waits in its task set, like a write whose data are still to come: the order of tasks stays, and
it can be aborted. Each session may hold `OF_SESSION` bytes, all together `TOTAL`; but one read of each session is always
let through, so that no peer can keep others from making progress.
"""

from collections.abc import Callable
from typing import Final

__all__ = ["OF_SESSION", "TOTAL", "ReadMemory", "SessionReads"]

TOTAL: Final = 512 << 20
"""Bytes."""
OF_SESSION: Final = 64 << 20
"""Bytes: four of the longest reads, or 64 of 1 MiB. More at once makes no disk faster."""


class ReadMemory:
    """What the reads of all sessions hold."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """`call_soon` calls back when nothing else is being done, to start reads in."""
        self.in_use = 0
        self._call_soon = call_soon
        self._waiting: dict[SessionReads, None] = {}
        self._waking = False

    def of_session(self) -> "SessionReads":
        """The part of a new session."""
        return SessionReads(self)

    def wait(self, reads: "SessionReads") -> None:
        """`reads` has something that waits for room."""
        self._waiting[reads] = None

    def wake(self) -> None:
        """There is room: start what waits for it, sessions in turn."""
        if self._waiting and not self._waking:
            self._waking = True
            self._call_soon(self._start_waiting)

    def _start_waiting(self) -> None:
        self._waking = False
        for reads in list(self._waiting):
            del self._waiting[reads]
            reads.start_waiting()
            if reads.has_waiting:
                self._waiting[reads] = None


class SessionReads:
    """What the reads of one session hold, and those that wait."""

    __slots__ = ("_memory", "_waiting", "in_use")

    def __init__(self, memory: ReadMemory) -> None:
        self._memory = memory
        self.in_use = 0
        self._waiting: dict[object, tuple[int, Callable[[], None]]] = {}

    @property
    def has_waiting(self) -> bool:
        """Whether a read waits."""
        return bool(self._waiting)

    def take(self, length: int) -> bool:
        """Take `length` bytes, if there is room and nobody was here before."""
        if self._waiting or not self._has_room(length):
            return False
        self._add(length)
        return True

    def wait(self, task: object, length: int, start: Callable[[], None]) -> None:
        """Call `start` once `length` bytes are taken for `task`."""
        self._waiting[task] = length, start
        self._memory.wait(self)

    def cancel(self, task: object) -> None:
        """`task` does not want them any more."""
        if self._waiting.pop(task, None) is not None:
            self._memory.wake()

    def give_back(self, length: int) -> None:
        """`length` bytes are free again."""
        self._add(-length)
        self._memory.wake()

    def start_waiting(self) -> None:
        """Start those, in the order of their coming, for which there is room."""
        while self._waiting:
            task, (length, start) = next(iter(self._waiting.items()))
            if not self._has_room(length):
                return
            del self._waiting[task]
            self._add(length)
            start()

    def _has_room(self, length: int) -> bool:
        if not self.in_use:
            return True
        return self.in_use + length <= OF_SESSION and self._memory.in_use + length <= TOTAL

    def _add(self, length: int) -> None:
        self.in_use += length
        self._memory.in_use += length
