import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from isthmus.errors import ConfigurationError
from isthmus.server import listener as listener_module
from isthmus.server.listener import (
    MAX_LOGINS_OF_ADDRESS,
    Listener,
    LoginLimiter,
    bare_address,
    bind,
    format_address,
    plain_address,
    route_of,
)
from isthmus.server.options import Portal
from tests.support.patience import PATIENCE


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    """A listening socket on a free port."""
    sock = bind(Portal("127.0.0.1", 0))
    yield sock
    sock.close()


async def forever() -> None:
    """A login that never gets anywhere."""
    await asyncio.get_running_loop().create_future()


async def test_whoever_holds_connections_open_loses_the_oldest() -> None:
    """One more than allowed from an address ends the login that has taken longest; other addresses are untouched."""
    limiter = LoginLimiter()
    for _ in range(MAX_LOGINS_OF_ADDRESS):
        limiter.start("192.0.2.1", forever())
    limiter.start("192.0.2.2", forever())
    tasks = list(limiter._all)
    limiter.start("192.0.2.1", forever())
    await asyncio.wait({tasks[0]})
    assert tasks[0].cancelled()
    assert not any(task.done() for task in tasks[1:])
    await limiter.stop()


async def test_there_is_a_bound_on_all_addresses_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd of addresses does not get more than its share of memory."""
    monkeypatch.setattr(listener_module, "MAX_LOGINS", 5)
    limiter = LoginLimiter()
    started = []
    for number in range(8):
        limiter.start(f"192.0.2.{number}", forever())
        started.append(list(limiter._all)[-1])
    done, _ = await asyncio.wait(started, timeout=0.05)
    assert done == set(started[:3])
    await limiter.stop()
    assert not limiter._all
    assert not limiter._of_address


async def test_a_login_that_fails_by_our_fault_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """Its exception goes to the log, and to nobody else."""

    async def broken() -> None:
        raise ValueError("a bug")

    limiter = LoginLimiter()
    limiter.start("192.0.2.1", broken())
    await asyncio.wait(set(limiter._all))
    await asyncio.sleep(0)
    assert "internal error in login" in capsys.readouterr().out
    assert not limiter._all


async def test_connections_are_accepted_and_logged_in(bound: socket.socket) -> None:
    """Each accepted socket is handed to a login, with its peer's address."""
    peers: asyncio.Queue[str] = asyncio.Queue()

    async def log_in(accepted: socket.socket, peer: str) -> None:
        accepted.close()
        await peers.put(peer)

    limiter = LoginLimiter()
    listener = Listener(bound, limiter, log_in)
    listener.start()
    with socket.create_connection(bound.getsockname()) as client:
        host, port = client.getsockname()
        assert await asyncio.wait_for(peers.get(), PATIENCE) == f"{host}:{port}"
    listener.stop()
    await limiter.stop()


class ExhaustedSocket:
    """A listening socket for which there is no descriptor left."""

    def __init__(self) -> None:
        self.accepts = 0

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        self.accepts += 1
        raise OSError(errno.EMFILE, "Too many open files")

    def getsockname(self) -> tuple[str, int]:
        return "192.0.2.1", 3260

    def fileno(self) -> int:
        return 1


async def test_without_descriptors_accepting_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop is not kept busy by a connection that cannot be accepted; later it is tried again."""
    loop = asyncio.get_running_loop()
    watched: list[str] = []
    later: list[object] = []
    monkeypatch.setattr(loop, "remove_reader", lambda sock: watched.append("removed"))
    monkeypatch.setattr(loop, "add_reader", lambda sock, callback: watched.append("added"))
    monkeypatch.setattr(loop, "call_later", lambda delay, callback: later.append(callback))
    exhausted = ExhaustedSocket()
    listener = Listener(exhausted, LoginLimiter(), lambda sock, peer: forever())  # type: ignore[arg-type]
    listener._accept()
    assert (exhausted.accepts, watched) == (1, ["removed"])
    (again,) = later
    again()  # type: ignore[operator]
    assert watched == ["removed", "added"]


def test_a_port_in_use_is_said_with_its_remedy(bound: socket.socket) -> None:
    """The operator learns which address it is, and what to do."""
    port = bound.getsockname()[1]
    with pytest.raises(ConfigurationError, match=rf"cannot listen on 127\.0\.0\.1:{port}: another program"):
        bind(Portal("127.0.0.1", port))


def test_an_address_of_another_machine_is_refused() -> None:
    """TEST-NET-1 is nobody's."""
    with pytest.raises(ConfigurationError, match="no interface of this machine"):
        bind(Portal("192.0.2.1", 0))


def test_every_address_is_both_families() -> None:
    """`::` takes IPv4 connections too; another IPv6 address does not."""
    with bind(Portal("::", 0)) as both:
        assert both.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0
    with bind(Portal("::1", 0)) as one:
        assert one.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@pytest.mark.parametrize(
    ("host", "shown"),
    [("192.0.2.1", "192.0.2.1:5"), ("::ffff:192.0.2.1", "192.0.2.1:5"), ("2001:db8::1", "[2001:db8::1]:5")],
)
def test_addresses_as_people_write_them(host: str, shown: str) -> None:
    """IPv4 through a dual-stack socket is IPv4."""
    assert format_address(host, 5) == shown
    assert plain_address(host) in shown
    assert bare_address(shown) == plain_address(host)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_route_of_a_connection(address: str) -> None:
    """Through a dual-stack socket IPv4 is IPv4, at both ends."""
    with bind(Portal("::", 0)) as sock:
        sock.listen()
        port = sock.getsockname()[1]
        with socket.create_connection((address, port)):
            accepted, peer = sock.accept()
            with accepted:
                route = route_of(accepted, format_address(*peer[:2]))
    assert (route.address, route.portal_address, route.portal_port) == (address, address, port)
