import asyncio
import sys
import threading

import pytest

from isthmus.server import blocking
from isthmus.server.blocking import Slices, in_thread
from tests.support.patience import PATIENCE, eventually


async def test_the_result_comes_from_a_thread() -> None:
    """Another than the loop's, which nobody waits for at the end."""
    thread = await in_thread(threading.current_thread, timeout=PATIENCE)
    assert thread is not threading.main_thread()
    assert thread.daemon


async def test_what_it_raises_is_raised() -> None:
    """Whatever it is."""

    def fail() -> None:
        raise OSError(5, "broken")

    with pytest.raises(OSError, match="broken"):
        await in_thread(fail, timeout=PATIENCE)


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
    async with asyncio.timeout(PATIENCE):
        await undone.wait()
    assert late == ["late"]


def test_what_comes_after_the_end_of_the_loop_is_handed_over_too() -> None:
    """Its thread lives on for others."""
    go_on, undone = threading.Event(), threading.Event()

    def slow() -> None:
        go_on.wait()

    async def give_up() -> None:
        await in_thread(slow, timeout=0, too_late=lambda _: undone.set())

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    go_on.set()
    assert undone.wait(PATIENCE)


async def test_long_work_lets_others_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it has had the loop for long enough, and not at each step."""
    turns: list[str] = []

    async def work(name: str) -> None:
        slices = Slices()
        for _ in range(3):
            turns.append(name)
            await slices.pause()

    monkeypatch.setattr(blocking, "SLICE_SECONDS", 3600.0)
    await asyncio.gather(work("a"), work("b"))
    assert "".join(turns) == "aaabbb"
    turns.clear()
    monkeypatch.setattr(blocking, "SLICE_SECONDS", 0.0)
    await asyncio.gather(work("a"), work("b"))
    assert "".join(turns) == "ababab"


async def test_the_loop_gets_the_interpreter_soon_while_others_work() -> None:
    """And everything is as before when they are through."""
    before = sys.getswitchinterval()
    assert await in_thread(sys.getswitchinterval, timeout=PATIENCE) <= 0.0005
    await eventually(lambda: sys.getswitchinterval() == before)


async def test_a_thread_is_used_again() -> None:
    """Starting one takes longer than most calls."""
    first = await in_thread(threading.get_ident, timeout=PATIENCE)
    found = {first}
    for _ in range(20):
        found.add(await in_thread(threading.get_ident, timeout=PATIENCE))
    assert len(found) < 10
