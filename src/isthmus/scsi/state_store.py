"""What a logical unit has to remember beyond a restart, and the seam to whoever keeps it.

A unit is known by its serial number. Each part of its state is a record of its own, in a form that its owner defines:
an owner refuses a record that it cannot read, and never guesses at one.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import WOULD_BLOCK, BlockOperation, WouldBlock

__all__ = [
    "ACCESS_STATES",
    "ATOMIC_WRITE",
    "IDENTIFYING_INFORMATION",
    "MEDIA_KEY",
    "MEDIUM_WORK",
    "MODE_PAGES",
    "RESERVATIONS",
    "SELF_TESTS",
    "MemoryStateStore",
    "SaveState",
    "UnitStateStore",
]

ACCESS_STATES: Final = "access-states"
"""The access states of target port groups that initiators have set (SPC-5 §5.16.2.9)."""
ATOMIC_WRITE: Final = "atomic-write"
"""What a WRITE ATOMIC that is under way is about to write, and over what (`backstores/journal.py`)."""
RESERVATIONS: Final = "reservations"
"""Registrations and the persistent reservation, while APTPL is in effect (SPC-5 §5.14.5)."""
MODE_PAGES: Final = "mode-pages"
"""The saved values of the mode pages (SPC-5 §5.11)."""
IDENTIFYING_INFORMATION: Final = "identifying-information"
"""What SET IDENTIFYING INFORMATION has set (SPC-5 §6.42)."""
MEDIA_KEY: Final = "media-key"
"""The key under which everything on the medium is encrypted (`backstores/encrypted.py`): a secret."""
SELF_TESTS: Final = "self-tests"
"""What came of the last self-tests (SPC-5 §7.3.16)."""
MEDIUM_WORK: Final = "medium-work"
"""A format or sanitize operation that is not over, or that has failed (SBC-4 §4.11, §4.33)."""


class UnitStateStore(Protocol):
    """Keeps records. Both calls may block on storage; failures are a `BackstoreError` with the system's errno."""

    def load(self, unit_serial: str, record: str) -> bytes | None:
        """The record as it was saved last; None if there is none."""

    def save(self, unit_serial: str, record: str, data: bytes | None) -> None:
        """Replace the record, or remove it (None): all or nothing, and durable when this returns."""


class MemoryStateStore:
    """Remembers until the process ends: for tests, and for units that are in memory themselves."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], bytes] = {}

    def load(self, unit_serial: str, record: str) -> bytes | None:
        """See `UnitStateStore.load`."""
        return self._records.get((unit_serial, record))

    def save(self, unit_serial: str, record: str, data: bytes | None) -> None:
        """See `UnitStateStore.save`."""
        if data is None:
            self._records.pop((unit_serial, record), None)
        else:
            self._records[unit_serial, record] = data


@dataclass(frozen=True, slots=True)
class SaveState(BlockOperation):
    """Save a record: a handler yields it like any other block operation, so that no thread but a worker waits for it."""

    store: UnitStateStore
    unit_serial: str
    record: str
    data: bytes | None

    def run(self, backstore: Backstore) -> None:
        self.store.save(self.unit_serial, self.record, self.data)

    def run_inline(self, backstore: Backstore) -> Any | Literal[WouldBlock.WOULD_BLOCK]:
        """Whether the store blocks has nothing to do with the backstore."""
        if isinstance(self.store, MemoryStateStore):
            self.run(backstore)
            return None
        return WOULD_BLOCK
