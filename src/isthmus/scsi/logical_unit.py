"""A logical unit: one disk or drive, with all the state that SCSI keeps of it (SAM-5 §4.6.19).

It holds the parts and ties their effects together; what a command does stands with its handler, who may run when in
`task_set`, and what an initiator may see in `target/`.
"""

from collections import Counter
from collections.abc import Callable, Collection

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import BlockOperation
from isthmus.scsi.alua import AluaPortGroup, AluaPortGroups, CallLater
from isthmus.scsi.alua_record import load_access_states
from isthmus.scsi.application_client import ApplicationClientLog
from isthmus.scsi.background import BackgroundRun
from isthmus.scsi.buffers import Buffers
from isthmus.scsi.command_table import CommandTable
from isthmus.scsi.copy.manager import CopyManager, CopyServices
from isthmus.scsi.deferred_errors import DeferredErrors
from isthmus.scsi.device_type import DISK, DeviceType
from isthmus.scsi.elsewhere import Visits
from isthmus.scsi.identifying_information import IdentifyingInformation
from isthmus.scsi.identity import UnitIdentity
from isthmus.scsi.limits import Limits
from isthmus.scsi.medium_work import MediumWork, load_medium_failure
from isthmus.scsi.mmc.media_events import MediaEvent, MediaEvents
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.power_conditions import PowerCondition, PowerConditions
from isthmus.scsi.range_lock import RangeLock
from isthmus.scsi.sbc.write_atomic import can_write_atomically, open_journal
from isthmus.scsi.self_tests import SelfTestResults, SelfTests
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.mode_pages import ModePages
from isthmus.scsi.spc.reservation_record import load_reservations
from isthmus.scsi.spc.reservations import Reservations
from isthmus.scsi.spc.saved_mode_pages import load_mode_pages
from isthmus.scsi.state_store import MemoryStateStore, UnitStateStore
from isthmus.scsi.statistics import UnitStatistics
from isthmus.scsi.task import TASK_ABORTED, Response, Task, TaskAttribute
from isthmus.scsi.task_set import TaskSet
from isthmus.scsi.task_set_rules import QueueErrorManagement
from isthmus.scsi.thresholds import ThresholdMonitor
from isthmus.scsi.throttle import RateLimits, Throttle
from isthmus.scsi.timestamp import Clock, Timestamp, stopped_clock
from isthmus.scsi.unit_attention import UnitAttentions
from isthmus.scsi.unit_grants import UnitGrants
from isthmus.scsi.weakly import weakly

__all__ = ["LogicalUnit"]


class LogicalUnit:
    """One disk over one backstore. None of its parts keeps it: it goes with the last one who uses it."""

    def __init__(
        self,
        backstore: Backstore,
        *,
        device_type: DeviceType = DISK,
        table: CommandTable | None = None,
        block_length: int | None = None,
        physical_block_length: int | None = None,
        read_only: bool = False,
        removable: bool = False,
        identity: UnitIdentity | None = None,
        limits: Limits | None = None,
        state: UnitStateStore | None = None,
        clock: Clock = stopped_clock,
        third_party_copy: CopyServices | None = None,
        accept_lost_reservations: bool = False,
        call_later: CallLater | None = None,
        erase_rate: int | None = None,
        alua_group: AluaPortGroup | None = None,
    ) -> None:
        """Lengths are bytes. Raises `ConfigurationError` for a block length that no initiator can use.

        Without a block length it is the first that the device type has. `table`: the commands, where they are not those of
        the device type. `removable`: the medium can be ejected and loaded (RMB). `third_party_copy`: the unit can copy, and be copied from
        and to. `state` keeps what must outlive a restart; without one it is kept in memory. Raises `ConfigurationError` for
        a record of it that cannot be read; with `accept_lost_reservations`, the initiators have to replace damaged
        reservations instead, before they can use the unit. `call_later` times transitions between access states and power
        conditions, and what `erase_rate` asks for: format and sanitize operations move at most so many bytes a second. `alua_group` is
        the target port group of every port that is put into no other.
        """
        self.device_type = device_type
        self.backstore = backstore
        self.table = self._commands(device_type.commands if table is None else table)
        self.block_length = block_length = device_type.block_length(block_length)
        self.physical_block_length = max(
            block_length, physical_block_length or backstore.capabilities.physical_block_length
        )
        """Bytes: the storage writes so much at once; a power of two times `block_length`."""
        self.read_only = read_only or backstore.read_only or device_type.is_drive
        self.identity = identity or UnitIdentity.derived(backstore.identity)
        self.limits = limits or Limits.for_backstore(backstore, block_length)
        self.state = state or MemoryStateStore()
        self._set_up_atomic_writes()
        self.reservations = Reservations(
            load_reservations(self.state, self.identity.serial, accept_loss=accept_lost_reservations)
        )
        self.removable = removable or device_type.is_drive
        self._set_up_mode()
        self.call_later = call_later
        self.erase_rate = erase_rate
        self._set_up_medium()
        self._refresh = refresh = weakly(self.refresh_grants)
        self.unit_attentions = UnitAttentions(refresh)
        self.deferred_errors = DeferredErrors(refresh)
        self.grants = UnitGrants(refresh)
        self.alua = AluaPortGroups(
            weakly(self._access_changed),
            call_later,
            default=alua_group,
            recorded=load_access_states(self.state, self.identity.serial),
        )
        self._set_up_tasks()
        self._set_up_copies(third_party_copy)
        self._set_up_services(clock)

    def _set_up_tasks(self) -> None:
        """Who may run when, and where."""
        mode = self.mode
        self.task_set = TaskSet(self._refresh, self.grants.when_idle, lambda: mode.task_set_rules)
        self.range_lock = RangeLock(self._refresh, self.grants.when_idle)
        self.background: set[BackgroundRun] = set()
        """What goes on whatever becomes of the tasks that asked for it."""
        self._unfinished_aborts: Counter[Task] = Counter()
        self._held_responses: dict[Task, Callable[[], None]] = {}

    def _commands(self, table: CommandTable) -> CommandTable:
        """Of those in `table`, the commands that the storage can follow."""
        capabilities = self.backstore.capabilities
        table = table if capabilities.discard else table.without_discard()
        return table if capabilities.encrypts else table.without_encryption()

    def _set_up_copies(self, services: CopyServices | None) -> None:
        """Without `services` the unit takes no part in third-party copies, and knows none of their commands."""
        self.copy_manager: CopyManager | None = None
        self.offer_copies(services)
        if self.copy_manager is None:
            self.table = self.table.without_copies()
        self.visits = Visits()
        """What goes on here for tasks of other units."""

    def offer_copies(self, services: CopyServices | None) -> None:
        """Take part in third-party copies from now on; without `services`, not any more: those under way end."""
        if services is None and self.copy_manager is not None:
            self.copy_manager.reset()
            self.copy_manager = None
        elif services is not None and self.copy_manager is None and not self.device_type.is_drive:
            self.copy_manager = CopyManager(services, self._refresh)

    def _set_up_mode(self) -> None:
        """The mode parameters, and what compares with them."""
        self.mode = ModePages(
            write_back=self.backstore.write_back,
            thresholds=self.backstore.capabilities.measures_space and not self.device_type.is_drive,
            saved=load_mode_pages(self.state, self.identity.serial),
            others=self.device_type.mode_pages,
        )
        self.thresholds = ThresholdMonitor(self)

    def _set_up_atomic_writes(self) -> None:
        """Before anything is read: a write that a crash has cut short is made whole."""
        writable = not self.device_type.is_drive
        self.writes_atomically = writable and can_write_atomically(self.backstore, self.state)
        if not self.writes_atomically:
            self.table = self.table.without_atomic_writes()
        self.journal = open_journal(self.backstore, self.state, self.identity.serial) if writable else None
        """Where WRITE ATOMIC keeps what it is about to write; None for storage that knows no crash."""

    def _set_up_medium(self) -> None:
        """How the medium is after power on."""
        self.lowest_aligned_lba = 0
        """The first block at the start of a physical one (SBC-4 §5.21.2): 14 bits."""
        self.rotation_rate = 0
        """Rotations a minute, for a medium that rotates; 0: nobody knows."""
        self.medium_present = not self.device_type.is_drive or self.num_blocks > 0
        """Cleared when the medium of a removable unit is ejected (SBC-4 §5.31)."""
        self.tray_open = False
        """An initiator has ejected the medium, and nobody has closed the tray since."""
        self.media_events = MediaEvents()
        self.medium_work: MediumWork | None = None
        """The format or sanitize operation that is going on."""
        self.medium_failure = load_medium_failure(self.state, self.identity.serial)
        """What such an operation that failed, or was interrupted, has left behind."""
        self.self_tests = SelfTests(SelfTestResults.load(self.state, self.identity.serial))
        self.power = PowerConditions(self)
        self.throttle: Throttle | None = None
        """What limits the use of the unit; None: nothing."""
        self.started = True
        """Cleared by START STOP UNIT; the unit is then not ready (SBC-4 §5.31)."""
        self.prevent_removal: set[Nexus] = set()
        """The nexuses that have asked to keep the medium where it is (SBC-4 §5.15)."""

    def _set_up_services(self, clock: Clock) -> None:
        """What initiators can ask for beside the medium."""
        self.statistics = UnitStatistics(self.grants)
        self.application_client = ApplicationClientLog()
        self.buffers = Buffers()
        self.identifying_information = IdentifyingInformation(self.state, self.identity.serial)
        self.timestamp = Timestamp(clock)
        self.ports: dict[int, str] = {}
        """The name of each target port through which this unit can be reached, by relative target port identifier."""

    @property
    def num_blocks(self) -> int:
        """The capacity in logical blocks; a last partial block does not count."""
        return self.backstore.size // self.block_length

    @property
    def is_ready(self) -> bool:
        """Whether nothing but the nexus and the command can stand in the way of an access to the medium."""
        works = self.medium_work is None and self.medium_failure is None and not self.self_tests.in_foreground
        return self.started and self.medium_present and works and self.power.condition is PowerCondition.ACTIVE

    @property
    def nexuses(self) -> frozenset[Nexus]:
        """The nexuses through which this unit can be reached now."""
        return self.grants.nexuses

    def attach(self, nexus: Nexus) -> None:
        """`nexus` maps this unit: it gets its grants, and hears that the unit may have been powered on meanwhile."""
        self.ports[nexus.relative_target_port_id] = nexus.target_port_name
        self.alua.add_port(nexus.relative_target_port_id)
        self.grants.attach(nexus, self)
        self.unit_attentions.attach(nexus)
        self.power.nexus_attached()
        self.unit_attentions.establish(nexus, Sense.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED)

    def lose(self, nexus: Nexus, done: Callable[[], None]) -> None:
        """`nexus` is lost: its tasks are aborted, and nothing that hangs on it stays (SAM-5 §6.3.4).

        `done` is called when none of its accesses is under way. Those that are keep later ones away from their blocks.
        """
        self.abort_tasks({nexus}, by=nexus, done=done)
        self.part_from(nexus)

    def part_from(self, nexus: Nexus) -> None:
        """`nexus`, which has no tasks any more that run, cannot reach this unit from now on."""
        self.forget(nexus)
        self.unit_attentions.detach(nexus)
        if self.grants.detach(nexus):
            hold = self.range_lock.isolate_all()
            self.grants.when_idle(lambda: self.range_lock.release(hold), ())

    def forget(self, nexus: Nexus) -> None:
        """Drop what `nexus` has asked for and what does not outlive it."""
        self.task_set.clear_aca(nexus)
        self.prevent_removal.discard(nexus)
        self.media_events.forget(nexus)
        if self.copy_manager is not None:
            self.copy_manager.nexus_lost(nexus)
        self.reservations.nexus_lost(nexus)
        self.deferred_errors.forget(nexus)
        self.buffers.forget(nexus)
        self.refresh_grants()

    def move_medium(self, *, present: bool, tray_open: bool = False) -> None:
        """The medium goes or comes; initiators that ask for media events hear of it."""
        if present != self.medium_present:
            event = MediaEvent.NEW_MEDIA if present else MediaEvent.MEDIA_REMOVAL
            self.media_events.tell(self.nexuses, event)
        self.medium_present, self.tray_open = present, tray_open
        self.refresh_grants()

    def write_protected(self, nexus: Nexus, lun: int) -> bool:
        """Whether nothing may be written through `nexus` at the LUN field `lun` (SBC-4 §4.13)."""
        mapping = nexus.mapping(lun)
        return self.read_only or self.mode.software_write_protect or mapping is None or mapping.read_only

    def admits_engine(self, nexus: Nexus) -> bool:
        """Whether neither the target port nor the task set can stand in the way of a READ or WRITE of `nexus`.

        Under QERR other than 00b the failure of one task is the end of others, which must then be where it finds them.
        """
        resumes = self.mode.task_set_rules.queue_error_management is QueueErrorManagement.RESUME
        port = nexus.relative_target_port_id
        at_once = self.alua.is_active(port) and not self.alua.group_of(port).command_delay
        return self.throttle is None and resumes and at_once and not self.task_set.holds_back(nexus)

    def limit(self, limits: RateLimits, clock: Callable[[], float]) -> None:
        """Let `limits` hold from now on; `clock` tells seconds and never goes back. Without `call_later` there are none."""
        if self.throttle is not None:
            self.throttle.change(limits)
        elif limits.any and self.call_later is not None:
            self.throttle = Throttle(limits, clock, self.call_later)
        if not limits.any:
            self.throttle = None
        self.refresh_grants()

    def refresh_grants(self) -> None:
        """Recompute what the engine may do alone. Whoever changes something that a grant depends on calls this."""
        self.grants.refresh(self)

    def abort_tasks(
        self, nexuses: Collection[Nexus], *, by: Nexus, done: Callable[[], None], spared: Task | None = None
    ) -> None:
        """Abort the tasks of `nexuses`, but `spared`, because `by` asked for it (SAM-5 §5.6).

        `done` is called when none of them touches the medium any more. The initiators of the others learn of it by
        TASK ABORTED status if the TAS bit is 1, else by a unit attention; `by` gets no answer for its own.
        """
        victims = [task for task in self.task_set if task.nexus in nexuses and task is not spared]
        for nexus in {task.nexus for task in victims} - {by}:
            if not self.mode.task_aborted_status:
                self.unit_attentions.establish(nexus, Sense.COMMANDS_CLEARED_BY_ANOTHER_INITIATOR)
        self.visits.isolate(nexuses)
        with self.range_lock.paused():
            self.task_set.abort(victims, lambda task: self._answer_aborted(task.nexus, by))
        self.task_set.when_ended(victims, lambda: self.grants.when_idle(done, nexuses))

    def abort_tasks_for(self, task: Task, nexuses: Collection[Nexus]) -> None:
        """Abort the tasks and copies of `nexuses` but `task` itself, a PREEMPT AND ABORT (SPC-5 §5.14.11.2.6).

        The response to `task`, whatever its handler returns, is held until none of them touches the medium any more.
        """
        self._unfinished_aborts[task] += 1
        self.abort_tasks(nexuses, by=task.nexus, done=lambda: self._aborts_over(task), spared=task)
        for nexus in nexuses:
            self.task_set.clear_aca(nexus)
        self._abort_copies_for(task, nexuses)

    def _abort_copies_for(self, task: Task, nexuses: Collection[Nexus]) -> None:
        """Copies that go on behind an early status are aborted likewise."""
        copies = frozenset() if self.copy_manager is None else self.copy_manager.operations.in_progress
        for operation in copies:
            if operation.nexus in nexuses:
                operation.abort_requested = True
                self._unfinished_aborts[task] += 1
                operation.when_over(lambda: self._aborts_over(task))

    def clear_aca(self, nexus: Nexus, done: Callable[[], None]) -> None:
        """End the ACA condition of `nexus`, and its ACA task with it; `done` when that is over (SAM-5 §7.4)."""
        tasks = [task for task in self.task_set if task.nexus is nexus and task.attribute is TaskAttribute.ACA]
        self.task_set.abort(tasks, lambda _: None)
        self.task_set.clear_aca(nexus)
        self.task_set.when_ended(tasks, done)

    def when_aborts_over(self, task: Task, respond: Callable[[], None]) -> None:
        """Call `respond` once all that `task` has aborted is over: at once if it has aborted nothing."""
        if task in self._unfinished_aborts:
            self._held_responses[task] = respond
        else:
            respond()

    def _aborts_over(self, task: Task) -> None:
        self._unfinished_aborts[task] -= 1
        if not self._unfinished_aborts[task]:
            del self._unfinished_aborts[task]
            self._held_responses.pop(task, _nothing)()

    def _answer_aborted(self, nexus: Nexus, by: Nexus) -> Response | None:
        return TASK_ABORTED if self.mode.task_aborted_status and nexus is not by else None

    def reset(self, sense: Sense, *, by: Nexus, done: Callable[[], None]) -> None:
        """Abort all tasks, and put everything back to how it was after power on (SAM-5 §6.3.3).

        Every nexus hears of it through the unit attention `sense`. Persistent reservations stay. `done` is called when
        no aborted task touches the medium any more.
        """
        self.abort_tasks(self.nexuses, by=by, done=done)
        for nexus in self.task_set.faulted:
            self.task_set.clear_aca(nexus)
        self.reservations.reset()
        self.mode.reset()
        self.prevent_removal.clear()
        if self.copy_manager is not None:
            self.copy_manager.reset()
        self.deferred_errors.clear()
        self.buffers.clear()
        self.self_tests.abort()
        self.started = True
        self.power.reset()
        self.unit_attentions.establish_for_all(sense)
        self.refresh_grants()

    def tell_attention(self, nexus: Nexus, *, keep: bool = False) -> Sense | None:
        """The unit attention that `nexus` hears now, and with that (unless `keep`) does not hear again.

        That the LUNs have changed is told once, whichever unit tells it (LUICLR; SPC-5 §7.7.7).
        """
        if keep:
            return self.unit_attentions.pending(nexus)
        sense = self.unit_attentions.take(nexus)
        if sense is Sense.REPORTED_LUNS_DATA_HAS_CHANGED:
            for unit in nexus.logical_units:
                unit.unit_attentions.discard(nexus, sense)
        return sense

    def _access_changed(self, sense: Sense | None, but: Nexus | None) -> None:
        if sense is not None:
            self.unit_attentions.establish_for_all(sense, but=but)
        self.refresh_grants()

    def stop_background(self) -> None:
        """Begin nothing further in the background: the server ends."""
        for run in tuple(self.background):
            run.stop()

    @property
    def has_tokens(self) -> bool:
        """Whether something is promised of blocks of this unit: then no write may pass by `will_change`."""
        return self.copy_manager is not None and self.copy_manager.tokens.any_valid

    def will_change(self, operation: BlockOperation) -> None:
        """`operation` starts now, on the backstore of this unit: what stands for the bytes as they were is void."""
        if self.copy_manager is not None:
            self.copy_manager.tokens.will_change(operation)

    def capacity_changed(self) -> None:
        """The backstore has another size: tell every nexus (SBC-4 §4.11). To a drive that is another disc."""
        if not self.device_type.is_drive:
            self.unit_attentions.establish_for_all(Sense.CAPACITY_DATA_HAS_CHANGED)
        elif self.medium_present:
            self.media_events.tell(self.nexuses, MediaEvent.NEW_MEDIA)
            self.unit_attentions.establish_for_all(Sense.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED)
        self.refresh_grants()


def _nothing() -> None:
    """What is left to do for a task whose handler has not returned yet."""
