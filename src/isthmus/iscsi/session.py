"""A normal session: what its connections share (RFC 7143 §4.2.2, §4.2.6).

The command window and the order of delivery, the tasks by their tag, the connections by their CID. The connections do the
talking; here is who is next.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from isthmus.iscsi.opcodes import RESERVED_TAG
from isthmus.iscsi.pdu import TaskManagementRequest
from isthmus.iscsi.sequencing import Arrival, CommandWindow
from isthmus.iscsi.session_state import SessionInput, SessionState, next_state
from isthmus.iscsi.task import IscsiTask
from isthmus.iscsi.transfer import DataOutBudget, TransferError

if TYPE_CHECKING:
    from isthmus.iscsi.connection import Connection
    from isthmus.iscsi.negotiation import SessionParameters

__all__ = ["DEFAULT_WINDOW_DEPTH", "CommandSink", "Session"]

DEFAULT_WINDOW_DEPTH: Final = 128
"""Commands in progress for each session (LIO: 64, tgt: 128, SPDK: 64)."""


class CommandSink(Protocol):
    """Who executes commands. Each task that is submitted comes back through `Connection.respond` or `Connection.end_unseen`."""

    def submit(self, task: IscsiTask) -> None:
        """Take a task whose turn by CmdSN has come.

        Says through `task.transfer.want` how much data-out its CDB needs; may answer at once.
        """

    def data_out_complete(self, task: IscsiTask) -> None:
        """The task has its data, or needs none: it may run."""

    def fail(self, task: IscsiTask, error: TransferError) -> None:
        """The task's data is unusable: take it back and answer it with the sense of `error` (RFC 7143 §11.4.7.2)."""

    def manage(
        self,
        connection: "Connection",
        request: TaskManagementRequest,
        referenced: IscsiTask | None,
        done: Callable[[int], None],
    ) -> None:
        """Do a task management function; `done` gets the response code (RFC 7143 §11.6.1) when its effects are complete."""

    def connection_lost(self, tasks: list[IscsiTask]) -> None:
        """These tasks lost their connection: abort them; nobody is there to be told."""


class Session:
    """One session. Its fields are plain because the engine looks at them for each command."""

    __slots__ = (
        "_next_target_transfer_tag",
        "budget",
        "chap_user",
        "connections",
        "early",
        "initiator_alias",
        "initiator_name",
        "isid",
        "parameters",
        "sink",
        "state",
        "tasks",
        "tsih",
        "waiting_functions",
        "window",
    )

    def __init__(
        self,
        *,
        initiator_name: str,
        initiator_alias: str = "",
        isid: int,
        tsih: int,
        parameters: "SessionParameters",
        exp_cmd_sn: int,
        sink: CommandSink,
        budget: DataOutBudget,
        window_depth: int = DEFAULT_WINDOW_DEPTH,
        chap_user: str | None = None,
    ) -> None:
        """`exp_cmd_sn` is the first CmdSN of full feature phase; `chap_user` is whom CHAP authenticated, if anybody."""
        self.initiator_name = initiator_name
        self.initiator_alias = initiator_alias
        self.isid = isid
        self.tsih = tsih
        self.parameters = parameters
        self.chap_user = chap_user
        self.sink = sink
        self.budget = budget
        self.window = CommandWindow(exp_cmd_sn, window_depth)
        self.tasks: dict[int, IscsiTask] = {}
        self.connections: dict[int, Connection] = {}
        self.early: dict[int, Callable[[], None]] = {}
        """What to do when the turn of a CmdSN comes that arrived before others."""
        self.waiting_functions = 0
        """Task management functions that wait for commands before them."""
        self.state = next_state(SessionState.FREE, SessionInput.LEADING_LOGIN)
        self._next_target_transfer_tag = 0

    def advance(self, happened: SessionInput) -> None:
        """Change state (see `session_state`)."""
        self.state = next_state(self.state, happened)

    def new_target_transfer_tag(self) -> int:
        """A tag for an R2T or a NOP-In; never the reserved one."""
        self._next_target_transfer_tag = (self._next_target_transfer_tag + 1) % RESERVED_TAG
        return self._next_target_transfer_tag

    def report_event(self, lun: int, sense: bytes) -> None:
        """Tell the initiator of a SCSI event (RFC 7143 §11.9.1, event 0), if it has a connection to hear it on."""
        connection = next(iter(self.connections.values()), None)
        if connection is not None:
            connection.report_event(lun, sense)

    def sequence(self, cmd_sn: int, deliver: Callable[[], None]) -> bool:
        """Deliver a non-immediate request when its turn comes; False if its CmdSN means that it is to be ignored."""
        arrival = self.window.arrival(cmd_sn)
        if arrival is Arrival.IGNORED or cmd_sn in self.early:
            return False
        if arrival is Arrival.EARLY:
            self.early[cmd_sn] = deliver
            return True
        self.window.received()
        deliver()
        while (waiting := self.early.pop(self.window.exp_cmd_sn, None)) is not None:
            self.window.received()
            waiting()
        return True

    def forget(self, task: IscsiTask) -> None:
        """The task has ended: give back its tag, its place in the window and its part of the budget."""
        if task.ended:
            return
        task.ended = True
        if self.tasks.get(task.initiator_task_tag) is task:
            del self.tasks[task.initiator_task_tag]
        if not task.is_immediate:
            self.window.ended()
        if task.reserved:
            reserved, task.reserved = task.reserved, 0
            self.budget.release(reserved)
