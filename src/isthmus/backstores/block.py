"""`block`: a block device without the page cache (O_DIRECT).

It is opened exclusively, so a device that is mounted, or that another such program holds, is refused; so is one whose
sectors are longer than the blocks that will be asked for. Memory for O_DIRECT must be aligned, and what callers bring
is not: everything goes through aligned buffers, which costs one copy.

Nothing is prefetched: what the page cache read ahead would not be read from there.
"""

import errno
import mmap
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from isthmus.backstores.descriptor import DescriptorBackstore
from isthmus.backstores.device import BlockDeviceProperties
from isthmus.backstores.opening import OpenStorage, opening
from isthmus.backstores.registry import BackstoreSpec
from isthmus.backstores.transfer import read_fully, total_length, write_fully
from isthmus.errors import BackstoreError, ConfigurationError

__all__ = ["BlockBackstore"]

_CHUNK: Final = 1 << 20
"""Bytes of one access to the device, and of one aligned buffer."""
_IDLE_BUFFERS: Final = 8
"""How many buffers are kept when nobody uses them."""


class BlockBackstore(DescriptorBackstore):
    """The sectors of a device."""

    kind = "block"

    def __init__(
        self, storage: OpenStorage, *, device: BlockDeviceProperties, read_only: bool, write_back: bool
    ) -> None:
        """Take over `storage`, which is open with O_DIRECT."""
        super().__init__(storage, read_only=read_only, write_back=write_back, alignment=device.logical_sector_length)
        self.capabilities = device.capabilities()
        self._buffers = AlignedBuffers()

    @classmethod
    def open(cls, spec: BackstoreSpec) -> Self:
        """Open the device; raises `ConfigurationError`."""
        path = Path(spec.path)
        if path.exists() and not path.is_block_device():
            raise ConfigurationError(f"{path} is not a block device", "serve it as fileio")
        with opening(replace(spec, create=False), flags=os.O_DIRECT) as storage:
            device = BlockDeviceProperties.of(storage.descriptor)
            _check_block_length(path, spec.block_length, device.logical_sector_length)
            return cls(storage, device=device, read_only=spec.read_only, write_back=spec.write_back)

    def _read_in(self, offset: int, buffer: memoryview) -> int:
        self._check_aligned(offset, len(buffer))
        with self._buffers.borrow() as aligned:
            for start in range(0, len(buffer), _CHUNK):
                part = buffer[start : start + _CHUNK]
                count = read_fully(self._descriptor, aligned[: len(part)], offset + start, self.path)
                part[:count] = aligned[:count]
                if count < len(part):
                    return start + count
        return len(buffer)

    def _write_out(self, offset: int, views: Sequence[memoryview]) -> None:
        self._write(offset, views, 0)

    def _write_out_synchronously(self, offset: int, views: Sequence[memoryview]) -> None:
        # Without a page cache there is no write-back whose failure somebody else could be told.
        self._write(offset, views, os.RWF_DSYNC)

    def _write(self, offset: int, views: Sequence[memoryview], flags: int) -> None:
        self._check_aligned(offset, total_length(views))
        with self._buffers.borrow() as aligned:
            for chunk in _gathered(views, aligned):
                write_fully(self._descriptor, (chunk,), offset, flags, self.path)
                offset += len(chunk)

    def _write_zeros(self, offset: int, length: int) -> None:
        self._check_aligned(offset, length)
        with self._buffers.borrow() as aligned:
            aligned[:] = bytes(_CHUNK)
            for start in range(offset, offset + length, _CHUNK):
                write_fully(self._descriptor, (aligned[: offset + length - start],), start, 0, self.path)

    def _check_aligned(self, *numbers: int) -> None:
        if any(number % self._alignment for number in numbers):
            problem = f"an access to {self.path} is not aligned to {self._alignment} bytes"
            raise BackstoreError(errno.EINVAL, problem)


class AlignedBuffers:
    """Memory that a device can reach directly, in pieces of `_CHUNK` bytes that begin on a page."""

    def __init__(self) -> None:
        self._idle: deque[memoryview] = deque(maxlen=_IDLE_BUFFERS)

    @contextmanager
    def borrow(self) -> Iterator[memoryview]:
        """A buffer, with whatever is in it, that nobody else uses meanwhile."""
        try:
            buffer = self._idle.pop()
        except IndexError:
            buffer = memoryview(mmap.mmap(-1, _CHUNK))
        try:
            yield buffer
        finally:
            self._idle.append(buffer)


def _gathered(views: Sequence[memoryview], buffer: memoryview) -> Iterator[memoryview]:
    """The bytes of `views`, copied into `buffer` as often as it takes; all but the last time it is full."""
    used = 0
    for view in views:
        while len(view):
            count = min(len(view), len(buffer) - used)
            buffer[used : used + count] = view[:count]
            used += count
            view = view[count:]
            if used == len(buffer):
                yield buffer
                used = 0
    if used:
        yield buffer[:used]


def _check_block_length(path: Path, block_length: int, sector_length: int) -> None:
    if block_length % sector_length:
        raise ConfigurationError(
            f"{path} has sectors of {sector_length} bytes, which blocks of {block_length} bytes would cut",
            f"serve it with a block size of {sector_length}, or as fileio",
        )
