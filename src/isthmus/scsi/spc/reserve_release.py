"""RESERVE and RELEASE, (6) and (10) (SPC-2 §7.16 to §7.22), as SPC-4 §5.13.3 keeps them beside persistent reservations.

Only the whole logical unit can be reserved, and only for the nexus that asks: extents and third parties are refused.
Who may send them when is decided in `reservations`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.scsi.background import BackgroundSteps
from isthmus.scsi.cdb import Command
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.spc.persistent_reservations import ReservationConflict
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["Release", "Reserve", "parse_release", "parse_reserve", "release", "reserve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve(Command):
    """RESERVE (6) or (10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Command):
    """RELEASE (6) or (10)."""


def parse_reserve(_cdb: bytes, _unit: "LogicalUnit") -> Reserve:
    """The usage mask has refused every field that could ask for more than the whole unit."""
    return Reserve()


def parse_release(_cdb: bytes, _unit: "LogicalUnit") -> Release:
    """Likewise."""
    return Release()


def reserve(unit: "LogicalUnit", task: Task) -> Steps:
    """From now on nobody else gets at the medium."""
    yield from unit.reservations.turns.in_turn(_reserve(unit, task))
    return GOOD


def _reserve(unit: "LogicalUnit", task: Task) -> BackgroundSteps:
    assert task.descriptor is not None
    assert task.command is not None
    # Somebody may have registered while this task waited for its turn.
    if unit.reservations.conflicts(task.nexus, task.descriptor, task.command):
        raise ReservationConflict("the unit is reserved")
    unit.reservations.spc2_reserve(task.nexus)
    unit.refresh_grants()
    yield from ()


def release(unit: "LogicalUnit", task: Task) -> Response:
    """Whoever does not hold the reservation may ask as well; nothing happens then (SPC-2 §7.18)."""
    unit.reservations.spc2_release(task.nexus)
    unit.refresh_grants()
    return GOOD
