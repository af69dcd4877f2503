import os
import socket
from pathlib import Path

import pytest

from isthmus.daemon import service_manager
from isthmus.daemon.service_manager import ServiceManager
from tests.support.patience import PATIENCE


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_hears_what_happens(tmp_path: Path, abstract: bool) -> None:
    """As datagrams, to a path or to an abstract name."""
    name = f"@isthmus-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name[1:]}" if abstract else name)
        sock.settimeout(PATIENCE)
        manager = ServiceManager({"NOTIFY_SOCKET": name})
        manager.ready()
        manager.reloading(17)
        manager.status("so far")
        manager.alive()
        manager.stopping()
        heard = [sock.recv(100) for _ in range(5)]
    assert heard == [b"READY=1", b"RELOADING=1\nMONOTONIC_USEC=17", b"STATUS=so far", b"WATCHDOG=1", b"STOPPING=1"]


def test_without_one_nobody_is_told() -> None:
    """And one that has gone is not waited for."""
    ServiceManager({}).ready()
    ServiceManager({"NOTIFY_SOCKET": "/no/such/socket"}).ready()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_this_process_s(environment: dict[str, str], seconds: float | None) -> None:
    """What is meant for another process is not taken; none of it is left for a child."""
    assert ServiceManager(environment).watchdog_seconds == seconds
    assert not environment


def test_listening_sockets_are_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """They begin at descriptor 3, and no child gets them."""
    with socket.socket() as given:
        monkeypatch.setattr(service_manager, "_FIRST_DESCRIPTOR", os.dup(given.fileno()))
        [sock] = ServiceManager({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}).sockets
        with sock:
            assert not sock.get_inheritable()
            assert not sock.getblocking()
    assert ServiceManager({"LISTEN_PID": "1", "LISTEN_FDS": "1"}).sockets == []
