import array
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import ConfigurationError
from isthmus.initiator.benchmark import Workload, percentile, run_benchmark
from isthmus.initiator.errors import ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.scsi.sense import Sense, SenseData
from tests.support.fake_target import BLOCK_LENGTH, disk_session

SHORT = Workload(block_size=2 * BLOCK_LENGTH, outstanding=4, seconds=0.001)


def lbas(commands: list[bytes]) -> list[int]:
    """Where the reads and writes went."""
    return [int.from_bytes(cdb[2:10]) for cdb in commands if cdb[0] in {0x88, 0x8A}]


async def test_sequential_reads_cover_the_unit_and_begin_again() -> None:
    """One position after the other, from the first to the last and round."""
    async with disk_session(num_blocks=8) as (session, disk):
        result = await run_benchmark(LogicalUnit(session, 0), replace(SHORT, outstanding=5))
        assert result.operations == len(lbas(disk.commands))
        assert lbas(disk.commands)[:5] == [0, 2, 4, 6, 0]
        assert result.bytes_moved == result.operations * SHORT.block_size


async def test_random_positions_lie_on_the_unit() -> None:
    """Multiples of the block size, none beyond the end."""
    async with disk_session(num_blocks=9) as (session, disk):
        await run_benchmark(LogicalUnit(session, 0), replace(SHORT, is_random=True, outstanding=32))
        assert set(lbas(disk.commands)) <= {0, 2, 4, 6}


async def test_writes_write() -> None:
    """The unit holds the random bytes afterwards."""
    async with disk_session(num_blocks=2) as (session, disk):
        result = await run_benchmark(LogicalUnit(session, 0), replace(SHORT, writes=True))
        assert result.operations >= SHORT.outstanding
        assert any(disk.data)


async def test_the_figures_agree() -> None:
    """Percentiles are ordered, and rates follow from counts and time."""
    async with disk_session() as (session, _):
        result = await run_benchmark(LogicalUnit(session, 0), SHORT)
        assert 0 < result.latency_p50 <= result.latency_p99 <= result.latency_max <= result.seconds
        assert result.iops == pytest.approx(result.operations / result.seconds)
        assert result.bytes_per_second == pytest.approx(result.iops * SHORT.block_size)


@pytest.mark.parametrize("block_size", [BLOCK_LENGTH // 2, BLOCK_LENGTH + 1, 1024 * BLOCK_LENGTH])
async def test_a_size_that_does_not_fit(block_size: int) -> None:
    """Whole blocks, and no more than there are."""
    async with disk_session() as (session, _):
        with pytest.raises(ConfigurationError, match="do not fit"):
            await run_benchmark(LogicalUnit(session, 0), replace(SHORT, block_size=block_size))


async def test_an_error_ends_the_run() -> None:
    """It is the command's own error, not a group of them."""
    async with disk_session() as (session, disk):
        disk.read_error = SenseData(Sense.UNRECOVERED_READ_ERROR).to_bytes()
        with pytest.raises(ScsiError, match="UNRECOVERED READ ERROR"):
            await run_benchmark(LogicalUnit(session, 0), replace(SHORT, seconds=60))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_percentile_is_the_nearest_rank(values: list[float], share: float) -> None:
    """At least that share lies at or below it, and no smaller value would do."""
    ordered = array.array("d", sorted(values))
    found = percentile(ordered, share)
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-9
    assert sum(value < found for value in ordered) < share * len(ordered)


@pytest.mark.parametrize(
    ("workload", "name"),
    [
        (Workload(), "sequential read"),
        (Workload(writes=True, is_random=True), "random write"),
    ],
)
def test_workloads_have_names(workload: Workload, name: str) -> None:
    """As people call them."""
    assert workload.name == name
