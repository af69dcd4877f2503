"""`ramdisk`: memory, which takes room only where something has been written, and is lost at the end."""

import errno
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from typing_extensions import Buffer

from isthmus.backstores.base import Backstore, Capabilities, Extent, Provisioning, Space
from isthmus.backstores.failures import not_writable
from isthmus.backstores.registry import BackstoreSpec
from isthmus.backstores.transfer import as_bytes, inner_range
from isthmus.errors import BackstoreError, ConfigurationError

__all__ = ["RamdiskBackstore"]

_PAGE: Final = mmap.PAGESIZE
_ANONYMOUS: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
"""Private, since pages of a shared mapping take room as soon as they are read."""


class RamdiskBackstore(Backstore):
    """Anonymous memory. The system gives each page when it is first written, and takes it back when it is discarded.

    Durability means nothing here: a flush has nowhere to go. If the machine runs out of memory, the system ends the
    process rather than failing a write, as with all memory.
    """

    kind = "ramdisk"
    volatile = True
    never_blocks = True
    capabilities = Capabilities(
        discard=True, discard_granularity=_PAGE, measures_space=True, map_status=True, physical_block_length=_PAGE
    )

    def __init__(self, name: str, size: int, *, read_only: bool = False) -> None:
        """`size` bytes of zeros, told from others by `name`; raises `OSError` if there cannot be that much memory."""
        self.size = size
        self.read_only = read_only
        self._name = name
        self._memory = mmap.mmap(-1, size, flags=_ANONYMOUS)
        self._bytes = memoryview(self._memory)
        self._written = bytearray(_pages(size))
        """For each page, 1 if it may hold something else than zeros."""

    @classmethod
    def open(cls, spec: BackstoreSpec) -> Self:
        """Raises `ConfigurationError` without a size, and for one that memory cannot hold."""
        if not spec.size or spec.size < 0:
            raise ConfigurationError("a memory disk needs a size", "give one above 0")
        try:
            return cls(spec.path, spec.size, read_only=spec.read_only)
        except (OSError, OverflowError, MemoryError) as error:
            raise ConfigurationError(
                f"there is no memory for a disk of {spec.size} bytes", "make it smaller"
            ) from error

    @property
    def identity(self) -> str:
        return f"ramdisk:{self._name}"

    def read_if_cached(self, offset: int, buffer: memoryview) -> bool:
        buffer[:] = self._bytes[offset : offset + len(buffer)]
        return True

    def read_into(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self._bytes[offset : offset + len(buffer)]

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        self._check_writable()
        for view in as_bytes(buffers):
            end = offset + len(view)
            self._mark_written(offset, end)
            self._bytes[offset:end] = view
            offset = end

    def flush(self) -> None:
        """Memory does not become any safer."""

    def discard(self, offset: int, length: int) -> None:
        self._check_writable()
        start, end = inner_range(offset, length, _PAGE)
        self._zero(offset, start)
        if start < end:
            self._memory.madvise(mmap.MADV_DONTNEED, start, end - start)
            self._written[start // _PAGE : end // _PAGE] = bytes((end - start) // _PAGE)
        self._zero(end, offset + length)

    def write_zeroes(self, offset: int, length: int, *, durable: bool = False) -> None:
        """The pages count as mapped; the system gives them when something else than zeros is written."""
        self.discard(offset, length)
        self._mark_written(offset, offset + length)

    def _zero(self, start: int, end: int) -> None:
        """Zero less than a page, which may lie on both sides of a boundary; what was never written stays so."""
        while start < end:
            after = min(end, start - start % _PAGE + _PAGE)
            if self._written[start // _PAGE]:
                self._bytes[start:after] = bytes(after - start)
            start = after

    def _mark_written(self, start: int, end: int) -> None:
        first, after = start // _PAGE, _pages(end)
        self._written[first:after] = b"\1" * (after - first)

    def _check_writable(self) -> None:
        if self.read_only:
            raise not_writable(f"the memory disk {self._name}")

    def map_status(self, offset: int, length: int) -> Extent:
        page = offset // _PAGE
        is_mapped = self._written[page]
        change = self._written.find(b"\0" if is_mapped else b"\1", page, _pages(offset + length))
        end = offset + length if change < 0 else change * _PAGE
        provisioning = Provisioning.MAPPED if is_mapped else Provisioning.DEALLOCATED
        return Extent(length=end - offset, provisioning=provisioning)

    def space(self) -> Space:
        """The pages that hold something, and the memory that the system could still give (proc_meminfo(5))."""
        return Space(used=self._written.count(1) * _PAGE, available=_available_memory())

    def resize(self, size: int) -> None:
        if size <= 0:
            raise BackstoreError(errno.EINVAL, f"the memory disk {self._name} cannot be {size} bytes long")
        if size < self.size:
            self._zero(size, min(self.size, _pages(size) * _PAGE))
        self._bytes.release()
        try:
            self._memory.resize(size)
        except (OSError, OverflowError) as error:
            raise BackstoreError(errno.ENOSPC, f"there is no memory for {size} bytes") from error
        finally:
            self._bytes = memoryview(self._memory)
        self._written = self._written[: _pages(size)].ljust(_pages(size), b"\0")
        self.size = size

    def close(self) -> None:
        self._bytes.release()
        self._memory.close()


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, value, *_ = line.split()
        if name == "MemAvailable:":
            return int(value) << 10
    return 0


def _pages(length: int) -> int:
    """How many pages `length` bytes begin."""
    return -(-length // _PAGE)
