"""START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL (SBC-4 §5.31, §5.15).

A unit whose medium is removable departs from SBC-4 in two points, as such units (and what drives them) do: a stop without
LOEJ makes the cache durable and leaves the unit ready, since there is no motor and the medium stays in; and POWER
CONDITION values that are reserved change nothing and are no error.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores.operations import Barrier, Flush
from isthmus.errors import BackstoreError
from isthmus.scsi.background import Background, BackgroundSteps
from isthmus.scsi.cdb import Command
from isthmus.scsi.deferred_errors import deferring
from isthmus.scsi.opcodes import ReservationClass, Steps
from isthmus.scsi.power_conditions import PowerCondition
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_cdb
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = [
    "PreventAllow",
    "StartStopUnit",
    "parse_prevent_allow",
    "parse_start_stop_unit",
    "prevent_allow",
    "start_stop_unit",
]

_START_VALID: Final = 0x0
_IMMED: Final = 0x01
_NO_FLUSH: Final = 0x04
_LOEJ: Final = 0x02
_START: Final = 0x01

_LU_CONTROL: Final = 0x7
_IDLE: Final = (PowerCondition.IDLE_A, PowerCondition.IDLE_B, PowerCondition.IDLE_C)
_STANDBY: Final = (PowerCondition.STANDBY_Z, PowerCondition.STANDBY_Y)
_COMMANDED: Final = {0x1: (PowerCondition.ACTIVE,), 0x2: _IDLE, 0x3: _STANDBY}
_FORCED: Final = {0xA: _IDLE, 0xB: _STANDBY}
_MODIFIED: Final = {**_COMMANDED, **_FORCED, _LU_CONTROL: (None,)}
"""By the POWER CONDITION field, then by POWER CONDITION MODIFIER: where it leads (SBC-4 §5.31)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartStopUnit(Command):
    """START STOP UNIT."""

    immediate: bool
    by_power_condition: bool
    """Asked by POWER CONDITION; START, LOEJ and NO_FLUSH then do not count."""
    field: int = 0
    """POWER CONDITION, where it asks for anything."""
    power_condition: PowerCondition | None = None
    start: bool = False
    load_eject: bool = False
    flush: bool = False

    @property
    def reservation_class(self) -> ReservationClass:
        # SBC-4 table 15: starting harms nobody, everything else does.
        harmless = self.start and not self.load_eject and not self.by_power_condition
        return ReservationClass.ALWAYS if harmless else ReservationClass.WRITE


@dataclass(frozen=True, slots=True, kw_only=True)
class PreventAllow(Command):
    """PREVENT ALLOW MEDIUM REMOVAL."""

    prevent: bool

    @property
    def reservation_class(self) -> ReservationClass:
        # SPC-5 §5.14.1: a PREVENT of 0 is always allowed.
        return ReservationClass.WRITE if self.prevent else ReservationClass.ALWAYS


def parse_start_stop_unit(cdb: bytes, unit: "LogicalUnit") -> StartStopUnit:
    """Take a START STOP UNIT CDB apart."""
    immediate = bool(cdb[1] & _IMMED)
    if cdb[4] >> 4 != _START_VALID:
        return StartStopUnit(
            immediate=immediate, by_power_condition=True, field=cdb[4] >> 4, power_condition=_condition(cdb, unit)
        )
    if cdb[4] & _LOEJ and not unit.removable:
        raise invalid_in_cdb(4, 1)
    return StartStopUnit(
        immediate=immediate,
        by_power_condition=False,
        start=bool(cdb[4] & _START),
        load_eject=bool(cdb[4] & _LOEJ),
        flush=not cdb[4] & _NO_FLUSH,
    )


def _condition(cdb: bytes, unit: "LogicalUnit") -> PowerCondition | None:
    field, modifier = cdb[4] >> 4, cdb[3] & 0x0F
    if field not in _MODIFIED:
        if unit.removable:
            return None
        raise invalid_in_cdb(4, 7)
    if modifier >= len(_MODIFIED[field]):
        raise invalid_in_cdb(3, 3)
    return _MODIFIED[field][modifier]


def start_stop_unit(unit: "LogicalUnit", task: Task) -> Response | Steps:
    """Start or stop the unit, load or eject its medium, or change its power condition."""
    command = task.command
    assert isinstance(command, StartStopUnit)
    unit.self_tests.abort()
    if command.load_eject:
        if unit.prevent_removal:
            raise CheckCondition(Sense.MEDIUM_REMOVAL_PREVENTED)
        return _load(unit, task.nexus) if command.start else _with_flush(unit, task, _eject(unit, command))
    if command.by_power_condition:
        _set_condition(unit, command)
        return GOOD
    if command.start:
        _set_started(unit, started=True)
        return GOOD
    return _with_flush(unit, task, _stop(unit, command))


def _with_flush(unit: "LogicalUnit", task: Task, steps: BackgroundSteps) -> Steps:
    """Do `steps`; with IMMED, behind the status, and the initiator hears of an error with a later command."""
    command = task.command
    assert isinstance(command, StartStopUnit)
    if command.immediate:
        yield Background(deferring(unit, task.nexus, steps), awaited=False)
    else:
        yield from steps
    return GOOD


def _stop(unit: "LogicalUnit", command: StartStopUnit) -> BackgroundSteps:
    """A unit stops only with its cache on the medium, unless NO_FLUSH says that it need not be.

    It stops first and lets writes that are under way end, so that nothing is written behind the flush; if that fails,
    the unit goes on as before.
    """
    was_started = unit.started
    if not unit.removable:
        _set_started(unit, started=False)
    if was_started and command.flush:
        try:
            yield Barrier(unit.backstore.size)
            yield Flush()
        except BackstoreError:
            _set_started(unit, started=True)
            raise


def _eject(unit: "LogicalUnit", command: StartStopUnit) -> BackgroundSteps:
    """Likewise; to eject a medium that is not there is no error."""
    was_present = unit.medium_present
    unit.move_medium(present=False, tray_open=True)
    if was_present and command.flush:
        try:
            yield Barrier(unit.backstore.size)
            yield Flush()
        except BackstoreError:
            unit.move_medium(present=True)
            raise


def _load(unit: "LogicalUnit", nexus: "Nexus") -> Response:
    """Load the medium, if there is one; the other nexuses hear that it may be another one."""
    if not unit.medium_present:
        there_is_one = unit.num_blocks > 0 or not unit.device_type.is_drive
        unit.move_medium(present=there_is_one)
        if there_is_one:
            unit.unit_attentions.establish_for_all(Sense.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED, but=nexus)
    _set_started(unit, started=True)
    return GOOD


def _set_started(unit: "LogicalUnit", *, started: bool) -> None:
    unit.power.start_stop_cycles += started and not unit.started
    unit.started = started
    unit.power.reset()


def _set_condition(unit: "LogicalUnit", command: StartStopUnit) -> None:
    if command.field == _LU_CONTROL:
        unit.power.release()
    elif command.power_condition is not None:
        if not unit.started:
            _set_started(unit, started=True)
        lead = unit.power.force if command.field in _FORCED else unit.power.command
        lead(command.power_condition)


def parse_prevent_allow(cdb: bytes, _unit: "LogicalUnit") -> PreventAllow:
    """Take the CDB apart; the values 10b and 11b are obsolete (SBC-4 §5.15)."""
    if cdb[4] & 0x02:
        raise invalid_in_cdb(4, 1)
    return PreventAllow(prevent=bool(cdb[4] & 0x01))


def prevent_allow(unit: "LogicalUnit", task: Task) -> Response:
    """Note the wish of the nexus; START STOP UNIT heeds it. A medium that is not removable fulfils it anyway."""
    command = task.command
    assert isinstance(command, PreventAllow)
    if command.prevent:
        unit.prevent_removal.add(task.nexus)
    else:
        unit.prevent_removal.discard(task.nexus)
    return GOOD
