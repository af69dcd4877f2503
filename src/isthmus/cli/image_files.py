"""Files for disks that take a while to make: with all their room taken, or with what another image holds.

They are made in view of the user, with a progress bar on a terminal, and belong to the daemon's user if root makes them.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from isthmus.errors import ConfigurationError
from isthmus.management.places import client_socket

__all__ = ["allocated", "copied", "image_size", "new_image"]

_ALLOCATION: Final = 256 << 20
"""Bytes between two looks at the progress."""
_COPY: Final = 64 << 20
_BUFFER: Final = 1 << 20
_NOT_IN_KERNEL: Final = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}

Progress = Callable[[int], None]
"""Told of each so many bytes that are done."""


def image_size(path: Path, block_length: int = 512) -> int:
    """The bytes that a disk with the contents of `path` needs: whole blocks. Raises `ConfigurationError`."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", "name a raw image") from error
    return size + -size % block_length


def allocated(path: Path, size: int) -> contextlib.AbstractContextManager[None]:
    """A file with all its room taken, which stays if the block ends well; raises `ConfigurationError`."""
    return _in_view(path, size, None, preallocate=True)


def copied(path: Path, size: int, source: Path, *, preallocate: bool) -> contextlib.AbstractContextManager[None]:
    """A file that begins with what `source` holds, which stays if the block ends well; raises `ConfigurationError`."""
    return _in_view(path, size, source, preallocate=preallocate)


@contextlib.contextmanager
def _in_view(path: Path, size: int, source: Path | None, *, preallocate: bool) -> Iterator[None]:
    work = (size if preallocate else 0) + (0 if source is None else image_size(source))
    label = "allocating" if source is None else "copying"
    hidden = not sys.stderr.isatty()
    with contextlib.ExitStack() as made:
        with click.progressbar(length=work, label=label, file=sys.stderr, hidden=hidden, width=0) as bar:
            image = new_image(
                path, size, source=source, preallocate=preallocate, owner=_daemons_user(), progress=bar.update
            )
            made.enter_context(image)
        yield


def _daemons_user() -> tuple[int, int] | None:
    """To whom root gives what root makes for the daemon."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(OSError):
        status = client_socket().stat()
        return status.st_uid, status.st_gid
    return None


@contextlib.contextmanager
def new_image(
    path: Path, size: int, *, source: Path | None, preallocate: bool, owner: tuple[int, int] | None, progress: Progress
) -> Iterator[None]:
    """A file of `size` bytes at `path`, durable, which stays if the block ends well.

    `preallocate` takes all its room; `source` is copied to its beginning; `owner` (user and group) is who gets it.
    Raises `ConfigurationError` if it cannot be made, or there is one already.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be made: {error.strerror}") from error
    try:
        try:
            _fill(descriptor, size, source=source, preallocate=preallocate, progress=progress)
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield
    except OSError as error:
        path.unlink()
        raise ConfigurationError(f"{path} cannot be made: {error.strerror}") from error
    except BaseException:
        path.unlink()
        raise


def _fill(descriptor: int, size: int, *, source: Path | None, preallocate: bool, progress: Progress) -> None:
    os.ftruncate(descriptor, size)
    if preallocate:
        for start in range(0, size, _ALLOCATION):
            length = min(_ALLOCATION, size - start)
            os.posix_fallocate(descriptor, start, length)
            progress(length)
    if source is not None:
        with source.open("rb", buffering=0) as file:
            _copy(file.fileno(), descriptor, progress)


def _copy(source: int, target: int, progress: Progress) -> None:
    """Copy the data; the holes of `source` are not written, but count as done."""
    done = 0
    for start, end in _extents(source):
        progress(start - done)
        position = start
        while position < end:
            count = _copy_some(source, target, position, end - position)
            if count == 0:
                raise OSError(errno.EIO, "the image has become shorter meanwhile")
            position += count
            progress(count)
        done = end
    progress(os.lseek(source, 0, os.SEEK_END) - done)


def _extents(descriptor: int) -> Iterator[tuple[int, int]]:
    """Where there is data: from, to."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            if error.errno != errno.EINVAL:
                raise
            start, end = end, size  # A device that knows no holes.
        yield start, end


def _copy_some(source: int, target: int, position: int, length: int) -> int:
    try:
        return os.copy_file_range(source, target, min(length, _COPY), position, position)
    except OSError as error:
        if error.errno not in _NOT_IN_KERNEL:
            raise
    return os.pwrite(target, os.pread(source, min(length, _BUFFER), position), position)
