"""The files behind the units: all are checked before any is made, and what was made goes away if the start fails.

What can only be known with the file open (another writer's lock, a device that does not answer) is the backstore's
to find; this module sees to it that a start that fails there leaves the directory as it was.
"""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from isthmus.errors import ConfigurationError

__all__ = ["BackingFiles"]

_PRIVATE: Final = 0o600
"""A disk's contents are nobody else's business."""


class BackingFiles:
    """A context in which every path exists and fits; left through a `ConfigurationError`, it removes what it made.

    Only that error means that nothing was served yet. After any other the files may hold an initiator's data.
    """

    def __init__(self, paths: Sequence[Path], *, size: int | None, block_length: int, read_only: bool) -> None:
        """`size` (bytes) is what a missing file gets and a present one must have; None takes files as they are."""
        self._paths = paths
        self._size = size
        self._block_length = block_length
        self._read_only = read_only
        self._made: list[tuple[Path, os.stat_result]] = []

    def __enter__(self) -> Self:
        """Check all, then make what is missing; raises `ConfigurationError`, and then nothing has changed."""
        if self._size is not None:
            _check_multiple("--size", self._size, self._block_length)
        missing = [path for path in self._paths if not self._check(path)]
        self._check_distinct()
        try:
            for path in missing:
                self._make(path)
        except ConfigurationError:
            self._remove_made()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, ConfigurationError):
            self._remove_made()

    def _check(self, path: Path) -> bool:
        """Whether `path` exists; raises if it cannot be served."""
        try:
            status = path.stat()
        except FileNotFoundError:
            self._check_can_make(path)
            return False
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be looked at", os.strerror(error.errno or 0)) from error
        _check_kind(path, status)
        self._check_access(path)
        self._check_size(path, _length(path, status))
        return True

    def _check_can_make(self, path: Path) -> None:
        if path.is_symlink():
            raise ConfigurationError(f"{path} is a symbolic link to nothing", "name a file or remove the link")
        if self._size is None:
            raise ConfigurationError(f"{path} does not exist", "give --size SIZE to create it")
        if self._read_only:
            raise ConfigurationError(f"{path} does not exist", "leave out --read-only to create and fill it first")
        if not path.parent.is_dir():
            raise ConfigurationError(f"{path.parent} is not a directory", "create it first (mkdir -p)")

    def _check_access(self, path: Path) -> None:
        if not os.access(path, os.R_OK):
            raise ConfigurationError(f"{path} cannot be read", "change its permissions or run as its owner")
        if not self._read_only and not os.access(path, os.W_OK):
            raise ConfigurationError(
                f"{path} cannot be written", "give --read-only, change its permissions or run as its owner"
            )

    def _check_size(self, path: Path, length: int) -> None:
        if length == 0:
            raise ConfigurationError(f"{path} is empty", f"give it a size first (truncate -s SIZE {path})")
        if self._size is not None and length != self._size:
            raise ConfigurationError(
                f"{path} has {length} bytes and not the {self._size} of --size", "leave out --size to serve it as it is"
            )
        _check_multiple(str(path), length, self._block_length)

    def _check_distinct(self) -> None:
        real = [os.path.realpath(path) for path in self._paths]
        for index, path in enumerate(self._paths):
            if real[index] in real[:index]:
                raise ConfigurationError(f"{path} is named twice", "two units cannot share one file")

    def _make(self, path: Path) -> None:
        """Make a sparse file that also a crash of the machine right afterwards leaves in its directory."""
        assert self._size is not None
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
            try:
                self._made.append((path, os.fstat(descriptor)))
                os.ftruncate(descriptor, self._size)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            _sync_directory(path.parent)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be created", _remedy(error)) from error

    def _remove_made(self) -> None:
        """Take away what was made, unless something else has taken its place meanwhile."""
        for path, made in self._made:
            if path.exists() and os.path.samestat(path.stat(), made):
                path.unlink()
        self._made.clear()


def _check_kind(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ConfigurationError(f"{path} is a directory", "name a file in it, or a block device")
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISBLK(status.st_mode):
        raise ConfigurationError(f"{path} is neither a file nor a block device", "name one of these")


def _length(path: Path, status: os.stat_result) -> int:
    """The bytes in a regular file or block device; a device that cannot be read says so in `_check_access`."""
    if stat.S_ISREG(status.st_mode):
        return status.st_size
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.lseek(descriptor, 0, os.SEEK_END)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be opened", _remedy(error)) from error


def _check_multiple(what: str, size: int, block_length: int) -> None:
    if size % block_length:
        raise ConfigurationError(
            f"{what}: {size} bytes are not a whole number of {block_length}-byte blocks",
            f"{size + -size % block_length} would be; truncate -s sets the size of a file",
        )


def _remedy(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "run as a user who may write there, or name another place"
    if error.errno == errno.EFBIG:
        return "the file system does not hold files of this size"
    return os.strerror(error.errno or 0)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
