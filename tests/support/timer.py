"""A clock that stands still until a test lets it go on."""

from collections.abc import Callable

__all__ = ["FakeTimer"]


class FakeTimer:
    """Calls back what was put off, when its time has come."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call `callback` in `delay` seconds."""
        self._due.append((self.now + delay, callback))

    def advance(self, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds
        over = [callback for due, callback in self._due if due <= self.now]
        self._due = [(due, callback) for due, callback in self._due if due > self.now]
        for callback in over:
            callback()
