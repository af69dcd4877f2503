"""What application clients have named the unit: the identifying information (SPC-5 §5.6), which outlives restarts."""

from typing import TYPE_CHECKING, Final

from isthmus.errors import ConfigurationError
from isthmus.scsi.background import BackgroundSteps
from isthmus.scsi.state_store import IDENTIFYING_INFORMATION, SaveState, UnitStateStore

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["LONGEST", "PERIPHERAL", "TEXT", "IdentifyingInformation"]

PERIPHERAL: Final = 0b0000000
"""INFORMATION TYPE: the peripheral device identifying information."""
TEXT: Final = 0b0000010
"""INFORMATION TYPE: the text identifying information, UTF-8 ended by a null."""
LONGEST: Final = {PERIPHERAL: 512, TEXT: 256}
"""Bytes; the standard asks for at least 64 and 256."""


class IdentifyingInformation:
    """Both kinds, as they were set last; nothing until then."""

    def __init__(self, store: UnitStateStore, unit_serial: str) -> None:
        """Read what was set; raises `ConfigurationError` for a record of no known form."""
        record = store.load(unit_serial, IDENTIFYING_INFORMATION)
        self._values = dict.fromkeys(LONGEST, b"") if record is None else _read(record, unit_serial)

    def __getitem__(self, kind: int) -> bytes:
        """The information of `kind`, empty if there is none."""
        return self._values[kind]

    def change(self, unit: "LogicalUnit", kind: int, value: bytes) -> BackgroundSteps:
        """Save `value` and then hold it; raises `BackstoreError`, with nothing changed, if it cannot be saved."""
        values = self._values | {kind: value}
        yield SaveState(unit.state, unit.identity.serial, IDENTIFYING_INFORMATION, _write(values))
        self._values = values


def _write(values: dict[int, bytes]) -> bytes:
    return b"".join(bytes((kind,)) + len(value).to_bytes(2) + value for kind, value in values.items())


def _read(record: bytes, unit_serial: str) -> dict[int, bytes]:
    values: dict[int, bytes] = {}
    position = 0
    while position + 3 <= len(record):
        kind, length = record[position], int.from_bytes(record[position + 1 : position + 3])
        values[kind] = record[position + 3 : position + 3 + length]
        position += 3 + length
    if position != len(record) or values.keys() != LONGEST.keys():
        raise ConfigurationError(
            f"the identifying information of unit {unit_serial} is of an unknown form",
            "serve it with the version of Isthmus that has written it",
        )
    return values
