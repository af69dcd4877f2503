"""`fileio`: a regular file, or a block device through the page cache.

Without `write_back` each write is durable before it returns. With it, writes stay in the page cache until `flush`, or
until one of them asks for `durable`. Discarding punches holes where the file system can.
"""

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Self

from isthmus.backstores.base import Capabilities, Extent
from isthmus.backstores.descriptor import PUNCH_HOLE, DescriptorBackstore
from isthmus.backstores.device import BlockDeviceProperties, is_rotational
from isthmus.backstores.extents import first_extent
from isthmus.backstores.failures import translated
from isthmus.backstores.fallocate import fallocate
from isthmus.backstores.opening import OpenStorage, opening
from isthmus.backstores.registry import BackstoreSpec
from isthmus.backstores.synchronization import OpenFilePool
from isthmus.backstores.transfer import read_fully, write_fully, write_zeros

__all__ = ["FileBackstore"]

_PAGE: Final = os.sysconf("SC_PAGESIZE")
"""Bytes. The page cache writes whole pages."""


class FileBackstore(DescriptorBackstore):
    """Bytes in a file."""

    kind = "fileio"

    def __init__(self, storage: OpenStorage, *, read_only: bool, write_back: bool) -> None:
        """Take over `storage`; raises `OSError` if it cannot be asked what it can do."""
        if storage.is_device:
            device = BlockDeviceProperties.of(storage.descriptor)
            alignment, self.capabilities = device.logical_sector_length, device.capabilities(writable=not read_only)
        else:
            alignment, self.capabilities = 1, _file_capabilities(storage, writable=not read_only)
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
    return Capabilities(
        discard=writable and _can_punch(storage.descriptor, storage.size, status.st_blksize),
        discard_granularity=status.st_blksize,
        map_status=_can_seek_holes(storage.side_descriptor),
        physical_block_length=min(status.st_blksize, _PAGE),
        rotational=is_rotational(status.st_dev),
    )


def _can_punch(descriptor: int, size: int, length: int) -> bool:
    """Punch beyond the end, where nothing can be lost and, as the size is kept, nothing comes to be."""
    with suppress(OSError):
        fallocate(descriptor, PUNCH_HOLE, size, length)
        return True
    return False


def _can_seek_holes(descriptor: int) -> bool:
    with suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_HOLE)
        return True
    return False
