import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from isthmus import events
from isthmus.management.callers import Caller
from isthmus.management.event_log import EventLog
from isthmus.management.views import ApplyReport, VersionView
from isthmus.rest import happenings
from isthmus.rest.app import create_app
from tests.support.asgi import Answer, ask
from tests.support.patience import PATIENCE
from tests.support.service import Running, disk, running_service, target

VERSION = VersionView(version="1", pid=1, started=0.0, state_directory="/x", loaded_from="")


class Trail:
    """An audit trail in memory."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self.broken = False

    def record(self, what: dict[str, Any]) -> None:
        self.kept.append(what)

    def newest(self, limit: int) -> list[dict[str, Any]]:
        if self.broken:
            raise OSError(5, "Input/output error")
        return self.kept[-limit:]


class Api:
    """The application over a running service."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.trail = running.service.audit = Trail()
        self.events = EventLog()
        self.events.start()
        self.app = create_app(running.service, VERSION, self._reload, self.events)

    async def _reload(self, caller: Caller) -> ApplyReport:
        raise AssertionError

    async def ask(self, path: str, **headers: str) -> Answer:
        """One request."""
        return await ask(self.app, "GET", path, None, headers)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """Over an empty service."""
    async with running_service() as running:
        made = Api(running)
        yield made
        made.events.stop()


async def test_recent_events(api: Api) -> None:
    """The oldest first."""
    events.emit(events.PORTAL_OPENED, portal="a")
    events.emit(events.PORTAL_CLOSED, portal="a")
    assert [view["event"] for view in (await api.ask("/v1/events")).value] == ["portal opened", "portal closed"]
    [last] = (await api.ask("/v1/events?recent=1")).value
    assert (last["id"], last["values"]) == (2, {"portal": "a"})
    assert (await api.ask("/v1/events?recent=-1")).status == 422


async def test_the_stream(api: Api) -> None:
    """Server-sent events, up to the end of the daemon; a reader that comes back says where it was."""
    events.emit(events.PORTAL_OPENED, portal="a")
    events.emit(events.PORTAL_OPENED, portal="b")
    waiting = asyncio.ensure_future(api.ask("/v1/events/stream", last_event_id="1"))
    while not api.events.followers:  # noqa: ASYNC110  it comes within a few turns of the loop
        await asyncio.sleep(0)
    events.emit(events.PORTAL_CLOSED, portal="a")
    await asyncio.sleep(0)
    api.events.stop()
    async with asyncio.timeout(PATIENCE):
        answer = await waiting
    assert answer.headers["content-type"].startswith("text/event-stream")
    first, *blocks = answer.text.strip().split("\n\n")
    assert first == ":"
    lines = [block.split("\n") for block in blocks]
    assert [line[:2] for line in lines] == [["id: 2", "event: portal opened"], ["id: 3", "event: portal closed"]]
    assert json.loads(lines[0][2].removeprefix("data: "))["values"] == {"portal": "b"}


async def test_streams_are_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is told so."""
    monkeypatch.setattr(happenings, "MAX_FOLLOWERS", 0)
    answer = await api.ask("/v1/events/stream")
    assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")


async def test_the_audit_trail(api: Api) -> None:
    """Who has changed what; a trail that cannot be read is an error of the daemon."""
    caller = Caller(face="a test", uid=5, pid=6)
    await api.running.service.replace(target(disk("a")), None, who=caller)
    [entry] = (await api.ask("/v1/audit")).value
    assert (entry["action"], entry["who"], entry["uid"], entry["pid"]) == ("configuration changed", "a test", 5, 6)
    assert entry["changes"][0] == "+ /backstores/ramdisk/a of 1048576 bytes"
    api.trail.broken = True
    assert (await api.ask("/v1/audit")).status == 500
