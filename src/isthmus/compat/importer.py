"""What a reader of another target's configuration file takes and gives: one interface for all of them.

A reader turns text into a `Configuration` and never acts on anything. What the file says and cannot be done here is a
`Finding`, with its line; what is no sentence of the format at all is an `ImportSyntaxError`, with its line and column.
"""

import codecs
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from isthmus.config.model import BackstoreKey, Configuration
from isthmus.errors import ConfigurationError

__all__ = [
    "Exported",
    "Finding",
    "ImportSyntaxError",
    "Imported",
    "Reader",
    "Surroundings",
    "Writer",
    "decoded",
    "file_text",
    "matching_files",
    "path_kind",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a file that is not done as it says."""

    file: str
    line: int
    """Counts from 1; 0 if a file's notation has no lines worth telling."""
    meaning: str
    """What the file asks for. No secret is in it."""
    instead: str
    """What happens instead."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.meaning}: {self.instead}"


@dataclass(frozen=True, slots=True)
class Imported:
    """A file as a configuration, and what of it is not done as it says, in the order of the lines."""

    configuration: Configuration
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """A configuration as another target's file, and what has no place in that format, a sentence each."""

    text: str
    remarks: tuple[str, ...] = ()


class ImportSyntaxError(ConfigurationError):
    """A file breaks the grammar of its format at `line` and `column`, which count from 1."""

    def __init__(self, file: str, line: int, column: int, problem: str, remedy: str = "") -> None:
        super().__init__(f"{file}:{line}:{column}: {problem}", remedy)
        self.file = file
        self.line = line
        self.column = column


def decoded(content: bytes) -> str:
    """The text of a file, without the mark that some editors put before it. See `file_text` for what is not UTF-8."""
    return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def file_text(path: str) -> str:
    """The text of a file. Bytes that are not UTF-8 become lone surrogates, so that none is lost (PEP 383)."""
    try:
        return decoded(Path(path).read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def path_kind(path: str) -> str:
    """`block` for a block device, `character` for another one, `file` for a file or directory, or `absent`."""
    try:
        file = Path(path)
        if file.is_block_device():
            return "block"
        if file.is_char_device():
            return "character"
        return "file" if file.exists() else "absent"
    except (OSError, ValueError):
        return "absent"


def matching_files(pattern: str) -> list[str]:
    """The files, sorted, that an absolute path with wildcards means; those directly in it, if it is a directory."""
    path = Path(pattern)
    try:
        if path.is_dir():
            return sorted(str(entry) for entry in path.iterdir() if entry.is_file())
        relative = path.relative_to(path.anchor)
        return sorted(str(entry) for entry in Path(path.anchor or ".").glob(str(relative)) if entry.is_file())
    except (OSError, ValueError, NotImplementedError):
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a file means may depend on; readers ask nobody else."""

    new_serial: Callable[[BackstoreKey], str]
    """The serial number of a backstore for which the file gives none."""
    running: Configuration = field(default_factory=Configuration)
    """What runs, without secrets: see `management.secrets`."""
    read_text: Callable[[str], str] = file_text
    """The text of an included file, by its absolute path; raises `ConfigurationError`."""
    list_files: Callable[[str], list[str]] = matching_files
    kind_of: Callable[[str], str] = path_kind


class Reader(Protocol):
    """Reads one format."""

    def __call__(self, text: str, name: str, surroundings: Surroundings) -> Imported:
        """The configuration in `text`, the content of the file `name` (absolute, or what standard input is called).

        Raises `ImportSyntaxError`, or `ConfigurationError` if an included file cannot be read. `text` may have lone
        surrogates: see `file_text`.
        """


class Writer(Protocol):
    """Writes one format."""

    def __call__(self, configuration: Configuration) -> Exported:
        """`configuration`, from which secrets may be missing (`config.model.KEPT`), in that format."""
