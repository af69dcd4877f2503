"""Calls that may block, on threads that nobody has to wait for: neither the loop, nor the end of the process."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(call: Callable[[], T], *, timeout: float, too_late: Callable[[T], object] = lambda _: None) -> T:
    """What `call` gives or raises; raises `TimeoutError` if that is not there within `timeout` seconds.

    A call cannot be stopped. What it gives after all is handed to `too_late`, on its thread.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def deliver(settle: Callable[[], None], undo: Callable[[], object]) -> None:
        if outcome.done():
            threading.Thread(target=undo, daemon=True).start()
        else:
            settle()

    def run() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  whatever it is, the caller gets it
            failure = error
            loop.call_soon_threadsafe(deliver, lambda: outcome.set_exception(failure), lambda: None)
        else:
            loop.call_soon_threadsafe(deliver, lambda: outcome.set_result(result), lambda: too_late(result))

    threading.Thread(target=run, daemon=True, name="isthmus-management").start()
    async with asyncio.timeout(timeout):
        return await outcome
