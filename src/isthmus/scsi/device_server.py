"""The device server: from a CDB to a task that may enter, and from an enabled task to its response (SAM-5 §4.6.20).

A command is judged twice. `prepare` looks at what cannot change while it waits: whether the command exists and its CDB
is well formed. `obstacle` looks, when the task is enabled, at what stands in its way by then: unit attention,
reservation, readiness, write protection, in the order of SAM-5 §5.3.3.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.errors import BackstoreError
from isthmus.scsi.accessibility import inaccessibility
from isthmus.scsi.backstore_errors import sense_for
from isthmus.scsi.block_executor import BlockExecutor
from isthmus.scsi.cdb_check import check_cdb
from isthmus.scsi.contingency import refusal_of_preempt
from isthmus.scsi.execution import Execution
from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.readiness import leaves_low_power, unreadiness
from isthmus.scsi.sense import CheckCondition, Sense, SenseData
from isthmus.scsi.spc.persistent_reservations import ReservationConflict
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response, Task, TaskAttribute
from isthmus.scsi.task_set_rules import UnitAttentionInterlock
from isthmus.scsi.unit_attention import is_reset

if TYPE_CHECKING:
    from isthmus.backstores.operations import BlockOperation
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["RESERVATION_CONFLICT", "DeviceServer", "OnInternalError", "check_condition", "obstacle"]

OnInternalError = Callable[[Task, Exception], None]
"""Told of an exception that nobody meant to raise: a bug of ours, to be logged."""

RESERVATION_CONFLICT = Response(status=Status.RESERVATION_CONFLICT)


class DeviceServer:
    """Runs the commands of one target's tasks."""

    def __init__(self, executor: BlockExecutor, on_internal_error: OnInternalError) -> None:
        self._executor = executor
        self._on_internal_error = on_internal_error

    def prepare(self, task: Task, unit: "LogicalUnit") -> Response | None:
        """Find the row, check and parse the CDB, set `task.data_out_wanted`; a response ends the task here."""
        try:
            _check_attribute(task, unit)
            row = task.descriptor = unit.table.find(task.cdb)
            check_cdb(row, task.cdb)
            command = task.command = row.parse(task.cdb, unit)
            task.data_out_wanted = command.data_out_length
            if command.length_is_the_initiators:
                task.command = command.expecting(task.data_in_length)
                task.data_out_wanted = task.data_out_offered or 0
        except Exception as error:  # noqa: BLE001  whatever it is, the initiator gets an answer
            return _reset_attention(unit, task) or self.failure(task, unit, error)
        return None

    def run(self, task: Task) -> None:
        """Run `task`, which is enabled, to its end, or to where it waits for a block operation."""
        unit = task.logical_unit
        assert unit is not None
        Execution(task, unit, self._executor, self.failure).run(obstacle)

    def failure(
        self, task: Task, unit: "LogicalUnit", error: Exception, operation: "BlockOperation | None" = None
    ) -> Response:
        """The answer to a command that ended with `error`, in `operation` if that was under way."""
        if isinstance(error, CheckCondition):
            return check_condition(unit, error.sense_data)
        if isinstance(error, ReservationConflict):
            return RESERVATION_CONFLICT
        if isinstance(error, BackstoreError):
            unit.statistics.count_error(task, operation)
            return check_condition(unit, sense_for(error, operation, unit.block_length))
        self._on_internal_error(task, error)
        return check_condition(unit, SenseData(sense=Sense.INTERNAL_TARGET_FAILURE))


def check_condition(unit: "LogicalUnit", sense_data: SenseData) -> Response:
    """CHECK CONDITION with `sense_data`, in the format that D_SENSE asks for."""
    sense = sense_data.to_bytes(descriptor=unit.mode.descriptor_sense)
    return Response(status=Status.CHECK_CONDITION, sense=sense)


def obstacle(unit: "LogicalUnit", task: Task) -> Response | None:
    """What keeps `task` from its handler, as its response."""
    row, command = task.descriptor, task.command
    assert row is not None
    assert command is not None
    refused = refusal_of_preempt(unit, task) if row.passes_aca else None
    if refused is not None:
        return refused
    attention = _reset_attention(unit, task)
    if attention is not None:
        return attention
    not_accessible = inaccessibility(unit, task.nexus, row, command)
    if not_accessible is not None:
        return check_condition(unit, _untold(unit, task, row) or not_accessible)
    if unit.reservations.conflicts(task.nexus, row, command):
        return RESERVATION_CONFLICT
    sense_data = _untold(unit, task, row) or unreadiness(unit, row) or _write_protection(unit, task, row)
    if sense_data is not None:
        return check_condition(unit, sense_data)
    if unit.power.attentive and leaves_low_power(row):
        unit.power.accessed()
    return None


def _check_attribute(task: Task, unit: "LogicalUnit") -> None:
    # Without an ACA condition of its nexus such a task has no place (SAM-5 §8.6.5).
    if task.attribute is TaskAttribute.ACA and task.nexus not in unit.task_set.faulted:
        raise CheckCondition(Sense.INVALID_MESSAGE_ERROR)


def _reset_attention(unit: "LogicalUnit", task: Task) -> Response | None:
    """A reset goes before everything else that could be said of the command (SAM-5 §5.3.3)."""
    pending = unit.unit_attentions.pending(task.nexus)
    if pending is None or not is_reset(pending) or (task.descriptor and task.descriptor.passes_unit_attention):
        return None
    _tell_attention(unit, task)
    return check_condition(unit, SenseData(sense=pending))


def _untold(unit: "LogicalUnit", task: Task, row: CommandDescriptor) -> SenseData | None:
    """What the nexus must hear first: a unit attention, then an error of an earlier command."""
    if row.passes_unit_attention:
        return None
    attention = unit.unit_attentions.pending(task.nexus)
    if attention is None:
        return unit.deferred_errors.take(task.nexus)
    _tell_attention(unit, task)
    return unit.unit_attentions.sense_data(attention)


def _tell_attention(unit: "LogicalUnit", task: Task) -> Sense | None:
    interlock = unit.mode.task_set_rules.unit_attention_interlock
    return unit.tell_attention(task.nexus, keep=interlock is not UnitAttentionInterlock.CLEAR)


def _write_protection(unit: "LogicalUnit", task: Task, row: CommandDescriptor) -> SenseData | None:
    if row.writes_medium and unit.write_protected(task.nexus, task.lun):
        return SenseData(sense=Sense.WRITE_PROTECTED)
    return None
