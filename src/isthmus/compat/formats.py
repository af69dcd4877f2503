"""The formats that can be read and written, by the kind that `isthmus import` and `isthmus export` are given.

Each is imported only when it is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from isthmus.compat.importer import Reader, Writer

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One row: where a format's reader and writer are (`module:function`), and which file it is about."""

    about: str
    default_file: str
    """Where its own program keeps it."""
    other_file: str = ""
    """Where else it does, on some systems."""
    reads: str
    writes: str = ""
    """Empty: nothing writes it."""

    def usual_file(self) -> str:
        """The file to read if none is named: of the two, the one that is there."""
        return self.other_file if self.other_file and not Path(self.default_file).exists() else self.default_file

    def reader(self) -> Reader:
        """What reads it."""
        return cast(Reader, _load(self.reads))

    def writer(self) -> Writer:
        """What writes it; not to be asked where `writes` is empty."""
        return cast(Writer, _load(self.writes))


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


FORMATS: Final[Mapping[str, Format]] = {
    "tgt": Format(
        about="tgt's targets.conf",
        default_file="/etc/tgt/targets.conf",
        reads="isthmus.compat.tgt.reading:read",
        writes="isthmus.compat.tgt.writing:write",
    ),
    "lio": Format(
        about="LIO's saveconfig.json",
        default_file="/etc/target/saveconfig.json",
        other_file="/etc/rtslib-fb-target/saveconfig.json",
        reads="isthmus.compat.lio:read",
    ),
    "scst": Format(
        about="SCST's scst.conf, or the ini-style file of iSCSI-SCST",
        default_file="/etc/scst.conf",
        reads="isthmus.compat.scst.reader:read",
        writes="isthmus.compat.scst.writer:write",
    ),
}
