"""Whether a logical unit can get at its medium, and what it says if not (SPC-5 §5.13.8, SBC-4 §4.11, §4.33).

What stands in the way, first what is told first: a sanitize operation that goes on or has failed, a medium that is not
there, a format operation that goes on or has failed, a unit that was stopped.
"""

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.opcodes import CommandDescriptor, ReservationClass
from isthmus.scsi.sense import ProgressIndication, Sense, SenseData

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["MediumWork", "PowerCondition", "leaves_low_power", "state_sense", "unreadiness"]

_WHOLE: Final = 0x1_0000
_MOST_PROGRESS: Final = 0xFFFF


class PowerCondition(enum.Enum):
    """The power conditions that START STOP UNIT can ask for, stopped apart (SPC-5 §5.13); the sense tells of them."""

    ACTIVE = None
    IDLE = Sense.IDLE_CONDITION_ACTIVATED_BY_COMMAND
    STANDBY = Sense.STANDBY_CONDITION_ACTIVATED_BY_COMMAND


@dataclass(slots=True)
class MediumWork:
    """A format or sanitize operation that is going on."""

    sense: Sense
    """What commands are refused with meanwhile."""
    total: int
    """Bytes to be written in all."""
    done: int = 0

    @property
    def sense_data(self) -> SenseData:
        """The sense, with how far the work has come (SPC-5 §4.4.2.4.4)."""
        progress = self.done * _WHOLE // self.total if self.total else 0
        return SenseData(sense=self.sense, specific=ProgressIndication(min(progress, _MOST_PROGRESS)))


def unreadiness(unit: "LogicalUnit", row: CommandDescriptor) -> SenseData | None:
    """Why the command of `row` cannot run now; None if it can."""
    sanitizing = _sanitize_state(unit)
    if sanitizing is not None:
        failed = unit.medium_work is None
        allowed = row.runs_while_sanitizing or (failed and row.runs_after_failed_sanitize)
        return None if allowed else sanitizing
    return _medium_state(unit) if row.needs_medium else None


def state_sense(unit: "LogicalUnit") -> SenseData:
    """What REQUEST SENSE says of the state of the unit (SPC-5 §6.39)."""
    state = _sanitize_state(unit) or _medium_state(unit)
    if state is not None:
        return state
    return SenseData(sense=unit.power_condition.value or Sense.NO_ADDITIONAL_SENSE_INFORMATION)


def leaves_low_power(row: CommandDescriptor) -> bool:
    """Whether the command of `row` accesses the medium, which takes a unit back to active (SPC-5 §5.13.4)."""
    return row.needs_medium and row.reservation is not ReservationClass.ALWAYS


def _sanitize_state(unit: "LogicalUnit") -> SenseData | None:
    work = unit.medium_work
    if work is not None:
        return work.sense_data if work.sense is Sense.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS else None
    if unit.medium_failure is Sense.SANITIZE_COMMAND_FAILED:
        return SenseData(sense=unit.medium_failure)
    return None


def _medium_state(unit: "LogicalUnit") -> SenseData | None:
    if not unit.medium_present:
        return SenseData(sense=Sense.MEDIUM_NOT_PRESENT)
    if unit.medium_work is not None:
        return unit.medium_work.sense_data
    if unit.medium_failure is not None:
        return SenseData(sense=unit.medium_failure)
    if not unit.started:
        return SenseData(sense=Sense.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED)
    return None
