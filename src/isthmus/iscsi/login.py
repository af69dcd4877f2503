"""The target's side of the login phase (RFC 7143 §6.3, §11.12, §11.13)."""

from collections.abc import Callable

from isthmus.iscsi.login_policy import (
    Admission,
    Authentication,
    DiscoveryView,
    ExistingSession,
    LoginCompleted,
    LoginFailed,
    LoginOutcome,
    LoginPolicy,
    SessionType,
    TargetView,
)
from isthmus.iscsi.pdu import LoginResponse, Pdu

__all__ = [
    "Admission",
    "Authentication",
    "DiscoveryView",
    "ExistingSession",
    "Login",
    "LoginCompleted",
    "LoginFailed",
    "LoginOutcome",
    "LoginPolicy",
    "SessionType",
    "TargetView",
]


class Login:
    """One connection's login, from its first PDU to full feature phase or to a refusal."""

    def __init__(self, policy: LoginPolicy, *, random: Callable[[int], bytes], command_window: int = 32) -> None:
        """`random` gives that many unpredictable bytes; `command_window` is how far MaxCmdSN opens for a new session."""
        self.outcome: LoginOutcome | None = None

    def receive(self, pdu: Pdu) -> list[LoginResponse]:
        """Take one PDU; gives the responses to send, in order. Once `outcome` is set, nothing more may come."""
        raise NotImplementedError
