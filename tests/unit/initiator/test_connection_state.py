import itertools

import pytest

from isthmus.errors import LocalProtocolError
from isthmus.initiator.connection_state import TRANSITIONS, ConnectionInput, ConnectionState, next_state

PAIRS = list(itertools.product(ConnectionState, ConnectionInput))


@pytest.mark.parametrize(("state", "happened"), PAIRS)
def test_every_pair_is_a_row_or_an_error(state: ConnectionState, happened: ConnectionInput) -> None:
    """A pair leads to the state of its row, or raises."""
    if (state, happened) in TRANSITIONS:
        assert next_state(state, happened) is TRANSITIONS[state, happened]
    else:
        with pytest.raises(LocalProtocolError, match=happened.name):
            next_state(state, happened)


def test_a_life_without_incident() -> None:
    """Connect, log in, log out."""
    state = ConnectionState.FREE
    for happened in (
        ConnectionInput.CONNECT,
        ConnectionInput.CONNECTED,
        ConnectionInput.LOGIN_ACCEPTED,
        ConnectionInput.LOGOUT_SENT,
        ConnectionInput.LOGOUT_ANSWERED,
    ):
        state = next_state(state, happened)
    assert state is ConnectionState.FREE


@pytest.mark.parametrize("state", [state for state in ConnectionState if state is not ConnectionState.FREE])
def test_every_state_leads_back_to_free(state: ConnectionState) -> None:
    """Nothing is a dead end."""
    reached = {state}
    for _ in ConnectionState:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert ConnectionState.FREE in reached
