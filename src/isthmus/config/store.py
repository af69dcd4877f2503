"""Where the configuration is kept: one file that is always whole, and the ones before it.

A new file is written beside the old one, private from birth, made durable and renamed over it; the directory is made
durable too. The old one goes, compressed, into `backup/` first. A file that cannot be read is never written over: it is
set aside under another name, and the last good backup is loaded instead.
"""

import contextlib
import gzip
import os
import re
import threading
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from isthmus.config.document import Dumper, Remark, load
from isthmus.config.model import Configuration
from isthmus.errors import ConfigurationError

__all__ = ["FILE_NAME", "MAX_BACKUPS", "ConfigurationStore", "Loaded", "replace_file"]

FILE_NAME: Final = "saveconfig.json"
MAX_BACKUPS: Final = 10
"""LIO's max_backup_files."""
_BACKUPS: Final = "backup"
_PRIVATE: Final = 0o600
_BACKUP_NAME: Final = re.compile(r"saveconfig-\d{8}-\d{2}:\d{2}:\d{2}(?:\.\d+)?-json(?:\.gz)?")
_PLAIN: Final = "-json"
_PACKED: Final = "-json.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a start begins with."""

    configuration: Configuration
    source: Path | None
    """The file that it came from; None: there was none, and the configuration is empty."""
    remarks: tuple[Remark, ...] = ()
    problems: tuple[str, ...] = field(default=())
    """Why better sources could not be used, the best first."""


class ConfigurationStore:
    """The configuration files in one directory."""

    def __init__(self, directory: Path) -> None:
        """`directory` is made when the first configuration is saved."""
        self.path = directory / FILE_NAME
        self._backups = directory / _BACKUPS
        self._dumper = Dumper()
        self._lock = threading.Lock()
        self._written: tuple[str, tuple[int, ...]] | None = None
        """What was saved last, and how the file can be told from one that somebody else has put there."""

    def load(self) -> Loaded:
        """The saved configuration; if that is damaged, the newest backup that is not.

        Raises `ConfigurationError` only if there are files and none of them can be used.
        """
        problems: list[str] = []
        for source in self._sources():
            try:
                found = _fingerprint(source)
                text = _read(source)
                configuration, remarks = load(text)
            except (ConfigurationError, OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
                problems.append(f"{source}: {error}")
                continue
            if source != self.path and self.path.exists():
                problems.append(f"the damaged file is kept as {self._set_aside()}")
            # So that the first change need neither read it again nor write all of it anew.
            self._dumper.dump(configuration)
            if source == self.path:
                self._written = text, found
            return Loaded(configuration=configuration, source=source, remarks=tuple(remarks), problems=tuple(problems))
        if problems:
            raise ConfigurationError(
                f"no saved configuration can be used ({problems[0]})",
                f"restore {self.path}, or move it away to start empty",
            )
        return Loaded(configuration=Configuration(), source=None)

    def _sources(self) -> list[Path]:
        """The saved file and the backups, the newest first."""
        return [path for path in (self.path, *self.backups()) if path.exists()]

    def backups(self) -> list[Path]:
        """The backups, the newest first."""
        if not self._backups.is_dir():
            return []
        found = [path for path in self._backups.iterdir() if _BACKUP_NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def _set_aside(self) -> Path:
        for number in range(1, 1000):
            aside = self.path.with_name(f"{self.path.name}.damaged.{number}")
            if not aside.exists():
                os.link(self.path, aside)
                return aside
        raise ConfigurationError(f"there are 999 damaged copies of {self.path}", "look at them and remove some")

    def save(self, configuration: Configuration) -> None:
        """Keep `configuration`, durably; raises `OSError`, and the old one stays.

        The old file becomes a backup if it is whole and says something else.
        """
        with self._lock:
            self._save(configuration)

    def _save(self, configuration: Configuration) -> None:
        text = self._dumper.dump(configuration)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        present = self._present()
        if present == text:
            return
        if present is not None:
            self._back_up()
        replace_file(self.path, text.encode())
        self._written = text, _fingerprint(self.path)
        for old in self.backups()[MAX_BACKUPS:]:
            old.unlink()

    def _present(self) -> str | None:
        """The text of the saved file, None if it is not there or damaged."""
        try:
            if self._written is not None and _fingerprint(self.path) == self._written[1]:
                return self._written[0]
            text = self.path.read_text()
            load(text)
        except (ConfigurationError, FileNotFoundError, UnicodeDecodeError):
            return None
        return text

    def _back_up(self) -> None:
        """Give the saved file a second name, under which it stays when it is replaced."""
        self._backups.mkdir(mode=0o700, exist_ok=True)
        stamp = datetime.fromtimestamp(self.path.stat().st_mtime).astimezone()
        name = f"saveconfig-{stamp:%Y%m%d-%H:%M:%S}"
        names = (name, *(f"{name}.{number}" for number in range(1, 1000)))
        free = next(
            free for free in names if not any((self._backups / f"{free}{form}").exists() for form in (_PLAIN, _PACKED))
        )
        os.link(self.path, self._backups / f"{free}{_PLAIN}")

    def compress_backups(self) -> None:
        """Make the backups small, which with many targets takes longer than saving; raises `OSError`."""
        with self._lock:
            for path in self.backups():
                if path.name.endswith(_PLAIN):
                    _compress(path)


def _read(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def _compress(path: Path) -> None:
    packed = path.with_name(path.name.removesuffix(_PLAIN) + _PACKED)
    replace_file(packed, gzip.compress(path.read_bytes()))
    status = path.stat()
    os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))  # backups are ordered by their time
    path.unlink()


def _fingerprint(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in place of `path`, for its owner only: after a crash the old content is there, or the new."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)  # What a crash may have left; nobody else writes here.
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
