"""The pure-Python engine: it owns the sockets of all connections in full feature phase, and the timers of their sessions.

One loop serves them all. What may block goes to the workers; everything else is done where it is received.
"""

import asyncio
import contextlib
import socket
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import structlog

from isthmus import events
from isthmus.engine.interface import Handover, NormalSession
from isthmus.engine.lookout import Lookout
from isthmus.engine.read_memory import ReadMemory, SessionReads
from isthmus.engine.read_path import ARENA_LENGTH
from isthmus.engine.scsi_bridge import ScsiBridge
from isthmus.engine.socket_options import octets, prepare
from isthmus.engine.stream import Stream
from isthmus.engine.workers import WorkerPool
from isthmus.iscsi.connection import Connection
from isthmus.iscsi.connection_state import ConnectionInput, ConnectionState, next_state
from isthmus.iscsi.discovery_sink import NoCommands
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.login_policy import LoginCompleted
from isthmus.iscsi.opcodes import LogoutReason, LogoutResponseCode
from isthmus.iscsi.parameters import Keepalive
from isthmus.iscsi.session import DEFAULT_WINDOW_DEPTH, Session
from isthmus.iscsi.session_state import SessionInput, SessionState
from isthmus.iscsi.task import IscsiTask
from isthmus.iscsi.text import TextExchange
from isthmus.iscsi.transfer import DataOutBudget

__all__ = ["ReferenceEngine"]

RECEIVE_LENGTH: Final = 256 << 10
"""Bytes taken by one receive."""
DATA_OUT_BUDGET: Final = 256 << 20
"""Bytes of data-out that all sessions together may have asked for by R2T."""
TICK: Final = 1.0
"""Seconds between two looks at what the connections are doing."""
LOOK_AGAIN_TICKS: Final = 5
"""Ticks of silence between two looks at the socket itself."""

_Owed = tuple[tuple[int, int, int], float]
"""Bytes received, R2Ts sent and R2Ts open; seconds without a change."""

_log = structlog.get_logger()


class ReferenceEngine:
    """See `engine.interface.Engine`."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        """Everything is called on `loop`."""
        self.loop = loop
        self.workers = WorkerPool(loop, self._flush_waiting, self._release_held)
        self.lookout = Lookout(loop, lambda: self.workers.busy)
        self.budget = DataOutBudget(DATA_OUT_BUDGET)
        self.read_memory = ReadMemory(loop.call_soon)
        self.receive_view = memoryview(bytearray(RECEIVE_LENGTH))
        self.arena = bytearray(ARENA_LENGTH)
        self.arena_view = memoryview(self.arena)
        self.received_at = 0
        """When the bytes that are being looked at came, in nanoseconds of the performance counter."""
        self._streams: dict[Connection, Stream] = {}
        self._sessions: dict[Session, _SessionEntry] = {}
        self._waiting: set[Stream] = set()
        self.held: set[Stream] = set()
        """Those that wait for answers to writes."""
        self._tick: TimerHandle | None = None
        self._owed: dict[IscsiTask, _Owed] = {}
        """How far the data-out of commands had come when it was last looked at, and for how long it has been there."""
        self._became_idle: asyncio.Event | None = None

    # -- Sessions and connections come ---------------------------------------------------------------------------------

    def open_session(
        self, login: LoginCompleted, tsih: int, target: NormalSession | None, on_end: Callable[[Session], None]
    ) -> Session:
        """See `Engine.open_session`."""
        reads = self.read_memory.of_session()
        sink = ScsiBridge(target.router, target.nexus, reads, target.on_cold_reset) if target else NoCommands()
        session = Session(
            initiator_name=login.initiator_name,
            initiator_alias=login.initiator_alias,
            isid=login.isid,
            tsih=tsih,
            parameters=login.session_parameters,
            exp_cmd_sn=login.exp_cmd_sn,
            sink=sink,
            budget=self.budget,
            window_depth=target.window_depth if target else DEFAULT_WINDOW_DEPTH,
            chap_user=login.chap_user,
        )
        self._sessions[session] = _SessionEntry(target, on_end, reads)
        if target:
            target.nexus.on_event = lambda lun, event: session.report_event(lun, event.to_bytes())
            target.router.nexus_established(target.nexus)
        return session

    def adopt(self, sock: socket.socket, login: LoginCompleted, text: TextExchange, handover: Handover) -> None:
        """See `Engine.adopt`."""
        session = login.session
        assert isinstance(session, Session)
        entry = self._sessions[session]
        entry.cancel_timer()
        connection = Connection(
            session=session,
            cid=login.cid,
            stat_sn=login.stat_sn,
            parameters=login.connection_parameters,
            text=text,
            on_logout=lambda reason, cid: self._log_out(connection, reason, cid),
            discovery=entry.target is None,
        )
        grants = entry.target.nexus.grants if entry.target else {}
        stream = Stream(self, sock, connection, grants, rest=handover.received, peer=_peer(sock))
        if entry.target:
            stream.keepalive = entry.target.keepalive
        connection.on_output = stream.output_ready
        connection.on_reads_sent = entry.reads.give_back
        connection.outbox.append(handover.to_send)
        prepare(sock)
        session.connections[login.cid] = connection
        session.advance(SessionInput.CONNECTION_LOGGED_IN)
        self._streams[connection] = stream
        if self._tick is None:
            self._tick = self.loop.call_later(TICK, self._on_tick)
        stream.start()

    # -- and go --------------------------------------------------------------------------------------------------------

    def lose(self, stream: Stream, reason: str, *, violation: bool = False) -> None:
        """The connection is gone without a logout; `violation`: because the peer broke the protocol."""
        if stream.closing:
            return
        connection = stream.connection
        if connection.state is not ConnectionState.IN_LOGOUT:  # else it has logged out, and that was told
            events.emit(
                events.PROTOCOL_VIOLATED if violation else events.CONNECTION_LOST,
                reason=reason,
                **self._names(connection, stream),
            )
        self._close(stream)
        connection.state = next_state(connection.state, ConnectionInput.LOST)
        connection.lost()
        connection.state = next_state(connection.state, ConnectionInput.CLEANED_UP)
        session = connection.session
        if not session.connections and session.state is SessionState.LOGGED_IN:
            self._last_connection_lost(session)

    def violated(self, stream: Stream, error: ConnectionViolation) -> None:
        """The peer broke the protocol: what is queued for it goes out, then the connection ends."""
        stream.flush()
        self.lose(stream, str(error), violation=True)

    def failed(self, stream: Stream, error: Exception) -> None:
        """A bug of ours: nobody knows what this connection would do next, so it ends."""
        _log.error("internal error in a connection", exc_info=error, **self._names(stream.connection, stream))
        self.lose(stream, "internal error")

    def finish(self, stream: Stream) -> None:
        """The last response of a logged-out connection is sent."""
        stream.connection.state = next_state(stream.connection.state, ConnectionInput.LOGOUT_ANSWERED)
        self._close(stream)

    def _close(self, stream: Stream) -> None:
        stream.close()
        self._streams.pop(stream.connection, None)
        self._waiting.discard(stream)
        self._notice_idle()

    def _last_connection_lost(self, session: Session) -> None:
        """Keep the session for a while, so that the initiator can come back to it (RFC 7143 §8.3.1, Q4)."""
        entry = self._sessions.get(session)
        if entry is None:
            return
        negotiated = session.parameters
        session.advance(SessionInput.LAST_CONNECTION_LOST)
        if entry.target is None or not negotiated.default_time2retain:
            self.end_session(session, "lost")
            return
        delay = negotiated.default_time2wait + negotiated.default_time2retain
        entry.timer = self.loop.call_later(delay, self.end_session, session, "not continued in time")

    def _log_out(self, connection: Connection, reason: LogoutReason, cid: int) -> LogoutResponseCode:
        """An initiator logs out (RFC 7143 §11.14); `connection` itself stays open for the response."""
        session = connection.session
        events.emit(events.LOGOUT, reason=reason.name.lower(), logout_cid=cid, **self._names(connection))
        ending = list(session.connections.values())
        if reason is LogoutReason.CLOSE_CONNECTION:
            ending = [session.connections[cid]]
        for ended in ending:
            ended.lost()
            stream = self._streams.get(ended)
            if stream is None:
                continue
            if ended is connection:
                stream.grants = {}  # What comes behind the request counts for nothing.
            else:
                self._close(stream)
        if not session.connections:
            self._forget(session)
        return LogoutResponseCode.CLOSED_SUCCESSFULLY

    def end_session(self, session: Session, reason: str) -> None:
        """See `Engine.end_session`."""
        if session not in self._sessions:
            return
        events.emit(events.SESSION_ENDED, reason=reason, initiator=session.initiator_name, tsih=session.tsih)
        for connection in list(session.connections.values()):
            connection.lost()
            stream = self._streams.get(connection)
            if stream is not None:
                stream.flush()
                self._close(stream)
        self._forget(session)

    def watch_over(self, session: Session, keepalive: Keepalive) -> None:
        """See `Engine.watch_over`."""
        entry = self._sessions.get(session)
        if entry is None or entry.target is None:
            return
        entry.target = replace(entry.target, keepalive=keepalive)
        for connection in session.connections.values():
            if connection in self._streams:
                self._streams[connection].keepalive = keepalive

    def drop_connection(self, session: Session, cid: int, reason: str) -> None:
        """See `Engine.drop_connection`."""
        connection = session.connections.get(cid)
        stream = self._streams.get(connection) if connection is not None else None
        if connection is None or stream is None:
            return
        events.emit(events.CONNECTION_DROPPED, reason=reason, **self._names(connection, stream))
        self._close(stream)
        connection.lost()

    def _forget(self, session: Session) -> None:
        entry = self._sessions.pop(session, None)
        if entry is None:
            return
        entry.cancel_timer()
        session.advance(SessionInput.CLOSED)
        if entry.target is not None:
            entry.target.router.nexus_lost(entry.target.nexus)
        entry.on_end(session)

    # -- All of them ---------------------------------------------------------------------------------------------------

    def ask_logout(self, seconds: int) -> None:
        """See `Engine.ask_logout`."""
        for connection in list(self._streams):
            connection.ask_logout(seconds)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Every session, discovery sessions too."""
        return tuple(self._sessions)

    def since(self, session: Session) -> float:
        """When `session` was opened, in seconds since 1970, UTC; 0.0 if it has ended."""
        entry = self._sessions.get(session)
        return entry.opened if entry else 0.0

    def addresses(self, connection: Connection) -> tuple[str, str]:
        """Of the peer and of ours, as ADDRESS:PORT; empty once the connection is closed."""
        stream = self._streams.get(connection)
        return (stream.peer, _local(stream.socket)) if stream else ("", "")

    def octets(self, connection: Connection) -> tuple[int, int]:
        """Bytes received and sent on a connection, its login with them, as TCP has counted them; 0 once it is closed."""
        stream = self._streams.get(connection)
        return octets(stream.socket) if stream else (0, 0)

    def end_all(self, reason: str) -> None:
        """End every session at once."""
        for session in list(self._sessions):
            self.end_session(session, reason)
        for stream in list(self._streams.values()):
            self._close(stream)  # It has logged out, and does not take the answer.

    @property
    def idle(self) -> bool:
        """See `Engine.idle`."""
        return not self._streams and not self.workers.busy

    def flush_soon(self, stream: Stream) -> None:
        """Send what `stream` has queued, at the end of this turn of the loop."""
        if not self._waiting and not self.workers.delivering:
            self.loop.call_soon(self._flush_waiting)
        self._waiting.add(stream)

    def _flush_waiting(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for stream in waiting:
            if not stream.closing:
                stream.flush()
                stream.release()
        self._notice_idle()

    def _release_held(self) -> None:
        """Writes take long: nobody waits for them before it looks at what else its initiator wants."""
        for stream in tuple(self.held):
            stream.release()

    def _notice_idle(self) -> None:
        if self._became_idle is not None and self.idle:
            self._became_idle.set()

    async def wait_idle(self, timeout: float) -> bool:
        """Wait until `idle`, at most `timeout` seconds; False if it is not by then."""
        self._became_idle = asyncio.Event()
        self._notice_idle()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._became_idle.wait(), timeout)
        return self.idle

    def _on_tick(self) -> None:
        """Ask the silent whether they are there; give up those who do not answer (RFC 7143 §11.19), or owe data."""
        self._tick = self.loop.call_later(TICK, self._on_tick) if self._streams else None
        before, self._owed = self._owed, {}
        for stream in list(self._streams.values()):
            if self._owes_too_long(stream, before):
                self.lose(stream, "data-out that was asked for did not come", violation=True)
                continue
            if not stream.active and stream.idle_ticks % LOOK_AGAIN_TICKS == LOOK_AGAIN_TICKS - 1:
                stream.look_again()
            stream.idle_ticks = 0 if stream.active else stream.idle_ticks + 1
            stream.active = False
            silence = stream.idle_ticks * TICK
            if silence >= stream.keepalive.lost_after:
                self.lose(stream, "no answer to NOP-In")
            elif silence >= stream.keepalive.ping_after:
                stream.connection.ping()

    def _owes_too_long(self, stream: Stream, before: "dict[IscsiTask, _Owed]") -> bool:
        """Whether a command waits for data that the initiator does not send.

        Its part of the data-out budget is then missing to others, so this has an end.
        """
        if not stream.connection.session.tasks:
            return False
        longest = 0.0
        for task in stream.connection.tasks():
            transfer = task.transfer
            if transfer is None or not (transfer.bursts or transfer.unsolicited_open):
                continue
            progress = (transfer.received, transfer.r2ts_sent, len(transfer.bursts))
            known = before.get(task)
            seconds = known[1] + TICK if known is not None and known[0] == progress else 0.0
            self._owed[task] = (progress, seconds)
            longest = max(longest, seconds)
        return longest >= stream.keepalive.data_out_within

    def _names(self, connection: Connection, stream: Stream | None = None) -> dict[str, object]:
        """What identifies a connection in the log."""
        stream = stream or self._streams.get(connection)
        session = connection.session
        return {
            "initiator": session.initiator_name,
            "tsih": session.tsih,
            "cid": connection.cid,
            "peer": stream.peer if stream else "",
        }


class _SessionEntry:
    """What the engine keeps with a session."""

    __slots__ = ("on_end", "opened", "reads", "target", "timer")

    def __init__(self, target: NormalSession | None, on_end: Callable[[Session], None], reads: SessionReads) -> None:
        self.target = target
        self.on_end = on_end
        self.reads = reads
        self.opened = time.time()
        self.timer: TimerHandle | None = None

    def cancel_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def _peer(sock: socket.socket) -> str:
    try:
        return _text(sock.getpeername())
    except OSError:
        return "gone"


def _local(sock: socket.socket) -> str:
    return _text(sock.getsockname())


def _text(address: tuple[Any, ...]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
