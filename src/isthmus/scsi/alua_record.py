"""The access states of target port groups, as they are kept between runs (SPC-5 §5.16.2.9).

A group that only initiators change has to be after a restart where they left it; of others the operator decides.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from isthmus.errors import ConfigurationError
from isthmus.scsi.alua import AluaAccessState
from isthmus.scsi.background import BackgroundSteps
from isthmus.scsi.state_store import ACCESS_STATES, SaveState, UnitStateStore

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["load_access_states", "save_access_states"]

_ENTRY: Final = 3
"""Bytes of one group: its identifier, and its state."""


def load_access_states(store: UnitStateStore, unit_serial: str) -> Mapping[int, AluaAccessState]:
    """The states that were saved, by group; raises `ConfigurationError` for a record of no known form."""
    record = store.load(unit_serial, ACCESS_STATES) or b""
    entries = [record[start : start + _ENTRY] for start in range(0, len(record), _ENTRY)]
    try:
        if len(record) % _ENTRY:
            raise ValueError("the last entry is cut off")
        return {int.from_bytes(entry[:2]): AluaAccessState(entry[2]) for entry in entries}
    except ValueError as error:
        raise ConfigurationError(
            f"the saved access states of unit {unit_serial} are of an unknown form: {error}",
            "serve it with the version of Isthmus that has written them",
        ) from error


def save_access_states(unit: "LogicalUnit") -> BackgroundSteps:
    """Save the states of the groups of `unit` that are to be kept; raises `BackstoreError` if that fails.

    Of two that save at once, whichever ends last has seen to it that the newer states are the saved ones.
    """
    saved: bytes | None = None
    while saved is None or saved != _record(unit):
        saved = _record(unit)
        yield SaveState(unit.state, unit.identity.serial, ACCESS_STATES, saved or None)


def _record(unit: "LogicalUnit") -> bytes:
    """A transition counts as what it leads to: it goes on without whoever asked for it."""
    states = ((group, group.transition.goal if group.transition else group.state) for group in unit.alua)
    return b"".join(group.alua_group_id.to_bytes(2) + bytes((state,)) for group, state in states if group.keeps_state)
