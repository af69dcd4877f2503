"""The garbage collector, kept from looking again and again at what stays.

With thousands of disks, one look takes up to a second, and everybody waits for it. So it rests while something large is
made, and what was made is taken out of its sight for good. What is deleted later goes without it, when the last one
lets go: nothing that a configuration makes keeps itself (`scsi/weakly.py`).
"""

import contextlib
import gc
from collections.abc import Iterable, Iterator
from typing import Final

from isthmus.config.changes import Change, CreateBackstore

__all__ = ["MANY_BACKSTORES", "MANY_OBJECTS", "Collector"]

MANY_BACKSTORES: Final = 100
"""So many, made since the last time, that it takes milliseconds to look at them."""
MANY_OBJECTS: Final = 10_000
"""As many objects as take a millisecond."""


class Collector:
    """Of the process: there is one. Everything is called on the loop."""

    def __init__(self) -> None:
        self._created = 0
        self._resting = 0
        self._before = 0
        self._was_enabled = False

    @contextlib.contextmanager
    def rests(self) -> Iterator[None]:
        """While something is made that stays, there is little to be found; and if it was much, nobody need look at it later."""
        if not self._resting:
            self._was_enabled = gc.isenabled()
            gc.disable()
            self._before = gc.get_count()[0]
        self._resting += 1
        try:
            yield
        finally:
            self._resting -= 1
            if not self._resting and self._was_enabled:
                if gc.get_count()[0] - self._before >= MANY_OBJECTS:
                    self.spare()
                gc.enable()

    def changed(self, changes: Iterable[Change]) -> None:
        """`changes` are done: many small ones come to as much as a large one."""
        self._created += sum(isinstance(change, CreateBackstore) for change in changes)
        if self._created >= MANY_BACKSTORES:
            self.spare()

    def spare(self) -> None:
        """What is there now stays: nobody need look at it again and again, with all sessions waiting."""
        self._created = 0
        gc.freeze()
