import asyncio
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import Read, Write
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.engine import workers
from isthmus.engine.workers import MAX_WORKERS, WorkerPool
from isthmus.errors import BackstoreError
from tests.support.patience import PATIENCE


class SlowBackstore(RamdiskBackstore):
    """Memory that may block: reads are never cached."""

    never_blocks = False

    def __init__(self) -> None:
        super().__init__("slow", 1 << 20)

    def read_if_cached(self, offset: int, buffer: memoryview) -> bool:
        return False


class Held:
    """An operation that takes until it is let go."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.free = threading.Event()

    def run(self, backstore: Backstore) -> str:
        self.started.set()
        assert self.free.wait(PATIENCE)
        return "held"


class Quick:
    """An operation that only tells where it ran."""

    def run(self, backstore: Backstore) -> int:
        return threading.get_ident()


class Failing:
    """An operation that fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self, backstore: Backstore) -> None:
        raise self._error


class Results:
    """Collects results and errors, and lets a test wait for a number of them."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.errors: list[Exception] = []
        self.batches = 0
        self.slow = 0
        self._changed = asyncio.Event()

    def done(self, value: object, error: Exception | None) -> None:
        if error is not None:
            self.errors.append(error)
        else:
            self.values.append(value)
        self._changed.set()

    def after_batch(self) -> None:
        self.batches += 1

    def on_slow(self) -> None:
        self.slow += 1

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.values) + len(self.errors) < count:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def results() -> Results:
    """Where results go."""
    return Results()


@pytest.fixture
async def pool(results: Results) -> AsyncIterator[WorkerPool]:
    """A pool whose workers have all gone home at the end of the test."""
    pool = WorkerPool(asyncio.get_running_loop(), results.after_batch, results.on_slow)
    crews = pool._crews
    yield pool
    left = list(crews.values())
    pool.close()
    deadline = time.monotonic() + PATIENCE
    while any(crew._workers for crew in left):
        assert time.monotonic() < deadline
        os.sched_yield()


@pytest.fixture
def backstore() -> SlowBackstore:
    """Storage for which workers are needed."""
    return SlowBackstore()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  the threads of the workers tell nobody
            await asyncio.sleep(0)


async def elapse(seconds: float) -> None:
    """Let so much time pass on the loop, for what must not happen meanwhile."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()


def crew_size(pool: WorkerPool, backstore: Backstore) -> int:
    """How many workers a backstore has."""
    return pool._crews[backstore]._workers


# -- Where operations run ----------------------------------------------------------------------------------------------


async def test_what_cannot_block_is_over_at_once(pool: WorkerPool, results: Results) -> None:
    """Without a worker, and without a turn of the loop."""
    pool.submit(RamdiskBackstore("fast", 4096), Read(0, 4), results.done)
    assert [bytes(value) for value in results.values] == [bytes(4)]
    assert (pool._crews, pool.busy, results.batches) == ({}, False, 0)


async def test_what_may_block_runs_on_a_worker(pool: WorkerPool, backstore: SlowBackstore, results: Results) -> None:
    """The result comes on the loop; until then the pool is busy."""
    pool.submit(backstore, Write(0, (b"data",), 4), results.done)
    assert (results.values, pool.busy) == ([], True)
    await results.wait(1)
    assert (results.values, pool.busy) == ([None], False)
    pool.submit(backstore, Read(0, 4), results.done)
    await results.wait(2)
    assert results.values[1] == b"data"


async def test_a_batch_runs_in_its_order_on_one_worker(
    pool: WorkerPool, backstore: SlowBackstore, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quick operations do not make the crew grow, and come back in few batches."""
    monkeypatch.setattr(workers, "STALL", PATIENCE)
    for _ in range(20):
        pool.submit_many(backstore, [(Quick(), results.done)] * 50)
    await results.wait(1000)
    (thread,) = set(results.values)
    assert thread != threading.get_ident()
    assert crew_size(pool, backstore) == 1
    assert 0 < results.batches <= 500


async def test_results_come_in_the_order_of_the_operations(
    pool: WorkerPool, backstore: SlowBackstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one worker, first in is first out."""
    monkeypatch.setattr(workers, "STALL", PATIENCE)
    order: list[int] = []
    everything = Results()

    def note(number: int) -> Callable[[object, Exception | None], None]:
        def done(value: object, error: Exception | None) -> None:
            order.append(number)
            everything.done(value, error)

        return done

    pool.submit_many(backstore, [(Quick(), note(number)) for number in range(100)])
    await everything.wait(100)
    assert order == list(range(100))


async def test_a_batch_of_what_cannot_block_is_over_at_once(pool: WorkerPool, results: Results) -> None:
    """Errors included."""
    backstore = RamdiskBackstore("fast", 4096, read_only=True)
    pool.submit_many(backstore, [(Quick(), results.done), (Write(0, (b"x",), 1), results.done)])
    assert results.values == [threading.get_ident()]
    assert [type(error) for error in results.errors] == [BackstoreError]


# -- Stalls ------------------------------------------------------------------------------------------------------------


async def test_the_crew_grows_while_an_operation_takes_long(
    pool: WorkerPool, backstore: SlowBackstore, results: Results
) -> None:
    """What waits behind it gets a worker of its own."""
    held = Held()
    pool.submit_many(backstore, [(held, results.done), (Quick(), results.done)])
    await results.wait(1)
    assert (crew_size(pool, backstore), results.values == ["held"]) == (2, False)
    held.free.set()
    await results.wait(2)
    assert results.values[1] == "held"


async def test_the_crew_does_not_grow_when_nothing_waits(
    pool: WorkerPool, backstore: SlowBackstore, results: Results
) -> None:
    """One operation that takes long needs one worker."""
    held = Held()
    pool.submit_many(backstore, [(held, results.done)])
    await elapse(workers.STALL * 5)
    assert crew_size(pool, backstore) == 1
    held.free.set()
    await results.wait(1)


async def test_the_loop_is_told_when_jobs_take_long(
    pool: WorkerPool, backstore: SlowBackstore, results: Results
) -> None:
    """Whoever waits for results that were promised soon can go on without them."""
    held = Held()
    assert pool.submit_many(backstore, [(held, results.done)])
    await until(lambda: results.slow > 0)
    assert not results.values
    held.free.set()
    await results.wait(1)


async def test_of_what_cannot_block_nothing_is_promised(pool: WorkerPool, results: Results) -> None:
    """It is over."""
    assert not pool.submit_many(RamdiskBackstore("memory", 512), [(Quick(), results.done)])
    assert len(results.values) == 1


async def test_the_crew_has_a_bound(pool: WorkerPool, backstore: SlowBackstore, results: Results) -> None:
    """When every worker is held up, operations wait."""
    held = [Held() for _ in range(MAX_WORKERS + 4)]
    pool.submit_many(backstore, [(each, results.done) for each in held])
    await until(lambda: sum(each.started.is_set() for each in held) == MAX_WORKERS)
    await elapse(workers.STALL * 5)
    assert crew_size(pool, backstore) == MAX_WORKERS
    assert not any(each.started.is_set() for each in held[MAX_WORKERS:])
    for each in held:
        each.free.set()
    await results.wait(len(held))


async def test_what_is_finished_does_not_wait_for_what_takes_long(
    pool: WorkerPool, backstore: SlowBackstore, results: Results
) -> None:
    """Results of a batch come back although an operation behind them is stuck."""
    held = Held()
    pool.submit_many(backstore, [*[(Quick(), results.done)] * 3, (held, results.done)])
    await results.wait(3)
    assert "held" not in results.values
    held.free.set()
    await results.wait(4)


async def test_backstores_do_not_wait_for_each_other(
    pool: WorkerPool, backstore: SlowBackstore, results: Results
) -> None:
    """Each has workers of its own."""
    held, other = Held(), SlowBackstore()
    pool.submit_many(backstore, [(held, results.done)] * 1)
    pool.submit_many(other, [(Quick(), results.done)])
    await results.wait(1)
    assert results.values != ["held"]
    held.free.set()
    await results.wait(2)


# -- Errors ------------------------------------------------------------------------------------------------------------


async def test_an_error_is_delivered_as_it_is(pool: WorkerPool, backstore: SlowBackstore, results: Results) -> None:
    """Of the storage, or a bug of ours, which must not pass for one of the storage."""
    errors = [BackstoreError(5, "broken"), ZeroDivisionError("a bug"), MemoryError()]
    pool.submit_many(backstore, [(Failing(error), results.done) for error in errors])
    await results.wait(3)
    assert results.errors == errors
    pool.submit(RamdiskBackstore("fast", 4096, read_only=True), Write(0, (b"x",), 1), results.done)
    assert isinstance(results.errors[3], BackstoreError)


async def test_a_receiver_that_fails_does_not_keep_results_from_others(
    pool: WorkerPool, backstore: SlowBackstore, results: Results
) -> None:
    """The exception goes to the loop's handler; every other result is delivered, and the batch has its end."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))

    def fails(value: object, error: Exception | None) -> None:
        raise ZeroDivisionError

    receivers = [results.done, fails, results.done, fails, results.done]
    pool.submit_many(backstore, [(Quick(), receiver) for receiver in receivers])
    await results.wait(3)
    assert [type(context["exception"]) for context in heard] == [ZeroDivisionError, ZeroDivisionError]
    assert (pool.delivering, pool.busy) == (False, False)
    assert results.batches >= 2


# -- The workers themselves --------------------------------------------------------------------------------------------


async def test_no_job_is_lost_when_the_last_worker_leaves(
    pool: WorkerPool, backstore: SlowBackstore, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs come just about when the worker has waited long enough, again and again."""
    patience = 0.0004
    monkeypatch.setattr(workers, "IDLE", patience)
    monkeypatch.setattr(workers, "STALL", 3600.0)  # Nobody looks after them.
    hired: list[int] = []
    hire = workers._Crew._hire

    def counted_hire(crew: workers._Crew) -> None:
        hired.append(jobs)
        hire(crew)

    monkeypatch.setattr(workers._Crew, "_hire", counted_hire)
    chance = random.Random(7)
    for jobs in range(1, 301):
        pool.submit_many(backstore, [(Quick(), results.done)])
        # As patient as it must be on this machine to stay about as often as it leaves.
        patience *= 1.2 if hired[-1] == jobs else 0.8
        monkeypatch.setattr(workers, "IDLE", patience)
        await results.wait(jobs)
        await elapse(chance.uniform(0, 0.001))
    assert 1 < len(hired) < 300, "the worker always left, or never did"


async def test_a_worker_that_leaves_looks_once_more(
    pool: WorkerPool, backstore: SlowBackstore, results: Results
) -> None:
    """A job that came after it had given up waiting keeps it, unless another worker is there."""
    held = Held()
    pool.submit_many(backstore, [(held, results.done)])
    await until(held.started.is_set)
    crew = pool._crews[backstore]
    crew._wake.put(False)
    crew._jobs.append((Quick(), results.done))
    assert (crew._stay(), crew._workers) == (True, 1)
    crew._workers += 1
    crew._wake.put(False)
    assert (crew._stay(), crew._workers) == (False, 1)
    crew._jobs.clear()
    held.free.set()
    await results.wait(1)


async def test_a_worker_that_cannot_start_is_tried_again(
    pool: WorkerPool, backstore: SlowBackstore, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the system has no thread to give, jobs wait until it has."""
    start, refusals = threading.Thread.start, iter([True, True, True])

    def refuse(thread: threading.Thread) -> None:
        if next(refusals, False):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    pool.submit_many(backstore, [(Quick(), results.done)])
    await results.wait(1)
    assert crew_size(pool, backstore) == 1


async def test_a_worker_works_without_its_scheduling_class(
    pool: WorkerPool, backstore: SlowBackstore, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system does not let it choose, it only costs speed."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    pool.submit_many(backstore, [(Quick(), results.done)])
    await results.wait(1)


async def test_workers_go_home_when_their_backstore_is_released(
    pool: WorkerPool, backstore: SlowBackstore, results: Results
) -> None:
    """What was put before is finished; what comes later finds new workers."""
    held = Held()
    pool.submit_many(backstore, [(held, results.done), *[(Quick(), results.done)] * 5])
    await results.wait(5)
    crew = pool._crews[backstore]
    pool.release(backstore)
    pool.release(backstore)
    held.free.set()
    await results.wait(6)
    await until(lambda: not crew._workers)
    pool.submit_many(backstore, [(Quick(), results.done)])
    await results.wait(7)


async def test_a_closed_pool_is_not_called_back(backstore: SlowBackstore, results: Results) -> None:
    """A worker that is still at it when the pool closes finishes, and touches no descriptor of others."""
    pool = WorkerPool(asyncio.get_running_loop(), results.after_batch, results.on_slow)
    held = Held()
    pool.submit_many(backstore, [(held, results.done)])
    crew = pool._crews[backstore]
    pool.close()
    descriptor = pool._bell.descriptor
    os.fstat(descriptor)  # It is open for as long as somebody may write to it.
    held.free.set()
    await until(lambda: not crew._workers)
    assert (results.values, pool.busy) == ([], True)


async def test_many_backstores_and_operations_at_once(pool: WorkerPool, results: Results) -> None:
    """Every operation is done once, and every result comes once."""
    backstores = [SlowBackstore() for _ in range(4)]
    chance = random.Random(11)
    for number in range(1000):
        operation = Write(number * 8, (b"%07d\n" % number,), 8)
        if chance.random() < 0.5:
            pool.submit(chance.choice(backstores), operation, results.done)
        else:
            pool.submit_many(chance.choice(backstores), [(operation, results.done)])
        if number % 100 == 99:
            await results.wait(number - 50)
    await results.wait(1000)
    assert (len(results.values), results.errors, pool.busy) == (1000, [], False)
    written = b""
    for number in range(1000):
        buffers = [bytearray(8) for _ in backstores]
        for backstore, buffer in zip(backstores, buffers, strict=True):
            backstore.read_into(number * 8, memoryview(buffer))
        written += bytes(max(buffers))
    assert written == b"".join(b"%07d\n" % number for number in range(1000))
