"""The states of a session at the target (RFC 7143 §8.3).

A session is born with its leading connection. While a connection is logged in, it is LOGGED_IN. When the last one is lost
without a logout it has FAILED: its I_T nexus, and what hangs on it, is kept for DefaultTime2Wait + DefaultTime2Retain
seconds. A new connection with its TSIH continues it (IN_CONTINUE, then LOGGED_IN); a leading login with the same initiator
name and ISID reinstates it, which ends the old one; and if neither comes in time it ends. A logout ends it at once.

Every transition is a row of `TRANSITIONS`; a pair without a row is a bug of ours and raises `LocalProtocolError`.
"""

import enum
from typing import Final

from isthmus.errors import LocalProtocolError

__all__ = ["TRANSITIONS", "SessionInput", "SessionState", "next_state"]


class SessionState(enum.Enum):
    """Q1 to Q5."""

    FREE = "Q1"
    ACTIVE = "Q2"
    LOGGED_IN = "Q3"
    FAILED = "Q4"
    IN_CONTINUE = "Q5"


class SessionInput(enum.Enum):
    """What can happen to a session."""

    LEADING_LOGIN = "a leading connection is in login"
    CONNECTION_LOGGED_IN = "a connection entered full feature phase"
    LAST_CONNECTION_LOST = "no connection is left, and nobody logged out"
    CONTINUATION = "a further login names the TSIH of a failed session"
    CONTINUATION_FAILED = "that login failed"
    CLOSED = "logged out, reinstated, dropped, or the time to come back is over"


_S = SessionState
_I = SessionInput

TRANSITIONS: Final[dict[tuple[SessionState, SessionInput], SessionState]] = {
    (_S.FREE, _I.LEADING_LOGIN): _S.ACTIVE,  # N1
    (_S.ACTIVE, _I.CONNECTION_LOGGED_IN): _S.LOGGED_IN,  # N3
    (_S.ACTIVE, _I.CLOSED): _S.FREE,  # N9
    (_S.LOGGED_IN, _I.CONNECTION_LOGGED_IN): _S.LOGGED_IN,
    (_S.LOGGED_IN, _I.LAST_CONNECTION_LOST): _S.FAILED,  # N5
    (_S.LOGGED_IN, _I.CLOSED): _S.FREE,  # N4
    (_S.FAILED, _I.CONTINUATION): _S.IN_CONTINUE,  # N7
    (_S.FAILED, _I.CLOSED): _S.FREE,  # N6
    (_S.IN_CONTINUE, _I.CONNECTION_LOGGED_IN): _S.LOGGED_IN,  # N10
    (_S.IN_CONTINUE, _I.CONTINUATION): _S.IN_CONTINUE,
    (_S.IN_CONTINUE, _I.CONTINUATION_FAILED): _S.FAILED,  # N8
    (_S.IN_CONTINUE, _I.CLOSED): _S.FREE,  # N11
}


def next_state(state: SessionState, happened: SessionInput) -> SessionState:
    """The state after `happened`; raises `LocalProtocolError` for a pair that cannot be."""
    try:
        return TRANSITIONS[state, happened]
    except KeyError:
        raise LocalProtocolError(f"{happened.name} cannot happen to a session in {state.name}") from None
