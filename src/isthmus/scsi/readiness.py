"""Whether a logical unit can get at its medium, and what it says if not (SPC-5 §5.13.8, SBC-4 §4.11, §4.33).

What stands in the way, first what is told first: a sanitize operation that goes on or has failed, a medium that is not
there, a format operation that goes on or has failed, a unit that was stopped. A self-test in the foreground lets only the
commands run that run beside a sanitize operation (SPC-5 §5.15.4.2).
"""

from typing import TYPE_CHECKING

from isthmus.scsi.medium_work import MediumFailure, MediumOperation, MediumWork
from isthmus.scsi.opcodes import CommandDescriptor, ReservationClass
from isthmus.scsi.sense import Sense, SenseData

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["leaves_low_power", "state_sense", "unreadiness"]


def unreadiness(unit: "LogicalUnit", row: CommandDescriptor) -> SenseData | None:
    """Why the command of `row` cannot run now; None if it can."""
    state = unit.medium_work or _unrecovered(unit, row)
    if state is not None and state.operation is MediumOperation.SANITIZE:
        return None if row.runs_while_sanitizing else state.sense_data
    test = unit.self_tests.running
    if test is not None and test.code.in_foreground and not row.runs_while_sanitizing:
        return test.sense_data
    return _medium_state(unit, state) if row.needs_medium else None


def state_sense(unit: "LogicalUnit") -> SenseData:
    """What REQUEST SENSE says of the state of the unit (SPC-5 §6.38)."""
    state = unit.medium_work or unit.medium_failure
    if state is not None and state.operation is MediumOperation.SANITIZE:
        return state.sense_data
    test = unit.self_tests.running
    if test is not None:
        return test.sense_data
    return _medium_state(unit, state) or SenseData(sense=unit.power.sense)


def leaves_low_power(row: CommandDescriptor) -> bool:
    """Whether the command of `row` accesses the medium, which takes a unit back to active (SPC-5 §5.13.4)."""
    return row.needs_medium and row.reservation is not ReservationClass.ALWAYS


def _unrecovered(unit: "LogicalUnit", row: CommandDescriptor) -> MediumFailure | None:
    failure = unit.medium_failure
    return None if failure is None or failure.operation in row.recovers else failure


def _medium_state(unit: "LogicalUnit", state: MediumWork | MediumFailure | None) -> SenseData | None:
    if not unit.medium_present:
        return SenseData(sense=_absence(unit))
    if state is not None:
        return state.sense_data
    if not unit.started:
        return SenseData(sense=Sense.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED)
    return None


def _absence(unit: "LogicalUnit") -> Sense:
    if not unit.device_type.is_drive:
        return Sense.MEDIUM_NOT_PRESENT
    return Sense.MEDIUM_NOT_PRESENT_TRAY_OPEN if unit.tray_open else Sense.MEDIUM_NOT_PRESENT_TRAY_CLOSED
