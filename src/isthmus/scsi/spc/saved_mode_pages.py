"""The saved values of the mode pages (SPC-5 §5.11), as they are kept between runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from isthmus.errors import ConfigurationError
from isthmus.scsi.background import BackgroundSteps
from isthmus.scsi.state_store import MODE_PAGES, SaveState, UnitStateStore

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["load_mode_pages", "save_mode_pages"]

_HEADER: Final = 4
"""Bytes before each page: page code, subpage code, length of the page in bytes."""

PageKey = tuple[int, int]


def load_mode_pages(store: UnitStateStore, unit_serial: str) -> Mapping[PageKey, bytes]:
    """The saved pages, whole, with their headers; raises `ConfigurationError` for a record of no known form."""
    record = store.load(unit_serial, MODE_PAGES) or b""
    pages: dict[PageKey, bytes] = {}
    position = 0
    while position + _HEADER <= len(record):
        length = int.from_bytes(record[position + 2 : position + _HEADER])
        start = position + _HEADER
        pages[record[position], record[position + 1]] = record[start : start + length]
        position = start + length
    if position != len(record):
        raise ConfigurationError(
            f"the saved mode pages of unit {unit_serial} are of an unknown form",
            "serve it with the version of Isthmus that has written them",
        )
    return pages


def save_mode_pages(unit: "LogicalUnit") -> BackgroundSteps:
    """Save what `unit.mode` wants to be saved; raises `BackstoreError` if that fails.

    Of two commands that save at once, whichever ends last has seen to it that the newer values are the saved ones.
    """
    saved: bytes | None = None
    while saved is None or saved != _record(unit.mode.saved_pages):
        saved = _record(unit.mode.saved_pages)
        yield SaveState(unit.state, unit.identity.serial, MODE_PAGES, saved or None)


def _record(pages: Mapping[PageKey, bytes]) -> bytes:
    return b"".join(bytes(key) + len(page).to_bytes(2) + page for key, page in sorted(pages.items()))
