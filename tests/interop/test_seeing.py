"""What operators see of a running daemon: one event for each thing that happens, and who has changed what."""

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from isthmus.config.model import Chap, Configuration, Portal
from isthmus.initiator.errors import LoginFailed
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.initiator.task_management import logical_unit_reset
from isthmus.iscsi.chap import ChapCredentials
from tests.support.daemon import Daemon, StartDaemon, running_daemon
from tests.support.patience import PATIENCE
from tests.support.service import HOST, ONE, TWO, disk, target

SECRET = "a secret of the host"
pytestmark = pytest.mark.slow


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartDaemon]:
    """Starts daemons on one state directory, one after the other."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(running_daemon(tmp_path, *arguments))


def settings(daemon: Daemon, **fields: object) -> LoginSettings:
    """What logs in to the one target."""
    url = daemon.url(ONE)
    return LoginSettings(host=url.address, port=url.port, **{"initiator_name": HOST, "target_name": ONE, **fields})  # type: ignore[arg-type]


def told(daemon: Daemon) -> Counter[str]:
    """How often each event has happened."""
    return Counter(view.event for view in daemon.client.events(1000))


async def until(daemon: Daemon, event: str) -> None:
    """Wait until an event has happened."""

    def wait() -> None:
        for view in daemon.client.follow_events(recent=1000):
            if view.event == event:
                return

    await asyncio.wait_for(asyncio.to_thread(wait), PATIENCE)


async def test_each_thing_that_happens_is_told_once(start: StartDaemon) -> None:
    """Whatever it is: in the log, in the list and in the stream alike."""
    daemon = start()
    chap = Chap(userid="host", password=SECRET)
    attributes = {"generate_node_acls": 1, "authentication": 1, "demo_mode_write_protect": 0}
    daemon.client.change(lambda _: target(disk("a"), attributes=attributes, chap=chap))
    good = settings(daemon, credentials=ChapCredentials(user="host", secret=SECRET.encode()))

    with pytest.raises(LoginFailed):
        await Session.login(
            settings(daemon, credentials=ChapCredentials(user="host", secret=b"not the secret, but long"))
        )
    with pytest.raises(LoginFailed):
        await Session.login(settings(daemon, target_name=TWO))
    session = await Session.login(good)
    await logical_unit_reset(session, 0)
    await session.logout()
    await session.close()
    lost = await Session.login(good)
    await lost.drop()
    await until(daemon, "connection lost")
    [view] = await asyncio.to_thread(daemon.client.sessions)
    await asyncio.to_thread(daemon.client.end_session, view.tsih, ask=False)

    found = told(daemon)
    expected = {
        "configuration loaded": 1,
        "portal opened": 1,
        "configuration changed": 1,
        "login refused": 2,
        "login": 2,
        "reset": 1,
        "logout": 1,
        "connection lost": 1,
        "session is to end": 1,
        "session ended": 1,
    }
    assert found == expected
    refusals = [view for view in daemon.client.events(1000) if view.event == "login refused"]
    assert [view.values["status"] for view in refusals] == ["authentication_failure", "not_found"]
    assert all(view.values["reason"] for view in refusals)
    log = daemon.log_text()
    for event, count in expected.items():
        assert log.count(f"event={json.dumps(event) if ' ' in event else event} ") == count, event
    assert SECRET not in log


async def test_trouble_with_a_portal_is_told_once(start: StartDaemon) -> None:
    """However often it is tried again; and so is its end."""
    daemon = start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        portal = Portal("127.0.0.1", taken.getsockname()[1])
        report = daemon.client.change(lambda _: target(disk("a"), portals=(portal,)))
        assert "it is tried again" in report.warnings[0]
        assert told(daemon)["portal cannot be bound"] == 1
    await until(daemon, "portal opened")
    assert told(daemon)["portal cannot be bound"] == 1


def isthmus(tmp_path: Path, *arguments: str) -> str:
    """What the program prints."""
    return subprocess.run(
        [sys.executable, "-m", "isthmus", *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
        env={**os.environ, "ISTHMUS_RUN": str(tmp_path / "run")},
    ).stdout


def test_who_has_changed_what_is_kept(start: StartDaemon, tmp_path: Path) -> None:
    """With the numbers that the kernel vouches for, over a restart, and without the secret."""
    daemon = start()
    daemon.client.change(lambda _: target(disk("a"), chap=Chap(userid="host", password=SECRET)))
    daemon.stop()
    daemon = start()
    daemon.client.change(lambda _: Configuration())
    first, second = json.loads(isthmus(tmp_path, "audit", "--json"))
    assert (first["uid"], first["gid"], first["pid"]) == (os.getuid(), os.getgid(), os.getpid())
    assert any("host" in change for change in first["changes"]), first["changes"]
    assert second["changes"][-1] == "- /backstores/ramdisk/a"
    trail = daemon.state / "audit.jsonl"
    assert stat.S_IMODE(trail.stat().st_mode) == 0o600
    assert SECRET not in trail.read_text()
    assert "control socket uid" in isthmus(tmp_path, "audit")


def test_events_are_followed_from_the_command_line(start: StartDaemon, tmp_path: Path) -> None:
    """Each as it comes, until the daemon ends."""
    daemon = start()
    environment = {**os.environ, "ISTHMUS_RUN": str(tmp_path / "run"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "isthmus", "events", "--follow", "--json", "-n", "1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["event"] == "configuration loaded"
        daemon.client.change(lambda _: target(disk("a")))
        assert {json.loads(follower.stdout.readline())["event"] for _ in range(2)} == {
            "portal opened",
            "configuration changed",
        }
        assert daemon.stop() == 0
        names = [json.loads(line)["event"] for line in follower.stdout]
        assert names[0] == "stopping"
        assert follower.wait(PATIENCE) == 0
