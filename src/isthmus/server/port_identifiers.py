"""The relative target port identifiers of all portal groups: no two have the same, and each has the same after a restart.

A disk may be reached through several targets, and knows their ports, and who is registered at them, by these numbers alone
(SPC-5 §5.14.6). A number follows from the names of target and group. Where two groups come to the same one, the second
takes another, which is then kept: it must not change when the first group goes.
"""

import json
from hashlib import sha256
from threading import Lock
from typing import Final

import structlog

from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.names import IscsiName
from isthmus.scsi.state_store import UnitStateStore

__all__ = ["PortIdentifiers"]

_MOST: Final = 0xFFFF
_OWNER: Final = "server"
_RECORD: Final = "target-ports"

_log = structlog.get_logger()


class PortIdentifiers:
    """Gives numbers out, and takes them back."""

    def __init__(self, store: UnitStateStore) -> None:
        """`store` keeps what does not follow from names. Raises `ConfigurationError` for a record that is damaged."""
        self._store = store
        self._owners: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        """The same the other way round."""
        self._kept = _decode(store.load(_OWNER, _RECORD))
        self._saving = Lock()
        self.is_saved = True
        """Whether everything that has to be kept is."""

    def take(self, name: IscsiName, tag: int) -> int:
        """The number of a portal group; raises `OverflowError` if none is left."""
        label = _label(name, tag)
        number = self._kept.get(label) or self._free(label)
        self._own(label, number)
        if number != _first_choice(label) and label not in self._kept:
            self._keep({**self._kept, label: number})
        return number

    def claim(self, name: IscsiName, tag: int, number: int) -> None:
        """The operator gives a portal group its number. Whoever had that before has none until it takes another."""
        label = _label(name, tag)
        self._own(label, number)
        kept = {owner: taken for owner, taken in self._kept.items() if owner != label and taken != number}
        if kept != self._kept:
            self._keep(kept)

    def release(self, name: IscsiName, tag: int) -> None:
        """The portal group is deleted."""
        label = _label(name, tag)
        self._disown(label)
        if label in self._kept:
            self._keep({known: number for known, number in self._kept.items() if known != label})

    def save(self) -> None:
        """Keep what has to be; it may block, and runs on any thread."""
        with self._saving:  # and whoever comes last, keeps the latest
            self.is_saved = True
            kept = self._kept
            try:
                self._store.save(_OWNER, _RECORD, json.dumps(kept).encode() if kept else None)
            except BackstoreError as error:
                _log.warning("target port numbers may change at the next start", reason=str(error))

    def _free(self, label: str) -> int:
        kept = set(self._kept.values())
        first = _first_choice(label) - 1
        for step in range(_MOST):
            number = (first + step) % _MOST + 1
            if number not in self._owners and number not in kept:
                return number
        raise OverflowError("there are 65535 portal groups already")

    def _own(self, label: str, number: int) -> None:
        for parted in (label, self._owners.get(number, "")):
            self._disown(parted)
        self._owners[number], self._numbers[label] = label, number

    def _disown(self, label: str) -> None:
        if label in self._numbers:
            del self._owners[self._numbers.pop(label)]

    def _keep(self, numbers: dict[str, int]) -> None:
        self._kept = numbers
        self.is_saved = False


def _label(name: IscsiName, tag: int) -> str:
    return f"{name},t,{tag}"


def _first_choice(label: str) -> int:
    return int.from_bytes(sha256(label.encode()).digest()[:4]) % _MOST + 1


def _decode(record: bytes | None) -> dict[str, int]:
    try:
        kept = json.loads(record or b"{}")
        numbers = [number for number in kept.values() if isinstance(number, int) and 0 < number <= _MOST]
    except (ValueError, AttributeError):
        kept, numbers = None, []
    if kept is None or len(set(numbers)) != len(kept):
        raise ConfigurationError(
            f"the record {_OWNER}.{_RECORD} in the state directory is damaged", "restore it from a backup, or remove it"
        )
    return dict(kept)
