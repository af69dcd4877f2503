"""The states of a target's login and the one table of their transitions (RFC 7143 §6.3).

A login begins with the first Login Request, in the security stage or, if the initiator does without it, in the operational
one. Whatever comes before it is no login, and the connection closes without a word; whatever else comes after it is
"invalid during login" (§6.3).

In the security stage the initiator offers AuthMethod. None settles it. CHAP takes two more steps, the choice of the
algorithm and the response to our challenge, and each of them must bring its keys. Only then does the stage end: a T bit that
comes earlier is not granted, and the initiator goes on in the same stage. If the stage is to end without any AuthMethod,
or is left out, that is None where None is allowed, and an authentication failure where it is not.

In the operational stage both sides negotiate until the initiator asks for full feature phase and owes no answer. A stage
is never entered again, and nothing leads back.

The inputs are what the initiator does. One request is several of them, in this order: the stage that it says it is in, the
authentication keys that its text holds once that is complete, and the stage that it wants to go to. The C bit changes
nothing here: a request with it is the first of these inputs only.
"""

import enum
from types import MappingProxyType
from typing import Final

from isthmus.iscsi.errors import ConnectionViolation, LoginRefused
from isthmus.iscsi.opcodes import LoginStatus

__all__ = ["ENDED", "TRANSITIONS", "LoginInput", "LoginState", "next_state"]


class LoginState(enum.Enum):
    """How far the login has come."""

    START = enum.auto()
    """Nothing has been received."""
    SECURITY = enum.auto()
    """Security stage; no AuthMethod yet."""
    CHAP_ALGORITHM = enum.auto()
    """CHAP was agreed; the initiator is to offer algorithms."""
    CHAP_RESPONSE = enum.auto()
    """The challenge was sent; the initiator is to respond."""
    AUTHENTICATED = enum.auto()
    """Security stage; who the initiator is, or that it does not matter, is settled."""
    OPERATIONAL = enum.auto()
    """Operational stage."""
    COMPLETED = enum.auto()
    """Full feature phase."""
    FAILED = enum.auto()
    """Refused."""


class LoginInput(enum.Enum):
    """What the initiator does; the value says it in words, for the log."""

    SECURITY_REQUEST = "a Login Request in the security stage"
    OPERATIONAL_REQUEST = "a Login Request in the operational stage"
    STRAY_REQUEST = "a Login Request in no stage of login"
    OTHER_PDU = "a PDU other than a Login Request"
    NO_AUTHENTICATION_KEYS = "a complete text without keys of authentication"
    METHOD_NONE = "AuthMethod None, be it offered or left out where that is allowed"
    METHOD_CHAP = "AuthMethod CHAP"
    ALGORITHM_KEYS = "CHAP_A"
    RESPONSE_KEYS = "CHAP_N and CHAP_R"
    OTHER_AUTHENTICATION_KEYS = "keys of several steps of authentication at once"
    AUTHENTICATION_LEFT_OUT = "no AuthMethod, where authentication is required"
    TRANSIT_OPERATIONAL = "a transit to the operational stage"
    TRANSIT_FULL_FEATURE = "a transit to full feature phase"


_S, _I = LoginState, LoginInput
_ERROR = LoginStatus.INITIATOR_ERROR
_INVALID = LoginStatus.INVALID_DURING_LOGIN
_MISSING = LoginStatus.MISSING_PARAMETER
_UNAUTHENTICATED = LoginStatus.AUTHENTICATION_FAILURE

ENDED: Final = frozenset({LoginState.COMPLETED, LoginState.FAILED})
"""No input is allowed any more: whoever gives one misuses the login."""

TRANSITIONS: Final = MappingProxyType(
    {
        (_S.START, _I.SECURITY_REQUEST): _S.SECURITY,
        (_S.START, _I.OPERATIONAL_REQUEST): _S.OPERATIONAL,
        (_S.START, _I.OTHER_PDU): None,
        (_S.SECURITY, _I.SECURITY_REQUEST): _S.SECURITY,
        (_S.SECURITY, _I.OTHER_PDU): _INVALID,
        (_S.SECURITY, _I.NO_AUTHENTICATION_KEYS): _S.SECURITY,
        (_S.SECURITY, _I.METHOD_NONE): _S.AUTHENTICATED,
        (_S.SECURITY, _I.METHOD_CHAP): _S.CHAP_ALGORITHM,
        (_S.SECURITY, _I.AUTHENTICATION_LEFT_OUT): _UNAUTHENTICATED,
        (_S.CHAP_ALGORITHM, _I.SECURITY_REQUEST): _S.CHAP_ALGORITHM,
        (_S.CHAP_ALGORITHM, _I.OTHER_PDU): _INVALID,
        (_S.CHAP_ALGORITHM, _I.NO_AUTHENTICATION_KEYS): _MISSING,
        (_S.CHAP_ALGORITHM, _I.ALGORITHM_KEYS): _S.CHAP_RESPONSE,
        (_S.CHAP_ALGORITHM, _I.TRANSIT_OPERATIONAL): _S.CHAP_ALGORITHM,
        (_S.CHAP_ALGORITHM, _I.TRANSIT_FULL_FEATURE): _S.CHAP_ALGORITHM,
        (_S.CHAP_RESPONSE, _I.SECURITY_REQUEST): _S.CHAP_RESPONSE,
        (_S.CHAP_RESPONSE, _I.OTHER_PDU): _INVALID,
        (_S.CHAP_RESPONSE, _I.NO_AUTHENTICATION_KEYS): _MISSING,
        (_S.CHAP_RESPONSE, _I.RESPONSE_KEYS): _S.AUTHENTICATED,
        (_S.CHAP_RESPONSE, _I.TRANSIT_OPERATIONAL): _S.CHAP_RESPONSE,
        (_S.CHAP_RESPONSE, _I.TRANSIT_FULL_FEATURE): _S.CHAP_RESPONSE,
        (_S.AUTHENTICATED, _I.SECURITY_REQUEST): _S.AUTHENTICATED,
        (_S.AUTHENTICATED, _I.OTHER_PDU): _INVALID,
        (_S.AUTHENTICATED, _I.NO_AUTHENTICATION_KEYS): _S.AUTHENTICATED,
        (_S.AUTHENTICATED, _I.TRANSIT_OPERATIONAL): _S.OPERATIONAL,
        (_S.AUTHENTICATED, _I.TRANSIT_FULL_FEATURE): _S.COMPLETED,
        (_S.OPERATIONAL, _I.OPERATIONAL_REQUEST): _S.OPERATIONAL,
        (_S.OPERATIONAL, _I.OTHER_PDU): _INVALID,
        (_S.OPERATIONAL, _I.METHOD_NONE): _S.OPERATIONAL,
        (_S.OPERATIONAL, _I.AUTHENTICATION_LEFT_OUT): _UNAUTHENTICATED,
        (_S.OPERATIONAL, _I.TRANSIT_FULL_FEATURE): _S.COMPLETED,
    }
)
"""(state, input) -> the next state, or the status of the refusal, or None: close without an answer.

A pair that is not here is refused as an initiator error.
"""


def next_state(state: LoginState, event: LoginInput) -> LoginState:
    """Where `event` leads. Raises `LoginRefused`, or `ConnectionViolation` for what gets no answer."""
    result = TRANSITIONS.get((state, event), _ERROR)
    if result is None:
        raise ConnectionViolation("the first PDU is not a Login Request (RFC 7143 §6.3)")
    if isinstance(result, LoginStatus):
        raise LoginRefused(result, f"{event.value} (in state {state.name})")
    return result
