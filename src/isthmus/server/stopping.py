"""The end of a run: initiators are asked to log out, tasks finish, and nothing takes longer than it may."""

import asyncio
import signal
from typing import Final

import structlog

from isthmus.engine.reference import ReferenceEngine
from isthmus.scsi.task import Task

__all__ = ["STOP_TIMEOUT", "drain", "log_internal_error", "stop_or_exit"]

STOP_TIMEOUT: Final = 8.0
"""Seconds that initiators and tasks get to finish when the server stops; the whole stop stays below 10."""
LOGOUT_TIMEOUT: Final = 3
"""Seconds within which initiators are asked to log out."""

_log = structlog.get_logger()


def log_internal_error(task: Task, error: BaseException) -> None:
    """Log a bug of ours; the initiator hears HARDWARE ERROR."""
    _log.error("internal error in a command", cdb=task.cdb.hex(), lun=task.lun, exc_info=error)


def stop_or_exit(stop: asyncio.Event, number: int) -> None:
    """The first signal asks for a stop, a second one does not wait for it."""
    if stop.is_set():
        _log.warning("stopped at once by a second signal")
        # The default action ends the process here and now, with the status that a shell expects of that signal.
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    stop.set()


async def drain(engine: ReferenceEngine) -> None:
    """Ask the initiators to log out, give them and their tasks time, then end what is left."""
    engine.ask_logout(LOGOUT_TIMEOUT)
    await engine.wait_idle(LOGOUT_TIMEOUT)
    engine.end_all("the server stops")
    if not await engine.wait_idle(STOP_TIMEOUT - LOGOUT_TIMEOUT):
        _log.error("tasks were still under way when the time to stop was over")
