"""Task management functions, and the tasks here that they end (RFC 7143 §11.5, §11.6, §4.2.3)."""

from typing import Final

from isthmus.initiator.connection import Connection
from isthmus.initiator.errors import TaskAborted
from isthmus.initiator.session import Session, lun_field
from isthmus.initiator.task import CommandTask, RequestTask
from isthmus.iscsi.opcodes import RESERVED_TAG, TaskManagementFunction, TaskManagementResponseCode
from isthmus.iscsi.pdu import TaskManagementRequest, TaskManagementResponse

__all__ = ["abort_task", "logical_unit_reset", "manage"]

_F: Final = TaskManagementFunction
_UNIT_FUNCTIONS: Final = (_F.ABORT_TASK_SET, _F.CLEAR_TASK_SET, _F.LOGICAL_UNIT_RESET)
_TARGET_FUNCTIONS: Final = (_F.TARGET_WARM_RESET, _F.TARGET_COLD_RESET)


async def manage(
    session: Session,
    function: TaskManagementFunction,
    *,
    lun: int = 0,
    referenced: CommandTask | None = None,
    connection: Connection | None = None,
    is_immediate: bool = True,
) -> int:
    """Send a function and give the response code, a `TaskManagementResponseCode` if it is one.

    When the target has carried it out, the tasks that it ended fail with `TaskAborted`: those that were on their way
    when the function was sent. A `referenced` task goes over its own connection, as it must (§11.5.2).
    """
    holder = _holder(session, referenced) if referenced is not None else None
    request = TaskManagementRequest(
        is_immediate=is_immediate,
        function=function,
        lun=lun_field(lun) if referenced is None else referenced.lun,
        initiator_task_tag=session.new_tag(),
        referenced_task_tag=RESERVED_TAG if referenced is None else referenced.initiator_task_tag,
        ref_cmd_sn=0 if referenced is None or referenced.cmd_sn is None else referenced.cmd_sn,
    )
    affected = _affected(session, request, referenced)
    response = await session.request(RequestTask(request, TaskManagementResponse), connection=connection or holder)
    if response.response == TaskManagementResponseCode.FUNCTION_COMPLETE:
        _end(session, affected, TaskAborted(f"{function.name.replace('_', ' ')} ended the task"))
    return response.response


async def abort_task(session: Session, task: CommandTask) -> int:
    """ABORT TASK; a task that has not been sent yet is only taken back."""
    for connection in session.connections.values():
        if connection.withdraw(task):
            task.fail(TaskAborted("the task was taken back before it was sent"))
            return TaskManagementResponseCode.FUNCTION_COMPLETE
    return await manage(session, _F.ABORT_TASK, referenced=task)


async def logical_unit_reset(session: Session, lun: int) -> int:
    """LOGICAL UNIT RESET."""
    return await manage(session, _F.LOGICAL_UNIT_RESET, lun=lun)


def _holder(session: Session, task: CommandTask) -> Connection | None:
    """The connection that `task` has been sent on, None if it has ended."""
    for connection in session.connections.values():
        if connection.tasks.get(task.initiator_task_tag) is task:
            return connection
    return None


def _affected(session: Session, request: TaskManagementRequest, referenced: CommandTask | None) -> list[CommandTask]:
    """The tasks on their way that `request` would end."""
    if request.function == _F.ABORT_TASK:
        return [] if referenced is None else [referenced]
    tasks = [task for each in session.connections.values() for task in each.commands()]
    if request.function in _TARGET_FUNCTIONS:
        return tasks
    return [task for task in tasks if task.lun == request.lun] if request.function in _UNIT_FUNCTIONS else []


def _end(session: Session, tasks: list[CommandTask], error: TaskAborted) -> None:
    for task in tasks:
        if not task.ended:
            for connection in session.connections.values():
                connection.forget(task)
            task.fail(error)
