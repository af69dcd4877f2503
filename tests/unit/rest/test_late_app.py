import asyncio
import subprocess
import sys
import threading

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from isthmus.management.collector import Collector
from isthmus.rest.late_app import LateApp
from tests.support.asgi import ask


class Maker:
    """Makes an application that answers with nothing, once it may."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.error: Exception | None = None

    def make(self) -> ASGIApp:
        self.threads.append(threading.current_thread())
        if self.error is not None:
            raise self.error
        return self.answer

    async def answer(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def test_it_is_made_once() -> None:
    """For the first who ask, and not on the thread of the loop."""
    maker = Maker()
    app = LateApp(maker.make, Collector())
    assert maker.threads == []
    answers = await asyncio.gather(*(ask(app, "GET", "/", None, {}) for _ in range(3)))
    assert [answer.status for answer in answers] == [204, 204, 204]
    [thread] = maker.threads
    assert thread is not threading.current_thread()


async def test_what_failed_is_tried_again() -> None:
    """By the next one who asks."""
    maker = Maker()
    app = LateApp(maker.make, Collector())
    maker.error = MemoryError()
    with pytest.raises(MemoryError):
        await ask(app, "GET", "/", None, {})
    maker.error = None
    assert (await ask(app, "GET", "/", None, {})).status == 204


def test_a_daemon_starts_without_it() -> None:
    """What stands before the application does not load what the application needs."""
    program = "import isthmus.daemon.run, isthmus.cli.daemon, sys; sys.exit('fastapi' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
