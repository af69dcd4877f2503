"""fallocate(2), which the standard library has only in its POSIX form."""

import ctypes
import enum
import errno
import os

__all__ = ["FallocateMode", "fallocate", "is_unsupported"]


class FallocateMode(enum.IntFlag):
    """What to do with the range (linux/falloc.h); KEEP_SIZE alone takes room for it and leaves its bytes as they are."""

    KEEP_SIZE = 0x01
    PUNCH_HOLE = 0x02
    ZERO_RANGE = 0x10


_libc = ctypes.CDLL(None, use_errno=True)
# With the suffix an offset has 64 bits on every machine; musl, whose offsets always have, knows only the plain name.
_function = getattr(_libc, "fallocate64", None) or _libc.fallocate
_function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_function.restype = ctypes.c_int


def fallocate(descriptor: int, mode: FallocateMode, offset: int, length: int) -> None:
    """Apply `mode` to `length` bytes from `offset`, without the interpreter's lock; raises `OSError`."""
    while _function(descriptor, mode, offset, length):
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))


def is_unsupported(error: OSError) -> bool:
    """Whether the storage does not know the mode, as opposed to having failed at it."""
    return error.errno in (errno.EOPNOTSUPP, errno.ENOSYS)
