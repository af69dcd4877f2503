import asyncio
from collections.abc import AsyncIterator

import pytest

from isthmus import events
from isthmus.management import event_log
from isthmus.management.event_log import EventLog
from isthmus.management.views import EventView
from tests.support.patience import PATIENCE


@pytest.fixture
async def log() -> AsyncIterator[EventLog]:
    """One that hears, and keeps three."""
    made = EventLog(capacity=3)
    made.start()
    yield made
    made.stop()


def tell(*portals: str) -> None:
    """As many events."""
    for portal in portals:
        events.emit(events.PORTAL_OPENED, portal=portal)


async def taken(follower: AsyncIterator[EventView | None], count: int) -> list[str]:
    """The next of `follower`, as what they say."""
    async with asyncio.timeout(PATIENCE):
        found = [await anext(follower) for _ in range(count)]
    return ["nothing" if one is None else f"{one.id} {next(iter(one.values.values()))}" for one in found]


async def test_the_last_are_kept(log: EventLog) -> None:
    """And no more."""
    tell("a", "b", "c", "d")
    assert [(view.id, view.event, view.level) for view in log.recent(10)] == [
        (number, "portal opened", "info") for number in (2, 3, 4)
    ]
    assert [view.values for view in log.recent(1)] == [{"portal": "d"}]
    assert log.recent(0) == []


async def test_a_follower_hears_what_comes(log: EventLog) -> None:
    """From now on, from the last few, or from a number on."""
    tell("a", "b")
    now, recent, after = log.follow(), log.follow(recent=1), log.follow(after=0)
    assert await taken(recent, 1) == ["2 b"]
    assert await taken(after, 2) == ["1 a", "2 b"]
    waiting = asyncio.ensure_future(taken(now, 1))
    await asyncio.sleep(0)
    tell("c")
    assert await waiting == ["3 c"]
    assert log.followers == 3
    for follower in (now, recent, after):
        await follower.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert log.followers == 0


async def test_who_is_too_slow_is_told_how_much_it_missed(log: EventLog) -> None:
    """Nothing waits for it, and nothing is kept for it."""
    follower = log.follow(after=0)
    tell("a")
    assert await taken(follower, 1) == ["1 a"]
    tell("b", "c", "d", "e", "f")
    assert await taken(follower, 4) == ["3 2", "4 d", "5 e", "6 f"]


async def test_a_number_of_another_run_counts_for_nothing(log: EventLog) -> None:
    """A follower that comes back to a daemon that was started again hears what comes."""
    follower = log.follow(after=1000)
    waiting = asyncio.ensure_future(taken(follower, 1))
    await asyncio.sleep(0)
    tell("a")
    assert await waiting == ["1 a"]


async def test_silence_is_told(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a connection that is dead is found."""
    monkeypatch.setattr(event_log, "QUIET_SECONDS", 0)
    assert await taken(log.follow(), 2) == ["nothing", "nothing"]


async def test_the_end_ends_those_who_follow(log: EventLog) -> None:
    """And nothing is heard afterwards."""
    follower = log.follow()
    waiting = asyncio.ensure_future(anext(follower, "over"))
    await asyncio.sleep(0)
    log.stop()
    async with asyncio.timeout(PATIENCE):
        assert await waiting == "over"
    tell("a")
    assert log.recent(10) == []


async def test_what_happens_on_a_thread_is_heard(log: EventLog) -> None:
    """In its turn."""
    await asyncio.to_thread(tell, "a")
    await asyncio.sleep(0)
    assert [view.values for view in log.recent(1)] == [{"portal": "a"}]


async def test_values_are_plain(log: EventLog) -> None:
    """Numbers stay; all else is text that cannot steer a terminal."""
    events.emit(events.SIZE_CHANGED, storage="a\nb", bytes_before=None, bytes=5)
    assert log.recent(1)[0].values == {"storage": "a\\nb", "bytes_before": None, "bytes": 5}
