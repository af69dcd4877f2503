"""What takes long, kept from the loop.

Calls that may block go to threads that nobody has to wait for, neither the loop nor the end of the process; work that
needs the loop is cut into slices.
"""

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, TypeVar

__all__ = ["SLICE_SECONDS", "Slices", "in_thread"]

SLICE_SECONDS: Final = 0.0005
"""For how long work on the loop may keep everybody else waiting."""

_SWITCH_SECONDS: Final = 0.0005
_IDLE_THREADS: Final = 4

T = TypeVar("T")


class Slices:
    """Cuts long work on the loop, so that commands are served in between: `pause` after each small step of it."""

    def __init__(self) -> None:
        self._until = time.perf_counter() + SLICE_SECONDS

    async def pause(self) -> None:
        """Let others have the loop, if this has had it for long enough."""
        if time.perf_counter() >= self._until:
            await asyncio.sleep(0)
            self._until = time.perf_counter() + SLICE_SECONDS


class _Threads:
    """Threads that wait for the next call when they are through with one: starting one can take milliseconds.

    Python code on a thread keeps the interpreter for as long as the switch interval, and so keeps the loop waiting; it
    is short while there is any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[Callable[[], None]]] = []
        self._busy = 0
        self._ordinary = sys.getswitchinterval()

    def run(self, call: Callable[[], None]) -> None:
        """Run `call`, which raises nothing."""
        with self._lock:
            if not self._busy:
                self._ordinary = sys.getswitchinterval()
                sys.setswitchinterval(min(_SWITCH_SECONDS, self._ordinary))
            self._busy += 1
            calls = self._idle.pop() if self._idle else None
        if calls is None:
            calls = SimpleQueue()
            threading.Thread(target=self._work, args=(calls,), daemon=True, name="isthmus-management").start()
        calls.put(call)

    def _work(self, calls: "SimpleQueue[Callable[[], None]]") -> None:
        while True:
            calls.get()()
            with self._lock:
                self._busy -= 1
                if not self._busy:
                    sys.setswitchinterval(self._ordinary)
                if len(self._idle) >= _IDLE_THREADS:
                    return
                self._idle.append(calls)


_threads = _Threads()


async def in_thread(call: Callable[[], T], *, timeout: float, too_late: Callable[[T], object] = lambda _: None) -> T:
    """What `call` gives or raises; raises `TimeoutError` if that is not there within `timeout` seconds.

    A call cannot be stopped. What it gives after all is handed to `too_late`, on its thread.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def deliver(settle: Callable[[], None], undo: Callable[[], object]) -> None:
        if outcome.done():
            _threads.run(lambda: _quietly(undo))
        else:
            settle()

    def tell(settle: Callable[[], None], undo: Callable[[], object]) -> None:
        try:
            loop.call_soon_threadsafe(deliver, settle, undo)
        except RuntimeError:  # The loop has been closed meanwhile.
            _quietly(undo)

    def run() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  whatever it is, the caller gets it
            failure = error
            tell(lambda: outcome.set_exception(failure), lambda: None)
        else:
            tell(lambda: outcome.set_result(result), lambda: too_late(result))

    _threads.run(run)
    async with asyncio.timeout(timeout):
        return await outcome


def _quietly(call: Callable[[], object]) -> None:
    """What nobody waits for any more may fail unheard."""
    with contextlib.suppress(Exception):
        call()
