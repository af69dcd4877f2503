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

from typing import TYPE_CHECKING

from isthmus.iscsi.errors import PduRejected
from isthmus.iscsi.opcodes import RESERVED_TAG, RejectReason, TaskManagementFunction, TaskManagementResponseCode
from isthmus.iscsi.pdu import TaskManagementRequest, TaskManagementResponse
from isthmus.iscsi.sequencing import Arrival
from isthmus.names import SerialNumber

if TYPE_CHECKING:
    from isthmus.iscsi.connection import Connection

__all__ = ["TaskManagement"]

_Function = TaskManagementFunction
_Code = TaskManagementResponseCode


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
            self._connection.consume(pdu)
            raise PduRejected(RejectReason.TASK_IN_PROGRESS, "the tag of a task in progress, or the reserved one")
        self._in_progress.add(tag)
        if not pdu.is_immediate:
            if not self._session.sequence(pdu.cmd_sn, lambda: self._start(pdu)):
                self._in_progress.discard(tag)
        elif SerialNumber(pdu.cmd_sn) > self._session.window.exp_cmd_sn and self._must_wait(pdu):
            self._waiting.append(pdu)
            self._session.waiting_functions += 1
        else:
            self._start(pdu)

    def _must_wait(self, pdu: TaskManagementRequest) -> bool:
        """Whether commands before this one are still on their way; a function on one task needs only that."""
        one_task = pdu.function in (_Function.ABORT_TASK, _Function.TASK_REASSIGN)
        return not one_task and self._session.window.arrival(pdu.cmd_sn) is Arrival.EARLY

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
        if pdu.function == _Function.ABORT_TASK:
            self._abort_task(pdu)
        elif pdu.function == _Function.TASK_REASSIGN:
            # Reassignment is for ErrorRecoveryLevel 2 (§11.5.6).
            self._respond(pdu, _Code.TASK_ALLEGIANCE_REASSIGNMENT_NOT_SUPPORTED)
        else:
            self._session.sink.manage(self._connection, pdu, None, lambda code: self._respond(pdu, code))

    def _abort_task(self, pdu: TaskManagementRequest) -> None:
        task = self._session.tasks.get(pdu.referenced_task_tag)
        if task is not None and task.lun == pdu.lun:
            if not task.abortable:
                task.on_settled = lambda: self._abort_task(pdu)
                return
            if not task.delivered:
                task.connection.commands.end_unseen(task)
                self._respond(pdu, _Code.FUNCTION_COMPLETE)
                return
            self._session.sink.manage(self._connection, pdu, task, lambda code: self._respond(pdu, code))
            return
        self._respond(pdu, self._abort_missing(pdu))

    def _abort_missing(self, pdu: TaskManagementRequest) -> TaskManagementResponseCode:
        """The task is not here: it has ended, or it has never come (§11.6.1)."""
        before_request = SerialNumber(pdu.ref_cmd_sn) < pdu.cmd_sn
        window = self._session.window
        in_window = not (
            SerialNumber(pdu.ref_cmd_sn) < window.exp_cmd_sn or SerialNumber(pdu.ref_cmd_sn) > window.max_cmd_sn
        )
        if not (before_request and in_window):
            return _Code.TASK_DOES_NOT_EXIST
        self._session.sequence(pdu.ref_cmd_sn, self._session.window.ended)
        return _Code.FUNCTION_COMPLETE

    def _respond(self, pdu: TaskManagementRequest, code: int) -> None:
        if pdu.initiator_task_tag not in self._in_progress:
            return
        self._in_progress.discard(pdu.initiator_task_tag)
        if not pdu.is_immediate:
            self._session.window.ended()
        self._connection.send(TaskManagementResponse(initiator_task_tag=pdu.initiator_task_tag, response=code))
