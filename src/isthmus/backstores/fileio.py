"""`fileio`: a regular file, or a block device through the page cache.

Without `write_back` each write is durable before it returns. With it, writes stay in the page cache until `flush`, or
until one of them asks for `durable`. Discarding punches holes where the file system can.
"""

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Self

from isthmus.backstores.allocation import Allocation, can_reserve
from isthmus.backstores.base import Backstore, Capabilities, Extent, Space
from isthmus.backstores.descriptor import PUNCH_HOLE, DescriptorBackstore
from isthmus.backstores.device import BlockDeviceProperties
from isthmus.backstores.extents import first_extent
from isthmus.backstores.failures import translated
from isthmus.backstores.fallocate import fallocate
from isthmus.backstores.file_system import punches_holes, room_of
from isthmus.backstores.opening import OpenStorage, opening
from isthmus.backstores.registry import BackstoreSpec
from isthmus.backstores.synchronization import OpenFilePool
from isthmus.backstores.transfer import read_fully, write_fully, write_zeros

__all__ = ["FileBackstore"]

_PAGE: Final = os.sysconf("SC_PAGESIZE")
"""Bytes. The page cache writes whole pages."""
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Failures of copying that are those of the destination."""


class FileBackstore(DescriptorBackstore):
    """Bytes in a file."""

    kind = "fileio"

    def __init__(self, storage: OpenStorage, *, read_only: bool, write_back: bool) -> None:
        """Take over `storage`; raises `OSError` if it cannot be asked what it can do."""
        if storage.is_device:
            device = BlockDeviceProperties.of(storage.descriptor)
            alignment, self.capabilities = device.logical_sector_length, device.capabilities()
        else:
            alignment, self.capabilities = 1, _file_capabilities(storage, writable=not read_only)
        self._allocation = None if storage.is_device or read_only else _allocation(storage)
        super().__init__(storage, read_only=read_only, write_back=write_back, alignment=alignment)
        self._seek_descriptor = storage.side_descriptor
        self._cache_descriptor = storage.descriptor
        """-1: nothing can be read without blocking."""
        self._synchronous = None if read_only else OpenFilePool(storage.descriptor)

    @classmethod
    def open(cls, spec: BackstoreSpec) -> Self:
        """Open or create the file; raises `ConfigurationError`."""
        with opening(spec) as storage:
            return cls(storage, read_only=spec.read_only, write_back=spec.write_back)

    @property
    def regular_file(self) -> int | None:
        """The descriptor; None if it is that of a device."""
        return None if self._storage.is_device else self._descriptor

    def read_if_cached(self, offset: int, buffer: memoryview) -> bool:
        # The hottest call of the server: one system call, and nothing beside it that can be left out.
        descriptor = self._cache_descriptor
        if descriptor < 0:
            return False
        try:
            return os.preadv(descriptor, (buffer,), offset, os.RWF_NOWAIT) == len(buffer)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                self._cache_descriptor = -1
            return False  # Whatever it is, the read that may block meets it again, and reports it.

    def prefetch(self, offset: int, length: int) -> None:
        with suppress(OSError):  # a hint: whatever is wrong, the read that follows finds it
            os.posix_fadvise(self._descriptor, offset, length, os.POSIX_FADV_WILLNEED)

    def _read_in(self, offset: int, buffer: memoryview) -> int:
        return read_fully(self._descriptor, buffer, offset, self.path)

    def _write_out(self, offset: int, views: Sequence[memoryview]) -> None:
        write_fully(self._descriptor, views, offset, 0, self.path)

    def _write_out_synchronously(self, offset: int, views: Sequence[memoryview]) -> None:
        assert self._synchronous is not None
        with self._synchronous.borrow() as descriptor:
            write_fully(descriptor, views, offset, os.RWF_DSYNC, self.path)

    def _write_zeros(self, offset: int, length: int) -> None:
        write_zeros(self._descriptor, offset, length, self.path)

    def copy_from(self, source: Backstore, source_offset: int, offset: int, length: int) -> int:
        """Between two files: where the file system can, it shares the blocks, or copies them without a way through here."""
        source_file = source.regular_file if isinstance(source, FileBackstore) else None
        if source_file is None or self.regular_file is None:
            return 0
        self._before_change(offset, length)
        done = self._copy_range(source_file, source_offset, offset, length)
        if done:
            self._after_change(durable=False)
        return done

    def _copy_range(self, source: int, source_offset: int, offset: int, length: int) -> int:
        """Bytes copied: fewer than `length` if the source ends, or if this pair of files cannot be copied so."""
        done = 0
        while done < length:
            try:
                count = os.copy_file_range(source, self._descriptor, length - done, source_offset + done, offset + done)
            except OSError as error:
                if error.errno in _NO_ROOM:
                    raise translated(error, f"copying to {self.path}", offset=offset + done) from error
                break  # Whichever side it is, reading and writing meet it again, and know.
            if not count:
                break
            done += count
        return done

    def _take_room(self, offset: int, length: int) -> None:
        if self._allocation is not None:
            self._allocation.take(offset, length)

    def _discard(self, offset: int, length: int) -> None:
        if self._allocation is None:
            super()._discard(offset, length)
            return
        self._allocation.given_back(offset, length)
        try:
            super()._discard(offset, length)
        finally:
            self._allocation.given_back(offset, length)

    def space(self) -> Space | None:
        """What the file takes and what its file system has left; a device does not tell what it takes."""
        if self._storage.is_device:
            return None
        try:
            used, available = room_of(self._descriptor)
        except OSError as error:
            raise translated(error, f"measuring the file system of {self.path}") from error
        return Space(used=used, available=available)

    def resize(self, size: int) -> None:
        super().resize(size)
        if self._allocation is not None:
            self._allocation.resized(size)

    def follow_size(self, granularity: int) -> None:
        super().follow_size(granularity)
        if self._allocation is not None:
            self._allocation.resized(self.size)

    def map_status(self, offset: int, length: int) -> Extent:
        self._check_end(offset, length)
        if not self.capabilities.map_status:
            return super().map_status(offset, length)
        try:
            return first_extent(self._seek_descriptor, offset, length)
        except OSError as error:
            raise translated(error, f"looking for holes in {self.path}", offset=offset) from error

    def _release(self) -> None:
        self._cache_descriptor = self._seek_descriptor = -1
        if self._synchronous is not None:
            self._synchronous.close()
        super()._release()


def _file_capabilities(storage: OpenStorage, *, writable: bool) -> Capabilities:
    status = os.fstat(storage.descriptor)
    can_punch = _can_punch(storage, status.st_blksize) if writable else punches_holes(storage.descriptor)
    return Capabilities(
        discard=can_punch,
        discard_granularity=status.st_blksize,
        anchor=can_punch and (not writable or _can_reserve(storage, status.st_blksize)),
        measures_space=can_punch,
        map_status=_can_seek_holes(storage.side_descriptor),
        physical_block_length=min(status.st_blksize, _PAGE),
    )


def _allocation(storage: OpenStorage) -> Allocation:
    return Allocation(
        storage.descriptor,
        storage.side_descriptor,
        storage.path,
        size=storage.size,
        block_length=os.fstat(storage.descriptor).st_blksize,
    )


_RESERVING: Final[set[tuple[int, int]]] = set()
"""The file systems in which room could be reserved: to try that in each of thousands of files would write in all of them."""


def _can_reserve(storage: OpenStorage, length: int) -> bool:
    file_system = os.fstat(storage.descriptor).st_dev, os.fstatvfs(storage.descriptor).f_fsid
    if file_system in _RESERVING:
        return True
    possible = can_reserve(storage.descriptor, storage.side_descriptor, storage.size, length)
    if possible and file_system[1]:  # One without a name of its own might be another one the next time.
        _RESERVING.add(file_system)
    return possible


def _can_punch(storage: OpenStorage, length: int) -> bool:
    """Punch beyond the end, where nothing can be lost and, as the size is kept, nothing comes to be."""
    with suppress(OSError):
        fallocate(storage.descriptor, PUNCH_HOLE, storage.size, length)
        return True
    return False


def _can_seek_holes(descriptor: int) -> bool:
    with suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_HOLE)
        return True
    return False
