from collections.abc import Callable
from typing import Any, cast

import pytest

from isthmus.errors import LocalProtocolError
from isthmus.iscsi.discovery_sink import NoCommands

NOTHING = cast("Any", None)


@pytest.mark.parametrize(
    "call",
    [
        lambda sink: sink.submit(NOTHING),
        lambda sink: sink.data_out_complete(NOTHING),
        lambda sink: sink.fail(NOTHING, NOTHING),
        lambda sink: sink.manage(NOTHING, NOTHING, None, NOTHING),
    ],
)
def test_a_command_in_a_discovery_session_is_a_bug_of_ours(call: Callable[[NoCommands], None]) -> None:
    """The connection rejects it before it gets here (RFC 7143 §4.3)."""
    with pytest.raises(LocalProtocolError):
        call(NoCommands())


def test_a_discovery_connection_has_nothing_to_abort() -> None:
    """Its loss is of no consequence."""
    NoCommands().connection_lost([])
