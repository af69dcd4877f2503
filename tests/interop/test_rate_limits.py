"""Limits of a disk, measured from outside and by the clock on the wall."""

import asyncio
from typing import Any

import pytest

from isthmus.initiator.benchmark import Workload, run_benchmark
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from tests.support.service import Running, disk, running_service, target

SECONDS = 2.0


async def ready(session: Session, lun: int = 0) -> LogicalUnit:
    """A unit that has told its unit attentions."""
    unit = LogicalUnit(session, lun)
    await unit.become_ready()
    return unit


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize(
    ("limits", "block_size", "iops"),
    [
        ({"limit_iops": 100, "limit_iops_burst": 1}, 4096, 100),
        ({"limit_bytes_per_second": 1 << 20, "limit_bytes_burst": 4096}, 8192, 128),
    ],
)
async def test_the_rate_is_the_limit(limits: dict[str, int], block_size: int, iops: float, writes: bool) -> None:
    """Within a tenth of it."""
    async with running_service() as running:
        await running.put(target(disk("a", attributes=limits)))
        async with await Session.login(running.settings()) as session:
            workload = Workload(block_size=block_size, outstanding=8, seconds=SECONDS, writes=writes)
            measured = await run_benchmark(await ready(session), workload)
    assert measured.iops == pytest.approx(iops, rel=0.1)


async def test_a_limit_comes_and_goes_under_a_session() -> None:
    """And the disk beside it does not suffer."""
    workload = Workload(outstanding=4, seconds=0.5)
    limited: dict[str, Any] = {"attributes": {"limit_iops": 20, "limit_iops_burst": 1}}
    async with running_service() as running:
        await running.put(target(disk("a"), disk("b")))
        async with await Session.login(running.settings()) as session:
            units = [await ready(session, lun) for lun in range(2)]
            await running.put(target(disk("a", **limited), disk("b")))
            slow, quick = await asyncio.gather(*(run_benchmark(unit, workload) for unit in units))
            assert slow.operations <= 20
            assert quick.operations > 10 * slow.operations
            await running.put(target(disk("a"), disk("b")))
            assert (await run_benchmark(units[0], workload)).operations > 10 * slow.operations


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
