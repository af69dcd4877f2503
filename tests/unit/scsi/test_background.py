"""Work that goes on without its task."""

import errno
from collections.abc import Callable
from typing import Any

import pytest

from isthmus.backstores.operations import WOULD_BLOCK, BlockOperation, Flush, Read, Write, WriteZeroes
from isthmus.errors import BackstoreError
from isthmus.scsi.background import Background, BackgroundRun, BackgroundSteps
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.task import GOOD, Response
from isthmus.scsi.waiting import Until
from tests.support.scsi import Bench, HeldExecutor, limited_stack, make_unit, read_10, sense_of, write_10
from tests.unit.scsi.test_execution import INTERNAL, Probe

ERROR = BackstoreError(errno.EIO, "the disk is broken")


def read_twice() -> BackgroundSteps:
    """Reads two blocks; gives how many bytes that were."""
    first = yield Read(0, 512)
    second = yield Read(512, 512)
    return len(first) + len(second)


def flush_and_say(said: list[object]) -> BackgroundSteps:
    """Flushes, and notes how that went."""
    try:
        yield Flush()
    except BackstoreError as error:
        said.append(error.errno)
    else:
        said.append("flushed")


def test_awaited() -> None:
    """A handler that waits goes on with what the steps return."""

    def handler(*_: object) -> Steps:
        length = yield Background(read_twice(), awaited=True)
        return Response(data_in=bytes([length // 512]))

    assert bytes(Probe(handler).run().data_in) == b"\x02"


def test_awaited_later() -> None:
    """So it does if the operations take their time."""
    executor = HeldExecutor()

    def handler(*_: object) -> Steps:
        length = yield Background(read_twice(), awaited=True)
        return Response(data_in=bytes([length // 512]))

    probe = Probe(handler, executor)
    task = probe.start()
    executor.finish()
    assert task not in probe.bench.owner.ends
    executor.finish()
    response = probe.bench.owner.ends[task]
    assert response is not None
    assert bytes(response.data_in) == b"\x02"
    assert not probe.unit.background


def test_awaited_error() -> None:
    """What the steps raise comes out at the yield."""
    executor = HeldExecutor()
    caught: list[int] = []

    def handler(*_: object) -> Steps:
        try:
            yield Background(read_twice(), awaited=True)
        except BackstoreError as error:
            caught.append(error.errno)
        return GOOD

    probe = Probe(handler, executor)
    task = probe.start()
    executor.finish(error=ERROR)
    assert caught == [errno.EIO]
    assert probe.bench.owner.ends[task] == GOOD


def test_not_awaited() -> None:
    """A handler that does not wait answers at once; the steps go on, and may fail without it."""
    executor = HeldExecutor()
    said: list[object] = []

    def handler(*_: object) -> Steps:
        yield Background(flush_and_say(said), awaited=False)
        return GOOD

    probe = Probe(handler, executor)
    assert probe.run() == GOOD
    assert said == []
    executor.finish(error=ERROR)
    assert said == [errno.EIO]
    assert not probe.unit.background


def test_unawaited_bug() -> None:
    """An exception that nobody catches is reported as a bug, and changes no answer."""
    executor = HeldExecutor()

    def steps() -> BackgroundSteps:
        yield Flush()
        raise ZeroDivisionError

    def handler(*_: object) -> Steps:
        yield Background(steps(), awaited=False)
        return GOOD

    probe = Probe(handler, executor)
    assert probe.run() == GOOD
    executor.finish()
    (error,) = probe.bench.internal_errors
    assert "ZeroDivisionError" in str(error)


def test_awaited_bug() -> None:
    """One in steps that are awaited ends the command."""

    def steps() -> BackgroundSteps:
        yield Flush()
        raise ZeroDivisionError

    def handler(*_: object) -> Steps:
        yield Background(steps(), awaited=True)
        return GOOD

    probe = Probe(handler)
    assert sense_of(probe.run()) == INTERNAL


def test_abort_leaves_it_alone() -> None:
    """A task that waits is aborted at once; what it started goes on to its end."""
    executor = HeldExecutor()
    said: list[object] = []

    def handler(*_: object) -> Steps:
        yield Background(flush_and_say(said), awaited=True)
        said.append("went on")
        return GOOD

    probe = Probe(handler, executor)
    task = probe.start()
    assert len(probe.abort(task)) == 1
    assert probe.bench.owner.ends[task] is None
    executor.finish_all()
    assert said == ["flushed"]


def test_stop() -> None:
    """When the server ends no further operation begins, and the steps are closed."""
    executor = HeldExecutor()
    unit = make_unit()
    over: list[object] = []
    steps = read_twice()
    run = BackgroundRun(unit, executor, steps, lambda result, error: over.append((result, error)))
    run.start()
    run.stop()
    assert not unit.background
    executor.finish()
    assert executor.operations == []
    assert over == []
    with pytest.raises(StopIteration):
        next(steps)


def test_others_get_their_turn() -> None:
    """No operation is done on the spot, even where the backstore never blocks."""
    executor = HeldExecutor()
    unit = make_unit()
    BackgroundRun(unit, executor, read_twice(), lambda *_: None).start()
    (operation,) = executor.operations
    assert unit.backstore.never_blocks
    assert operation.run_inline(unit.backstore) is WOULD_BLOCK
    assert operation.extent == (0, 512)
    assert not operation.exclusive


def test_keeps_to_the_range_lock() -> None:
    """It waits for an exclusive operation that came before it, like everybody else."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    compare = bench.start(bytes([0x89]) + bytes(12) + bytes([1, 0, 0]), bytes(1024))
    BackgroundRun(bench.unit, executor, read_twice(), lambda *_: None).start()
    assert len(executor.operations) == 1
    executor.finish_all()
    assert bench.owner.ends[compare] == GOOD
    assert not bench.unit.background


def test_many_operations_take_no_stack() -> None:
    """A thousand operations that end at once do not nest."""

    def steps() -> BackgroundSteps:
        for block in range(1000):
            yield WriteZeroes(block * 512, 512)
        return "done"

    bench = Bench()
    over: list[object] = []
    with limited_stack(60):
        BackgroundRun(bench.unit, bench.executor, steps(), lambda result, _: over.append(result)).start()
    assert over == ["done"]


def test_executor_that_raises() -> None:
    """An executor that cannot take an operation fails it, and is not waited for."""

    class Broken:
        def submit(self, *_: object) -> None:
            raise RuntimeError("no threads")

    errors: list[Exception | None] = []
    BackgroundRun(make_unit(), Broken(), read_twice(), lambda _, error: errors.append(error)).start()
    assert str(errors[0]) == "no threads"


def test_run_in_place() -> None:
    """Without a background the work can be done on the spot."""
    unit = make_unit()
    said: list[object] = []
    assert Background(read_twice(), awaited=True).run(unit.backstore) == 1024
    Background(flush_and_say(said), awaited=True).run(unit.backstore)
    assert said == ["flushed"]


def test_run_in_place_with_errors() -> None:
    """There, too, an error is raised at the yield that asked."""

    class Failing(BlockOperation):
        def run(self, backstore: object) -> None:
            raise ERROR

    def steps() -> BackgroundSteps:
        try:
            yield Failing()
        except BackstoreError:
            return (yield Read(0, 4))

    unit = make_unit()
    assert bytes(Background(steps(), awaited=True).run(unit.backstore)) == bytes(4)


def test_readers_go_on_meanwhile() -> None:
    """Tasks run beside work in the background."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    BackgroundRun(bench.unit, executor, read_twice(), lambda *_: None).start()
    read, write = bench.start(read_10(0, 1)), bench.start(write_10(0, 1), bytes(512))
    assert [type(operation) for operation in executor.operations][1:] == [Read, Write]
    executor.finish(1)
    executor.finish(1)
    assert {read, write} == set(bench.owner.ends)


def test_waiting() -> None:
    """Steps can wait for what is no access to the backstore, now or later, and get its result or its error."""
    tellers: list[Callable[[Any, Exception | None], None]] = []

    def steps() -> BackgroundSteps:
        at_once = yield Until(lambda told: told(1, None))
        later = yield Until(tellers.append)
        try:
            yield Until(tellers.append)
        except BackstoreError:
            return at_once + later

    over: list[object] = []
    BackgroundRun(make_unit(), HeldExecutor(), steps(), lambda result, _: over.append(result)).start()
    tellers.pop()(2, None)
    assert over == []
    tellers.pop()(None, ERROR)
    assert over == [3]
