"""A connection in full feature phase, without its socket: PDUs in, bytes out (RFC 7143 §4.2, §11).

The owner of the socket calls `receive` with each PDU and sends what gathers in `outbox`. Commands go to the session's
`CommandSink` in CmdSN order (`command_flow`), task management likewise (`task_management`). Reads that need no decision
bypass this module (see `engine/`); they share its counters.

Errors: `PduRejected` is answered here, with a Reject. `ConnectionViolation` leaves `receive`, and the owner closes.
"""

from collections.abc import Callable

from typing_extensions import Buffer

from isthmus.iscsi.codec import Digests, encode
from isthmus.iscsi.command_flow import CommandFlow
from isthmus.iscsi.connection_state import ConnectionInput, ConnectionState, next_state
from isthmus.iscsi.errors import PduRejected
from isthmus.iscsi.negotiation import ConnectionParameters
from isthmus.iscsi.opcodes import RESERVED_TAG, AsyncEvent, LogoutReason, LogoutResponseCode, RejectReason
from isthmus.iscsi.pdu import (
    AsyncMessage,
    DataOut,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    Pdu,
    Reject,
    RequestPdu,
    ResponsePdu,
    ScsiCommand,
    SnackRequest,
    TaskManagementRequest,
    TextRequest,
    UnknownPdu,
)
from isthmus.iscsi.pdu_counts import PduCounts
from isthmus.iscsi.sequencing import SEQUENCE_MASK
from isthmus.iscsi.session import Session
from isthmus.iscsi.task import IscsiTask
from isthmus.iscsi.task_management import TaskManagement
from isthmus.iscsi.text import TextExchange

__all__ = ["Connection"]


class Connection:
    """One connection from the end of its login to its end."""

    __slots__ = (
        "_handlers",
        "_ping_tag",
        "cid",
        "closing",
        "commands",
        "counts",
        "digests",
        "exp_stat_sn",
        "max_read_length",
        "max_write_length",
        "on_logout",
        "on_output",
        "on_reads_sent",
        "outbox",
        "parameters",
        "session",
        "stat_sn",
        "state",
        "task_management",
        "text",
        "unsent_reads",
    )

    def __init__(
        self,
        *,
        session: Session,
        cid: int,
        stat_sn: int,
        parameters: ConnectionParameters,
        text: TextExchange,
        on_logout: Callable[[LogoutReason, int], LogoutResponseCode],
        on_output: Callable[[], None] = lambda: None,
        discovery: bool = False,
    ) -> None:
        """`stat_sn` is the next StatSN.

        `on_output` is called when `outbox` has gained something. `on_logout` is told the reason and the CID of a logout,
        ends what it ends, and gives the answer. In a `discovery` session there are text, logout and NOP only (§4.3).
        """
        self.session = session
        self.cid = cid
        self.stat_sn = stat_sn
        self.exp_stat_sn = stat_sn
        """What the initiator has last acknowledged."""
        self.counts = PduCounts(first_stat_sn=stat_sn)
        self.use_parameters(parameters)
        self.digests = Digests(header=parameters.header_digest, data=parameters.data_digest)
        self.text = text
        self.on_output = on_output
        self.on_logout = on_logout
        self.outbox: list[Buffer] = []
        self.unsent_reads = 0
        """Bytes in `outbox` that hold memory of which there is only so much; `on_reads_sent` is told when they have gone."""
        self.on_reads_sent: Callable[[int], None] = _nobody_counts
        self.closing = False
        """Set when the connection is to be closed as soon as `outbox` is sent."""
        self.state = ConnectionState.LOGGED_IN
        self.commands = CommandFlow(self)
        self.task_management = TaskManagement(self)
        self._ping_tag: int | None = None
        self._handlers: dict[type[Pdu], Callable[..., None]] = {
            NopOut: self._receive_nop_out,
            TextRequest: self._receive_text,
            LogoutRequest: self._receive_logout,
            UnknownPdu: self._receive_unknown,
        }
        if not discovery:
            self._handlers |= {
                ScsiCommand: self.commands.receive_command,
                DataOut: self.commands.receive_data_out,
                TaskManagementRequest: self.task_management.receive,
                SnackRequest: self._receive_snack,
            }

    def use_parameters(self, parameters: ConnectionParameters) -> None:
        """Live by `parameters` from now on: MaxRecvDataSegmentLength may be declared again (§13.12)."""
        self.parameters = parameters
        self.max_read_length = min(parameters.max_xmit_data_segment_length, self.session.parameters.max_burst_length)
        """The longest read, in bytes, that one Data-In PDU answers."""
        negotiated = self.session.parameters
        immediate_limit = min(negotiated.first_burst_length, parameters.max_recv_data_segment_length)
        self.max_write_length = immediate_limit if negotiated.immediate_data else 0
        """The longest write, in bytes, that comes with its command in one PDU."""

    # -- In ------------------------------------------------------------------------------------------------------------

    def receive(self, pdu: Pdu) -> None:
        """Take one PDU; raises `ConnectionViolation` when the connection cannot go on."""
        if self.state is ConnectionState.IN_LOGOUT:
            return  # Nothing counts after the Logout Request (§11.14).
        if isinstance(pdu, RequestPdu):
            self.exp_stat_sn = pdu.exp_stat_sn
        try:
            self._handlers.get(type(pdu), self._receive_misplaced)(pdu)
        except PduRejected as error:
            self.reject(pdu, error.reason)

    def sequenced(self, pdu: RequestPdu, deliver: Callable[[], None]) -> bool:
        """Deliver a request at once if it is immediate, else in CmdSN order; False if it is ignored."""
        if pdu.is_immediate:
            deliver()
            return True
        return self.sequence(pdu.cmd_sn, deliver)

    def sequence(self, cmd_sn: int, deliver: Callable[[], None]) -> bool:
        """Deliver what has `cmd_sn` when its turn comes, and start the functions that waited for it; False if ignored."""
        taken = self.session.sequence(cmd_sn, deliver)
        if self.session.waiting_functions:
            for connection in list(self.session.connections.values()):
                connection.task_management.commands_arrived()
        return taken

    def one_shot(self, pdu: RequestPdu, handle: Callable[[], None]) -> bool:
        """Sequence a request that holds its place in the window only while it is handled; False if it is ignored."""

        def deliver() -> None:
            if not pdu.is_immediate:
                self.session.window.ended()
            if self.session.connections.get(self.cid) is not self:
                return  # The connection was lost before the turn of the request came, and with it whoever asked.
            try:
                handle()
            except PduRejected as error:
                self.reject(pdu, error.reason)

        return self.sequenced(pdu, deliver)

    def consume(self, pdu: RequestPdu) -> bool:
        """Count a request that is not acted on, so that those behind it are not held up (§4.2.2.1); False if ignored."""
        return self.one_shot(pdu, lambda: None)

    def _receive_misplaced(self, pdu: Pdu) -> None:
        if isinstance(pdu, RequestPdu):
            self.consume(pdu)
        raise PduRejected(RejectReason.PROTOCOL_ERROR, f"{type(pdu).__name__} in full feature phase (§7.3)")

    def _receive_unknown(self, pdu: UnknownPdu) -> None:
        raise PduRejected(RejectReason.COMMAND_NOT_SUPPORTED, f"opcode {pdu.received_opcode:#x} (§11.2.1.2)")

    def _receive_snack(self, pdu: SnackRequest) -> None:
        raise PduRejected(RejectReason.SNACK_REJECT, f"SNACK type {pdu.snack_type} at ErrorRecoveryLevel 0 (§11.16)")

    # -- NOP, text, logout ---------------------------------------------------------------------------------------------

    def _receive_nop_out(self, pdu: NopOut) -> None:
        if pdu.target_transfer_tag != RESERVED_TAG:
            self._receive_ping_answer(pdu)
        elif pdu.initiator_task_tag == RESERVED_TAG:
            self.consume(pdu)  # Only tells ExpStatSN (§11.18).
        else:
            self.one_shot(pdu, lambda: self._echo(pdu))

    def _receive_ping_answer(self, pdu: NopOut) -> None:
        """The answer to our NOP-In; another tag than ours is nobody's ping (§11.18.2)."""
        if pdu.target_transfer_tag == self._ping_tag:
            self._ping_tag = None
        if pdu.initiator_task_tag != RESERVED_TAG or not pdu.is_immediate:
            self.consume(pdu)

    def _echo(self, pdu: NopOut) -> None:
        limit = self.parameters.max_xmit_data_segment_length
        self.send(
            NopIn(
                lun=pdu.lun,
                initiator_task_tag=pdu.initiator_task_tag,
                data_segment=memoryview(pdu.data_segment)[:limit],
            )
        )

    def _receive_text(self, pdu: TextRequest) -> None:
        self.one_shot(pdu, lambda: self._exchange_text(pdu))

    def _exchange_text(self, pdu: TextRequest) -> None:
        self.send(self.text.receive(pdu))
        self.use_parameters(self.text.parameters)

    def _receive_logout(self, pdu: LogoutRequest) -> None:
        self.one_shot(pdu, lambda: self._log_out(pdu))

    def _log_out(self, pdu: LogoutRequest) -> None:
        """Answer a logout (§11.14, §11.15). The response leaves before the connection does."""
        ends_this = pdu.reason == LogoutReason.CLOSE_SESSION or pdu.cid == self.cid
        try:
            reason = LogoutReason(pdu.reason)
        except ValueError:
            raise PduRejected(RejectReason.INVALID_PDU_FIELD, f"logout reason {pdu.reason} (§11.14.1)") from None
        code = self._end_for_logout(reason, pdu.cid)
        negotiated = self.session.parameters
        self.send(
            LogoutResponse(
                initiator_task_tag=pdu.initiator_task_tag,
                response=code,
                time2wait=negotiated.default_time2wait,
                time2retain=0,
            )
        )
        if code == LogoutResponseCode.CLOSED_SUCCESSFULLY and ends_this:
            self.state = next_state(self.state, ConnectionInput.LOGOUT_REQUEST)
            self.closing = True

    def _end_for_logout(self, reason: LogoutReason, cid: int) -> LogoutResponseCode:
        if reason is LogoutReason.REMOVE_CONNECTION_FOR_RECOVERY:
            # Recovery of a connection is for ErrorRecoveryLevel 2 (§11.15.1).
            return LogoutResponseCode.RECOVERY_NOT_SUPPORTED
        if reason is LogoutReason.CLOSE_CONNECTION and cid not in self.session.connections:
            return LogoutResponseCode.CID_NOT_FOUND
        return self.on_logout(reason, cid)

    # -- Out -----------------------------------------------------------------------------------------------------------

    def next_stat_sn(self) -> int:
        """Take a StatSN (§4.2.2.2)."""
        stat_sn = self.stat_sn
        self.stat_sn = (stat_sn + 1) & SEQUENCE_MASK
        return stat_sn

    def send(self, pdu: ResponsePdu, *, advance_stat_sn: bool = True) -> None:
        """Queue a PDU. An R2T and a ping carry the next StatSN without taking it (§11.8.2, §11.19)."""
        pdu.stat_sn = self.next_stat_sn() if advance_stat_sn else self.stat_sn
        self.counts.other_statuses += advance_stat_sn
        pdu.exp_cmd_sn = self.session.window.exp_cmd_sn
        pdu.max_cmd_sn = self.session.window.max_cmd_sn
        self.outbox += encode(pdu, self.digests)
        self.on_output()

    def reject(self, pdu: Pdu, reason: RejectReason) -> None:
        """Reject `pdu`, quoting its header (§11.17)."""
        header = pdu.to_bhs()
        header[5:8] = memoryview(pdu.data_segment).nbytes.to_bytes(3)
        self.send(Reject(reason=reason, data_segment=bytes(header)))

    def ping(self) -> bool:
        """Send a NOP-In that wants an answer (§11.19); False if the last one is not answered yet, or none would be."""
        if self._ping_tag is not None or self.state is ConnectionState.IN_LOGOUT:
            return False
        self._ping_tag = self.session.new_target_transfer_tag()
        self.send(NopIn(target_transfer_tag=self._ping_tag), advance_stat_sn=False)
        return True

    def ask_logout(self, seconds: int) -> None:
        """Ask the initiator to log out within `seconds` (§11.9.1, event 1)."""
        if self.state is not ConnectionState.IN_LOGOUT:
            self.state = next_state(self.state, ConnectionInput.ASK_LOGOUT)
            self.send(AsyncMessage(async_event=AsyncEvent.LOGOUT_REQUESTED, parameter3=seconds))

    def report_event(self, lun: int, sense: bytes) -> None:
        """Tell of a SCSI event at the LUN field `lun` (§11.9.1, event 0; §11.9.4 for the data).

        Nothing comes behind the answer to a logout (§11.15).
        """
        if not self.closing:
            event = AsyncEvent.SCSI_ASYNC_EVENT
            self.send(AsyncMessage(lun=lun, async_event=event, data_segment=len(sense).to_bytes(2) + sense))

    def tasks(self) -> list[IscsiTask]:
        """The tasks with allegiance to this connection."""
        return [task for task in self.session.tasks.values() if task.connection is self]

    def lost(self) -> None:
        """The connection is gone: end its tasks, which nobody will hear of (§7.2, ErrorRecoveryLevel 0)."""
        self.task_management.connection_lost()
        tasks = self.tasks()
        for task in tasks:
            self.commands.forget(task)
        if self.session.connections.get(self.cid) is self:
            del self.session.connections[self.cid]
        self.session.sink.connection_lost(tasks)

    def sent(self, length: int) -> None:
        """So many bytes of `outbox` have gone, or are lost."""
        done = min(length, self.unsent_reads)
        self.unsent_reads -= done
        self.on_reads_sent(done)


def _nobody_counts(_length: int) -> None:
    """Where reads may hold what they want."""
