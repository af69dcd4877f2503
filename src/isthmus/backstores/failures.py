"""From the system's errors to `BackstoreError`: few reasons, each with one meaning for whoever asked."""

import errno
import os
from pathlib import Path
from typing import Final

from isthmus.errors import BackstoreError

__all__ = ["gone", "not_writable", "shrunk", "translated"]

_MEANING: Final = {
    errno.EDQUOT: errno.ENOSPC,
    errno.EFBIG: errno.ENOSPC,
    errno.ENXIO: errno.ENODEV,
    errno.ESTALE: errno.ENODEV,
    errno.ENOMEDIUM: errno.ENODEV,
    errno.EACCES: errno.EROFS,
    errno.EPERM: errno.EROFS,
}
"""Reasons that mean the same as one of the four that `Backstore` names; every other one stays what it is."""


def translated(error: OSError, doing: str, *, offset: int | None = None) -> BackstoreError:
    """The `BackstoreError` for `error`, which happened while `doing` (e.g. `writing /srv/disk.img`)."""
    number = error.errno or errno.EIO
    return BackstoreError(_MEANING.get(number, number), f"{doing}: {os.strerror(number)}", offset=offset)


def shrunk(path: Path | str, *, offset: int) -> BackstoreError:
    """The bytes from `offset` on should exist, and do not: somebody has truncated the storage."""
    return BackstoreError(errno.EIO, f"{path} has shrunk: it ends at or before byte {offset}", offset=offset)


def gone(path: Path | str) -> BackstoreError:
    """Nothing leads to the storage any more."""
    return BackstoreError(errno.ENODEV, f"{path} is gone: it was deleted or replaced while it was served")


def not_writable(storage: Path | str) -> BackstoreError:
    """Somebody wants to change storage that was opened for reading."""
    return BackstoreError(errno.EROFS, f"{storage} is served read-only")
