"""The advisory lock that keeps two writers off one file, and words for who holds it.

The lock is flock's: exclusive for a writer, shared among readers. It ends with the process, however that ends.
Programs that lock ranges of bytes instead (QEMU does for its images) are asked for as well, and respected, when the
storage is opened; they do not see our lock.
"""

import errno
import fcntl
import logging
import os
import stat
import struct
import time
from pathlib import Path
from typing import Final

from isthmus.errors import ConfigurationError

__all__ = ["lock"]

_LOCKS: Final = Path("/proc/locks")
_RECORD: Final = struct.Struct("@hhqqi0q")
"""`struct flock`: type, whence, start, length (0: to the end), process; padded as the compiler does (fcntl(2))."""
_UNSUPPORTED: Final = (errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

_PROBE_ATTEMPTS: Final = 20
_PROBE_PAUSE: Final = 0.05
"""Seconds. udev holds a shared lock on a device while it probes it, for a moment after each change."""

_log = logging.getLogger(__name__)


def lock(descriptor: int, path: Path, *, exclusive: bool) -> None:
    """Lock the open file until it is closed; raises `ConfigurationError` if somebody else's lock stands against it."""
    try:
        _take(descriptor, path, exclusive=exclusive)
        _check_record_locks(descriptor, path, exclusive=exclusive)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        _log.warning("%s: its file system has no locks, so nothing keeps a second writer away", path)


def _take(descriptor: int, path: Path, *, exclusive: bool) -> None:
    operation = fcntl.LOCK_NB | (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    attempts = _PROBE_ATTEMPTS if stat.S_ISBLK(os.fstat(descriptor).st_mode) else 1
    for attempt in range(attempts):
        if attempt:
            time.sleep(_PROBE_PAUSE)
        try:
            fcntl.flock(descriptor, operation)
        except BlockingIOError:
            continue
        return
    raise _in_use(path, _flock_holders(descriptor), exclusive=exclusive)


def _check_record_locks(descriptor: int, path: Path, *, exclusive: bool) -> None:
    wanted = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
    answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _RECORD.pack(wanted, os.SEEK_SET, 0, 0, 0))
    kind, _, _, _, process = _RECORD.unpack(answer)
    if kind != fcntl.F_UNLCK:
        raise _in_use(path, [process] if process > 0 else [], exclusive=exclusive)


def _in_use(path: Path, holders: list[int], *, exclusive: bool) -> ConfigurationError:
    by = f" by process {', '.join(map(str, holders))}" if holders else " by another process"
    way_out = ", or serve it with --read-only" if exclusive and not holders else ""
    return ConfigurationError(f"{path} is in use{by}", f"stop that process first{way_out}")


def _flock_holders(descriptor: int) -> list[int]:
    """The processes that hold a flock on this file, as far as the system tells (proc_locks(5))."""
    status = os.fstat(descriptor)
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        rows = [line.split() for line in _LOCKS.read_text().splitlines()]
    except OSError:
        return []
    return sorted({int(row[4]) for row in rows if row[1] == "FLOCK" and row[5] == file and int(row[4]) > 0})
