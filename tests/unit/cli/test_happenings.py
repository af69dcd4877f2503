import json
from typing import Any

import pytest

from isthmus.cli import main
from isthmus.management import client
from isthmus.management.views import EventView

LOGIN = EventView(
    id=1,
    time=0.0,
    event="login",
    level="info",
    values={"initiator": "iqn.2026-01.org.example:host", "alias": "", "tsih": 3},
)
REFUSED = EventView(
    id=2, time=1.0, event="login refused", level="warning", values={"reason": "CHAP failed", "status": "x"}
)
CHANGED = {
    "time": "2026-11-22T19:00:00.000+00:00",
    "action": "configuration changed",
    "who": "control socket",
    "uid": 0,
    "gid": 0,
    "pid": 7,
    "revision": 3,
    "count": 5,
    "changes": ["+ a", "+ b"],
}
ENDED = {
    "time": "2026-11-22T19:00:01.000+00:00",
    "action": "session is to end",
    "who": "REST",
    "address": "192.0.2.7:5",
    "tsih": 3,
}


class Daemon:
    """Has two events and two entries."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.entries: list[dict[str, Any]] = [CHANGED, ENDED]

    def events(self, recent: int) -> list[EventView]:
        self.asked.append(("events", recent))
        return [LOGIN, REFUSED]

    def follow_events(self, recent: int) -> list[EventView]:
        self.asked.append(("follow", recent))
        return [REFUSED]

    def audit(self, limit: int) -> list[dict[str, Any]]:
        self.asked.append(("audit", limit))
        return self.entries


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """What the verbs speak to."""
    made = Daemon()
    monkeypatch.setattr(client, "Client", lambda: made)
    return made


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What a verb prints."""
    assert main.run(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def test_events(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each: when, what, and what it says; nothing for what it does not."""
    first, second = lines(capsys, "events", "-n", "5")
    assert first.endswith("login                initiator=iqn.2026-01.org.example:host tsih=3")
    assert second.endswith('login refused        reason="CHAP failed" status=x')
    assert daemon.asked == [("events", 5)]


def test_events_as_json(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """An object a line, followed or not."""
    assert [json.loads(line)["event"] for line in lines(capsys, "events", "--json")] == ["login", "login refused"]
    [line] = lines(capsys, "events", "--follow", "--json", "-n", "0")
    assert json.loads(line) == {
        "id": 2,
        "time": 1.0,
        "event": "login refused",
        "level": "warning",
        "values": dict(REFUSED.values),
    }
    assert daemon.asked == [("events", 20), ("follow", 0)]


def test_the_end_of_following(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is how one stops."""

    def interrupted(_: int) -> list[EventView]:
        raise KeyboardInterrupt

    monkeypatch.setattr(daemon, "follow_events", interrupted)
    assert main.run(["events", "--follow"]) == main.EXIT_INTERRUPTED


def test_the_audit_trail(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Who has done what; a large change has several lines, and a count of the rest."""
    assert lines(capsys, "audit") == [
        "TIME                           WHO                         WHAT",
        "2026-11-22T19:00:00.000+00:00  control socket uid 0 pid 7  + a",
        "                                                           + b",
        "                                                           and 3 more",
        "2026-11-22T19:00:01.000+00:00  REST 192.0.2.7:5            session is to end tsih=3",
    ]
    assert json.loads("\n".join(lines(capsys, "audit", "--json"))) == [CHANGED, ENDED]
    daemon.entries = []
    assert lines(capsys, "audit") == ["nothing was done yet"]
