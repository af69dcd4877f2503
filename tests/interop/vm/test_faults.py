"""Servers that restart and connections that break while the kernel writes, with the kernel's default settings."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.config.model import Backstore, BackstoreKey, Configuration, Lun, Portal, PortalGroup, Target
from isthmus.names import IscsiName
from tests.interop.vm.guest import Guest, Script
from tests.interop.vm.relay import Relay, running_relay
from tests.support.daemon import Daemon, free_port, running_daemon
from tests.support.patience import eventually_asked
from tests.support.server import Server, running_server

TARGET = IscsiName("iqn.2026-05.com.example:restarted")
PATIENCE = 400.0
MIB = 1 << 20
MORE_THAN_OUTSTANDING = 3 * MIB // 2
"""The kernel sends a command six times, and no more; the load has 16 of 64 KiB outstanding. So each of them gets its chance."""

LOAD = """
DISK=$(disk)
rounds=0
echo writing
while [ $rounds = 0 ] || [ ! -e /host/enough ]; do
    verify_with_fio "$DISK" --size=24m --fsync=64
    rounds=$((rounds + 1))
    echo "verified $rounds"
done
rm -f /host/enough
no_kernel_complaint
echo "errors: $(kernel_log | grep -c 'detected conn error' || true)"
logout
"""
"""Writes and verifies until it is told that it is enough; any error of the kernel's or of fio's ends it."""


IMPATIENT = """
login 'node.conn[0].timeo.noop_out_interval' 0 'node.conn[0].timeo.noop_out_timeout' 0
DISK=$(disk)
echo 3 > "/sys/block/${DISK#/dev/}/device/timeout"
echo 1 > /sys/module/libiscsi/parameters/debug_libiscsi_eh
"""
"""Commands time out after three seconds, connections do not; the kernel tells what it aborts."""


ABORTS = "dmesg | grep -c 'aborting sc' || true"


def aborts(guest: Guest) -> int:
    """How many commands the kernel has aborted since it started."""
    return int(guest.run(ABORTS).split()[-1])


def load(guest: Guest, target: str, port: int, preparation: str = "login\n") -> Script:
    """Start the load on the target's disk, through that port."""
    (guest.share / "enough").unlink(missing_ok=True)
    script = guest.start(f"target {target} {guest.portal(port)}\n{preparation}{LOAD}")
    script.wait_for("writing\n", PATIENCE)
    return script


def finish(guest: Guest, script: Script) -> str:
    """Let the load end after this round, and give what it printed."""
    (guest.share / "enough").touch()
    return script.wait(PATIENCE * 2)


def wait_for_writes(server: Server | Daemon, count: int) -> None:
    """Wait until the server has written so many more bytes, as the system counts them (proc(5), wchar)."""

    def written() -> int:
        lines = Path(f"/proc/{server.process.pid}/io").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("wchar:")).split()[1])

    goal = written() + count
    eventually_asked(lambda: written() >= goal, PATIENCE)


def wait_for_traffic(relay: Relay, count: int, script: Script) -> None:
    """Wait until so much more has gone to the server; if the script ends before, its output says why."""
    try:
        relay.wait_for(count, PATIENCE, lambda: script.has_ended)
    except TimeoutError:
        if script.has_ended:
            script.wait(0)
        raise


def errors(out: str) -> int:
    """How many connections the kernel lost."""
    return int(out.rpartition("errors: ")[2].split()[0])


def one_disk(medium: Path, port: int) -> Configuration:
    """A disk for everybody."""
    key = BackstoreKey("fileio", "disk")
    store = Backstore(key=key, path=str(medium), unit_serial="daemon-under-load")
    group = PortalGroup(
        tag=1,
        portals=(Portal("127.0.0.1", port),),
        luns=(Lun(number=0, backstore=key),),
        attributes={"generate_node_acls": 1, "demo_mode_write_protect": 0},
    )
    return Configuration(backstores={key: store}, targets={TARGET: Target(name=TARGET, portal_groups=(group,))})


def stop_in_order(server: Server) -> None:
    """SIGTERM, as at an upgrade."""
    assert server.terminate() == 0
    server.was_killed = True


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(stop_in_order, id="in order", marks=pytest.mark.thorough),
        pytest.param(Server.kill, id="kill -9"),
    ],
)
def test_restart_under_load(guest: Guest, medium: Path, tmp_path: Path, stop: Callable[[Server], None]) -> None:
    """The kernel waits for the server to come back and goes on: no I/O error, and all data is as written."""
    with running_server([medium, "--portal", "127.0.0.1:0"], tmp_path) as first:
        script = load(guest, first.url.iqn, first.url.port)
        wait_for_writes(first, 4 * MIB)
        stop(first)
    with running_server([medium, "--portal", f"127.0.0.1:{first.url.port}"], tmp_path) as second:
        wait_for_writes(second, 4 * MIB)
        finish(guest, script)


@pytest.mark.thorough
def test_daemon_restarts_under_load(guest: Guest, medium: Path, tmp_path: Path) -> None:
    """So it is with a daemon, which finds everything in what it has saved: stopped in order first, and then killed."""
    port = free_port()
    with running_daemon(tmp_path) as daemon:
        daemon.client.change(lambda _: one_disk(medium, port))
        script = load(guest, TARGET, port)
        wait_for_writes(daemon, 4 * MIB)
        assert daemon.stop() == 0
    with running_daemon(tmp_path) as daemon:
        wait_for_writes(daemon, 4 * MIB)
        daemon.kill()
    with running_daemon(tmp_path) as daemon:
        wait_for_writes(daemon, 4 * MIB)
        finish(guest, script)
        assert daemon.stop() == 0


@pytest.mark.parametrize("cuts", [5, pytest.param(100, marks=pytest.mark.thorough)])
def test_cuts_under_load(guest: Guest, medium: Path, tmp_path: Path, cuts: int) -> None:
    """However often the connection is cut amid writes, the kernel comes back, and all data is as written."""
    with (
        running_server([medium, "--portal", "127.0.0.1:0"], tmp_path) as server,
        running_relay(server.url.port) as relay,
    ):
        script = load(guest, server.url.iqn, relay.port)
        for _ in range(cuts):
            wait_for_traffic(relay, MORE_THAN_OUTSTANDING, script)
            assert relay.cut() >= 1
        wait_for_traffic(relay, MIB, script)
        out = finish(guest, script)
    assert errors(out) == cuts


@pytest.mark.thorough
def test_server_that_does_not_answer(guest: Guest, medium: Path, tmp_path: Path) -> None:
    """A server that stands still for 20 seconds, so that the kernel gives it up, is used again when it goes on."""
    with running_server([medium, "--portal", "127.0.0.1:0"], tmp_path) as server:
        script = load(guest, server.url.iqn, server.url.port)
        wait_for_writes(server, MIB)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            guest.run(
                "until [ $SECONDS -ge 20 ] && dmesg | grep -q 'ping timeout'; do sleep 0.2; done", seconds=PATIENCE
            )
        finally:
            os.kill(server.pid, signal.SIGCONT)
        wait_for_writes(server, 4 * MIB)
        out = finish(guest, script)
    assert errors(out) >= 1


@pytest.mark.thorough
def test_aborted_commands(guest: Guest, medium: Path, tmp_path: Path) -> None:
    """Commands that the kernel aborts, as the server was too slow for it, are tried again, and all data is as written."""
    with running_server([medium, "--portal", "127.0.0.1:0"], tmp_path) as server:
        script = load(guest, server.url.iqn, server.url.port, IMPATIENT)
        for _ in range(3):
            wait_for_writes(server, MIB)
            before = aborts(guest)
            os.kill(server.pid, signal.SIGSTOP)
            try:
                guest.run(f"until [ $({ABORTS}) -gt {before} ]; do sleep 0.2; done", seconds=PATIENCE)
            finally:
                os.kill(server.pid, signal.SIGCONT)
        wait_for_writes(server, 4 * MIB)
        finish(guest, script)
        guest.run("echo 0 > /sys/module/libiscsi/parameters/debug_libiscsi_eh")
