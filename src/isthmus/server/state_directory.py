"""The state directory: what logical units remember beyond a restart, a file for each record.

A file is replaced, never changed: the new one is written beside it under another name, made durable, and renamed over
it, so that a crash leaves the old record or the new one. Each starts with a line that holds a digest of the rest; a file
that does not match its digest is refused, as nobody can say what a damaged reservation was.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.state_store import MEDIA_KEY

__all__ = ["StateDirectory", "default_state_directory"]

_MAGIC: Final = b"isthmus-state-1 "
_HEADER_LENGTH: Final = len(_MAGIC) + 64 + 1
_LONGEST_NAME: Final = 160
"""Bytes of a file name; file systems take 255, and the record and a suffix come behind the serial number."""
_SECRETS: Final = frozenset({MEDIA_KEY})
"""Records of which nothing shall be left when they are replaced."""
_SYSTEM_DIRECTORY: Final = Path("/var/lib/isthmus")


def default_state_directory() -> Path:
    """Where a service keeps its state (FHS §5.8), or a user (XDG Base Directory, XDG_STATE_HOME)."""
    if os.geteuid() == 0:
        return _SYSTEM_DIRECTORY
    home = os.environ.get("XDG_STATE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "state") / "isthmus"


class StateDirectory:
    """A `UnitStateStore` over one directory, which is made when the first record is saved."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._directory = str(path)

    def load(self, unit_serial: str, record: str) -> bytes | None:
        """See `UnitStateStore.load`; raises `ConfigurationError` for a file that is damaged or cannot be read."""
        path = f"{self._directory}/{_file_name(unit_serial, record)}"
        try:
            # Thousands of units ask for what hardly any has: not by way of pathlib, which would take longer than the rest.
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}", "make it readable") from error
        data = content[_HEADER_LENGTH:]
        if content[:_HEADER_LENGTH] != _header(data):
            raise ConfigurationError(
                f"{path} is damaged", "restore it from a backup, or remove it to go on without what it held"
            )
        return data

    def save(self, unit_serial: str, record: str, data: bytes | None) -> None:
        """See `UnitStateStore.save`."""
        path = self._file(unit_serial, record)
        try:
            with _forgetting(path) if record in _SECRETS else contextlib.nullcontext():
                if data is None:
                    path.unlink(missing_ok=True)
                else:
                    _make(self.path)
                    _replace(path, _header(data) + data)
                _make_names_durable(self.path)
        except OSError as error:
            raise BackstoreError(error.errno or 0, f"{path} cannot be saved: {error.strerror}") from error

    def _file(self, unit_serial: str, record: str) -> Path:
        return self.path / _file_name(unit_serial, record)


def _file_name(unit_serial: str, record: str) -> str:
    name = quote(unit_serial, safe="")
    if len(name) > _LONGEST_NAME or name.startswith("."):
        name = "sha256-" + hashlib.sha256(unit_serial.encode()).hexdigest()
    return f"{name}.{record}"


def _header(data: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(data).hexdigest().encode("ascii") + b"\n"


def _make(directory: Path) -> None:
    """Make the directory, and those above it that are not there: as durable as what will lie in it."""
    if not directory.is_dir():
        _make(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        _make_names_durable(directory.parent)


@contextlib.contextmanager
def _forgetting(path: Path) -> Iterator[None]:
    """Once the block has put something else in the place of a file, overwrite what the file held, where it lies.

    What a file system that copies on write, or a drive that remaps, has kept of it is out of reach.
    """
    try:
        old = path.open("r+b", buffering=0)
    except FileNotFoundError:
        yield
        return
    with old:
        yield
        old.write(bytes(os.fstat(old.fileno()).st_size))
        os.fsync(old.fileno())


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.new")
    # What a crash has left behind; with O_EXCL the file has its mode from birth, whatever was there before.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _make_names_durable(directory: Path) -> None:
    """A rename is on the disk only once its directory is."""
    with contextlib.suppress(FileNotFoundError):  # nothing was ever saved, and now nothing is removed
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
