"""Opening storage that has a path: it exists or is made, it is of the right kind and size, and nobody else writes to it.

Whatever fails here is a `ConfigurationError` that names the remedy, and leaves nothing behind.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isthmus.backstores.locking import lock
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import ConfigurationError

__all__ = ["OpenStorage", "opening"]

_CREATION_MODE: Final = 0o600
"""A disk may hold anything: only its owner reads it."""

_REMEDIES: Final = {
    errno.EACCES: "run as a user who may open it, or change its permissions",
    errno.EPERM: "run as a user who may open it, or change its permissions",
    errno.EROFS: "serve it with --read-only, or mount its file system writable",
    errno.ENOSPC: "free some room, or choose another place",
    errno.EDQUOT: "free some room, or choose another place",
    errno.EFBIG: "choose a smaller size: its file system cannot hold such a file",
    errno.EBUSY: "unmount it and stop what else uses it, or serve it with --read-only",
    errno.ENOENT: "make its directory first",
    errno.ENOTDIR: "one of the names on the way to it is not a directory",
    errno.EMFILE: "raise the limit of open files",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStorage:
    """A locked file or device."""

    path: Path
    """As the operator named it, but absolute."""
    descriptor: int
    """For reading and writing; it holds the lock."""
    side_descriptor: int
    """A second open file of the same storage: for flushes (see `synchronization`), and for seeking without
    anybody else waiting for the offset."""
    size: int
    """Bytes."""
    is_device: bool
    created: bool

    def close(self) -> None:
        """Let go of the storage and of its lock."""
        os.close(self.side_descriptor)
        os.close(self.descriptor)

    def undo_creation(self) -> None:
        """Delete the file if opening it made it."""
        if self.created:
            self.path.unlink(missing_ok=True)


@contextmanager
def opening(spec: BackstoreSpec, *, flags: int = 0) -> Iterator[OpenStorage]:
    """The storage that `spec` names, opened with `flags` beside the access mode, for a constructor to take over.

    Raises `ConfigurationError`. Whatever fails here or in the block is undone.
    """
    path = Path(spec.path).absolute()
    try:
        with ExitStack() as undo:
            storage = _open_existing(spec, path, flags) if path.exists() else _create(spec, path)
            undo.callback(storage.close)
            undo.callback(storage.undo_creation)
            yield storage
            undo.pop_all()
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "")
        raise ConfigurationError(f"{path} cannot be opened ({error.strerror})", remedy) from error


def _open_existing(spec: BackstoreSpec, path: Path, flags: int) -> OpenStorage:
    status = path.stat()
    _check_kind(path, status)
    with ExitStack() as undo:
        descriptor = os.open(path, _access(status, read_only=spec.read_only) | flags)
        undo.callback(os.close, descriptor)
        lock(descriptor, path, exclusive=not spec.read_only)
        size = os.lseek(descriptor, 0, os.SEEK_END)
        _check_size(path, size, spec.size)
        storage = _with_side_descriptor(path, descriptor, size=size, created=False)
        undo.pop_all()
    return storage


def _access(status: os.stat_result, *, read_only: bool) -> int:
    """A writer claims a device for itself: then it is neither mounted nor part of a volume group (open(2), O_EXCL)."""
    if read_only:
        return os.O_RDONLY
    return os.O_RDWR | (os.O_EXCL if stat.S_ISBLK(status.st_mode) else 0)


def _create(spec: BackstoreSpec, path: Path) -> OpenStorage:
    """The name is made as durable as the data will be: a write in a file without a name does not survive."""
    if spec.size is None or not spec.create or spec.read_only:
        raise ConfigurationError(f"{path} does not exist", "check the name, or give a size to create it")
    if spec.size <= 0:
        raise ConfigurationError(f"{path} cannot be made {spec.size} bytes long", "give a size above 0")
    with ExitStack() as undo:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _CREATION_MODE)
        undo.callback(os.close, descriptor)
        undo.callback(path.unlink, missing_ok=True)
        lock(descriptor, path, exclusive=True)
        os.ftruncate(descriptor, spec.size)
        os.fsync(descriptor)
        _sync_directory(path.parent)
        storage = _with_side_descriptor(path, descriptor, size=spec.size, created=True)
        undo.pop_all()
    return storage


def _with_side_descriptor(path: Path, descriptor: int, *, size: int, created: bool) -> OpenStorage:
    """Open `path` again; what was opened first, and locked, must still be what the path leads to."""
    status = os.fstat(descriptor)
    side = os.open(path, os.O_RDONLY)
    if not os.path.samestat(os.fstat(side), status):
        os.close(side)
        raise ConfigurationError(f"{path} was replaced while it was opened", "try again")
    return OpenStorage(
        path=path,
        descriptor=descriptor,
        side_descriptor=side,
        size=size,
        is_device=stat.S_ISBLK(status.st_mode),
        created=created,
    )


def _check_kind(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ConfigurationError(f"{path} is a directory", "name a file in it")
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        raise ConfigurationError(f"{path} is neither a regular file nor a block device", "name one of these")


def _check_size(path: Path, size: int, wanted: int | None) -> None:
    if wanted is not None and size != wanted:
        raise ConfigurationError(
            f"{path} is {size} bytes long, not {wanted}",
            "leave the size out to serve it as it is, or resize it first",
        )
    if not size:
        raise ConfigurationError(f"{path} is empty", "give it a size first, e.g. with truncate --size")


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
