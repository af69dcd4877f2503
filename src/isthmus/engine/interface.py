"""What the rest of the program knows of an engine: connections go in after their login, and sessions can be ended."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from isthmus.iscsi.login_policy import LoginCompleted
from isthmus.iscsi.parameters import Keepalive
from isthmus.iscsi.session import DEFAULT_WINDOW_DEPTH, Session
from isthmus.iscsi.text import TextExchange
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.task_router import TaskRouter

__all__ = ["Engine", "Handover", "NormalSession"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalSession:
    """What a normal session talks to."""

    router: TaskRouter
    nexus: Nexus
    on_cold_reset: Callable[[], None]
    window_depth: int = DEFAULT_WINDOW_DEPTH
    """Commands that the initiator may send at once."""
    keepalive: Keepalive = field(default_factory=Keepalive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What is under way on a connection when its login ends."""

    to_send: bytes
    """The last Login Responses."""
    received: bytes
    """What came behind the last Login Request, and belongs to full feature phase."""


class Engine(Protocol):
    """Full feature phase. Everything is called on the main loop."""

    def open_session(
        self, login: LoginCompleted, tsih: int, target: NormalSession | None, on_end: Callable[[Session], None]
    ) -> Session:
        """Make the session of a leading login; without `target` it is a discovery session. `on_end` is called once."""

    def adopt(self, sock: socket.socket, login: LoginCompleted, text: TextExchange, handover: Handover) -> None:
        """Take over a connection of `login.session`, with the last Login Response still to be sent."""

    def end_session(self, session: Session, reason: str) -> None:
        """Close its connections at once and forget it."""

    def watch_over(self, session: Session, keepalive: Keepalive) -> None:
        """Deal with silence on the connections of `session` like this from now on."""

    def drop_connection(self, session: Session, cid: int, reason: str) -> None:
        """Close one connection at once; its tasks are aborted (connection reinstatement, RFC 7143 §6.3.4)."""

    def ask_logout(self, seconds: int) -> None:
        """Ask every initiator to log out within `seconds`."""

    @property
    def idle(self) -> bool:
        """Whether there is no connection and no block operation left."""
