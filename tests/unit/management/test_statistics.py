import pytest

from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.management.statistics import latency_view
from isthmus.management.views import BackstoreUsageView, SessionUsageView
from isthmus.scsi.latency import LatencyHistogram
from tests.support.service import HOST, ONE, Running, disk, running_service, target

BLOCK = 512


async def backstores(running: Running) -> dict[str, BackstoreUsageView]:
    """By their names."""
    return {view.path.rsplit("/", 1)[1]: view async for view in running.service.statistics.backstores(buckets=True)}


async def sessions(running: Running) -> list[SessionUsageView]:
    """All of them."""
    return [view async for view in running.service.statistics.sessions()]


async def test_what_was_done_is_counted_by_disk_session_and_lun() -> None:
    """Fast or not: small ones that the engine serves alone, and large ones that take the long way."""
    async with running_service() as running:
        await running.put(target(disk("a"), disk("b")))
        async with await Session.login(running.settings()) as session:
            one, other = LogicalUnit(session, 0), LogicalUnit(session, 1)
            await one.become_ready()
            await other.become_ready()
            for _ in range(3):
                await one.read(lba=0, num_blocks=8, block_length=BLOCK)
            await one.write(bytes(BLOCK), lba=0, block_length=BLOCK)
            await other.write(bytes(200 * BLOCK), lba=0, block_length=BLOCK)  # more than comes at once
            await other.read(lba=0, num_blocks=1, block_length=BLOCK, fua=True)
            by_disk = await backstores(running)
            [view] = await sessions(running)
            [listed] = running.service.sessions.views()
        a, b = by_disk["a"].usage, by_disk["b"].usage
        assert (a.read_commands, a.bytes_read, a.write_commands, a.bytes_written) == (3, 3 * 8 * BLOCK, 1, BLOCK)
        assert (b.read_commands, b.bytes_read, b.write_commands, b.bytes_written) == (1, BLOCK, 1, 200 * BLOCK)
        for usage in (a, b):
            assert usage.read_latency is not None
            assert usage.write_latency is not None
            assert usage.read_latency.commands == usage.read_commands
            assert usage.write_latency.commands == usage.write_commands
            assert sum(count for _, count in usage.read_latency.buckets) == usage.read_commands
        assert (view.initiator_name, view.target_name, view.usage.read_commands) == (HOST, ONE, 4)
        assert [(lun.lun, lun.backstore) for lun in view.luns] == [
            (0, "/backstores/ramdisk/a"),
            (1, "/backstores/ramdisk/b"),
        ]
        assert [lun.usage.bytes_written for lun in view.luns] == [BLOCK, 200 * BLOCK]
        assert view.usage.write_latency is not None
        assert (view.usage.write_latency.commands, view.usage.write_latency.buckets) == (2, ())
        assert (listed.read_commands, listed.write_commands, listed.errors) == (4, 2, 0)
        assert (listed.bytes_read, listed.bytes_written) == (25 * BLOCK, 201 * BLOCK)


async def test_what_a_session_has_done_stays_with_the_disk() -> None:
    """When it has gone."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        for _ in range(2):
            async with await Session.login(running.settings()) as session:
                unit = LogicalUnit(session, 0)
                await unit.become_ready()
                await unit.read(lba=0, num_blocks=1, block_length=BLOCK)
        assert await sessions(running) == []
        usage = (await backstores(running))["a"].usage
        assert usage.read_commands == 2
        assert usage.read_latency is not None
        assert usage.read_latency.commands == 2


def test_a_latency_in_figures() -> None:
    """Each is a bound below which so many were."""
    histogram = LatencyHistogram()
    histogram.record(1_000_000, 98)
    histogram.record(9_000_000, 2)
    view = latency_view(histogram)
    assert view is not None
    assert view.mean == pytest.approx(0.00116)
    assert view.p50 == view.p90 == pytest.approx(0.001, rel=0.125)
    assert view.p99 == view.p99_9 == view.longest == pytest.approx(0.009, rel=0.125)
    assert latency_view(LatencyHistogram()) is latency_view(None) is None
