import itertools

import pytest

from isthmus.errors import LocalProtocolError
from isthmus.iscsi.connection_state import TRANSITIONS, ConnectionInput, ConnectionState, next_state


@pytest.mark.parametrize(("state", "happened"), list(itertools.product(ConnectionState, ConnectionInput)))
def test_every_pair_has_a_row_or_raises(state: ConnectionState, happened: ConnectionInput) -> None:
    """A pair leads where the table says, or is named as our mistake."""
    if (state, happened) in TRANSITIONS:
        assert next_state(state, happened) is TRANSITIONS[state, happened]
    else:
        with pytest.raises(LocalProtocolError, match=happened.name):
            next_state(state, happened)


def test_every_connection_can_end() -> None:
    """From each state a way leads back to FREE."""
    for state in ConnectionState:
        reached = {state}
        while more := {to for (source, _), to in TRANSITIONS.items() if source in reached} - reached:
            reached |= more
        assert ConnectionState.FREE in reached


def test_a_logged_in_connection_survives_only_what_the_rfc_lets_it() -> None:
    """Three things can happen to a connection in full feature phase (RFC 7143 §8.1.3: T9, T11, T15)."""
    assert {happened for state, happened in TRANSITIONS if state is ConnectionState.LOGGED_IN} == {
        ConnectionInput.LOGOUT_REQUEST,
        ConnectionInput.ASK_LOGOUT,
        ConnectionInput.LOST,
    }
