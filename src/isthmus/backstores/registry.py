"""The kinds of backstore by name. Others add one through the entry-point group `isthmus.backstores`.

An entry point names a `Constructor`; its own name is the kind. The kinds of this package cannot be replaced.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from isthmus.backstores.base import Backstore
from isthmus.errors import ConfigurationError

__all__ = ["ENTRY_POINT_GROUP", "BackstoreSpec", "Constructor", "kinds", "open_backstore"]

ENTRY_POINT_GROUP: Final = "isthmus.backstores"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackstoreSpec:
    """Which storage to open, and how."""

    kind: str
    """A registered name: `fileio`, `block`, `ramdisk`, `null`, or a third party's."""
    path: str = ""
    """The file or the device; for storage without one (memory, null), a name that tells it from others."""
    size: int | None = None
    """Bytes. What must be there, or what is to be made; None takes what is there."""
    create: bool = False
    """Make storage of `size` bytes if there is none."""
    read_only: bool = False
    write_back: bool = True
    """Writes may return before they are durable; off: they are durable when they return."""
    block_length: int = 512
    """The shortest access that will be asked for, in bytes: storage that cannot do it refuses to open."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What only one kind knows."""


Constructor = Callable[[BackstoreSpec], Backstore]
"""Opens what a spec describes; raises `ConfigurationError` and leaves nothing behind if that cannot be."""

_OWN_KINDS: Final = {
    "fileio": "FileBackstore",
    "block": "BlockBackstore",
    "ramdisk": "RamdiskBackstore",
    "null": "NullBackstore",
    "pscsi": "PassThroughBackstore",
    "user": "UserBackstore",
}
"""Module of this package and class with a classmethod `open`; imported when first used."""


def open_backstore(spec: BackstoreSpec) -> Backstore:
    """Open the storage that `spec` describes; raises `ConfigurationError` with the remedy if that cannot be."""
    return _constructor(spec.kind)(spec)


def kinds() -> tuple[str, ...]:
    """The names that `BackstoreSpec.kind` can have, ours first."""
    others = {entry_point.name for entry_point in entry_points(group=ENTRY_POINT_GROUP)}
    return (*_OWN_KINDS, *sorted(others - _OWN_KINDS.keys()))


def _constructor(kind: str) -> Constructor:
    if kind in _OWN_KINDS:
        module = import_module(f"isthmus.backstores.{kind}")
        return cast("Constructor", getattr(module, _OWN_KINDS[kind]).open)
    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=kind):
        return _loaded(entry_point)
    raise ConfigurationError(f"there is no kind of backstore called {kind!r}", f"use one of {', '.join(kinds())}")


def _loaded(entry_point: EntryPoint) -> Constructor:
    """Whatever another package's import raises is that package's fault, and costs only the backstore of its kind."""
    try:
        return cast("Constructor", entry_point.load())
    except Exception as error:
        raise ConfigurationError(
            f"the backstore kind {entry_point.name!r} of {entry_point.value} cannot be loaded ({error})",
            "repair or remove the package that provides it",
        ) from error
