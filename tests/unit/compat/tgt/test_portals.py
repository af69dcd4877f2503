import pytest

from isthmus.compat.tgt.errors import Refused, Status
from isthmus.compat.tgt.portals import parse_portal
from isthmus.config.model import Portal
from tests.support.tgt_machine import TgtBench


@pytest.mark.parametrize(
    ("text", "portal"),
    [
        ("192.0.2.1", Portal("192.0.2.1")),
        ("192.0.2.1:860", Portal("192.0.2.1", 860)),
        ("[::1]:860", Portal("::1", 860)),
        ("[::1]", Portal("::1")),
    ],
)
def test_portals(text: str, portal: Portal) -> None:
    """The port is iSCSI's if none is named."""
    assert parse_portal(text) == portal


@pytest.mark.parametrize("text", ["", "[::1", "::1", "host:3260", "192.0.2.1:99999", "192.0.2.1:"])
def test_what_is_no_portal(text: str) -> None:
    """It is refused, not guessed at."""
    with pytest.raises(Refused):
        parse_portal(text)


async def test_all_targets_of_tgtadm_share_them() -> None:
    """Those that are there and those that come; the default one is one of them until it is taken away."""
    bench = TgtBench()
    await bench.set_up()
    assert await bench.tgtadm("--op show --mode portal") == "Portal: 127.0.0.1:3260,1\n"
    await bench.tgtadm("--op new --mode portal -P portal=127.0.0.2:860")
    await bench.tgtadm("--op new --mode target --tid 2 -T iqn.2026-01.org.example:two")
    both = (Portal("127.0.0.1"), Portal("127.0.0.2", 860))
    assert {target.portal_groups[0].portals for target in bench.machine.configuration.targets.values()} == {both}
    shown = await bench.tgtadm("--op show --mode portal")
    assert shown == "Portal: 127.0.0.2:860,1\nPortal: 127.0.0.1:3260,1\n"
    delete = "--op delete --mode portal -P portal="
    assert await bench.status(f"{delete}127.0.0.1") == Status.SUCCESS
    assert await bench.status(f"{delete}127.0.0.1") == Status.INVALID_REQUEST
    assert await bench.status(f"{delete}127.0.0.2:860") == Status.INVALID_REQUEST
    assert bench.group.portals == (Portal("127.0.0.2", 860),)


async def test_requests_without_a_portal() -> None:
    """Change nothing."""
    bench = TgtBench()
    assert await bench.status("--op new --mode portal -P nonsense=1") == Status.INVALID_REQUEST
