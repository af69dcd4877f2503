import asyncio
import socket

import pytest

from isthmus.server import portal_set
from isthmus.server.listener import Listener, LoginLimiter
from isthmus.server.options import Portal
from isthmus.server.portal_set import PortalSet, plan
from tests.support.patience import PATIENCE


def portals(*texts: str) -> set[Portal]:
    """Written as ADDRESS PORT."""
    return {Portal(text.split()[0], int(text.split()[1])) for text in texts}


@pytest.mark.parametrize(
    ("wanted", "sockets"),
    [
        ((), ()),
        (("192.0.2.1 1", "192.0.2.2 1"), ("192.0.2.1 1", "192.0.2.2 1")),
        ((":: 1", "0.0.0.0 1", "192.0.2.1 1", "2001:db8::1 1"), (":: 1",)),
        (("0.0.0.0 1", "192.0.2.1 1", "2001:db8::1 1"), ("0.0.0.0 1", "2001:db8::1 1")),
        ((":: 1", "192.0.2.1 2"), (":: 1", "192.0.2.1 2")),
        ((":: 0", "192.0.2.1 0"), (":: 0", "192.0.2.1 0")),
    ],
)
def test_the_sockets_do_not_overlap(wanted: tuple[str, ...], sockets: tuple[str, ...]) -> None:
    """A wide one takes the connections of those that it covers."""
    assert plan(portals(*wanted), dual_stack=True) == portals(*sockets)


def test_a_machine_without_ipv6_listens_on_ipv4() -> None:
    """Every address is every address that there is."""
    assert plan(portals(":: 1", "192.0.2.1 1"), dual_stack=False) == portals("0.0.0.0 1")


def make_set(*inherited: socket.socket) -> PortalSet:
    """One whose connections nobody answers."""

    async def refuse(sock: socket.socket, _peer: str) -> None:
        sock.close()

    return PortalSet(lambda sock, _portal: Listener(sock, LoginLimiter(), refuse), inherited)


def connects(portal: Portal) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as sock:
        return sock.connect_ex((portal.address, portal.port)) == 0


async def test_it_listens_on_what_is_wanted_and_nothing_else() -> None:
    """Any free port is the one that was picked."""
    wanted = Portal("127.0.0.1", 0)
    listening = make_set()
    listening.want([wanted])
    bound = listening.bound(wanted)
    assert bound is not None
    assert bound.port
    assert connects(bound)
    listening.want([wanted])
    assert listening.bound(wanted) == bound
    listening.stop()
    assert not connects(bound)
    assert listening.bound(wanted) is None


async def test_what_cannot_be_had_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says why, and tells when it has worked."""
    monkeypatch.setattr(portal_set, "RETRY_SECONDS", 0.01)
    listening = make_set()
    came = asyncio.Event()
    listening.on_change = came.set
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        portal = Portal("127.0.0.1", taken.getsockname()[1])
        listening.want([portal])
        assert listening.bound(portal) is None
        assert "another program has this port" in listening.problem(portal)
        assert listening.has_problems
    async with asyncio.timeout(PATIENCE):
        await came.wait()
    assert (listening.bound(portal), listening.problem(portal), listening.has_problems) == (portal, "", False)
    listening.stop()


async def test_a_socket_of_the_service_manager_is_used() -> None:
    """None is made beside it."""
    given = socket.socket()
    given.bind(("127.0.0.1", 0))
    given.listen()
    given.setblocking(False)
    portal = Portal("127.0.0.1", given.getsockname()[1])
    listening = make_set(given)
    listening.want([portal])
    assert listening.bound(portal) == portal
    listening.stop()
    assert given.fileno() < 0


async def test_a_portal_is_tried_again_when_its_group_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    """The portal that is missing decides, not the others."""
    put_off: list[float] = []

    def call_later(seconds: float, *_: object) -> asyncio.Handle:
        put_off.append(seconds)
        return asyncio.Handle(print, (), asyncio.get_running_loop())

    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", call_later)
    missing, there = Portal("192.0.2.77", 3260), Portal("127.0.0.1", 0)
    listening = make_set()
    listening.want([missing, there], {missing: 7.0, there: 2.0})
    listening.want([missing])
    listening.stop()
    assert put_off == [7.0, portal_set.RETRY_SECONDS]
