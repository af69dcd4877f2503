"""START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL (SBC-4 §5.31, §5.13), for a disk whose medium is not removable."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores.operations import Barrier, Flush
from isthmus.errors import BackstoreError
from isthmus.scsi.cdb import Command
from isthmus.scsi.opcodes import ReservationClass, Steps
from isthmus.scsi.spc.parameter_data import invalid_in_cdb
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "PreventAllow",
    "StartStopUnit",
    "parse_prevent_allow",
    "parse_start_stop_unit",
    "prevent_allow",
    "start_stop_unit",
]

_START_VALID: Final = 0x0
_ACTIVE: Final = 0x1
_LOEJ: Final = 0x02
_NO_FLUSH: Final = 0x04


@dataclass(frozen=True, slots=True, kw_only=True)
class StartStopUnit(Command):
    """START STOP UNIT."""

    start: bool
    flush: bool
    by_power_condition: bool
    """Asked by POWER CONDITION (ACTIVE) and not by the START bit."""

    @property
    def reservation_class(self) -> ReservationClass:
        # SBC-4 table 15: starting harms nobody, everything else does.
        harmless = self.start and not self.by_power_condition
        return ReservationClass.ALWAYS if harmless else ReservationClass.WRITE


@dataclass(frozen=True, slots=True, kw_only=True)
class PreventAllow(Command):
    """PREVENT ALLOW MEDIUM REMOVAL."""

    prevent: bool

    @property
    def reservation_class(self) -> ReservationClass:
        # SPC-5 §5.14.1: a PREVENT of 0 is always allowed.
        return ReservationClass.WRITE if self.prevent else ReservationClass.ALWAYS


def parse_start_stop_unit(cdb: bytes, _unit: "LogicalUnit") -> StartStopUnit:
    """Take a START STOP UNIT CDB apart.

    There is one power condition, active, and POWER CONDITION MODIFIER 0h with it; a medium cannot be loaded or ejected.
    """
    power_condition = cdb[4] >> 4
    if power_condition not in (_START_VALID, _ACTIVE):
        raise invalid_in_cdb(4, 7)
    if power_condition == _ACTIVE:
        if cdb[3] & 0x0F:
            raise invalid_in_cdb(3, 3)
        return StartStopUnit(start=True, flush=False, by_power_condition=True)
    if cdb[4] & _LOEJ:
        raise invalid_in_cdb(4, 1)
    return StartStopUnit(start=bool(cdb[4] & 0x01), flush=not cdb[4] & _NO_FLUSH, by_power_condition=False)


def start_stop_unit(unit: "LogicalUnit", task: Task) -> Steps:
    """Start or stop. A unit stops only with its cache on the medium, unless NO_FLUSH says that it need not be.

    It stops first and lets writes that are under way end, so that nothing is written behind the flush; if that fails,
    the unit goes on as before. With IMMED too the status comes at the end: an error then belongs to this command and
    not to a later one (SPC-5 §4.4.7).
    """
    command = task.command
    assert isinstance(command, StartStopUnit)
    was_started = unit.started
    _set_started(unit, started=command.start)
    if was_started and not command.start and command.flush:
        try:
            yield Barrier(unit.backstore.size)
            yield Flush()
        except BackstoreError:
            _set_started(unit, started=True)
            raise
    return GOOD


def _set_started(unit: "LogicalUnit", *, started: bool) -> None:
    unit.started = started
    unit.refresh_grants()


def parse_prevent_allow(cdb: bytes, _unit: "LogicalUnit") -> PreventAllow:
    """Take the CDB apart; the values 10b and 11b are obsolete (SBC-4 §5.13)."""
    if cdb[4] & 0x02:
        raise invalid_in_cdb(4, 1)
    return PreventAllow(prevent=bool(cdb[4] & 0x01))


def prevent_allow(unit: "LogicalUnit", task: Task) -> Response:
    """Note the wish of the nexus: a medium that cannot be removed fulfils it anyway."""
    command = task.command
    assert isinstance(command, PreventAllow)
    if command.prevent:
        unit.prevent_removal.add(task.nexus)
    else:
        unit.prevent_removal.discard(task.nexus)
    return GOOD
