"""Which parts of a file take room: data, holes, and the room that is reserved but not written.

SEEK_HOLE (lseek(2)) knows data from what reads as zeros. Of the latter FIEMAP knows what is allocated nevertheless,
because somebody zeroed it or reserved it: that counts as mapped, for an initiator that zeroed blocks without unmapping
them has written them (SBC-4 §4.7.3.2). A file system without FIEMAP has no such room to tell of.
"""

import errno
import fcntl
import os
import struct
from typing import Final

from isthmus.backstores.base import Extent, Provisioning

__all__ = ["first_extent"]

_FS_IOC_FIEMAP: Final = 0xC020_660B
_HEADER: Final = struct.Struct("=QQIIII")
"""linux/fiemap.h: start, length, flags, mapped extents, room for extents, reserved."""
_EXTENT: Final = struct.Struct("=QQQ16xI12x")
"""Logical and physical offset, length, flags."""


def first_extent(descriptor: int, offset: int, length: int) -> Extent:
    """The provisioning of the bytes from `offset` on, and how many of `length` share it; raises `OSError`.

    `descriptor` is used for nothing else but seeking. Other threads may move its offset meanwhile: nobody reads it, all
    that counts is the answer.
    """
    end = offset + length
    hole = _seek(descriptor, offset, os.SEEK_HOLE, end)
    if hole > offset:
        return _until(hole, offset, Provisioning.MAPPED)
    data = _seek(descriptor, offset, os.SEEK_DATA, end)
    if data == offset:  # written between the two questions
        return first_extent(descriptor, offset, length)
    reserved, reserved_end = _first_allocated(descriptor, offset, data)
    if reserved == offset:
        return _until(reserved_end, offset, Provisioning.MAPPED)
    return _until(reserved, offset, Provisioning.DEALLOCATED)


def _until(end: int, offset: int, provisioning: Provisioning) -> Extent:
    return Extent(length=end - offset, provisioning=provisioning)


def _seek(descriptor: int, offset: int, whence: int, end: int) -> int:
    """Where the next data or hole begins, `end` if that is not before it."""
    try:
        return min(os.lseek(descriptor, offset, whence), end)
    except OSError as error:
        if error.errno == errno.ENXIO:  # there is no more data before the end of the file
            return end
        raise


def _first_allocated(descriptor: int, offset: int, end: int) -> tuple[int, int]:
    """(start, end) of the first allocated run between `offset` and `end`; (end, end) if there is none."""
    request = _HEADER.pack(offset, end - offset, 0, 0, 1, 0) + bytes(_EXTENT.size)
    try:
        answer = fcntl.ioctl(descriptor, _FS_IOC_FIEMAP, request)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
            return end, end
        raise
    found = _HEADER.unpack_from(answer)[3]
    if not found:
        return end, end
    start, _, length, _ = _EXTENT.unpack_from(answer, _HEADER.size)
    return max(start, offset), min(start + length, end)
