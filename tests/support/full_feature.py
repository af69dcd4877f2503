"""A session in full feature phase with nothing around it: PDUs in, PDUs out, and a sink that does as it is told."""

from collections.abc import Callable
from dataclasses import dataclass, field

from isthmus.iscsi.codec import PduReader
from isthmus.iscsi.connection import Connection
from isthmus.iscsi.opcodes import LogoutReason, LogoutResponseCode
from isthmus.iscsi.parameters import ConnectionParameters, SessionParameters
from isthmus.iscsi.pdu import Pdu, ScsiCommand, TaskManagementRequest
from isthmus.iscsi.session import Session
from isthmus.iscsi.session_state import SessionInput
from isthmus.iscsi.task import CommandResult, IscsiTask
from isthmus.iscsi.text import TextExchange
from isthmus.iscsi.transfer import DataOutBudget, TransferError

__all__ = ["FakeSink", "Peer", "SessionUnderTest", "command"]

FIRST_CMD_SN = 100
FIRST_STAT_SN = 500


def command(tag: int, cmd_sn: int, **fields: object) -> ScsiCommand:
    """A SCSI Command with a CDB that says nothing."""
    return ScsiCommand(initiator_task_tag=tag, cmd_sn=cmd_sn, exp_stat_sn=FIRST_STAT_SN, **fields)  # type: ignore[arg-type]


@dataclass
class FakeSink:
    """Records what the session delivers, and wants as much data-out as it is told to."""

    wanted: int | None = None
    """Bytes of data-out that each CDB asks for; None: all that the initiator expects to send."""
    submitted: list[int] = field(default_factory=list)
    ready: list[IscsiTask] = field(default_factory=list)
    failed: list[tuple[int, TransferError]] = field(default_factory=list)
    functions: list[tuple[TaskManagementRequest, IscsiTask | None, Callable[[int], None]]] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    answer_at_once: CommandResult | None = None

    def submit(self, task: IscsiTask) -> None:
        self.submitted.append(task.initiator_task_tag)
        if self.answer_at_once is not None:
            task.connection.commands.respond(task, self.answer_at_once)
        elif task.transfer is not None:
            task.transfer.want(task.expected_data_transfer_length if self.wanted is None else self.wanted)

    def data_out_complete(self, task: IscsiTask) -> None:
        self.ready.append(task)

    def fail(self, task: IscsiTask, error: TransferError) -> None:
        self.failed.append((task.initiator_task_tag, error))
        task.connection.commands.respond(task, CommandResult(status=2, sense=b"sense"))

    def manage(
        self,
        connection: Connection,
        request: TaskManagementRequest,
        referenced: IscsiTask | None,
        done: Callable[[int], None],
    ) -> None:
        self.functions.append((request, referenced, done))

    def connection_lost(self, tasks: list[IscsiTask]) -> None:
        self.lost += [task.initiator_task_tag for task in tasks]

    def data_of(self, task: IscsiTask) -> bytes:
        """The data-out that a ready task has."""
        assert task.transfer is not None
        return b"".join(task.transfer.take_pieces())


class Peer:
    """The initiator's end of one connection."""

    def __init__(
        self, session: Session, cid: int, parameters: ConnectionParameters, *, discovery: bool = False
    ) -> None:
        self.logouts: list[tuple[LogoutReason, int]] = []
        self.connection = Connection(
            session=session,
            cid=cid,
            stat_sn=FIRST_STAT_SN,
            parameters=parameters,
            text=TextExchange.__new__(TextExchange),
            on_output=lambda: None,
            on_logout=self._log_out,
            discovery=discovery,
        )
        session.connections[cid] = self.connection
        self._reader = PduReader(max_data_segment_length=1 << 24, digests=self.connection.digests)

    def _log_out(self, reason: LogoutReason, cid: int) -> LogoutResponseCode:
        self.logouts.append((reason, cid))
        return LogoutResponseCode.CLOSED_SUCCESSFULLY

    def sends(self, *pdus: Pdu) -> "Peer":
        """Give PDUs to the connection."""
        for pdu in pdus:
            self.connection.receive(pdu)
        return self

    def gets(self) -> list[Pdu]:
        """All PDUs that the connection has queued since the last look."""
        for piece in self.connection.outbox:
            self._reader.feed(piece)
        self.connection.outbox.clear()
        pdus = []
        while (pdu := self._reader.next_pdu()) is not None:
            pdus.append(pdu)
        return pdus

    def gets_one(self) -> Pdu:
        """The one PDU that is queued."""
        (pdu,) = self.gets()
        return pdu


class SessionUnderTest:
    """A session with as many connections as a test opens."""

    def __init__(self, *, window_depth: int = 8, budget: int = 1 << 30, **parameters: object) -> None:
        self.sink = FakeSink()
        self.session = Session(
            initiator_name="iqn.2026-01.org.example:initiator",
            isid=0x00023D000001,
            tsih=1,
            parameters=SessionParameters(**parameters),  # type: ignore[arg-type]
            exp_cmd_sn=FIRST_CMD_SN,
            sink=self.sink,
            budget=DataOutBudget(budget),
            window_depth=window_depth,
        )

    def connect(self, cid: int = 1, *, discovery: bool = False, **parameters: object) -> Peer:
        """One more connection in full feature phase."""
        peer = Peer(self.session, cid, ConnectionParameters(**parameters), discovery=discovery)  # type: ignore[arg-type]
        self.session.advance(SessionInput.CONNECTION_LOGGED_IN)
        return peer
