"""The states of a connection at the target (RFC 7143 §8.1), from the moment that it is accepted.

A connection starts in XPT_UP when TCP has it, spends its login in IN_LOGIN, and most of its life in LOGGED_IN. It ends in
one of two ways. Cleanly: the target may ask for a logout (LOGOUT_REQUESTED), the initiator logs out (IN_LOGOUT), and the
connection is closed once the answer is sent (FREE). Or by a loss of any kind: the transport fails, the peer breaks the
protocol, a timer runs out. At ErrorRecoveryLevel 0 nothing is kept of a lost connection but what a session may still hold for
it, so CLEANUP_WAIT is left as soon as its tasks are terminated.

Every transition is a row of `TRANSITIONS`; a pair without a row is a bug of ours and raises `LocalProtocolError`.
"""

import enum
from typing import Final

from isthmus.errors import LocalProtocolError

__all__ = ["TRANSITIONS", "ConnectionInput", "ConnectionState", "next_state"]


class ConnectionState(enum.Enum):
    """S1 to S8; S2 (XPT_WAIT) is the initiator's alone."""

    FREE = "S1"
    XPT_UP = "S3"
    IN_LOGIN = "S4"
    LOGGED_IN = "S5"
    IN_LOGOUT = "S6"
    LOGOUT_REQUESTED = "S7"
    CLEANUP_WAIT = "S8"


class ConnectionInput(enum.Enum):
    """What can happen to a connection."""

    ACCEPTED = "TCP has a new connection"
    LOGIN_REQUEST = "the first Login Request came"
    LOGIN_ACCEPTED = "the final Login Response is sent"
    LOGIN_FAILED = "login refused, timed out, or the transport is gone"
    LOGOUT_REQUEST = "a Logout Request for this connection or its session came"
    ASK_LOGOUT = "the target asks for a logout by Async Message"
    LOGOUT_ANSWERED = "the Logout Response is sent"
    LOST = "the transport is gone, or a violation or a timer ended it"
    CLEANED_UP = "the tasks of the lost connection are terminated"


_S = ConnectionState
_I = ConnectionInput

TRANSITIONS: Final[dict[tuple[ConnectionState, ConnectionInput], ConnectionState]] = {
    (_S.FREE, _I.ACCEPTED): _S.XPT_UP,
    (_S.XPT_UP, _I.LOGIN_REQUEST): _S.IN_LOGIN,  # T4
    (_S.XPT_UP, _I.LOGIN_FAILED): _S.FREE,  # T6
    (_S.IN_LOGIN, _I.LOGIN_ACCEPTED): _S.LOGGED_IN,  # T5
    (_S.IN_LOGIN, _I.LOGIN_FAILED): _S.FREE,  # T7
    (_S.LOGGED_IN, _I.LOGOUT_REQUEST): _S.IN_LOGOUT,  # T9
    (_S.LOGGED_IN, _I.ASK_LOGOUT): _S.LOGOUT_REQUESTED,  # T11
    (_S.LOGGED_IN, _I.LOST): _S.CLEANUP_WAIT,  # T15
    (_S.LOGOUT_REQUESTED, _I.ASK_LOGOUT): _S.LOGOUT_REQUESTED,  # T12
    (_S.LOGOUT_REQUESTED, _I.LOGOUT_REQUEST): _S.IN_LOGOUT,  # T10
    (_S.LOGOUT_REQUESTED, _I.LOST): _S.CLEANUP_WAIT,  # T16
    (_S.IN_LOGOUT, _I.LOGOUT_REQUEST): _S.IN_LOGOUT,  # T14
    (_S.IN_LOGOUT, _I.ASK_LOGOUT): _S.IN_LOGOUT,  # the initiator is ahead of us
    (_S.IN_LOGOUT, _I.LOGOUT_ANSWERED): _S.FREE,  # T13
    (_S.IN_LOGOUT, _I.LOST): _S.CLEANUP_WAIT,  # T17
    (_S.CLEANUP_WAIT, _I.CLEANED_UP): _S.FREE,  # M2, M3
}


def next_state(state: ConnectionState, happened: ConnectionInput) -> ConnectionState:
    """The state after `happened`; raises `LocalProtocolError` for a pair that cannot be."""
    try:
        return TRANSITIONS[state, happened]
    except KeyError:
        raise LocalProtocolError(f"{happened.name} cannot happen to a connection in {state.name}") from None
