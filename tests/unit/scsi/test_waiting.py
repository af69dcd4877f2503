from collections.abc import Callable
from typing import Any

import pytest

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.errors import BackstoreError
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.task import GOOD, TaskState
from isthmus.scsi.waiting import Until
from tests.support.scsi import TEST_UNIT_READY, sense_of
from tests.unit.scsi.test_device_server import bench_with

Over = Callable[[Any, Exception | None], None]


def waiting(told: list[Over], results: list[object]) -> Callable[..., Steps]:
    """A handler that waits, and notes what for."""

    def handler(_unit: object, _task: object) -> Steps:
        results.append((yield Until(told.append)))
        return GOOD

    return handler


def test_a_handler_goes_on_when_it_is_told() -> None:
    """The task is enabled and does nothing until then, and gets the result."""
    told: list[Over] = []
    results: list[object] = []
    bench = bench_with(TEST_UNIT_READY, handler=waiting(told, results))
    task = bench.start(TEST_UNIT_READY)
    assert task.state is TaskState.ENABLED
    told[0]("result", None)
    assert results == ["result"]
    assert bench.owner.ends == {task: GOOD}


def test_it_may_be_over_at_once() -> None:
    """What ends before `begin` returns lets the handler go on in the same breath."""

    def at_once(over: Over) -> None:
        over("now", None)

    def handler(_unit: object, _task: object) -> Steps:
        for _ in range(500):
            assert (yield Until(at_once)) == "now"
        return GOOD

    assert bench_with(TEST_UNIT_READY, handler=handler).run(TEST_UNIT_READY) == GOOD


def test_a_failure_is_raised_where_the_handler_waits() -> None:
    """An exception comes out of the `yield`."""
    told: list[Over] = []
    bench = bench_with(TEST_UNIT_READY, handler=waiting(told, []))
    task = bench.start(TEST_UNIT_READY)
    told[0](None, BackstoreError(5, "broken"))
    assert sense_of(bench.owner.ends[task])[0] in (0x03, 0x04)


def test_abort_while_waiting() -> None:
    """An aborted task ends at once; the end of what it waited for finds nobody."""
    told: list[Over] = []
    results: list[object] = []
    bench = bench_with(TEST_UNIT_READY, handler=waiting(told, results))
    task = bench.start(TEST_UNIT_READY)
    bench.unit.task_set.abort((task,), lambda _: None)
    assert bench.owner.ends == {task: None}
    told[0]("late", None)
    assert results == []


def test_no_backstore_can_wait() -> None:
    """Nothing but a task can make sense of it."""
    with pytest.raises(NotImplementedError):
        Until(lambda over: None).run(RamdiskBackstore("disk", 512))
