"""Waits for several things that each end with a call."""

from collections.abc import Callable

__all__ = ["Countdown"]


class Countdown:
    """Called once for each of `count` things that end, it calls `done` after the last, or at once if there are none."""

    def __init__(self, count: int, done: Callable[[], None]) -> None:
        self._remaining = count
        self._done = done
        if not count:
            done()

    def __call__(self) -> None:
        """One of the things has ended."""
        self._remaining -= 1
        if not self._remaining:
            self._done()
