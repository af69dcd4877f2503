"""A connection from its accept to the end of its login: the only bytes that a stranger gets to send."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final, Protocol

from isthmus import events
from isthmus.engine.interface import Engine, Handover
from isthmus.iscsi.codec import PduReader, encode
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.login import Login
from isthmus.iscsi.login_policy import LoginCompleted, LoginFailed, LoginPolicy
from isthmus.iscsi.parameters import DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH
from isthmus.iscsi.session import DEFAULT_WINDOW_DEPTH
from isthmus.iscsi.text import TextExchange

__all__ = ["LoginPhase", "TimedPolicy"]

_RECEIVE_LENGTH: Final = 16384


class TimedPolicy(LoginPolicy, Protocol):
    """A policy that also says how long a login may take."""

    @property
    def login_timeout(self) -> float:
        """Seconds from the accept to full feature phase; it may become another once the target is known."""


class LoginPhase:
    """One connection in login."""

    def __init__(
        self,
        sock: socket.socket,
        peer: str,
        policy: TimedPolicy,
        engine: Engine,
        text: Callable[[LoginCompleted], TextExchange],
    ) -> None:
        """`text` makes the text exchange of full feature phase, once it is known whose it is."""
        self._socket = sock
        self._peer = peer
        self._policy = policy
        self._engine = engine
        self._text = text
        self._login = Login(policy, random=os.urandom, command_window=DEFAULT_WINDOW_DEPTH)
        self._reader = PduReader(max_data_segment_length=DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH)

    async def run(self) -> None:
        """Log in and hand over, or close; never raises but for cancellation, which closes."""
        handed_over = False
        try:
            async with asyncio.timeout(self._policy.login_timeout) as limit:
                handed_over = await self._run(limit)
        except TimeoutError:
            events.emit(events.LOGIN_TIMED_OUT, peer=self._peer, seconds=self._policy.login_timeout)
        except ConnectionViolation as error:
            events.emit(events.LOGIN_FAILED, peer=self._peer, reason=str(error))
        except OSError as error:
            events.emit(events.LOGIN_CONNECTION_LOST, peer=self._peer, reason=error.strerror)
        finally:
            if not handed_over:
                self._socket.close()

    async def _run(self, limit: asyncio.Timeout) -> bool:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while data := await loop.sock_recv(self._socket, _RECEIVE_LENGTH):
            self._reader.feed(data)
            to_send = self._take_pdus()
            if not limit.expired():
                limit.reschedule(began + self._policy.login_timeout)
            outcome = self._login.outcome
            if isinstance(outcome, LoginCompleted):
                self._hand_over(outcome, to_send)
                return True
            await loop.sock_sendall(self._socket, to_send)
            if isinstance(outcome, LoginFailed):
                self._log_refusal(outcome)
                return False
        events.emit(events.LOGIN_CONNECTION_CLOSED, peer=self._peer)
        return False

    def _take_pdus(self) -> bytes:
        """Give the login what has come, up to its end; gives what to send."""
        responses = []
        while self._login.outcome is None and (pdu := self._reader.next_pdu()) is not None:
            responses += self._login.receive(pdu)
        return b"".join(bytes(piece) for response in responses for piece in encode(response))

    def _hand_over(self, login: LoginCompleted, to_send: bytes) -> None:
        events.emit(
            events.LOGIN,
            session_type=login.session_type.value,
            initiator=login.initiator_name,
            alias=login.initiator_alias,
            target=login.target.name if login.target else "",
            peer=self._peer,
            isid=f"{login.isid:012x}",
            tsih=login.tsih,
            cid=login.cid,
            chap_user=login.chap_user or "",
        )
        handover = Handover(to_send=to_send, received=self._reader.take_rest())
        self._engine.adopt(self._socket, login, self._text(login), handover)

    def _log_refusal(self, failure: LoginFailed) -> None:
        if failure.address:
            events.emit(
                events.LOGIN_REDIRECTED,
                to=failure.address,
                initiator=failure.initiator_name,
                target=failure.target_name,
                peer=self._peer,
            )
            return
        events.emit(
            events.LOGIN_REFUSED,
            status=failure.status.name.lower() if failure.status is not None else "closed without an answer",
            reason=failure.reason,
            initiator=failure.initiator_name,
            target=failure.target_name,
            peer=self._peer,
        )
