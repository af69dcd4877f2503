"""For a moment after an answer the loop looks for the next command before it sleeps.

With one command outstanding, most of its time is that of waking the loop: on a virtual machine, where an idle processor is given
back to the host, several times that of serving it. So the loop turns a few times more after a single command that it has
answered itself: everything that the loop waits for is seen in each turn, and nobody waits longer.

This gives a processor's idle time for latency, so it has to be worth it: there must be another processor for whoever sends, and
if nothing comes in time again and again, it is left for a while. Behind what a worker has done there is no lookout: the worker
wants the interpreter to go to sleep, and a loop that turns takes it away again and again (measured: half the writes a second).
"""

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable
from time import monotonic
from typing import Final

__all__ = ["Lookout"]

WINDOW: Final = 0.0001
"""Seconds for which to look; waking up takes about half of that."""
PATIENCE: Final = 8
"""How often in a row nothing may come."""
PAUSE: Final = 256
"""How many answers are then not looked behind."""


class Lookout:
    """One for a loop."""

    __slots__ = ("_clock", "_left_out", "_looking", "_loop", "_may_sleep", "_misses", "_until")

    def __init__(
        self,
        loop: AbstractEventLoop,
        may_sleep: Callable[[], bool],
        *,
        clock: Callable[[], float] = monotonic,
        processors: int | None = None,
    ) -> None:
        """`may_sleep`: the loop must not turn now, as threads need the interpreter. `processors`: None asks the system."""
        self._loop = loop
        self._may_sleep = may_sleep
        self._clock = clock
        self._looking = False
        self._until = 0.0
        self._misses = 0
        count = len(os.sched_getaffinity(0)) if processors is None else processors
        self._left_out = 0 if count > 1 else -1
        """How many answers are not looked behind; -1: all."""

    def answered(self) -> None:
        """A command that came alone has been answered."""
        if self._left_out:
            if self._left_out > 0:
                self._left_out -= 1
            return
        self._until = self._clock() + WINDOW
        if self._looking:
            self._misses = 0
        elif not self._may_sleep():
            self._looking = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        if self._may_sleep():
            self._looking = False
        elif self._clock() < self._until:
            self._loop.call_soon(self._look)
        else:
            self._looking = False
            self._misses += 1
            if self._misses >= PATIENCE:
                self._misses = 0
                self._left_out = PAUSE
