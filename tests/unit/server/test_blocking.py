import asyncio
import threading

import pytest

from isthmus.server.blocking import in_thread


async def test_the_result_comes_from_a_thread() -> None:
    """Another than the loop's, which nobody waits for at the end."""
    thread = await in_thread(threading.current_thread, timeout=10)
    assert thread is not threading.main_thread()
    assert thread.daemon


async def test_what_it_raises_is_raised() -> None:
    """Whatever it is."""

    def fail() -> None:
        raise OSError(5, "broken")

    with pytest.raises(OSError, match="broken"):
        await in_thread(fail, timeout=10)


async def test_what_comes_too_late_is_handed_over() -> None:
    """So that it can be undone."""
    go_on, undone = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow() -> str:
        go_on.wait()
        return "late"

    late: list[str] = []

    def undo(result: str) -> None:
        late.append(result)
        loop.call_soon_threadsafe(undone.set)

    with pytest.raises(TimeoutError):
        await in_thread(slow, timeout=0.01, too_late=undo)
    go_on.set()
    async with asyncio.timeout(10):
        await undone.wait()
    assert late == ["late"]
