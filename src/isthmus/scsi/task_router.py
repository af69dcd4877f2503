"""The task router: the one door through which a transport reaches the SCSI layer (SAM-5 §4.6.8)."""

from collections.abc import Callable

from isthmus.backstores.operations import BlockOperation
from isthmus.scsi import online_change
from isthmus.scsi.block_executor import BlockExecutor
from isthmus.scsi.contingency import before_status, refusal
from isthmus.scsi.countdown import Countdown
from isthmus.scsi.device_server import DeviceServer, OnInternalError
from isthmus.scsi.incorrect_logical_unit import respond_without_unit
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.nexus import LunMapping, Nexus
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response, Task, TaskState
from isthmus.scsi.task_manager import OnResult, SamFunction, TaskManager

__all__ = ["TaskRouter"]

_CHECK_CONDITION = Response(status=Status.CHECK_CONDITION)
_BUSY = Response(status=Status.BUSY)
_TASK_SET_FULL = Response(status=Status.TASK_SET_FULL)


class TaskRouter:
    """Brings the tasks of a target's nexuses to their logical units."""

    def __init__(self, executor: BlockExecutor, on_internal_error: OnInternalError | None = None) -> None:
        """`on_internal_error` hears of exceptions that nobody meant to raise; the initiator gets HARDWARE ERROR."""
        self.executor = executor
        self._device_server = DeviceServer(executor, on_internal_error or _unheard)
        self._task_manager = TaskManager()
        self._reached: dict[Nexus, tuple[LogicalUnit, ...]] = {}

    def nexus_established(self, nexus: Nexus) -> None:
        """A session begins: its units give it grants, and a unit attention, as if they had just been powered on."""
        units = self._reached[nexus] = nexus.logical_units
        for unit in units:
            unit.attach(nexus)

    def nexus_lost(self, nexus: Nexus, done: Callable[[], None] = lambda: None) -> None:
        """A session is over: its tasks end unanswered, and what belonged to it alone is forgotten (SAM-5 §6.3.4).

        `done` is called when none of its accesses is under way any more. Nobody has to wait for it: later accesses to
        the same blocks wait by themselves.
        """

        def quiet() -> None:
            nexus.let_go()
            done()

        units = self._reached.pop(nexus, ())
        all_quiet = Countdown(len(units), quiet)
        for unit in units:
            unit.lose(nexus, all_quiet)

    @property
    def nexuses(self) -> tuple[Nexus, ...]:
        """The nexuses that are established."""
        return tuple(self._reached)

    def map_lun(self, nexus: Nexus, lun: int, mapping: LunMapping) -> None:
        """Let `nexus` reach a unit at `lun`; see `online_change.map_lun`."""
        online_change.map_lun(nexus, lun, mapping)
        self._reached[nexus] = nexus.logical_units

    def unmap_lun(self, nexus: Nexus, lun: int, done: Callable[[], None] = lambda: None) -> None:
        """Take `lun` away from `nexus`; see `online_change.unmap_lun`."""
        online_change.unmap_lun(nexus, lun, done)
        self._reached[nexus] = nexus.logical_units

    def submit(self, task: Task) -> None:
        """Take `task`, in the order of CmdSN. A command that cannot run whatever its data ends before this returns."""
        mapping = task.nexus.mapping(task.lun)
        if mapping is None:
            self._refuse(task, respond_without_unit(task))
            return
        unit = task.logical_unit = mapping.logical_unit
        response = refusal(unit, task) or self._device_server.prepare(task, unit) or self._no_room(task, unit)
        if response is not None:
            self._refuse(task, response)
        else:
            unit.task_set.enter(task, self._device_server.run)

    def failed(self, task: Task, error: Exception, operation: BlockOperation) -> None:
        """End `task`, which the transport has run under a grant, and whose `operation` failed with `error`."""
        mapping = task.nexus.mapping(task.lun)
        if mapping is None:
            self._refuse(task, respond_without_unit(task))
            return
        unit = task.logical_unit = mapping.logical_unit
        self._refuse(task, self._device_server.failure(task, unit, error, operation))

    def delivery_failed(self, task: Task) -> None:
        """The transport answers `task`, which it has aborted, with CHECK CONDITION itself: that may concern other tasks."""
        if task.logical_unit is not None:
            before_status(task.logical_unit, task, _CHECK_CONDITION)

    def isolate(self, nexus: Nexus, lun: int) -> None:
        """Nobody hears any more of what the transport does for `nexus` under a grant at the LUN field `lun`.

        Later accesses to that unit wait until it is over: its initiator may write the same blocks anew.
        """
        mapping = nexus.mapping(lun)
        if mapping is not None:
            unit = mapping.logical_unit
            hold = unit.range_lock.isolate_all()
            unit.grants.when_idle(lambda: unit.range_lock.release(hold), {nexus})

    def data_out_complete(self, task: Task) -> None:
        """The data-out of `task` is all there, or there is none: it may run. Does nothing for a task that has ended."""
        if task.logical_unit is not None:
            task.logical_unit.task_set.data_out_complete(task)

    def manage(self, nexus: Nexus, function: SamFunction, lun: int, referenced: Task | None, done: OnResult) -> None:
        """Perform a task management function; `done` is called when its effects are complete.

        From then on no task that it aborted touches the medium. `lun` is the LUN field; `referenced` is the task that
        ABORT TASK names, or None if the transport knows of no such task.
        """
        self._task_manager.perform(nexus, function, lun, referenced, done)

    def _no_room(self, task: Task, unit: LogicalUnit) -> Response | None:
        """TASK SET FULL for who has tasks in the set that will make room, BUSY for who has not (SAM-5 §5.3.1)."""
        if not unit.task_set.is_full:
            return None
        return _TASK_SET_FULL if any(other.nexus is task.nexus for other in unit.task_set) else _BUSY

    def _refuse(self, task: Task, response: Response) -> None:
        if task.logical_unit is not None:
            before_status(task.logical_unit, task, response)
        task.state = TaskState.ENDED
        task.owner.task_ended(task, response)


def _unheard(task: Task, error: Exception) -> None:
    """Nobody wants to hear of internal errors; the initiator does."""
    del task, error
