"""How fast a logical unit answers: commands of one size, a fixed number of them in flight, for some seconds."""

import array
import asyncio
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle

from isthmus.errors import ConfigurationError
from isthmus.initiator import cdb
from isthmus.initiator.logical_unit import LogicalUnit, raise_for_status
from isthmus.initiator.parameter_data import Capacity

__all__ = ["Measurement", "Workload", "percentile", "run_benchmark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What to run. `block_size` is bytes."""

    block_size: int = 4096
    outstanding: int = 32
    seconds: float = 10.0
    writes: bool = False
    """Overwrites the unit."""
    is_random: bool = False

    @property
    def name(self) -> str:
        """As people call it: `random read`."""
        return f"{'random' if self.is_random else 'sequential'} {'write' if self.writes else 'read'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What came out; times in seconds."""

    operations: int
    bytes_moved: int
    seconds: float
    latency_mean: float
    latency_p50: float
    latency_p99: float
    latency_max: float

    @property
    def iops(self) -> float:
        """Commands in a second."""
        return self.operations / self.seconds

    @property
    def bytes_per_second(self) -> float:
        """Throughput."""
        return self.bytes_moved / self.seconds


def percentile(ordered: "array.array[float]", share: float) -> float:
    """The smallest value that at least `share` of the sorted values do not exceed (nearest rank)."""
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]


def _positions(workload: Workload, capacity: Capacity) -> Iterator[int]:
    """LBAs for ever: in order from the first to the last and again, or anywhere at multiples of the block size."""
    blocks = workload.block_size // capacity.block_length
    slots = capacity.num_blocks // blocks
    if workload.is_random:
        choose = random.Random().randrange  # noqa: S311 - where to read next is no secret
        return (choose(slots) * blocks for _ in count())
    return cycle(range(0, slots * blocks, blocks))


async def run_benchmark(unit: LogicalUnit, workload: Workload) -> Measurement:
    """Run it over all connections of the unit's session. Raises `ConfigurationError` for a size that does not fit."""
    capacity = await unit.read_capacity()
    if workload.block_size % capacity.block_length or not 0 < workload.block_size <= capacity.size:
        raise ConfigurationError(
            f"commands of {workload.block_size} bytes do not fit a unit of {capacity.size} bytes",
            f"use a multiple of its block length, {capacity.block_length} bytes",
        )
    return await _Run(unit, workload, capacity).measure()


class _Run:
    """One run and what it has measured so far."""

    def __init__(self, unit: LogicalUnit, workload: Workload, capacity: Capacity) -> None:
        self._unit = unit
        self._workload = workload
        self._blocks = workload.block_size // capacity.block_length
        self._positions = _positions(workload, capacity)
        self._data_out = os.urandom(workload.block_size) if workload.writes else b""
        self._latencies = array.array("d")

    async def measure(self) -> Measurement:
        begin = time.perf_counter()
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._workload.outstanding):
                    workers.create_task(self._work(begin + self._workload.seconds))
        except ExceptionGroup as group:
            # What stopped the first worker is what is wrong; the others only met it, too.
            raise group.exceptions[0] from None
        return self._summary(time.perf_counter() - begin)

    async def _work(self, deadline: float) -> None:
        """Keep one command in flight until the time is over; each worker runs one at least."""
        session, lun = self._unit.session, self._unit.lun
        build, name = (cdb.write_16, "WRITE (16)") if self._workload.writes else (cdb.read_16, "READ (16)")
        data_in_length = 0 if self._workload.writes else self._workload.block_size
        while True:
            command = build(lba=next(self._positions), num_blocks=self._blocks)
            begin = time.perf_counter()
            result = await session.execute(lun, command, data_out=self._data_out, data_in_length=data_in_length)
            end = time.perf_counter()
            raise_for_status(name, result)
            self._latencies.append(end - begin)
            if end >= deadline:
                return

    def _summary(self, seconds: float) -> Measurement:
        ordered = array.array("d", sorted(self._latencies))
        return Measurement(
            operations=len(ordered),
            bytes_moved=len(ordered) * self._workload.block_size,
            seconds=seconds,
            latency_mean=sum(ordered) / len(ordered),
            latency_p50=percentile(ordered, 0.50),
            latency_p99=percentile(ordered, 0.99),
            latency_max=ordered[-1],
        )
