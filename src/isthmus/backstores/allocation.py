"""The room of a sparse file: taken before a write that could run out of it, so that no such write is half done.

The system takes room block by block while it copies. So a write within one block of the file system happens or does
not; a longer one into a hole has its room reserved first (fallocate(2)). That is asked for once for each part of the
file: a map remembers which parts are data throughout, and a write there costs one look at it.

What it cannot promise: a file system that never overwrites in place (btrfs, ZFS, shared extents of XFS) may need room
for a write over data as well, and a file system without fallocate (NFS before 4.2) has no room to reserve. The bytes
that such a write did not reach are as they were; those before them are written.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from isthmus.backstores.base import Provisioning
from isthmus.backstores.extents import first_extent
from isthmus.backstores.failures import translated
from isthmus.backstores.fallocate import FallocateMode, fallocate, is_unsupported

__all__ = ["Allocation", "can_reserve"]

_SMALLEST_PART: Final = 64 << 10
"""Bytes of a part in the map of a file that is not large."""
_MOST_PARTS: Final = 1 << 20
_UNKNOWN: Final = 0
_DATA: Final = 1


class Allocation:
    """Takes room in one file. Safe to call from several threads."""

    def __init__(self, descriptor: int, seek_descriptor: int, path: Path, *, size: int, block_length: int) -> None:
        """`seek_descriptor` is only asked for holes; `block_length` is the file system's, in bytes."""
        self._descriptor = descriptor
        self._seek_descriptor = seek_descriptor
        self._path = path
        self._block_length = block_length
        self._lock = threading.Lock()
        self._discards = 0
        self._supported = True
        self.resized(size)

    def resized(self, size: int) -> None:
        """The file has `size` bytes now: nothing is known of it any more."""
        with self._lock:
            self._size = size
            self._part = _SMALLEST_PART
            while -(-size // self._part) > _MOST_PARTS:
                self._part *= 2
            self._map = bytearray(-(-size // self._part))
            self._discards += 1

    def take(self, offset: int, length: int) -> None:
        """Take the room for `length` bytes from `offset`; raises `BackstoreError` with ENOSPC if there is not enough."""
        if length <= 0 or offset // self._block_length == (offset + length - 1) // self._block_length:
            return
        first, after = offset // self._part, (offset + length - 1) // self._part + 1
        known = self._map
        if known.find(_UNKNOWN, first, after) >= 0 and self._supported:
            self._look(offset, length, first, after)

    def given_back(self, offset: int, length: int) -> None:
        """The range has become, or is becoming, a hole: call it before and after."""
        first, after = offset // self._part, -(-(offset + length) // self._part)
        with self._lock:
            self._discards += 1
            self._map[first:after] = bytes(len(self._map[first:after]))

    def _look(self, offset: int, length: int, first: int, after: int) -> None:
        """Find out whether the parts are all data; if not, reserve what is to be written."""
        discards = self._discards
        start, end = first * self._part, min(after * self._part, self._size)
        with suppress(OSError):  # without SEEK_HOLE nothing is known, and the room is reserved each time
            if os.lseek(self._seek_descriptor, start, os.SEEK_HOLE) >= end:
                self._remember(first, after, discards)
                return
        self._reserve(offset, length)

    def _remember(self, first: int, after: int, discards: int) -> None:
        with self._lock:
            # What was given back meanwhile may lie in these parts.
            if discards == self._discards:
                self._map[first:after] = bytes((_DATA,)) * (after - first)

    def _reserve(self, offset: int, length: int) -> None:
        try:
            fallocate(self._descriptor, FallocateMode.KEEP_SIZE, offset, length)
        except OSError as error:
            if not is_unsupported(error):
                raise translated(error, f"reserving room in {self._path}", offset=offset) from error
            self._supported = False


def can_reserve(descriptor: int, seek_descriptor: int, size: int, block_length: int) -> bool:
    """Whether room can be reserved in the open file: tried on its first block, which is then as it was before."""
    length = min(size, block_length)
    try:
        was_hole = first_extent(seek_descriptor, 0, length).provisioning is Provisioning.DEALLOCATED
        fallocate(descriptor, FallocateMode.KEEP_SIZE, 0, length)
        if was_hole:
            fallocate(descriptor, FallocateMode.PUNCH_HOLE | FallocateMode.KEEP_SIZE, 0, length)
    except OSError as error:
        return not is_unsupported(error)
    return True
