"""Limits of a disk, measured from outside: how many commands are over by when.

At most so many is true by any clock. At least so many takes a machine that has time for it, so that is looked for, not timed once.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from tests.support.patience import PATIENCE
from tests.support.service import Running, disk, running_service, target

BLOCK = 512
OUTSTANDING = 8
ROUND = 32
"""Commands that are enough to see a rate."""


async def ready(session: Session, lun: int = 0) -> LogicalUnit:
    """A unit that has told its unit attentions."""
    unit = LogicalUnit(session, lun)
    await unit.become_ready()
    return unit


async def work(unit: LogicalUnit, turns: Iterator[int], *, num_blocks: int = 1, writes: bool = False) -> None:
    """One command after the other, as long as there are turns."""
    for _ in turns:
        if writes:
            await unit.write(bytes(num_blocks * BLOCK), lba=0, block_length=BLOCK)
        else:
            await unit.read(lba=0, num_blocks=num_blocks, block_length=BLOCK)


async def seconds_for(unit: LogicalUnit, count: int, **what: Any) -> float:
    """How long so many commands take, `OUTSTANDING` at once."""
    begun, turns = time.monotonic(), iter(range(count))
    await asyncio.gather(*(work(unit, turns, **what) for _ in range(OUTSTANDING)))
    return time.monotonic() - begun


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize(
    ("limits", "num_blocks", "rate"),
    [
        ({"limit_iops": 100, "limit_iops_burst": 1}, 8, 100),
        ({"limit_bytes_per_second": 1 << 20, "limit_bytes_burst": 4096}, 16, 128),
    ],
)
async def test_the_rate_is_the_limit(limits: dict[str, int], num_blocks: int, rate: int, writes: bool) -> None:
    """Never more than it, but for the burst; and within a tenth of it, when nothing else is in the way."""
    async with running_service() as running:
        await running.put(target(disk("a", attributes=limits)))
        async with await Session.login(running.settings()) as session:
            unit = await ready(session)
            async with asyncio.timeout(PATIENCE):
                while True:
                    seconds = await seconds_for(unit, ROUND, num_blocks=num_blocks, writes=writes)
                    assert rate * seconds >= ROUND - 1
                    if 0.9 * rate * seconds <= ROUND:
                        break


async def test_a_limit_comes_and_goes_under_a_session() -> None:
    """And the disk beside it does not suffer."""
    limit, many = 20, 1000
    limited: dict[str, Any] = {"attributes": {"limit_iops": limit, "limit_iops_burst": 1}}
    async with running_service() as running:
        await running.put(target(disk("a"), disk("b")))
        async with await Session.login(running.settings()) as session:
            slow, quick = [await ready(session, lun) for lun in range(2)]
            begun = time.monotonic()
            await running.put(target(disk("a", **limited), disk("b")))
            turns = iter(range(many))
            working = [asyncio.create_task(work(slow, turns)) for _ in range(OUTSTANDING)]
            assert many > 1 + limit * await seconds_for(quick, many)
            ended = next(turns) - OUTSTANDING
            assert ended <= 1 + limit * (time.monotonic() - begun)
            await running.put(target(disk("a"), disk("b")))
            await asyncio.gather(*working)
            assert many > 1 + limit * await seconds_for(slow, many)


async def test_who_waits_can_leave() -> None:
    """A session that ends takes its waiting commands with it, and the next is served."""
    hardly: dict[str, Any] = {"attributes": {"limit_iops": 1, "limit_iops_burst": 1}}
    async with running_service() as running:
        await running.put(target(disk("a")))
        await leave_waiting(running, target(disk("a", **hardly)))
        [unit] = running.server.disks.units
        assert unit.nexuses == frozenset()
        assert list(unit.task_set) == []
        assert unit.throttle is not None
        assert len(unit.throttle) == 0


async def leave_waiting(running: Running, wanted: Any) -> None:
    """Log in, send more than the limit allows, and log out without waiting for it."""
    session = await Session.login(running.settings())
    unit = await ready(session)
    await running.put(wanted)
    reads = [asyncio.create_task(unit.read(lba=0, num_blocks=1, block_length=512)) for _ in range(5)]
    await reads[0]
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    await session.logout()
