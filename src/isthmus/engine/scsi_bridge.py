"""Between the iSCSI layer and the SCSI layer of one target: commands go down, responses come up, words are translated."""

from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from isthmus import events
from isthmus.backstores.operations import BlockOperation
from isthmus.engine.read_memory import SessionReads
from isthmus.iscsi.opcodes import TaskManagementFunction, TaskManagementResponseCode
from isthmus.iscsi.pdu import TaskManagementRequest
from isthmus.iscsi.task import CommandResult, IscsiTask
from isthmus.iscsi.transfer import TransferError
from isthmus.scsi.lun import decode_lun
from isthmus.scsi.sense import Sense, SenseData
from isthmus.scsi.statistics import kind_of
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response, Task, TaskAttribute
from isthmus.scsi.task_manager import FunctionResult, SamFunction

if TYPE_CHECKING:
    from isthmus.iscsi.connection import Connection
    from isthmus.scsi.nexus import Nexus
    from isthmus.scsi.task_router import TaskRouter

__all__ = ["ScsiBridge"]

_FUNCTIONS: Final = {
    TaskManagementFunction.ABORT_TASK: SamFunction.ABORT_TASK,
    TaskManagementFunction.ABORT_TASK_SET: SamFunction.ABORT_TASK_SET,
    TaskManagementFunction.CLEAR_ACA: SamFunction.CLEAR_ACA,
    TaskManagementFunction.CLEAR_TASK_SET: SamFunction.CLEAR_TASK_SET,
    TaskManagementFunction.LOGICAL_UNIT_RESET: SamFunction.LOGICAL_UNIT_RESET,
    TaskManagementFunction.TARGET_WARM_RESET: SamFunction.TARGET_WARM_RESET,
    TaskManagementFunction.TARGET_COLD_RESET: SamFunction.TARGET_COLD_RESET,
}
_RESETS: Final = (
    SamFunction.LOGICAL_UNIT_RESET,
    SamFunction.TARGET_WARM_RESET,
    SamFunction.TARGET_COLD_RESET,
)
_RESULTS: Final = {
    FunctionResult.COMPLETE: TaskManagementResponseCode.FUNCTION_COMPLETE,
    FunctionResult.TASK_DOES_NOT_EXIST: TaskManagementResponseCode.TASK_DOES_NOT_EXIST,
    FunctionResult.LUN_DOES_NOT_EXIST: TaskManagementResponseCode.LUN_DOES_NOT_EXIST,
    FunctionResult.NOT_SUPPORTED: TaskManagementResponseCode.FUNCTION_NOT_SUPPORTED,
    FunctionResult.REJECTED: TaskManagementResponseCode.FUNCTION_REJECTED,
}
_TRANSFER_SENSE: Final = {
    # RFC 7143 §11.4.7.2.
    TransferError.OUT_OF_ORDER: Sense.PROTOCOL_SERVICE_CRC_ERROR,
    TransferError.UNEXPECTED_UNSOLICITED_DATA: Sense.UNEXPECTED_UNSOLICITED_DATA,
    TransferError.INCORRECT_AMOUNT_OF_DATA: Sense.NOT_ENOUGH_UNSOLICITED_DATA,
}


class ScsiBridge:
    """The `CommandSink` of one session, and the `TaskOwner` of its tasks."""

    def __init__(
        self,
        router: "TaskRouter",
        nexus: "Nexus",
        reads: SessionReads,
        on_cold_reset: Callable[[], None] = lambda: None,
    ) -> None:
        """`reads` is how much the reads of the session may hold.

        `on_cold_reset` drops the sessions of the target, which TARGET COLD RESET asks for (RFC 7143 §11.5.1).
        """
        self._router = router
        self._nexus = nexus
        self._reads = reads
        self._on_cold_reset = on_cold_reset
        self._tasks: dict[Task, IscsiTask] = {}
        self._reading: dict[Task, int] = {}
        """Bytes that each read holds, or waits for (negative)."""

    # -- Down: CommandSink ---------------------------------------------------------------------------------------------

    def submit(self, task: IscsiTask) -> None:
        """See `CommandSink.submit`."""
        if task.read and task.write:
            # No command of a disk is bidirectional: the flags contradict any CDB.
            self._answer(task, Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT)
            return
        try:
            attribute = TaskAttribute(task.attribute)
        except ValueError:
            self._answer(task, Sense.INVALID_MESSAGE_ERROR)
            return
        scsi_task = self._new_task(task, attribute)
        self._router.submit(scsi_task)
        if task.transfer is not None and not task.ended:
            task.transfer.want(scsi_task.data_out_wanted)

    def failed(self, task: IscsiTask, error: Exception, operation: BlockOperation) -> None:
        """Answer `task`, which the engine has run under a grant, and whose `operation` failed with `error`."""
        scsi_task = self._new_task(task, TaskAttribute.SIMPLE)
        scsi_task.data_out_wanted = task.expected_data_transfer_length
        self._router.failed(scsi_task, error, operation)

    def _new_task(self, task: IscsiTask, attribute: TaskAttribute) -> Task:
        scsi_task = Task(
            nexus=self._nexus,
            lun=task.lun,
            tag=task.initiator_task_tag,
            cdb=task.cdb,
            owner=self,
            attribute=attribute,
            data_in_length=task.expected_data_transfer_length if task.read else 0,
            data_out_offered=task.expected_data_transfer_length if task.write else 0,
        )
        scsi_task.began = perf_counter_ns()
        task.context = scsi_task
        self._tasks[scsi_task] = task
        return scsi_task

    def data_out_complete(self, task: IscsiTask) -> None:
        """See `CommandSink.data_out_complete`."""
        scsi_task = task.context
        if isinstance(scsi_task, Task):
            if task.transfer is not None:
                scsi_task.data_out = task.transfer.take_pieces()
            length = scsi_task.command.data_in_length if task.read and scsi_task.command is not None else 0
            if length and not self._may_read(scsi_task, length):
                return
            self._router.data_out_complete(scsi_task)

    def _may_read(self, task: Task, length: int) -> bool:
        """Whether `task` may read so many bytes now; else it will as soon as there is room for them."""
        taken = self._reads.take(length)
        self._reading[task] = length if taken else -length
        if not taken:
            self._reads.wait(task, length, partial(self._read_later, task, length))
        return taken

    def _read_later(self, task: Task, length: int) -> None:
        self._reading[task] = length
        self._router.data_out_complete(task)

    def _has_read(self, task: Task, connection: "Connection | None", data_in: int) -> None:
        """`task` has ended, with so many bytes that go out on `connection`, or unheard."""
        held = self._reading.pop(task)
        if held < 0:
            self._reads.cancel(task)
            return
        unsent = 0 if connection is None else min(held, data_in)
        if connection is not None:
            connection.unsent_reads += unsent
        if unsent < held:
            self._reads.give_back(held - unsent)

    def fail(self, task: IscsiTask, error: TransferError) -> None:
        """See `CommandSink.fail`: the task leaves the task set unseen, then its answer goes out."""
        scsi_task = task.context
        if not isinstance(scsi_task, Task):
            return
        self._tasks.pop(scsi_task, None)

        def answer(_: FunctionResult) -> None:
            self._router.delivery_failed(scsi_task)
            self._answer(task, _TRANSFER_SENSE[error])

        self._router.manage(self._nexus, SamFunction.ABORT_TASK, task.lun, scsi_task, answer)

    def manage(
        self,
        connection: "Connection",
        request: TaskManagementRequest,
        referenced: IscsiTask | None,
        done: Callable[[int], None],
    ) -> None:
        """See `CommandSink.manage`."""
        function = _FUNCTIONS.get(TaskManagementFunction(request.function)) if request.function in _KNOWN else None
        if function is None:
            done(TaskManagementResponseCode.FUNCTION_NOT_SUPPORTED)
            return
        scsi_task = referenced.context if referenced is not None else None

        def finished(result: FunctionResult) -> None:
            if function in _RESETS:
                self._tell_of_reset(function, result, request.lun)
            done(_RESULTS[result])
            if function is SamFunction.TARGET_COLD_RESET and result is FunctionResult.COMPLETE:
                self._on_cold_reset()

        target = scsi_task if isinstance(scsi_task, Task) else None
        self._router.manage(self._nexus, function, request.lun, target, finished)

    def _tell_of_reset(self, function: SamFunction, result: FunctionResult, lun: int) -> None:
        number = decode_lun(lun) if function is SamFunction.LOGICAL_UNIT_RESET else None
        events.emit(
            events.RESET,
            function=function.name.lower(),
            result=result.name.lower(),
            initiator=self._nexus.initiator_name,
            target=self._nexus.target_name,
            lun="" if number is None else number,
        )

    def connection_lost(self, tasks: list[IscsiTask]) -> None:
        """See `CommandSink.connection_lost`."""
        for task in tasks:
            scsi_task = task.context
            if isinstance(scsi_task, Task) and self._tasks.pop(scsi_task, None) is not None:
                self._router.manage(self._nexus, SamFunction.ABORT_TASK, task.lun, scsi_task, lambda _: None)
        # A write under a grant cannot be aborted, and the initiator may send it again on another connection.
        for lun in {task.lun for task in tasks if not task.abortable}:
            self._router.isolate(self._nexus, lun)

    # -- Up: TaskOwner -------------------------------------------------------------------------------------------------

    def task_ended(self, task: Task, response: Response | None) -> None:
        """The SCSI layer is done with `task`."""
        iscsi_task = self._tasks.pop(task, None)
        if task in self._reading:
            data_in = 0 if response is None else memoryview(response.data_in).nbytes
            self._has_read(task, None if iscsi_task is None else iscsi_task.connection, data_in)
        if iscsi_task is None:
            return  # Its connection is gone, or its data was unusable: nobody waits for this.
        if response is not None and response.status is Status.GOOD:
            self._time(task)
        commands = iscsi_task.connection.commands
        if response is None:
            commands.end_unseen(iscsi_task)
            return
        wanted = task.data_out_wanted if response.data_out_consumed is None else response.data_out_consumed
        commands.respond(
            iscsi_task,
            CommandResult(
                status=response.status, data_in=response.data_in, sense=response.sense, data_out_wanted=wanted
            ),
        )

    def _time(self, task: Task) -> None:
        kind, grant = kind_of(task), self._nexus.grants.get(task.lun)
        if grant is not None and kind in {"read", "write"}:
            grant.time_one(perf_counter_ns() - task.began, is_read=kind == "read")

    def _answer(self, task: IscsiTask, sense: Sense) -> None:
        mapping = self._nexus.mapping(task.lun)
        descriptor = mapping is not None and mapping.logical_unit.mode.descriptor_sense
        encoded = SenseData(sense).to_bytes(descriptor=descriptor)
        task.connection.commands.respond(task, CommandResult(status=Status.CHECK_CONDITION, sense=encoded))


_KNOWN: Final = frozenset(int(function) for function in TaskManagementFunction)
