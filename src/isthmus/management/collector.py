"""The garbage collector, kept from looking again and again at what stays.

With thousands of disks, one look takes up to a second, and everybody waits for it.
What a large change has made is taken out of its sight. What is deleted is found garbage only if it is in sight; so once
a good part has been deleted, all of it comes back, and is looked at once.
"""

import contextlib
import gc
from collections.abc import Iterable, Iterator
from typing import Final

from isthmus.config.changes import Change, CreateBackstore, DeleteBackstore

__all__ = ["MANY", "Collector"]

MANY: Final = 100
"""Backstores created by one change, or deleted since the last look, that make a difference."""


class Collector:
    """Of the process: there is one."""

    def __init__(self) -> None:
        self._deleted = 0

    @contextlib.contextmanager
    def rests(self) -> Iterator[None]:
        """While something is made that stays, there is little to be found."""
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if was_enabled:
                gc.enable()

    def changed(self, changes: Iterable[Change]) -> None:
        """`changes` are done."""
        created = 0
        for change in changes:
            created += isinstance(change, CreateBackstore)
            self._deleted += isinstance(change, DeleteBackstore)
        if self._deleted >= MANY:
            self._deleted = 0
            gc.unfreeze()
        elif created >= MANY:
            gc.freeze()
