"""Making writes durable without losing an error on the way, which Linux makes harder than it sounds.

When writing back a page fails, the kernel notes it once for each *open file*, marks the page clean and forgets. The
next fsync or durable write on that open file takes the note, whoever waits for it; everyone after that is told that
all is well (lwn.net/Articles/752063, fsync(2)). Three things follow:

* Flushes go through an open file of their own, one at a time (`Flusher`).
* Each durable write under way has an open file of its own (`OpenFilePool`): otherwise the failure of one could be told
  to its neighbour.
* A failure is remembered until the backstore is opened again (`SyncFailures`): after it no write is accepted and no
  flush succeeds, so that an initiator which tries again is not told that its data is safe after all. Reads go on.
"""

import errno
import itertools
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.backstores.failures import translated
from isthmus.errors import BackstoreError

__all__ = ["Flusher", "OpenFilePool", "SyncFailures"]


class SyncFailures:
    """The first failure to make something durable, for as long as the backstore is open."""

    __slots__ = ("_first",)

    def __init__(self) -> None:
        self._first: BackstoreError | None = None

    def check(self) -> None:
        """Raise `BackstoreError` with the reason of the first failure, if there was one."""
        if self._first is not None:
            raise BackstoreError(self._first.errno, str(self._first))

    def record(self, error: BackstoreError) -> BackstoreError:
        """Remember `error` if it is the first; gives what to raise.

        ENOSPC would say that nothing was taken and that room is all it needs. Here writes that were acknowledged are
        lost, whatever the reason: unless the storage is gone, that is EIO.
        """
        reason = error.errno if error.errno == errno.ENODEV else errno.EIO
        lost = BackstoreError(reason, f"{error}; acknowledged writes may be lost", offset=error.offset)
        if self._first is None:
            self._first = lost
        return lost


class Flusher:
    """fdatasync on one open file, one at a time; callers that wait for their turn share the next one."""

    def __init__(self, descriptor: int, path: Path, failures: SyncFailures) -> None:
        self._descriptor = descriptor
        self._path = path
        self._failures = failures
        self._turn = threading.Lock()
        self._tickets = itertools.count()
        self._covered = -1
        """Who drew a lower ticket than this asked before the last flush began: it was for them as well."""

    def flush(self) -> None:
        """Make durable all that was written before the call; raises `BackstoreError`."""
        ticket = next(self._tickets)
        with self._turn:
            self._failures.check()
            if ticket < self._covered:
                return
            covers = next(self._tickets)
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                raise self._failures.record(translated(error, f"flushing {self._path}")) from error
            self._covered = covers


class OpenFilePool:
    """Further open files of one file, each lent to one borrower at a time."""

    def __init__(self, descriptor: int) -> None:
        """Copies of `descriptor`, which must stay open as long as the pool; raises `OSError` if there can be none."""
        self._source = f"/proc/self/fd/{descriptor}"
        self._idle: deque[int] = deque((self._another(),))

    def _another(self) -> int:
        return os.open(self._source, os.O_RDWR)

    @contextmanager
    def borrow(self) -> Iterator[int]:
        """A descriptor that nobody else uses meanwhile; raises `OSError` if another one is needed and cannot be had."""
        try:
            descriptor = self._idle.pop()
        except IndexError:
            descriptor = self._another()
        try:
            yield descriptor
        finally:
            self._idle.append(descriptor)

    def close(self) -> None:
        """Close what is not lent."""
        while self._idle:
            os.close(self._idle.pop())
