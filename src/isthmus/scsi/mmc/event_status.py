"""GET EVENT STATUS NOTIFICATION (MMC-6 §6.6): how initiators learn by polling that a disc has come or gone."""

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.power_conditions import PowerCondition
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = ["GetEventStatus", "get_event_status", "parse_get_event_status"]

_POLLED: Final = 0x01
_NO_EVENT_AVAILABLE: Final = 0x80
_TRAY_OPEN: Final = 0x01
_MEDIUM_PRESENT: Final = 0x02


class _NotificationClass(enum.IntEnum):
    """The lower the number, the higher the priority."""

    OPERATIONAL_CHANGE = 1
    POWER_MANAGEMENT = 2
    MEDIA = 4
    DEVICE_BUSY = 6


_SUPPORTED: Final = sum(1 << each for each in _NotificationClass)
_POWER_STATUS: Final = {
    PowerCondition.ACTIVE: 1,
    PowerCondition.IDLE_A: 2,
    PowerCondition.IDLE_B: 2,
    PowerCondition.IDLE_C: 2,
    PowerCondition.STANDBY_Y: 3,
    PowerCondition.STANDBY_Z: 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GetEventStatus(Command):
    """GET EVENT STATUS NOTIFICATION."""

    classes: int
    """A bit for each notification class that is asked for."""
    allocation_length: int


def parse_get_event_status(cdb: bytes, _unit: "LogicalUnit") -> GetEventStatus:
    """Take the CDB apart; a command that would wait for an event is refused, as drives are allowed to."""
    if not cdb[1] & _POLLED:
        raise invalid_in_cdb(1, 0)
    return GetEventStatus(classes=cdb[4], allocation_length=int.from_bytes(cdb[7:9]))


def get_event_status(unit: "LogicalUnit", task: Task) -> Response:
    """One event of the classes that were asked for, or how things stand in the first of them."""
    command = task.command
    assert isinstance(command, GetEventStatus)
    asked = [each for each in _NotificationClass if command.classes >> each & 1]
    if not asked:
        header = struct.pack(">HBB", 2, _NO_EVENT_AVAILABLE, _SUPPORTED)
        return allocated(header, command.allocation_length)
    told = asked[0]
    if _NotificationClass.MEDIA in asked and unit.media_events.pending(task.nexus):
        told = _NotificationClass.MEDIA
    # Without room for the descriptor, nothing is told: the event stays for the next time.
    whole = command.allocation_length > 4
    descriptor = _descriptor(unit, task.nexus, told) if whole else bytes(4)
    return allocated(struct.pack(">HBB", 6, told, _SUPPORTED) + descriptor, command.allocation_length)


def _descriptor(unit: "LogicalUnit", nexus: "Nexus", told: _NotificationClass) -> bytes:
    """Nothing ever happens in classes other than Media: code 0, and the state."""
    if told is _NotificationClass.MEDIA:
        status = (_TRAY_OPEN if unit.tray_open else 0) | (_MEDIUM_PRESENT if unit.medium_present else 0)
        return bytes((unit.media_events.take(nexus), status, 0, 0))
    if told is _NotificationClass.POWER_MANAGEMENT:
        return bytes((0, _POWER_STATUS[unit.power.condition], 0, 0))
    return bytes(4)
