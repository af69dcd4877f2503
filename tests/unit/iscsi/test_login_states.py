import itertools

import pytest

from isthmus.iscsi.errors import ConnectionViolation, LoginRefused
from isthmus.iscsi.login_states import ENDED, TRANSITIONS, LoginInput, LoginState, next_state
from isthmus.iscsi.opcodes import LoginStatus

# What each input leads to in each state, in the order of this header: a state, a status, or silence. A dot is an
# initiator error.
TABLE = """
                         START       SECURITY        CHAP_ALGORITHM  CHAP_RESPONSE  AUTHENTICATED  OPERATIONAL
SECURITY_REQUEST         SECURITY    SECURITY        CHAP_ALGORITHM  CHAP_RESPONSE  AUTHENTICATED  .
OPERATIONAL_REQUEST      OPERATIONAL .               .               .              .              OPERATIONAL
STRAY_REQUEST            .           .               .               .              .              .
OTHER_PDU                silence     020B            020B            020B           020B           020B
NO_AUTHENTICATION_KEYS   .           SECURITY        0207            0207           AUTHENTICATED  .
METHOD_NONE              .           AUTHENTICATED   .               .              .              OPERATIONAL
METHOD_CHAP              .           CHAP_ALGORITHM  .               .              .              .
ALGORITHM_KEYS           .           .               CHAP_RESPONSE   .              .              .
RESPONSE_KEYS            .           .               .               AUTHENTICATED  .              .
OTHER_AUTHENTICATION_KEYS .          .               .               .              .              .
AUTHENTICATION_LEFT_OUT  .           0201            .               .              .              0201
TRANSIT_OPERATIONAL      .           .               CHAP_ALGORITHM  CHAP_RESPONSE  OPERATIONAL    .
TRANSIT_FULL_FEATURE     .           .               CHAP_ALGORITHM  CHAP_RESPONSE  COMPLETED      COMPLETED
"""
LINES = [line.split() for line in TABLE.split("\n") if line]
STATES = [LoginState[name] for name in LINES[0]]
CELLS = {(state, LoginInput[line[0]]): cell for line in LINES[1:] for state, cell in zip(STATES, line[1:], strict=True)}


def outcome(state: LoginState, event: LoginInput) -> str:
    """What the code makes of a pair, as the table above writes it."""
    try:
        return next_state(state, event).name
    except ConnectionViolation:
        return "silence"
    except LoginRefused as refused:
        return "." if refused.status is LoginStatus.INITIATOR_ERROR else f"{refused.status:04X}"


def test_the_table_has_every_pair() -> None:
    """Every state that takes input, and every input."""
    assert set(CELLS) == set(itertools.product(set(LoginState) - ENDED, LoginInput))
    assert not {state for state, _ in TRANSITIONS} & ENDED


@pytest.mark.parametrize(("state", "event"), list(CELLS), ids=[f"{state.name}-{event.name}" for state, event in CELLS])
def test_every_pair_leads_where_it_should(state: LoginState, event: LoginInput) -> None:
    """A next state, or one named refusal."""
    assert outcome(state, event) == CELLS[state, event]


def test_nobody_gets_past_authentication_without_settling_it() -> None:
    """From the security stage, every way to the later ones leads through AUTHENTICATED."""
    security = {LoginState.SECURITY, LoginState.CHAP_ALGORITHM, LoginState.CHAP_RESPONSE}
    exits = {
        result
        for (state, _), result in TRANSITIONS.items()
        if state in security and isinstance(result, LoginState) and result not in security
    }
    assert exits == {LoginState.AUTHENTICATED}


def test_a_refusal_says_what_happened_where() -> None:
    """The log has the input in words, and the state."""
    with pytest.raises(LoginRefused, match=r"where authentication is required \(in state SECURITY\)"):
        next_state(LoginState.SECURITY, LoginInput.AUTHENTICATION_LEFT_OUT)
