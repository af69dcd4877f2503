"""What a status other than GOOD means for other tasks and later commands (SAM-5 §5.9, §5.14; SPC-5 §7.5.11).

CHECK CONDITION aborts other tasks if QERR says so, and with NACA brings an ACA condition into effect, in which commands
are refused as `refusal` says. BUSY, TASK SET FULL and RESERVATION CONFLICT establish a unit attention if UA_INTLCK_CTRL
says so.
"""

from typing import TYPE_CHECKING, Final

from isthmus.scsi.opcodes import VARIABLE_LENGTH
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response, Task, TaskAttribute
from isthmus.scsi.task_set_rules import QueueErrorManagement, UnitAttentionInterlock

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = ["asks_for_aca", "before_status", "refusal", "refusal_of_preempt"]

_NACA: Final = 0x04
_CONTROL_OF_VARIABLE_LENGTH: Final = 1
_CONTROL_BY_GROUP: Final = {0: 5, 1: 9, 2: 9, 4: 15, 5: 11}
"""Where CONTROL is, by the group code of the opcode (SPC-5 §4.2.5.1); the other groups are of no known length."""
_ACA_ACTIVE: Final = Response(status=Status.ACA_ACTIVE)
_BUSY: Final = Response(status=Status.BUSY)
_PREVIOUS: Final = {
    Status.BUSY: Sense.PREVIOUS_BUSY_STATUS,
    Status.TASK_SET_FULL: Sense.PREVIOUS_TASK_SET_FULL_STATUS,
    Status.RESERVATION_CONFLICT: Sense.PREVIOUS_RESERVATION_CONFLICT_STATUS,
}


def asks_for_aca(cdb: bytes) -> bool:
    """NACA, the bit of CONTROL that asks for an ACA condition if the command fails (SAM-5 §5.2)."""
    is_variable = cdb[0] == VARIABLE_LENGTH
    control = _CONTROL_OF_VARIABLE_LENGTH if is_variable else _CONTROL_BY_GROUP.get(cdb[0] >> 5)
    return control is not None and control < len(cdb) and bool(cdb[control] & _NACA)


# Commands that come while an ACA condition is in effect.


def refusal(unit: "LogicalUnit", task: Task) -> Response | None:
    """How `task`, which has just come, is refused because of an ACA condition; None if it is not (SAM-5 §5.9.4)."""
    task_set = unit.task_set
    if not task_set.is_blocked(task.nexus):
        return None
    if task.nexus in task_set.faulted:
        return None if _is_next_aca_task(unit, task) else _ACA_ACTIVE
    return None if _may_end_it(unit, task) else _of_other_nexus(task)


def refusal_of_preempt(unit: "LogicalUnit", task: Task) -> Response | None:
    """How a PREEMPT AND ABORT is refused that came from another nexus than the faulted one, and does not preempt that.

    Which of them it preempts stands in its parameter list (SPC-5 §5.14.11.2.6).
    """
    task_set = unit.task_set
    is_other = task_set.is_blocked(task.nexus) and task.nexus not in task_set.faulted
    if not is_other or any(_preempts(unit, task, faulted) for faulted in task_set.faulted):
        return None
    return _of_other_nexus(task)


def _is_next_aca_task(unit: "LogicalUnit", task: Task) -> bool:
    """Of the faulted nexus one task at a time is accepted, with the ACA attribute."""
    if task.attribute is not TaskAttribute.ACA or unit.mode.task_set_rules.task_management_only:
        return False
    return not any(other.attribute is TaskAttribute.ACA for other in _own_tasks(unit, task.nexus))


def _may_end_it(unit: "LogicalUnit", task: Task) -> bool:
    if task.attribute is TaskAttribute.ACA:
        return False
    try:
        return unit.table.find(task.cdb).passes_aca
    except CheckCondition:
        return False


def _of_other_nexus(task: Task) -> Response:
    knows_aca = task.attribute is TaskAttribute.ACA or asks_for_aca(task.cdb)
    return _ACA_ACTIVE if knows_aca else _BUSY


def _preempts(unit: "LogicalUnit", task: Task, faulted: "Nexus") -> bool:
    """SERVICE ACTION RESERVATION KEY is that of `faulted`, or 0 for all registrants (SPC-5 §6.17.3)."""
    key = int.from_bytes(task.data_out_bytes[8:16])
    registered = unit.reservations.persistent.registrations.get(unit.reservations.registrant(faulted))
    return registered is not None and key in (0, registered)


def _own_tasks(unit: "LogicalUnit", nexus: "Nexus") -> list[Task]:
    return [task for task in unit.task_set if task.nexus is nexus]


# Statuses that are about to go out.


def before_status(unit: "LogicalUnit", task: Task, response: Response) -> None:
    """Bring about what the status of `response`, with which `task` is about to end, means for others."""
    if response.status is Status.GOOD:
        return
    if response.status is Status.CHECK_CONDITION:
        _check_condition(unit, task)
        return
    previous = _PREVIOUS.get(response.status)
    interlock = unit.mode.task_set_rules.unit_attention_interlock
    if previous is not None and interlock is UnitAttentionInterlock.KEEP_AND_ESTABLISH:
        unit.unit_attentions.establish(task.nexus, previous)


def _check_condition(unit: "LogicalUnit", task: Task) -> None:
    # The condition comes first: what QERR aborts must not make room for tasks that are to be blocked.
    if asks_for_aca(task.cdb):
        with unit.range_lock.paused():
            unit.task_set.establish_aca(task.nexus, task)
    _abort_affected(unit, task)
    if task.attribute is TaskAttribute.ACA and not asks_for_aca(task.cdb):
        # The end of an ACA task with CHECK CONDITION is the end of the condition that let it in.
        unit.task_set.clear_aca(task.nexus)


def _abort_affected(unit: "LogicalUnit", cause: Task) -> None:
    management = unit.mode.task_set_rules.queue_error_management
    if management is QueueErrorManagement.RESUME:
        return
    affected = {cause.nexus}
    if management is QueueErrorManagement.ABORT_ALL:
        affected |= {task.nexus for task in unit.task_set.sharing(cause.nexus)}
    unit.abort_tasks(affected, by=cause.nexus, done=_nothing, spared=cause)


def _nothing() -> None:
    """The status does not wait for aborted accesses: later ones to the same blocks do so by themselves."""
