"""What kind of file system an open file is on, for what cannot be tried out: a file that is served read-only."""

import ctypes
import os
import struct
from typing import Final

__all__ = ["punches_holes", "room_of"]

_PUNCH_HOLES: Final = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # btrfs
        0x01021994,  # tmpfs
        0xF2F52010,  # F2FS
        0x01161970,  # GFS2
        0x7461636F,  # OCFS2
        0x2FC12FC1,  # ZFS
        0xCA451A4E,  # bcachefs
        0x00C36400,  # Ceph
    }
)
"""The types that know FALLOC_FL_PUNCH_HOLE (fallocate(2)), by their magic number (linux/magic.h, statfs(2))."""

_STRUCT_LENGTH: Final = 512
"""Bytes: more than struct statfs has anywhere."""

_libc = ctypes.CDLL(None, use_errno=True)


def punches_holes(descriptor: int) -> bool:
    """Whether files of this file system can have holes punched by who may write them; raises `OSError`."""
    buffer = ctypes.create_string_buffer(_STRUCT_LENGTH)
    if _libc.fstatfs(descriptor, buffer):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    (magic,) = struct.unpack_from("@L", buffer)
    return int(magic) & 0xFFFF_FFFF in _PUNCH_HOLES


def room_of(descriptor: int) -> tuple[int, int]:
    """Bytes that the open file takes, and that its file system has left for it; raises `OSError`."""
    status, file_system = os.fstat(descriptor), os.fstatvfs(descriptor)
    # POSIX counts st_blocks in units of 512 bytes, whatever the block length of the file system.
    return status.st_blocks * 512, file_system.f_bavail * file_system.f_frsize
