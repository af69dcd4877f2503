import asyncio

import pytest

from isthmus.initiator.discovery import DiscoveredTarget, parse_targets, send_targets
from isthmus.initiator.target_address import TargetAddress
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.pdu import TextRequest, TextResponse
from tests.support.fake_target import session_pair


def test_reads_the_records() -> None:
    """Addresses belong to the name before them; a name may come without, and may come again."""
    pairs = [
        ("TargetName", "iqn.2025-01.org.example:a"),
        ("TargetAddress", "192.0.2.1:3260,1"),
        ("TargetAddress", "[2001:db8::1]:3260,2"),
        ("TargetName", "iqn.2025-01.org.example:b"),
        ("TargetName", "iqn.2025-01.org.example:a"),
        ("TargetAddress", "192.0.2.2:3260,1"),
    ]
    assert parse_targets(pairs) == [
        DiscoveredTarget(
            "iqn.2025-01.org.example:a",
            (
                TargetAddress("192.0.2.1", 3260, 1),
                TargetAddress("2001:db8::1", 3260, 2),
                TargetAddress("192.0.2.2", 3260, 1),
            ),
        ),
        DiscoveredTarget("iqn.2025-01.org.example:b", ()),
    ]


@pytest.mark.parametrize("pairs", [[("TargetAddress", "192.0.2.1")], [("TargetName", "x"), ("Other", "y")]])
def test_refuses_what_has_no_place_there(pairs: list[tuple[str, str]]) -> None:
    """An address without a name, and any other key."""
    with pytest.raises(ConnectionViolation, match="no place"):
        parse_targets(pairs)


async def test_asks_in_any_session() -> None:
    """The value is handed on as it is."""
    async with session_pair() as (session, [target]):
        asking = asyncio.ensure_future(send_targets(session, ""))
        request = await target.expect(TextRequest)
        assert bytes(request.data_segment) == b"SendTargets=\0"
        answer = b"TargetName=iqn.2025-01.org.example:a\0"
        target.send(TextResponse(initiator_task_tag=request.initiator_task_tag, data_segment=answer))
        assert await asking == [DiscoveredTarget("iqn.2025-01.org.example:a", ())]
