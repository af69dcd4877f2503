"""Task management at the iSCSI level: which tasks a function is about, and when it may be done (RFC 7143 §4.2.3, §11.5, §11.6).

What a function does to the tasks, the SCSI layer decides. Here stands what only iSCSI knows:

* A function acts on every command with a CmdSN before its own. Immediate requests overtake others, so one whose
  predecessors are not all here waits for them (§4.2.3.2).
* ABORT TASK names its task by tag. If there is no such task, RefCmdSN tells why: a number that the window still holds and
  that has not come is a command that was lost on the way: it counts as received from now on, and as aborted (§11.5.5,
  §11.6.1). Any other number is that of a task that has ended: the task does not exist.
* After its response, no aborted task is heard of again. What the initiator still sends for one is dropped by
  `CommandFlow`. The target does not wait for answers to R2Ts of aborted tasks: initiators in use (open-iscsi with its
  default FastAbort = Yes) do not send them.
"""

from typing import TYPE_CHECKING, Final

from isthmus.iscsi.errors import PduRejected
from isthmus.iscsi.opcodes import RESERVED_TAG, RejectReason, TaskManagementFunction, TaskManagementResponseCode
from isthmus.iscsi.pdu import TaskManagementRequest, TaskManagementResponse
from isthmus.names import SerialNumber

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isthmus.iscsi.connection import Connection
    from isthmus.iscsi.task import IscsiTask

__all__ = ["MAX_FUNCTIONS", "TaskManagement"]

MAX_FUNCTIONS: Final = 64
"""Functions in progress on a connection: immediate ones are not counted by the window, so something must (§4.2.2.1)."""

_Function = TaskManagementFunction
_Code = TaskManagementResponseCode
_ONE_UNIT: Final = (_Function.ABORT_TASK_SET, _Function.CLEAR_TASK_SET, _Function.LOGICAL_UNIT_RESET)
_ALL_UNITS: Final = (_Function.TARGET_WARM_RESET, _Function.TARGET_COLD_RESET)
"""The functions that end tasks, of one unit or of all."""


class TaskManagement:
    """The task management requests of one connection."""

    __slots__ = ("_connection", "_in_progress", "_session", "_waiting")

    def __init__(self, connection: "Connection") -> None:
        """Those of `connection`."""
        self._connection = connection
        self._session = connection.session
        self._in_progress: set[int] = set()
        self._waiting: list[TaskManagementRequest] = []

    def receive(self, pdu: TaskManagementRequest) -> None:
        """Do the function when its turn comes."""
        tag = pdu.initiator_task_tag
        if tag == RESERVED_TAG or tag in self._in_progress or tag in self._session.tasks:
            if not self._connection.consume(pdu):
                return
            raise PduRejected(RejectReason.TASK_IN_PROGRESS, "the tag of a task in progress, or the reserved one")
        if pdu.is_immediate and len(self._in_progress) >= MAX_FUNCTIONS:
            raise PduRejected(RejectReason.IMMEDIATE_COMMAND_REJECT, "too many functions in progress (§4.2.2.1)")
        self._in_progress.add(tag)
        if not pdu.is_immediate:
            if not self._connection.sequence(pdu.cmd_sn, lambda: self._start(pdu)):
                self._in_progress.discard(tag)
        elif self._must_wait(pdu):
            self._waiting.append(pdu)
            self._session.waiting_functions += 1
        else:
            self._start(pdu)

    def _must_wait(self, pdu: TaskManagementRequest) -> bool:
        """Whether commands before this one are still on their way; a function on one task needs only that.

        The number of an immediate request is that of the next command, which the window need not hold yet (§4.2.2.1).
        """
        window, number = self._session.window, SerialNumber(pdu.cmd_sn)
        one_task = pdu.function in (_Function.ABORT_TASK, _Function.TASK_REASSIGN)
        return not one_task and number > window.exp_cmd_sn and number <= window.max_cmd_sn + 1

    def commands_arrived(self) -> None:
        """ExpCmdSN has moved on: start what waited for it."""
        waiting, self._waiting = self._waiting, []
        for pdu in waiting:
            if SerialNumber(pdu.cmd_sn) > self._session.window.exp_cmd_sn:
                self._waiting.append(pdu)
            else:
                self._session.waiting_functions -= 1
                self._start(pdu)

    def connection_lost(self) -> None:
        """Nobody waits any more for the functions that have not begun."""
        self._session.waiting_functions -= len(self._waiting)
        self._waiting.clear()
        self._in_progress.clear()

    def _start(self, pdu: TaskManagementRequest) -> None:
        if pdu.initiator_task_tag not in self._in_progress:
            # Its connection was lost before its turn came. It only gives back its place in the window.
            self._respond(pdu, _Code.FUNCTION_REJECTED)
        elif pdu.function == _Function.ABORT_TASK:
            self._abort_task(pdu)
        elif pdu.function == _Function.TASK_REASSIGN:
            # Reassignment is for ErrorRecoveryLevel 2 (§11.5.6).
            self._respond(pdu, _Code.TASK_ALLEGIANCE_REASSIGNMENT_NOT_SUPPORTED)
        else:
            concerned = self._concerned(pdu)
            self._session.sink.manage(self._connection, pdu, None, lambda code: self._done(pdu, code, concerned))

    def _concerned(self, pdu: TaskManagementRequest) -> "list[IscsiTask]":
        """The tasks of this session that the function ends."""
        tasks = self._session.tasks.values()
        if pdu.function in _ALL_UNITS:
            return list(tasks)
        return [task for task in tasks if task.lun == pdu.lun] if pdu.function in _ONE_UNIT else []

    def _done(self, pdu: TaskManagementRequest, code: int, concerned: "Iterable[IscsiTask]") -> None:
        """The SCSI layer has done the function. A task that it had answered before, and whose answer waits for data, goes too."""
        if code == _Code.FUNCTION_COMPLETE:
            for task in concerned:
                if task.held_result is not None and not task.ended:
                    task.connection.commands.end_unseen(task)
        self._respond(pdu, code)

    def _abort_task(self, pdu: TaskManagementRequest) -> None:
        task = self._session.tasks.get(pdu.referenced_task_tag)
        if task is not None and task.lun == pdu.lun:
            if not task.abortable:
                self._abort_when_settled(task, pdu)
                return
            if not task.delivered or task.held_result is not None:
                task.connection.commands.end_unseen(task)
                self._respond(pdu, _Code.FUNCTION_COMPLETE)
                return
            self._session.sink.manage(self._connection, pdu, task, lambda code: self._respond(pdu, code))
            return
        self._respond(pdu, self._abort_missing(pdu))

    def _abort_when_settled(self, task: "IscsiTask", pdu: TaskManagementRequest) -> None:
        earlier = task.on_settled

        def settled() -> None:
            if earlier is not None:
                earlier()
            self._abort_task(pdu)

        task.on_settled = settled

    def _abort_missing(self, pdu: TaskManagementRequest) -> TaskManagementResponseCode:
        """The task is not here: it has ended, or it has never come (§11.6.1)."""
        before_request = SerialNumber(pdu.ref_cmd_sn) < pdu.cmd_sn
        window = self._session.window
        in_window = not (
            SerialNumber(pdu.ref_cmd_sn) < window.exp_cmd_sn or SerialNumber(pdu.ref_cmd_sn) > window.max_cmd_sn
        )
        if not (before_request and in_window):
            return _Code.TASK_DOES_NOT_EXIST
        self._connection.sequence(pdu.ref_cmd_sn, window.ended)
        return _Code.FUNCTION_COMPLETE

    def _respond(self, pdu: TaskManagementRequest, code: int) -> None:
        if not pdu.is_immediate:
            self._session.window.ended()
        if pdu.initiator_task_tag not in self._in_progress:
            return  # Nobody is there to hear it.
        self._in_progress.discard(pdu.initiator_task_tag)
        self._connection.send(TaskManagementResponse(initiator_task_tag=pdu.initiator_task_tag, response=code))
