"""Moving all the bytes: loops over short transfers and over IOV_MAX, with the offset of the first byte that failed."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from typing_extensions import Buffer

from isthmus.backstores.failures import translated

__all__ = ["ZEROS", "as_bytes", "inner_range", "read_fully", "total_length", "write_fully", "write_zeros"]

IOV_MAX: Final = os.sysconf("SC_IOV_MAX")
"""Buffers that one pwritev takes."""

ZEROS: Final = memoryview(bytes(1 << 20))
"""What zeros are written from."""


def as_bytes(buffers: Sequence[Buffer]) -> list[memoryview]:
    """The buffers, seen as bytes, without the empty ones."""
    views = (memoryview(buffer).cast("B") for buffer in buffers)
    return [view for view in views if len(view)]


def total_length(views: Sequence[memoryview]) -> int:
    """Bytes in all of `views`."""
    return sum(map(len, views))


def read_fully(descriptor: int, buffer: memoryview, offset: int, path: Path) -> int:
    """Fill `buffer` from `offset`; gives the bytes read, fewer only at the end of the file; raises `BackstoreError`."""
    done = 0
    while done < len(buffer):
        try:
            count = os.preadv(descriptor, (buffer[done:],), offset + done)
        except OSError as error:
            raise translated(error, f"reading {path}", offset=offset + done) from error
        if not count:
            break
        done += count
    return done


def write_fully(descriptor: int, views: Sequence[memoryview], offset: int, flags: int, path: Path) -> None:
    """Write `views` from `offset`; raises `BackstoreError` with the offset of the first byte that is not written."""
    done = 0
    for group in _groups(views):
        rest = group
        while rest:
            try:
                count = os.pwritev(descriptor, rest, offset + done, flags)
            except OSError as error:
                raise translated(error, f"writing {path}", offset=offset + done) from error
            if not count:
                raise translated(OSError(errno.EIO, ""), f"writing {path}", offset=offset + done)
            done += count
            rest = _after(rest, count)


def write_zeros(descriptor: int, offset: int, length: int, path: Path) -> None:
    """Write `length` zero bytes from `offset`."""
    for start in range(offset, offset + length, len(ZEROS)):
        write_fully(descriptor, (ZEROS[: offset + length - start],), start, 0, path)


def inner_range(offset: int, length: int, granularity: int) -> tuple[int, int]:
    """The largest (start, end) within the range whose both ends are multiples of `granularity`; start == end if none."""
    start = -(-offset // granularity) * granularity
    end = (offset + length) // granularity * granularity
    return (start, end) if start < end else (offset, offset)


def _groups(views: Sequence[memoryview]) -> Iterator[Sequence[memoryview]]:
    for first in range(0, len(views), IOV_MAX):
        yield views[first : first + IOV_MAX]


def _after(views: Sequence[memoryview], count: int) -> Sequence[memoryview]:
    """What is left of `views` after `count` bytes."""
    for index, view in enumerate(views):
        if count < len(view):
            return [view[count:], *views[index + 1 :]]
        count -= len(view)
    return ()
