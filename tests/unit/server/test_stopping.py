import asyncio
import signal
from typing import cast

import pytest

from isthmus.engine.reference import ReferenceEngine
from isthmus.scsi.task import Response, Task
from isthmus.server.stopping import drain, log_internal_error, stop_or_exit
from tests.support.scsi import make_nexus


class Engine:
    """Keeps what it is asked; idle after so many waits."""

    def __init__(self, idle_after: int) -> None:
        self.asked: list[str] = []
        self._idle_after = idle_after

    def ask_logout(self, seconds: int) -> None:
        self.asked.append(f"log out within {seconds}")

    def end_all(self, reason: str) -> None:
        self.asked.append("end all")

    async def wait_idle(self, timeout: float) -> bool:
        self.asked.append(f"wait {timeout}")
        self._idle_after -= 1
        return self._idle_after <= 0


async def drained(engine: Engine) -> Engine:
    """An engine that has been drained."""
    await drain(cast("ReferenceEngine", engine))
    return engine


async def test_initiators_are_asked_before_they_are_dropped() -> None:
    """First the request, then the wait, then the end; all of it within ten seconds."""
    engine = await drained(Engine(1))
    assert engine.asked == ["log out within 3", "wait 3", "end all", "wait 5.0"]


async def test_tasks_that_do_not_end_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A disk that hangs does not hold up the stop, and not in silence."""
    await drained(Engine(9))
    assert "tasks were still under way" in capsys.readouterr().out


def test_the_first_signal_asks_and_the_second_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second ends the process with the status that a shell expects of the signal."""
    done: list[object] = []
    monkeypatch.setattr("signal.signal", lambda number, action: done.append((number, action)))
    monkeypatch.setattr("signal.raise_signal", done.append)
    stop = asyncio.Event()
    stop_or_exit(stop, signal.SIGTERM)
    assert (stop.is_set(), done) == (True, [])
    stop_or_exit(stop, signal.SIGTERM)
    assert done == [(signal.SIGTERM, signal.SIG_DFL), signal.SIGTERM]


class Owner:
    """Waits for no task."""

    def task_ended(self, task: Task, response: Response | None) -> None:
        """Nothing to do."""


def test_a_bug_is_logged_with_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The CDB is what one needs to find it."""
    task = Task(nexus=make_nexus(), lun=0, tag=1, cdb=b"\x12\0\0\0\x24\0", owner=Owner())
    log_internal_error(task, ValueError("a bug"))
    said = capsys.readouterr().out
    assert "120000002400" in said
    assert "a bug" in said
