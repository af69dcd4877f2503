"""The task manager: the functions that act on tasks rather than on data (SAM-5 §7)."""

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from isthmus.scsi.countdown import Countdown
from isthmus.scsi.sense import Sense

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus
    from isthmus.scsi.task import Task

__all__ = ["FunctionResult", "OnResult", "SamFunction", "TaskManager"]


class SamFunction(enum.Enum):
    """SAM-5 §7.1. TARGET RESET is SAM-2's; iSCSI keeps it as TARGET WARM RESET and TARGET COLD RESET."""

    ABORT_TASK = "ABORT TASK"
    ABORT_TASK_SET = "ABORT TASK SET"
    CLEAR_ACA = "CLEAR ACA"
    CLEAR_TASK_SET = "CLEAR TASK SET"
    LOGICAL_UNIT_RESET = "LOGICAL UNIT RESET"
    I_T_NEXUS_RESET = "I_T NEXUS RESET"
    TARGET_WARM_RESET = "TARGET WARM RESET"
    TARGET_COLD_RESET = "TARGET COLD RESET"


class FunctionResult(enum.Enum):
    """How a function ended (SAM-5 §7.1, RFC 7143 §11.6.1)."""

    COMPLETE = "function complete"
    TASK_DOES_NOT_EXIST = "task does not exist"
    LUN_DOES_NOT_EXIST = "LUN does not exist"
    NOT_SUPPORTED = "function not supported"
    REJECTED = "function rejected"


OnResult = Callable[[FunctionResult], None]

_TARGET_RESETS: Final = {
    SamFunction.TARGET_WARM_RESET: Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED,
    SamFunction.TARGET_COLD_RESET: Sense.POWER_ON_OCCURRED,
}
"""What the initiators hear: a cold reset is a power on event (RFC 7143 §11.5.1)."""


class TaskManager:
    """Performs the functions. Their effects begin before `perform` returns; the result comes when they are over."""

    def perform(
        self, nexus: "Nexus", function: SamFunction, lun: int, referenced: "Task | None", on_result: OnResult
    ) -> None:
        """Perform `function` for `nexus`. `lun` is the LUN field; the functions on a whole target do not look at it."""
        if function in _TARGET_RESETS:
            self._reset_target(nexus, _TARGET_RESETS[function], on_result)
        elif function is SamFunction.I_T_NEXUS_RESET:
            self._reset_nexus(nexus, on_result)
        elif (mapping := nexus.mapping(lun)) is None:
            on_result(FunctionResult.LUN_DOES_NOT_EXIST)
        else:
            self._on_unit(mapping.logical_unit, nexus, function, referenced, on_result)

    def _on_unit(
        self, unit: "LogicalUnit", nexus: "Nexus", function: SamFunction, referenced: "Task | None", on_result: OnResult
    ) -> None:
        def complete() -> None:
            on_result(FunctionResult.COMPLETE)

        if function is SamFunction.ABORT_TASK:
            self._abort_task(unit, nexus, referenced, on_result)
        elif function is SamFunction.ABORT_TASK_SET:
            unit.abort_tasks({nexus}, by=nexus, done=complete)
        elif function is SamFunction.CLEAR_ACA:
            self._clear_aca(unit, nexus, on_result)
        elif function is SamFunction.CLEAR_TASK_SET:
            everybody = {nexus} if unit.mode.task_set_rules.per_nexus else unit.nexuses
            unit.abort_tasks(everybody, by=nexus, done=complete)
        else:
            unit.reset(Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, by=nexus, done=complete)

    def _abort_task(self, unit: "LogicalUnit", nexus: "Nexus", referenced: "Task | None", on_result: OnResult) -> None:
        # A task of another nexus, or of another unit than the LUN says, is none that this nexus could name.
        if referenced is None or referenced.nexus is not nexus or referenced not in unit.task_set:
            on_result(FunctionResult.TASK_DOES_NOT_EXIST)
            return
        unit.task_set.abort((referenced,), _no_answer)
        unit.task_set.when_ended((referenced,), lambda: on_result(FunctionResult.COMPLETE))

    def _clear_aca(self, unit: "LogicalUnit", nexus: "Nexus", on_result: OnResult) -> None:
        # Only the faulted nexus can clear its condition; where there is none, there is nothing to do (SAM-5 §7.4).
        if unit.task_set.is_blocked(nexus) and nexus not in unit.task_set.faulted:
            on_result(FunctionResult.REJECTED)
        else:
            unit.clear_aca(nexus, lambda: on_result(FunctionResult.COMPLETE))

    def _reset_target(self, nexus: "Nexus", sense: Sense, on_result: OnResult) -> None:
        """Reset every unit that `nexus` can reach: what the access rules hide from it is not its to reset."""
        units = nexus.logical_units
        when_all = Countdown(len(units), lambda: on_result(FunctionResult.COMPLETE))
        for unit in units:
            unit.reset(sense, by=nexus, done=when_all)

    def _reset_nexus(self, nexus: "Nexus", on_result: OnResult) -> None:
        """As if the nexus had been lost and come back (SAM-5 §7.6)."""
        units = nexus.logical_units
        when_all = Countdown(len(units), lambda: on_result(FunctionResult.COMPLETE))
        for unit in units:
            unit.abort_tasks({nexus}, by=nexus, done=when_all)
            unit.forget(nexus)
            unit.unit_attentions.establish(nexus, Sense.I_T_NEXUS_LOSS_OCCURRED)


def _no_answer(task: "Task") -> None:
    """A task that its own nexus aborts ends without a status (SAM-5 §7.2)."""
