import asyncio
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli import main
from isthmus.config.model import Configuration, Target
from isthmus.initiator.errors import InitiatorError
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.management import client
from isthmus.management.views import BackstoreView, PortalView, SessionView, VersionView
from isthmus.names import IscsiName
from tests.support.daemon import running_daemon
from tests.support.fake_daemon import FakeDaemon
from tests.support.patience import PATIENCE
from tests.support.service import HOST, ONE, disk, target
from tests.support.session_views import SESSION

NAME = "iqn.2026-01.org.example:db"
NORMAL = dataclasses.replace(SESSION, initiator_alias="h\x07st", target_name=NAME, luns=(0, 7))
DISCOVERY = dataclasses.replace(
    SESSION,
    tsih=4,
    session_type="Discovery",
    isid="00023d000002",
    target_name="",
    target_portal_group_tag=0,
    dynamic=False,
    luns=(),
    parameters={},
    connections=(),
)
LISTENING = PortalView(
    target_name=NAME, target_portal_group_tag=1, portal="[::]:0", listening=True, bound="[::]:3261", is_default=True
)
DEAF = PortalView(
    target_name=NAME,
    target_portal_group_tag=2,
    portal="192.0.2.9:3260",
    listening=False,
    problem="Cannot assign requested address",
)
DISK = BackstoreView(path="/backstores/fileio/disk01", size=10 << 30, block_length=512, active=True)
SPARE = BackstoreView(path="/backstores/ramdisk/spare", size=1 << 20, block_length=4096, active=False)
BROKEN = BackstoreView(path="/backstores/block/b", size=0, block_length=0, active=True, problem="/dev/b is not there")


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    """The daemon that the commands speak to."""
    fake = FakeDaemon(
        running=Configuration(targets={IscsiName(NAME): Target(name=IscsiName(NAME))}),
        open_sessions=(NORMAL, DISCOVERY),
        known_portals=(LISTENING, DEAF),
        known_backstores=(DISK, SPARE, BROKEN),
        whoami=VersionView(
            version="1.2.3",
            pid=42,
            started=time.time() - 3725,
            state_directory="/var/lib/isthmus",
            loaded_from="/var/lib/isthmus/saveconfig.json",
            remarks=("saveconfig.json was damaged",),
        ),
    )
    monkeypatch.setattr(client, "Client", lambda: fake)
    return fake


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    """A daemon in which there is nothing yet."""
    fake = FakeDaemon()
    monkeypatch.setattr(client, "Client", lambda: fake)
    return fake


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What a command that succeeds prints."""
    assert main.run(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def test_sessions(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Every session is a line, those of demo mode and of discovery too; what a peer sent is escaped."""
    found = [line.split() for line in lines(capsys, "sessions")]
    assert found[0] == ["TSIH", "INITIATOR", "ALIAS", "FROM", "TARGET", "TPG", "LUNS", "STATE"]
    host, peer = "iqn.2026-01.org.example:host", "192.0.2.7:50000"
    assert found[1] == ["3", host, "h\\x07st", peer, NAME, "1", "0,7", "LOGGED_IN", "(dynamic)"]
    assert found[2] == ["4", host, "-", "-", "Discovery", "-", "-", "LOGGED_IN"]


def test_sessions_as_json(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json all that is known of a session is there, by the names of the values."""
    found = json.loads("\n".join(lines(capsys, "sessions", "--json")))
    assert [SessionView.read(session) for session in found] == [NORMAL, DISCOVERY]


def test_portals(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Each portal says whether it listens, and where, or else why not."""
    found = [line.split(None, 3) for line in lines(capsys, "portals")]
    assert found[1] == ["[::]:0", NAME, "1", "listening on [::]:3261 (default)"]
    assert found[2] == ["192.0.2.9:3260", NAME, "2", "Cannot assign requested address"]


def test_backstores(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Each backstore says what it has, or else why it does not run."""
    found = [line.split(None, 3) for line in lines(capsys, "backstores")]
    assert found[1] == ["fileio/disk01", "10G", "512", "in use"]
    assert found[2] == ["ramdisk/spare", "1M", "4096", "no LUN"]
    assert found[3] == ["block/b", "-", "-", "/dev/b is not there"]


@pytest.mark.parametrize(("command", "views"), [("portals", [LISTENING, DEAF]), ("backstores", [DISK, SPARE, BROKEN])])
def test_lists_as_json(
    daemon: FakeDaemon, capsys: pytest.CaptureFixture[str], command: str, views: list[PortalView | BackstoreView]
) -> None:
    """With --json a list is one of objects that say the same."""
    found = json.loads("\n".join(lines(capsys, command, "--json")))
    assert [type(views[0]).read(entry) for entry in found] == views


def test_status(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """The status says who serves, since when and how much, and then each problem on a line."""
    found = lines(capsys, "status")
    assert "version:         1.2.3" in found
    assert any(line.startswith("started:") and line.endswith("(1h 2m ago)") for line in found)
    assert "targets:         1" in found
    assert "sessions:        2" in found
    assert found[-3:] == [
        f"problem: {NAME} does not listen on 192.0.2.9:3260: Cannot assign requested address",
        "problem: /backstores/block/b does not run: /dev/b is not there",
        "problem: saveconfig.json was damaged",
    ]


def test_status_as_json(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the status is one object."""
    found = json.loads("\n".join(lines(capsys, "status", "--json")))
    assert (found["pid"], found["backstores"], found["portals"], len(found["problems"])) == (42, 3, 2, 3)


@pytest.mark.parametrize(
    ("command", "line"),
    [("sessions", "no sessions"), ("portals", "no target, so no portal"), ("backstores", "no backstores")],
)
def test_nothing_is_said_to_be_nothing(
    empty: FakeDaemon, capsys: pytest.CaptureFixture[str], command: str, line: str
) -> None:
    """A list of nothing says so to people, and is an empty list for programs."""
    assert lines(capsys, command) == [line]
    assert lines(capsys, command, "--json") == ["[]"]


def test_status_of_an_empty_daemon(empty: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """A daemon that started from nothing says that."""
    found = lines(capsys, "status")
    assert "loaded from:     nothing was saved yet" in found
    assert not [line for line in found if line.startswith("problem")]


@pytest.mark.parametrize(("options", "ask"), [([], True), (["--drop"], False)])
def test_a_session_is_ended(
    daemon: FakeDaemon, capsys: pytest.CaptureFixture[str], options: list[str], ask: bool
) -> None:
    """The initiator is asked to log out, unless its session is to be dropped."""
    assert lines(capsys, "session", "logout", "3", *options) == ["session 3 has ended"]
    assert daemon.ended == [(3, ask)]


@pytest.mark.parametrize(
    ("tsih", "line"),
    [
        ("9", "there is no session with TSIH 9: list the sessions"),
        ("0", "Invalid value for 'TSIH': 0 is not in the range 1<=x<=65535."),
        ("x", "Invalid value for 'TSIH': 'x' is not a valid integer range."),
    ],
)
def test_no_such_session(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str], tsih: str, line: str) -> None:
    """A session that there is not is one line and status 2, and nothing is ended."""
    assert main.run(["session", "logout", tsih]) == 2
    assert capsys.readouterr() == ("", f"isthmus: {line}\n")
    assert daemon.ended == []


@pytest.mark.parametrize("command", [["status"], ["sessions"], ["portals"], ["backstores"], ["session", "logout", "1"]])
def test_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """Without a daemon each verb is one line and status 1."""
    monkeypatch.setenv("ISTHMUS_RUN", str(tmp_path))
    assert main.run(command) == 1
    err = capsys.readouterr().err
    assert err.startswith("isthmus: no daemon answers at ")
    assert err.count("\n") == 1


# -- A real daemon -----------------------------------------------------------------------------------------------------


def isthmus(directory: Path, *arguments: str) -> str:
    """What the program, as people run it, prints."""
    environment = {**os.environ, "ISTHMUS_RUN": str(directory / "run")}
    command = [sys.executable, "-m", "isthmus", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=PATIENCE).stdout


@pytest.mark.slow
async def test_a_session_with_a_daemon_is_listed_and_ended(tmp_path: Path) -> None:
    """Who is logged in is seen with what it sees, until its session is dropped."""
    with running_daemon(tmp_path) as daemon:
        daemon.client.change(lambda _: target(disk("a")))
        url = daemon.url(ONE)
        settings = LoginSettings(host=url.address, port=url.port, target_name=ONE, initiator_name=HOST)
        session = await Session.login(settings)
        [view] = json.loads(await asyncio.to_thread(isthmus, tmp_path, "sessions", "--json"))
        assert (view["initiator_name"], view["target_name"], view["luns"]) == (HOST, ONE, [0])
        tsih = str(view["tsih"])
        assert HOST in await asyncio.to_thread(isthmus, tmp_path, "sessions")
        assert await asyncio.to_thread(isthmus, tmp_path, "session", "logout", tsih, "--drop")
        assert await asyncio.to_thread(isthmus, tmp_path, "sessions") == "no sessions\n"
        with pytest.raises(InitiatorError):
            await session.ping()
        await session.drop()
        status = await asyncio.to_thread(isthmus, tmp_path, "status")
        assert f"pid:             {daemon.process.pid}\n" in status


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"dynamic": True}, "demo mode"),
        ({"dynamic": False, "initiator_group": "web"}, "initiator group web"),
        ({"dynamic": False}, "its node ACL"),
    ],
)
def test_why_an_initiator_was_let_in(
    daemon: FakeDaemon, capsys: pytest.CaptureFixture[str], fields: dict[str, Any], shown: str
) -> None:
    """What it is known by."""
    daemon.open_sessions = (dataclasses.replace(NORMAL, **fields),)
    [line] = [line for line in lines(capsys, "session", "show", "3") if line.startswith("known by")]
    assert line.partition(":")[2].strip() == shown


def test_a_session_in_full(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is known of it, line by line."""
    found = [line.split(":", 1) for line in lines(capsys, "session", "show", "3")]
    details = {name.strip(): value.strip() for name, value in found}
    assert details["session"] == "Normal, LOGGED_IN, TSIH 3, ISID 00023d000001"
    assert (details["known by"], details["CHAP user"]) == ("demo mode", "-")
    assert details["connection 0"] == "LOGGED_IN, 192.0.2.7:50000 to 192.0.2.1:3260"
    assert details["digests"] == "header None, data None"
    assert details["MaxBurstLength"] == "262144"
    assert json.loads("\n".join(lines(capsys, "session", "show", "3", "--json")))["tsih"] == 3


def test_a_session_that_cannot_be_shown(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """There is none of that handle."""
    assert main.run(["session", "show", "9"]) == 2
    assert capsys.readouterr() == ("", "isthmus: there is no session with TSIH 9: list the sessions\n")
