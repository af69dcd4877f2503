"""The states of a connection at the initiator (RFC 7143 §8.1.3).

The initiator opens the transport (XPT_WAIT), logs in over it (IN_LOGIN) and uses the connection (LOGGED_IN). The target may
ask it to log out (LOGOUT_REQUESTED); the initiator logs out when it wants to or has been asked to (IN_LOGOUT), and the
connection is over once the target has answered (FREE). A connection that is lost instead goes through CLEANUP_WAIT: at
ErrorRecoveryLevel 0 that lasts only until its tasks have been told.

Every transition is a row of `TRANSITIONS`; a pair without a row is a bug of ours and raises `LocalProtocolError`.
"""

import enum
from typing import Final

from isthmus.errors import LocalProtocolError

__all__ = ["TRANSITIONS", "ConnectionInput", "ConnectionState", "next_state"]


class ConnectionState(enum.Enum):
    """S1 to S8; S3 (XPT_UP) is the target's alone."""

    FREE = "S1"
    XPT_WAIT = "S2"
    IN_LOGIN = "S4"
    LOGGED_IN = "S5"
    IN_LOGOUT = "S6"
    LOGOUT_REQUESTED = "S7"
    CLEANUP_WAIT = "S8"


class ConnectionInput(enum.Enum):
    """What can happen to a connection."""

    CONNECT = "a transport connection is asked for"
    CONNECTED = "the transport connection is there, the first Login Request goes out"
    CONNECT_FAILED = "there is no transport connection"
    LOGIN_ACCEPTED = "the final Login Response came, with status 0"
    LOGIN_FAILED = "the login was refused, or the transport is gone"
    LOGOUT_REQUESTED = "the target asks for a logout by Async Message"
    LOGOUT_SENT = "a Logout Request for this connection or its session went out"
    LOGOUT_ANSWERED = "the Logout Response came"
    LOST = "the transport is gone, or a violation ended it"
    CLEANED_UP = "the tasks of the lost connection have been told"


_S = ConnectionState
_I = ConnectionInput

TRANSITIONS: Final[dict[tuple[ConnectionState, ConnectionInput], ConnectionState]] = {
    (_S.FREE, _I.CONNECT): _S.XPT_WAIT,  # T1
    (_S.XPT_WAIT, _I.CONNECT_FAILED): _S.FREE,  # T2
    (_S.XPT_WAIT, _I.CONNECTED): _S.IN_LOGIN,  # T4
    (_S.IN_LOGIN, _I.LOGIN_ACCEPTED): _S.LOGGED_IN,  # T5
    (_S.IN_LOGIN, _I.LOGIN_FAILED): _S.FREE,  # T7
    (_S.LOGGED_IN, _I.LOGOUT_REQUESTED): _S.LOGOUT_REQUESTED,  # T11
    (_S.LOGGED_IN, _I.LOGOUT_SENT): _S.IN_LOGOUT,  # T9
    (_S.LOGGED_IN, _I.LOST): _S.CLEANUP_WAIT,  # T15
    (_S.LOGOUT_REQUESTED, _I.LOGOUT_REQUESTED): _S.LOGOUT_REQUESTED,  # T12
    (_S.LOGOUT_REQUESTED, _I.LOGOUT_SENT): _S.IN_LOGOUT,  # T10
    (_S.LOGOUT_REQUESTED, _I.LOST): _S.CLEANUP_WAIT,  # T16
    (_S.IN_LOGOUT, _I.LOGOUT_REQUESTED): _S.IN_LOGOUT,  # T14
    (_S.IN_LOGOUT, _I.LOGOUT_ANSWERED): _S.FREE,  # T13
    (_S.IN_LOGOUT, _I.LOST): _S.CLEANUP_WAIT,  # T17
    (_S.CLEANUP_WAIT, _I.CLEANED_UP): _S.FREE,  # M1, M2
}


def next_state(state: ConnectionState, happened: ConnectionInput) -> ConnectionState:
    """The state after `happened`; raises `LocalProtocolError` for a pair that cannot be."""
    try:
        return TRANSITIONS[state, happened]
    except KeyError:
        raise LocalProtocolError(f"{happened.name} cannot happen to a connection in {state.name}") from None
