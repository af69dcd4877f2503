import itertools

import pytest

from isthmus.errors import LocalProtocolError
from isthmus.iscsi.session_state import TRANSITIONS, SessionInput, SessionState, next_state


@pytest.mark.parametrize(("state", "happened"), list(itertools.product(SessionState, SessionInput)))
def test_every_pair_has_a_row_or_raises(state: SessionState, happened: SessionInput) -> None:
    """A pair leads where the table says, or is named as our mistake."""
    if (state, happened) in TRANSITIONS:
        assert next_state(state, happened) is TRANSITIONS[state, happened]
    else:
        with pytest.raises(LocalProtocolError, match=happened.name):
            next_state(state, happened)


def test_every_session_can_end() -> None:
    """From each state a way leads back to FREE."""
    for state in SessionState:
        reached = {state}
        while more := {to for (source, _), to in TRANSITIONS.items() if source in reached} - reached:
            reached |= more
        assert SessionState.FREE in reached


def test_only_a_session_without_connections_can_be_continued() -> None:
    """A login that names the TSIH of a failed session continues it (RFC 7143 §8.3.1, N7)."""
    continued = {state for state, happened in TRANSITIONS if happened is SessionInput.CONTINUATION}
    assert continued == {SessionState.FAILED, SessionState.IN_CONTINUE}
