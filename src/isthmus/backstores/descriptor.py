"""What a backstore on an open file or device does, whatever lies behind the descriptor: when a write is safe.

Three cases end the promise that a write is, or will be, safe:

* Making something durable has failed (see `synchronization`).
* The file has been deleted or replaced. Its descriptor still works, but after a restart nobody finds the data: so
  flushes and durable writes fail with ENODEV. Reads go on.
* The storage has shrunk. A change that reaches beyond the new end fails with EIO and changes nothing: making the file
  long again would turn what was cut off into zeros that look like data. A read fails where bytes are missing. If
  somebody else makes the file long again it is served again; that is like any other change behind our back.

The identity of a file is its real path: it keeps its serial number when it is restored from a backup, or copied to
the same place on another machine, and gets another one when it is moved. A device's is the path by which it was named,
since the names below /dev/disk/by-id stay, and those that they lead to change.
"""

import errno
import os
from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from typing_extensions import Buffer

from isthmus.backstores.base import Backstore
from isthmus.backstores.failures import gone, not_writable, shrunk, translated
from isthmus.backstores.fallocate import FallocateMode, fallocate, is_unsupported
from isthmus.backstores.opening import OpenStorage
from isthmus.backstores.synchronization import Flusher, SyncFailures
from isthmus.backstores.transfer import as_bytes, inner_range, total_length
from isthmus.errors import BackstoreError

__all__ = ["PUNCH_HOLE", "DescriptorBackstore"]

PUNCH_HOLE: Final = FallocateMode.PUNCH_HOLE | FallocateMode.KEEP_SIZE
"""Gives room back; on a device too (Linux 4.9), where it fails unless the range will then read as zeros."""
_ZERO_RANGE: Final = FallocateMode.ZERO_RANGE | FallocateMode.KEEP_SIZE
"""Keeps the room; on a device it never deallocates."""

_NOTHING_LOST: Final = (errno.ENOSPC, errno.EROFS)
"""Reasons for which a durable write is refused before any of it is taken."""


class DescriptorBackstore(Backstore):
    """Bytes behind a descriptor. Safe to call from several threads, but for `resize`, `close` and `withdraw`."""

    def __init__(self, storage: OpenStorage, *, read_only: bool, write_back: bool, alignment: int) -> None:
        """Take over `storage`; discards and zeroing reach it in multiples of `alignment` bytes."""
        self.size = storage.size
        self.read_only = read_only
        self.write_back = write_back and not read_only
        self.path = storage.path
        self._storage = storage
        self._descriptor = storage.descriptor
        self._alignment = alignment
        self._sync_failures = SyncFailures()
        self._flusher = Flusher(storage.side_descriptor, storage.path, self._sync_failures)

    @property
    def identity(self) -> str:
        return f"device:{self.path}" if self._storage.is_device else f"file:{self.path.resolve()}"

    @property
    def created(self) -> bool:
        """Whether opening it made the file."""
        return self._storage.created

    def read_into(self, offset: int, buffer: memoryview) -> None:
        done = self._read_in(offset, buffer)
        if done < len(buffer):
            raise self._missing(offset + done, self._end())

    @abstractmethod
    def _read_in(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer`, and give the bytes read: fewer only if the storage ends before."""

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        views = as_bytes(buffers)
        length = total_length(views)
        self._before_change(offset, length)
        self._take_room(offset, length)
        if self.write_back and not durable:
            self._write_out(offset, views)
        else:
            self._write_durably(offset, views)

    @abstractmethod
    def _write_out(self, offset: int, views: Sequence[memoryview]) -> None:
        """Write, and leave it to the system when the bytes become durable."""

    @abstractmethod
    def _write_out_synchronously(self, offset: int, views: Sequence[memoryview]) -> None:
        """Write with RWF_DSYNC; raises `BackstoreError` with EOPNOTSUPP if the system does not know that."""

    def _write_durably(self, offset: int, views: Sequence[memoryview]) -> None:
        try:
            self._write_out_synchronously(offset, views)
        except BackstoreError as error:
            if error.errno in _NOTHING_LOST:
                raise
            if error.errno != errno.EOPNOTSUPP:
                raise self._sync_failures.record(error) from error.__cause__
            self._write_out(offset, views)
            self._flusher.flush()
        self._check_name()

    def flush(self) -> None:
        if not self.read_only:
            self._flusher.flush()
            self._check_name()

    def discard(self, offset: int, length: int) -> None:
        self._before_change(offset, length)
        self._discard(offset, length)
        self._after_change(durable=False)

    def _discard(self, offset: int, length: int) -> None:
        self._apply(PUNCH_HOLE, offset, length)

    def write_zeroes(self, offset: int, length: int, *, durable: bool = False) -> None:
        self._before_change(offset, length)
        self._take_room(offset, length)
        self._apply(_ZERO_RANGE, offset, length)
        self._after_change(durable=durable)

    def reserve(self, offset: int, length: int) -> None:
        self._before_change(offset, length)
        self._take_room(offset, length)

    def _take_room(self, offset: int, length: int) -> None:
        """Make a change of `length` bytes from `offset` safe from running out of room in the middle, where that can be."""

    def _apply(self, mode: FallocateMode, offset: int, length: int) -> None:
        """`mode` for the part that is aligned, zeros for what is left over on both sides."""
        start, end = inner_range(offset, length, self._alignment)
        self._write_zeros(offset, start - offset)
        self._fallocate(mode, start, end - start)
        self._write_zeros(end, offset + length - end)

    def _fallocate(self, mode: FallocateMode, offset: int, length: int) -> None:
        """What cannot be punched is zeroed, and what cannot be zeroed at once is written."""
        if not length:
            return
        try:
            fallocate(self._descriptor, mode, offset, length)
        except OSError as error:
            if not is_unsupported(error):
                raise translated(error, f"zeroing {self.path}", offset=offset) from error
            if mode == PUNCH_HOLE:
                self._fallocate(_ZERO_RANGE, offset, length)
            else:
                self._write_zeros(offset, length)

    @abstractmethod
    def _write_zeros(self, offset: int, length: int) -> None:
        """Write `length` zero bytes, which may be none."""

    def _before_change(self, offset: int, length: int) -> None:
        """Raise `BackstoreError` if `length` bytes from `offset` must not be changed now."""
        if self.read_only:
            raise not_writable(self.path)
        self._sync_failures.check()
        self._check_end(offset, length)

    def _after_change(self, *, durable: bool) -> None:
        """Keep the promise for a change that no flag of its system call makes durable."""
        if durable or not self.write_back:
            self.flush()

    def _check_end(self, offset: int, length: int) -> None:
        if (end := self._end()) < offset + length:
            raise self._missing(max(end, offset), end)

    def _end(self) -> int:
        """Bytes that there are now. Seeking is the cheapest way to learn that; nothing else uses the offset."""
        try:
            return os.lseek(self._descriptor, 0, os.SEEK_END)
        except OSError as error:
            raise translated(error, f"measuring {self.path}") from error

    def _missing(self, offset: int, end: int) -> BackstoreError:
        """The bytes from `offset` are not there. A device that has been taken away is left with no bytes at all."""
        if self._storage.is_device and not end:
            return gone(self.path)
        return shrunk(self.path, offset=offset)

    def _check_name(self) -> None:
        if not self._storage.is_device and not os.fstat(self._descriptor).st_nlink:
            raise gone(self.path)

    def resize(self, size: int) -> None:
        """A device has the size that it has: only as much of it as there is can be taken."""
        if self.read_only:
            raise not_writable(self.path)
        if size <= 0 or (self._storage.is_device and self._end() < size):
            raise BackstoreError(errno.EINVAL, f"{self.path} cannot be {size} bytes long")
        if not self._storage.is_device:
            self._truncate(size)
        self.size = size

    def follow_size(self, granularity: int) -> None:
        end = self._end()
        if end < granularity:
            raise self._missing(end, end)
        self.size = end - end % granularity

    def _truncate(self, size: int) -> None:
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            raise translated(error, f"resizing {self.path}") from error
        self.flush()

    def close(self) -> None:
        if self._descriptor < 0:
            return
        try:
            self.flush()
        finally:
            self._release()

    def withdraw(self) -> None:
        """Close without a flush and, if opening it made the file, delete it: nothing came of it after all."""
        self._storage.undo_creation()
        self._release()

    def _release(self) -> None:
        """Close everything. -1 never becomes a descriptor: a late access fails instead of reaching another file."""
        self._descriptor = -1
        self._storage.close()
