"""Writes that are whole after a crash: all of a write is there when the storage is opened again, or nothing of it.

No file system promises that for more than one sector. So what is to be written, and what it is written over, goes into
a record first, which is durable before the first byte is changed, and goes away when the last one is durable. A record
that is found later belongs to a write that a crash cut short: it is done again.

But only if it was really cut short. Somebody may have put other data there between the crash and the start, from a
backup for example. Each sector must hold what the record says that it held before or after: then the sectors are those
of the interrupted write, and nobody has been told that it happened. If one of them holds anything else the record is
out of date, and is dropped.
"""

import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from typing_extensions import Buffer

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import WOULD_BLOCK, BlockOperation, WouldBlock
from isthmus.errors import BackstoreError, ConfigurationError

__all__ = ["AtomicWrite", "Load", "Save", "WriteJournal"]

Load = Callable[[], bytes | None]
"""Gives the record that was saved last, if there is one."""

Save = Callable[[bytes | None], None]
"""Replaces the record, or removes it: all or nothing, and durable when it returns; raises `BackstoreError`."""

_SECTOR: Final = 512
"""Bytes: the most that every storage writes in one piece."""
_VERSION: Final = 1
_HEADER: Final = struct.Struct(">B7xQ")
"""Version and offset; behind them as many bytes of what was there as of what is to be."""


@dataclass(frozen=True, slots=True)
class _Record:
    """An interrupted write."""

    offset: int
    before: bytes
    after: bytes

    def to_bytes(self) -> bytes:
        return _HEADER.pack(_VERSION, self.offset) + self.before + self.after

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        rest = len(data) - _HEADER.size
        if rest < 0 or rest % 2 or data[0] != _VERSION:
            raise ConfigurationError(
                "the record of an interrupted write cannot be read", "start the version that has written it"
            )
        middle = _HEADER.size + rest // 2
        return cls(_HEADER.unpack_from(data)[1], data[_HEADER.size : middle], data[middle:])

    def was_cut_short(self, present: bytes) -> bool:
        """Whether `present` is a mixture of what was and what was to be, and neither of the two."""
        if present in (self.before, self.after):
            return False
        return all(
            present[start : start + _SECTOR]
            in (self.before[start : start + _SECTOR], self.after[start : start + _SECTOR])
            for start in range(0, len(present), _SECTOR)
        )


class WriteJournal:
    """The record of one backstore: one write at a time. Safe to call from several threads."""

    def __init__(self, load: Load, save: Save) -> None:
        self._load = load
        self._save = save
        self._lock = threading.Lock()

    def write(self, backstore: Backstore, offset: int, data: Buffer) -> None:
        """Write `data` durably at `offset`, all or nothing whatever happens; raises `BackstoreError`.

        The record holds what the storage holds: nothing is in the clear there that is encrypted here.
        """
        storage, content = backstore.beneath(offset, data)
        after = bytes(content)
        storage.reserve(offset, len(after))
        with self._lock:
            before = _read(storage, offset, len(after))
            self._save(_Record(offset, before, after).to_bytes())
            try:
                storage.write(offset, (after,), durable=True)
            except BackstoreError:
                self._undo(storage, offset, before)
                raise
            self._save(None)

    def _undo(self, backstore: Backstore, offset: int, before: bytes) -> None:
        """Put back what was there. Storage that does not take even that keeps the record, for when it is mended."""
        with suppress(BackstoreError):  # the failure that is told is the first one
            backstore.write(offset, (before,), durable=True)
            self._save(None)

    def recover(self, backstore: Backstore) -> bool:
        """Do again what was cut short; says whether there was something to do. Call it before anybody reads.

        Raises `ConfigurationError` for a record that cannot be read, and `BackstoreError` if the storage fails.
        """
        data = self._load()
        if data is None:
            return False
        backstore, _ = backstore.beneath(0, b"")
        record = _Record.from_bytes(data)
        length = len(record.after)
        fits = record.offset + length <= backstore.size
        interrupted = fits and record.was_cut_short(_read(backstore, record.offset, length))
        if interrupted:
            backstore.write(record.offset, (record.after,), durable=True)
        self._save(None)
        return interrupted


def _read(backstore: Backstore, offset: int, length: int) -> bytes:
    buffer = bytearray(length)
    backstore.read_into(offset, memoryview(buffer))
    return bytes(buffer)


@dataclass(frozen=True, slots=True)
class AtomicWrite(BlockOperation):
    """Write `data` at `offset` so that nobody, and no crash, sees a part of it.

    Without a `journal` the storage is volatile, and knows no crash.
    """

    offset: int
    data: memoryview
    journal: WriteJournal | None

    def run(self, backstore: Backstore) -> None:
        if self.journal is None:
            backstore.write(self.offset, (self.data,))
        else:
            self.journal.write(backstore, self.offset, self.data)

    def run_inline(self, backstore: Backstore) -> Any | Literal[WouldBlock.WOULD_BLOCK]:
        """A journal may block whether or not the backstore does."""
        if self.journal is not None or not backstore.never_blocks:
            return WOULD_BLOCK
        self.run(backstore)
        return None

    @property
    def exclusive(self) -> bool:
        return True

    @property
    def extent(self) -> tuple[int, int]:
        return (self.offset, len(self.data))
