"""How long tests wait for what is to come: one bound for all of them.

A machine that stands still for some seconds, or is three times as slow as usual, must not come near it; it only says when to
give up what is broken. What a test claims about time is counted, or told by a clock that the test holds (`timer.FakeTimer`).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

__all__ = ["PATIENCE", "eventually", "eventually_asked"]

PATIENCE: Final = 60.0
"""Seconds; less than pytest gives a test, so that what did not come is named."""
_POLL_SECONDS: Final = 0.02


async def eventually(condition: Callable[[], object]) -> None:
    """Let the loop go on until `condition` holds, of something that tells nobody."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)


def eventually_asked(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Ask until `condition` holds, of something in another thread or process, or in a virtual machine, which is slower."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not come within {seconds} s"
        time.sleep(_POLL_SECONDS)
