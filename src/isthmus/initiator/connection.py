"""One connection of a session in full feature phase: what goes out, and what becomes of what comes in (RFC 7143 §4.2)."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

from isthmus.errors import LocalProtocolError, RemoteProtocolError
from isthmus.initiator.command_window import CommandWindow, SendNumbered
from isthmus.initiator.connection_state import ConnectionInput, ConnectionState, next_state
from isthmus.initiator.data_out import DataOutLimits
from isthmus.initiator.errors import ConnectionLost, InitiatorError, RequestRejected
from isthmus.initiator.raw_connection import RawConnection
from isthmus.initiator.task import CommandTask, RequestTask, Task
from isthmus.iscsi.codec import Digests, decode
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.opcodes import BHS_LENGTH, RESERVED_TAG, LogoutReason, LogoutResponseCode, RejectReason
from isthmus.iscsi.parameters import ConnectionParameters, SessionParameters
from isthmus.iscsi.pdu import (
    AsyncMessage,
    DataIn,
    DataOut,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    Pdu,
    ReadyToTransfer,
    Reject,
    RequestPdu,
    ResponsePdu,
)
from isthmus.names import SerialNumber

__all__ = ["Connection", "ConnectionOwner"]

_log = logging.getLogger(__name__)

_USABLE: Final = (ConnectionState.LOGGED_IN, ConnectionState.LOGOUT_REQUESTED)


class ConnectionOwner(Protocol):
    """What a connection needs of its session."""

    window: CommandWindow

    def async_message(self, connection: "Connection", message: AsyncMessage) -> None:
        """An Async Message came."""

    def unrelated_reject(self, connection: "Connection", error: RequestRejected) -> None:
        """A Reject came that belongs to no task in progress."""

    def connection_ended(self, connection: "Connection") -> None:
        """The connection is in state FREE, after a logout or a loss (then `connection.error` says why)."""


class Connection:
    """Sends requests, keeps their tasks, and hands each PDU of the target to its task."""

    def __init__(self, owner: ConnectionOwner, cid: int) -> None:
        self.cid = cid
        self.state = ConnectionState.FREE
        self.error: Exception | None = None
        """Why the connection was lost, if it was."""
        self.parameters = ConnectionParameters()
        self.data_out_limits: DataOutLimits | None = None
        """Set at login."""
        self.exp_stat_sn = SerialNumber(0)
        self.tasks: dict[int, Task[Any]] = {}
        """By initiator task tag: those that have been sent and not answered."""
        self._queued: dict[Task[Any], SendNumbered] = {}
        self._owner = owner
        self._raw: RawConnection | None = None
        self._receiver: asyncio.Task[None] | None = None

    # The life of the connection.

    def advance(self, happened: ConnectionInput) -> None:
        """Note what happened to the connection."""
        self.state = next_state(self.state, happened)

    def begin(
        self,
        raw: RawConnection,
        *,
        session_parameters: SessionParameters,
        parameters: ConnectionParameters,
        exp_stat_sn: int,
    ) -> None:
        """Enter full feature phase on `raw`, whose login has just ended."""
        self.advance(ConnectionInput.LOGIN_ACCEPTED)
        self.parameters = parameters
        self.data_out_limits = DataOutLimits(
            initial_r2t=session_parameters.initial_r2t,
            immediate_data=session_parameters.immediate_data,
            first_burst_length=session_parameters.first_burst_length,
            max_burst_length=session_parameters.max_burst_length,
            max_data_segment_length=parameters.max_xmit_data_segment_length,
        )
        self.exp_stat_sn = SerialNumber(exp_stat_sn)
        self._raw = raw
        raw.use(
            digests=Digests(header=parameters.header_digest, data=parameters.data_digest),
            max_data_segment_length=parameters.max_recv_data_segment_length,
        )
        self._receiver = asyncio.create_task(self._receive(), name=f"iSCSI connection {self.cid}")

    @property
    def is_usable(self) -> bool:
        """Whether requests can be sent."""
        return self.state in _USABLE

    @property
    def raw(self) -> RawConnection:
        """What lies beneath, for hooks and for bytes that no rule allows; raises `LocalProtocolError` before login."""
        if self._raw is None:
            raise LocalProtocolError("the connection has not logged in")
        return self._raw

    async def logout(self, *, tag: int, reason: LogoutReason, cid: int | None = None) -> LogoutResponse:
        """Log out this connection, its session, or (`cid`) another connection; gives the target's answer."""
        closes_this = reason == LogoutReason.CLOSE_SESSION or cid in (None, self.cid)
        request = LogoutRequest(
            is_immediate=True,
            initiator_task_tag=tag,
            reason=reason,
            cid=self.cid if cid is None else cid,
        )
        task = RequestTask(request, LogoutResponse)
        self.start(task)
        if closes_this and self.is_usable:
            self.advance(ConnectionInput.LOGOUT_SENT)
        response = await task
        if closes_this and response.response == LogoutResponseCode.CLOSED_SUCCESSFULLY:
            await self.end()
        return response

    async def end(self) -> None:
        """Close after a Logout Response, as both ends do then (RFC 7143 §11.15)."""
        if self.state is ConnectionState.IN_LOGOUT:
            self.advance(ConnectionInput.LOGOUT_ANSWERED)
            self._drop_tasks(ConnectionLost("the connection was logged out"))
            self._owner.connection_ended(self)
        await self._stop_receiving()
        await self.raw.close()

    async def drop(self) -> None:
        """Cut the connection without a logout."""
        self._lose(ConnectionLost("this end dropped the connection"))
        await self._stop_receiving()

    async def _stop_receiving(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is None or receiver is asyncio.current_task():
            return
        receiver.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await receiver

    def _lose(self, error: Exception) -> None:
        """The connection is gone: at ErrorRecoveryLevel 0 its tasks are, too (RFC 7143 §7.1.4)."""
        if self.state is ConnectionState.FREE:
            return
        self.error = error
        self.advance(ConnectionInput.LOST)
        self.raw.abort()
        self._drop_tasks(error)
        self.advance(ConnectionInput.CLEANED_UP)
        self._owner.connection_ended(self)

    def _drop_tasks(self, error: Exception) -> None:
        for send in self._queued.values():
            self._owner.window.withdraw(send)
        for task in (*self._queued, *self.tasks.values()):
            task.fail(error if isinstance(error, InitiatorError) else ConnectionLost(str(error)))
        self._queued.clear()
        self.tasks.clear()

    # What goes out.

    def start(self, task: Task[Any]) -> None:
        """Send the request of `task`, now or when the command window lets it; raises `ConnectionLost` if it is too late."""
        if not self.is_usable:
            raise ConnectionLost(f"connection {self.cid} is not logged in" + (f": {self.error}" if self.error else ""))
        if isinstance(task, CommandTask) and self.state is ConnectionState.LOGOUT_REQUESTED:
            raise ConnectionLost("the target has asked for a logout and takes no new commands (RFC 7143 §11.9.1)")
        request = task.request()
        if isinstance(request, RequestPdu) and not request.is_immediate:
            self._queue(task, request)
        else:
            self._send_request(task, request, self._owner.window.cmd_sn)

    def _queue(self, task: Task[Any], request: RequestPdu) -> None:
        def send(cmd_sn: SerialNumber) -> None:
            self._queued.pop(task, None)
            self._send_request(task, request, cmd_sn)

        self._queued[task] = send
        self._owner.window.submit(send)

    def _send_request(self, task: Task[Any], request: Pdu, cmd_sn: SerialNumber) -> None:
        task.cmd_sn = cmd_sn
        self.tasks[task.initiator_task_tag] = task
        if isinstance(request, RequestPdu):
            request.cmd_sn = cmd_sn
        self.send_pdu(request)
        for pdu in task.follow_up():
            self.send_pdu(pdu)

    def send_pdu(self, pdu: Pdu) -> None:
        """Send one PDU with the ExpStatSN of this moment; its other numbers are the caller's."""
        if isinstance(pdu, (RequestPdu, DataOut)):
            pdu.exp_stat_sn = self.exp_stat_sn
        self.raw.send_pdu(pdu)

    def withdraw(self, task: Task[Any]) -> bool:
        """Take back a request that waits for the window, so that its CmdSN goes to the next; False if it is out."""
        send = self._queued.pop(task, None)
        return send is not None and self._owner.window.withdraw(send)

    @property
    def num_tasks(self) -> int:
        """Requests that have no answer yet, sent or waiting to be."""
        return len(self.tasks) + len(self._queued)

    def commands(self) -> list[CommandTask]:
        """The commands that have been sent and not answered."""
        return [task for task in self.tasks.values() if isinstance(task, CommandTask)]

    async def finish_tasks(self, *, timeout: float) -> None:
        """Wait until all requests are answered, `timeout` seconds at most."""
        waits = [asyncio.ensure_future(task.wait_ended()) for task in (*self._queued, *self.tasks.values())]
        if waits:
            _, late = await asyncio.wait(waits, timeout=timeout)
            for wait in late:
                wait.cancel()

    def end_tasks_of(self, lun: int, error: InitiatorError) -> None:
        """Send no more data for the commands of a logical unit and expect no answers; `lun` is the LUN field."""
        for task in self.commands():
            if task.lun == lun:
                self.forget(task)
                task.fail(error)

    def forget(self, task: Task[Any]) -> None:
        """Stop expecting an answer to `task`."""
        self.tasks.pop(task.initiator_task_tag, None)

    async def drain(self) -> None:
        """Wait until the transport takes more."""
        await self.raw.drain()

    # What comes in.

    async def _receive(self) -> None:
        try:
            while self.state is not ConnectionState.FREE:
                self._dispatch(await self.raw.receive_pdu())
        except (ConnectionLost, RemoteProtocolError) as error:
            if isinstance(error, RemoteProtocolError):
                _log.warning("connection %d: the target broke the protocol: %s", self.cid, error)
            self._lose(error)
        except Exception as error:
            # A bug of ours: whoever waits must not wait for ever, and the error itself goes to asyncio's handler.
            self._lose(error)
            raise

    def _dispatch(self, pdu: Pdu) -> None:
        if not isinstance(pdu, ResponsePdu):
            raise ConnectionViolation(f"a target sends no {type(pdu).__name__}")
        self._take_stat_sn(pdu)
        handler = _HANDLERS.get(type(pdu), Connection._answer)
        handler(self, pdu)
        self._owner.window.update(exp_cmd_sn=pdu.exp_cmd_sn, max_cmd_sn=pdu.max_cmd_sn)

    def _take_stat_sn(self, pdu: ResponsePdu) -> None:
        """Check and acknowledge the StatSN of a PDU that uses one up (RFC 7143 §4.2.2.2)."""
        if isinstance(pdu, ReadyToTransfer) or (isinstance(pdu, DataIn) and not pdu.has_status):
            return
        if pdu.stat_sn != self.exp_stat_sn:
            raise ConnectionViolation(
                f"StatSN {pdu.stat_sn} came where {int(self.exp_stat_sn)} was due (RFC 7143 §4.2.2.2)"
            )
        if not (isinstance(pdu, NopIn) and pdu.initiator_task_tag == RESERVED_TAG):
            self.exp_stat_sn += 1

    def _answer(self, pdu: ResponsePdu) -> None:
        """Give a PDU to its task and send what the task says in turn."""
        task = self.tasks.get(pdu.initiator_task_tag)
        if task is None:
            raise ConnectionViolation(
                f"{type(pdu).__name__} for task {pdu.initiator_task_tag:#010x}, which is not in progress"
            )
        for reply in task.receive(pdu):
            if isinstance(reply, RequestPdu):
                reply.cmd_sn = self._owner.window.cmd_sn
            self.send_pdu(reply)
        if task.ended:
            del self.tasks[pdu.initiator_task_tag]

    def _receive_nop_in(self, pdu: ResponsePdu) -> None:
        assert isinstance(pdu, NopIn)
        if pdu.initiator_task_tag != RESERVED_TAG:
            self._answer(pdu)
        elif pdu.target_transfer_tag != RESERVED_TAG:
            self.send_nop_out(lun=pdu.lun, target_transfer_tag=pdu.target_transfer_tag)

    def send_nop_out(self, *, lun: int = 0, target_transfer_tag: int = RESERVED_TAG) -> None:
        """A NOP-Out that asks for no answer: it answers a ping, or acknowledges status (RFC 7143 §11.18)."""
        self.send_pdu(
            NopOut(
                is_immediate=True, lun=lun, target_transfer_tag=target_transfer_tag, cmd_sn=self._owner.window.cmd_sn
            )
        )

    def _receive_async_message(self, pdu: ResponsePdu) -> None:
        assert isinstance(pdu, AsyncMessage)
        self._owner.async_message(self, pdu)

    def _receive_reject(self, pdu: ResponsePdu) -> None:
        """A Reject ends the task whose request it quotes (RFC 7143 §11.17).

        After the Reject of a Data-Out its command still gets a response (§7.3); and of two requests with one tag only
        the second is rejected.
        """
        assert isinstance(pdu, Reject)
        error = RequestRejected(pdu.reason, bytes(pdu.data_segment))
        quoted = decode(error.header) if len(error.header) == BHS_LENGTH else None
        ends_task = isinstance(quoted, RequestPdu) and pdu.reason != RejectReason.TASK_IN_PROGRESS
        task = self.tasks.pop(quoted.initiator_task_tag, None) if quoted is not None and ends_task else None
        if task is None:
            self._owner.unrelated_reject(self, error)
        else:
            task.fail(error)


_HANDLERS: Final[dict[type[Pdu], Callable[[Connection, ResponsePdu], None]]] = {
    NopIn: Connection._receive_nop_in,  # noqa: SLF001 - the table of this very class
    AsyncMessage: Connection._receive_async_message,  # noqa: SLF001
    Reject: Connection._receive_reject,  # noqa: SLF001
}
