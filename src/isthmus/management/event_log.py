"""The last events, for whoever asks what has happened, and the next ones, for whoever stays on the line.

A follower has a place in the log and no queue of its own: one that does not keep up costs nothing, and is told how much
it has missed.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from isthmus import events
from isthmus.events import Occurrence
from isthmus.management.views import EventView
from isthmus.server.logging import printable

__all__ = ["CAPACITY", "MISSED", "QUIET_SECONDS", "EventLog"]

CAPACITY: Final = 1000
"""Events that are kept."""
QUIET_SECONDS: Final = 15.0
"""After which a follower hears that there is nothing to hear, so that a dead one is found."""
MISSED: Final = "missed"
"""What a follower is told in place of events that are not kept any more; `count` of them."""


class EventLog:
    """Hears every event of the process from `start` to `stop`."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        """To be made on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._kept: deque[EventView] = deque(maxlen=capacity)
        self._last = 0
        self._counts = dict.fromkeys(events.EVENTS, 0)
        self._followers: set[asyncio.Event] = set()
        self._stop_listening: Callable[[], None] = lambda: None
        self._stopped = False

    def start(self) -> None:
        """Hear from now on."""
        self._stop_listening = events.listen(self._hear)

    def stop(self) -> None:
        """Hear no more; those who follow come to an end."""
        self._stop_listening()
        self._stopped = True
        self._wake()

    def _hear(self, occurrence: Occurrence) -> None:
        if threading.get_ident() == self._thread:
            self._add(occurrence)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._add, occurrence)

    def _add(self, occurrence: Occurrence) -> None:
        self._last += 1
        values = {name: _plain(value) for name, value in occurrence.values.items() if name != "exc_info"}
        kind = occurrence.kind
        self._counts[kind.name] += 1
        self._kept.append(
            EventView(id=self._last, time=occurrence.time, event=kind.name, level=kind.level, values=values)
        )
        self._wake()

    def _wake(self) -> None:
        for follower in self._followers:
            follower.set()

    @property
    def followers(self) -> int:
        """How many there are."""
        return len(self._followers)

    def counts(self) -> dict[str, int]:
        """How often each event has happened."""
        return dict(self._counts)

    def recent(self, limit: int) -> list[EventView]:
        """The last `limit` events, the oldest of them first."""
        return list(self._kept)[-limit:] if limit else []

    def after(self, number: int) -> list[EventView]:
        """The events behind number `number`; ahead of them, how many of those are not kept any more."""
        found = [view for view in self._kept if view.id > number]
        missed = (found[0].id if found else self._last + 1) - number - 1
        if missed > 0:
            told = {"count": missed}
            found.insert(0, EventView(id=number + missed, time=0.0, event=MISSED, level="warning", values=told))
        return found

    async def follow(self, recent: int = 0, after: int | None = None) -> AsyncIterator[EventView | None]:
        """The last `recent` events, or those `after` a number, and all that come; None while nothing does."""
        number = self._last - min(recent, len(self._kept)) if after is None or after > self._last else after
        wake = asyncio.Event()
        self._followers.add(wake)
        try:
            while True:
                wake.clear()
                for view in self.after(number):
                    yield view
                    number = view.id
                if self._stopped:
                    return
                try:
                    async with asyncio.timeout(QUIET_SECONDS):
                        await wake.wait()
                except TimeoutError:
                    yield None
        finally:
            self._followers.discard(wake)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else printable(str(value))
