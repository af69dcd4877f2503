import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.compat.tgt.server import TgtServer, open_tgt_socket
from tests.support.tgt_machine import IQN, TgtBench

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tgt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TgtBench]:
    """A daemon with a socket, on a thread of its own."""
    prefix = str(tmp_path / "socket")
    monkeypatch.setenv("TGT_IPC_SOCKET", prefix)
    bench, sock = TgtBench(), open_tgt_socket(prefix)
    started, stopped = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = TgtServer(sock, bench.face)
        server.start(lambda: None)
        started.set()
        await stopped.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    started.wait()
    yield bench
    loop.call_soon_threadsafe(stopped.set)
    thread.join()
    loop.close()


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a program: exit status, output, errors."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = main.run(arguments)
        return status, *capfd.readouterr()

    return call


def test_tgtadm(tgt: TgtBench, run: Run) -> None:
    """Prints what it is answered, and ends with tgtadm's numbers."""
    assert run("tgtadm", "--op", "new", "--mode", "target", "--tid", "1", "-T", IQN) == (0, "", "")
    status, output, _ = run("tgtadm", "-o", "show", "-m", "target")
    assert (status, output.splitlines()[0]) == (0, f"Target 1: {IQN}")
    status, _, errors = run("tgtadm", "-o", "delete", "-m", "target", "-t", "9")
    assert (status, errors) == (22, "tgtadm: can't find the target\n")
    status, _, errors = run("tgtadm", "-o", "show")
    assert (status, errors.splitlines()[0]) == (22, "tgtadm: specify the mode")


def test_what_needs_no_daemon(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Help and version; without a daemon, the error says what to start."""
    monkeypatch.setenv("TGT_IPC_SOCKET", str(tmp_path / "socket"))
    assert run("tgtadm", "--version")[0] == 0
    assert "--mode account --op bind\n" in run("tgtadm", "--help")[1]
    status, _, errors = run("tgtadm", "-o", "show", "-m", "sys")
    assert status == 107
    assert "start isthmus daemon --tgt-socket" in errors
    assert run("tgt-admin", "-s")[0] == 107
    assert run("tgt-setup-lun", "-n", "x", "-d", "/dev/null")[0] == 107


def test_tgt_admin(tgt: TgtBench, run: Run, tmp_path: Path) -> None:
    """Each of its actions."""
    path = tmp_path / "targets.conf"
    (tmp_path / "disk.img").touch()
    path.write_text(f"<target {IQN}>\nbacking-store {tmp_path}/disk.img\n</target>\n")
    assert run("tgt-admin", "-p", "-e", "-c", str(path))[1].startswith("# Adding target: ")
    assert run("tgt-admin", "-e", "-c", str(path)) == (0, "", "")
    assert f"Target 1: {IQN}\n" in run("tgt-admin", "-s")[1]
    assert f"<target {IQN}>\n" in run("tgt-admin", "--dump")[1]
    assert run("tgt-admin", "-offline=ALL") == (0, "", "")
    assert not tgt.group.enable
    assert run("tgt-admin", "--ready", IQN) == (0, "", "")
    assert run("tgt-admin", "--update", "ALL", "-c", str(path)) == (0, "", "")
    assert run("tgt-admin", "--update", "tid=7", "-c", str(path))[0] == 1
    assert run("tgt-admin", "-delete", "ALL", "-p")[1].startswith("# Removing target: ")
    assert run("tgt-admin", "-d", "ALL", "-p")[1].startswith("# Removing target: ")
    assert run("tgt-admin", "--delete", "ALL", "-v")[1].startswith("# Removing target: ")


def test_tgt_admin_used_wrongly(tgt: TgtBench, run: Run, tmp_path: Path) -> None:
    """One line, and an exit status."""
    (tmp_path / "wrong.conf").write_text("<target\n")
    assert run("tgt-admin", "-v") == (0, "No action specified.\n", "")
    assert run("tgt-admin")[1].startswith("Usage:")
    assert run("tgt-admin", "--nonsense")[0] == 1
    assert run("tgt-admin", "extra")[0] == 1
    assert run("tgt-admin", "-s", "-C", "x")[0] == 1
    status, _, errors = run("tgt-admin", "-e", "-c", str(tmp_path / "wrong.conf"))
    assert status == 1
    assert "wrong.conf:1:1: " in errors


def test_tgt_setup_lun(tgt: TgtBench, run: Run, tmp_path: Path) -> None:
    """A target with a LUN, in one go."""
    (tmp_path / "disk.img").touch()
    status, output, _ = run("tgt-setup-lun", "-n", IQN, "-d", str(tmp_path / "disk.img"), "192.0.2.1")
    assert (status, output.splitlines()[-1]) == (0, "Accepting connections from 192.0.2.1")
    assert tgt.group.attributes["allowed_addresses"] == "192.0.2.1"
    assert run("tgt-setup-lun", "-n", IQN)[0] == 1
    assert run("tgt-setup-lun", "-n", "x", "-d", str(tmp_path / "absent"))[0] == 1


def test_the_name_of_the_program_counts() -> None:
    """A link is enough."""
    assert {"tgtadm", "tgt-admin", "tgt-setup-lun"} <= main.CALLED.keys()
