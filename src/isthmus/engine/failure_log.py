"""What is logged when storage fails: enough to find the disk, and never so much that the log becomes the next failure.

An initiator is told by sense data, and repeats what failed; a broken disk fails thousands of times a second. So each
backstore says at once what it met, and then at most once in `PERIOD`, with how many failures it has kept to itself.
"""

import errno
import threading
import time
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from isthmus import events
from isthmus.backstores.base import Backstore
from isthmus.errors import BackstoreError

__all__ = ["PERIOD", "FailureLog"]

PERIOD: Final = 10.0
"""Seconds between two entries for one backstore."""


class _Entry:
    """When a backstore has last said something, and what has happened since."""

    __slots__ = ("said_at", "unsaid")

    def __init__(self) -> None:
        self.said_at = float("-inf")
        self.unsaid = 0


class FailureLog:
    """Logs failures of backstores. Safe to call from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: WeakKeyDictionary[Backstore, _Entry] = WeakKeyDictionary()

    def report(self, backstore: Backstore, error: BackstoreError) -> None:
        """An operation on `backstore` has failed with `error`."""
        unsaid = self._take_turn(backstore)
        if unsaid is None:
            return
        events.emit(
            events.STORAGE_FAILURE,
            storage=backstore.identity,
            problem=str(error),
            errno=errno.errorcode.get(error.errno, str(error.errno)),
            offset=error.offset,
            not_logged_before=unsaid,
        )

    def _take_turn(self, backstore: Backstore) -> int | None:
        """How many failures have not been logged since the last one that was; None if this is one more of those."""
        with self._lock:
            entry = self._entries.setdefault(backstore, _Entry())
            now = self._clock()
            if now - entry.said_at < PERIOD:
                entry.unsaid += 1
                return None
            entry.said_at = now
            unsaid, entry.unsaid = entry.unsaid, 0
            return unsaid
