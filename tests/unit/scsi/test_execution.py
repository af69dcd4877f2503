import dataclasses
import errno
from collections.abc import Callable

import pytest

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import BlockOperation, Flush, Read
from isthmus.errors import BackstoreError
from isthmus.scsi.alua import AluaAccessState, AluaPortGroup
from isthmus.scsi.block_executor import Done, ImmediateExecutor
from isthmus.scsi.command_table import DISK_COMMANDS, CommandTable
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.opcodes import Handler, Steps
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD, Response, Task, TaskAttribute, TaskState
from isthmus.scsi.task_manager import SamFunction
from tests.support.scsi import (
    TEST_UNIT_READY,
    Bench,
    HeldExecutor,
    Owner,
    limited_stack,
    make_unit,
    read_10,
    sense_of,
    write_10,
)
from tests.support.timer import FakeTimer

COMPARE_AND_WRITE = bytes([0x89]) + bytes(12) + bytes([1, 0, 0])
"""LBA 0, one block."""
INTERNAL = (0x04, 0x44, 0x00)


class Probe:
    """A bench on which TEST UNIT READY runs `handler`."""

    def __init__(self, handler: Handler, executor: HeldExecutor | None = None) -> None:
        row = DISK_COMMANDS.find(TEST_UNIT_READY)
        changed = dataclasses.replace(row, handler=handler)
        self.unit = make_unit(table=CommandTable(changed if other is row else other for other in DISK_COMMANDS))
        self.bench = Bench(unit=self.unit) if executor is None else Bench(unit=self.unit, executor=executor)
        self.closed = False

    def run(self) -> Response:
        """The response to the command."""
        return self.bench.run(TEST_UNIT_READY)

    def start(self) -> Task:
        """The command, under way."""
        return self.bench.start(TEST_UNIT_READY)

    def abort(self, task: Task) -> list[object]:
        """ABORT TASK; gives the list into which the result comes."""
        results: list[object] = []
        self.bench.router.manage(task.nexus, SamFunction.ABORT_TASK, task.lun, task, results.append)
        return results


def test_results_come_back_to_the_handler() -> None:
    """What an operation gives is what the handler's yield gives."""

    def handler(_unit: LogicalUnit, _task: Task) -> Steps:
        first = yield Read(0, 2)
        second = yield Read(0, 3)
        return Response(data_in=bytes(first) + bytes(second))

    assert Probe(handler).run().data_in == bytes(5)


def test_many_operations_take_no_stack() -> None:
    """A command with thousands of operations that all end at once is a loop."""

    def handler(_unit: LogicalUnit, _task: Task) -> Steps:
        for _ in range(1000):
            yield Flush()
        return GOOD

    probe = Probe(handler)
    with limited_stack(100):
        assert probe.run() == GOOD


def test_a_handler_may_deal_with_a_failure() -> None:
    """The failure of an operation is raised where it was asked for, and the handler may go on."""
    executor = HeldExecutor()

    def handler(_unit: LogicalUnit, _task: Task) -> Steps:
        try:
            yield Flush()
        except BackstoreError as error:
            result = yield Read(0, 1)
            return Response(data_in=bytes(result) + bytes([error.errno]))
        return GOOD

    probe = Probe(handler, executor)
    task = probe.start()
    executor.finish(error=BackstoreError(errno.EIO, "failed"))
    executor.finish()
    response = probe.bench.owner.ends[task]
    assert response is not None
    assert response.data_in == bytes([0, errno.EIO])


@pytest.mark.parametrize("wrong", [None, b"", 7])
def test_a_handler_without_a_response(wrong: object) -> None:
    """A handler that gives no response does not leave its task hanging."""

    def handler(_unit: LogicalUnit, _task: Task) -> Steps:
        yield Flush()
        return wrong  # type: ignore[return-value]

    probe = Probe(handler)
    assert sense_of(probe.run()) == INTERNAL
    assert len(probe.bench.internal_errors) == 1


def test_a_handler_that_yields_something_else() -> None:
    """What is no block operation cannot be done."""

    def handler(_unit: LogicalUnit, _task: Task) -> Steps:
        yield "flush"  # type: ignore[misc]
        return GOOD

    assert sense_of(Probe(handler).run()) == INTERNAL


class BrokenExecutor(HeldExecutor):
    """Cannot even take an operation."""

    def submit(self, backstore: Backstore, operation: BlockOperation, done: Done) -> None:
        raise RuntimeError("no threads")


def test_an_executor_that_fails() -> None:
    """An operation that could not be handed over ends the command, and its bytes are free again."""
    bench = Bench(executor=BrokenExecutor())
    assert sense_of(bench.run(read_10(0, 1))) == INTERNAL
    assert sense_of(bench.run(COMPARE_AND_WRITE, bytes(1024))) == INTERNAL
    assert not bench.unit.range_lock.exclusive_pending
    assert len(bench.internal_errors) == 2


def test_an_exclusive_operation_waits_for_others() -> None:
    """COMPARE AND WRITE starts when the write before it is over, and a read behind it waits."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    tasks = [
        bench.start(write_10(0, 1), b"x" * 512),
        bench.start(COMPARE_AND_WRITE, b"x" * 512 + b"y" * 512),
        bench.start(read_10(0, 1)),
    ]
    for _ in tasks:
        assert len(executor.under_way) == 1
        executor.finish()
    assert list(bench.owner.ends) == tasks
    response = bench.owner.ends[tasks[2]]
    assert response is not None
    assert bytes(response.data_in) == b"y" * 512


# Aborts.


def test_abort_during_an_operation() -> None:
    """The handler of an aborted task gets no further, and the abort is over when the operation is."""
    executor = HeldExecutor()
    events: list[str] = []

    def handler(_unit: LogicalUnit, _task: Task) -> Steps:
        try:
            yield Flush()
            events.append("went on")
            yield Flush()
        finally:
            events.append("closed")
        return GOOD

    probe = Probe(handler, executor)
    task = probe.start()
    results = probe.abort(task)
    assert (results, task.state) == ([], TaskState.ABORTING)
    executor.finish()
    assert len(results) == 1
    assert events == ["closed"]
    assert probe.bench.owner.ends == {task: None}
    assert not executor.under_way


def test_abort_before_the_operation_starts() -> None:
    """A task that waits for its bytes is gone at once, and does not touch them later."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    first = bench.start(read_10(0, 1))
    waiting = bench.start(COMPARE_AND_WRITE, bytes(1024))
    bench.router.manage(bench.nexus, SamFunction.ABORT_TASK, 0, waiting, lambda _: None)
    assert bench.owner.ends == {waiting: None}
    executor.finish_all()
    assert list(bench.owner.ends) == [waiting, first]


def test_the_write_of_an_aborted_task_does_not_land_on_a_later_one() -> None:
    """A later command on the same blocks waits until the aborted write is over."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    old = bench.start(write_10(0, 1), b"o" * 512)
    bench.router.manage(bench.nexus, SamFunction.ABORT_TASK, 0, old, lambda _: None)
    new = bench.start(write_10(0, 1), b"n" * 512)
    assert len(executor.operations) == 1
    executor.finish_all()
    assert bench.owner.ends == {old: None, new: GOOD}
    check = bench.start(read_10(0, 1))
    executor.finish()
    response = bench.owner.ends[check]
    assert response is not None
    assert bytes(response.data_in) == b"n" * 512


def test_abort_between_an_operation_and_its_end() -> None:
    """A task whose operation is just over can be aborted by what that sets free, and still ends once."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)

    class Chain(Owner):
        """The end of the second task aborts the first one."""

        def task_ended(self, task: Task, response: Response | None) -> None:
            super().task_ended(task, response)
            if task is second:
                bench.router.manage(bench.nexus, SamFunction.ABORT_TASK, 0, first, results.append)

    bench.owner = Chain()
    results: list[object] = []
    first = bench.start(write_10(0, 1), bytes(512))
    second = bench.start(COMPARE_AND_WRITE, bytes(1024))
    executor.submit = ImmediateExecutor().submit  # type: ignore[method-assign]
    executor.finish()
    assert bench.owner.ends == {second: GOOD, first: None}
    assert len(results) == 1


def test_a_handler_that_aborts_its_own_task() -> None:
    """Such a task ends unseen, and its handler is closed when it comes back."""
    events: list[str] = []
    abort: list[Callable[[Task], object]] = []

    def handler(_unit: LogicalUnit, task: Task) -> Steps:
        try:
            yield Flush()
            abort[0](task)
            yield Flush()
        finally:
            events.append("closed")
        return GOOD

    probe = Probe(handler)
    abort.append(probe.abort)
    task = probe.start()
    assert probe.bench.owner.ends == {task: None}
    assert events == ["closed"]


def test_a_response_waits_for_the_tasks_that_were_aborted() -> None:
    """A command that aborts others is not answered while one of them touches the medium."""
    executor = HeldExecutor()
    others: list[Task] = []

    def handler(unit: LogicalUnit, task: Task) -> Response:
        unit.abort_tasks_for(task, {other.nexus for other in others})
        return GOOD

    probe = Probe(handler, executor)
    others.append(probe.bench.start(write_10(0, 1), bytes(512), nexus=probe.bench.connect(isid=2)))
    task = probe.start()
    assert probe.bench.owner.ends == {}
    executor.finish()
    assert list(probe.bench.owner.ends) == [*others, task]
    assert probe.bench.owner.ends[task] == GOOD


def test_abort_of_a_task_whose_response_waits() -> None:
    """A command that waits for those it aborted can be aborted itself, and is not answered afterwards."""
    executor = HeldExecutor()
    others: list[Task] = []

    def handler(unit: LogicalUnit, task: Task) -> Response:
        unit.abort_tasks_for(task, {other.nexus for other in others})
        return GOOD

    probe = Probe(handler, executor)
    others.append(probe.bench.start(write_10(0, 1), bytes(512), nexus=probe.bench.connect(isid=2)))
    task = probe.start()
    assert len(probe.abort(task)) == 1
    executor.finish()
    assert probe.bench.owner.ends[task] is None


# ACA conditions.

FAILS_NACA = bytes((0x12, 0, 0x83, 0, 255, 0x04))
"""INQUIRY with a page code and without EVPD."""


def fault(bench: Bench) -> None:
    """A command of the nexus of the bench fails with NACA."""
    assert bench.run(FAILS_NACA).status is Status.CHECK_CONDITION


def clear(bench: Bench) -> None:
    """CLEAR ACA."""
    bench.router.manage(bench.nexus, SamFunction.CLEAR_ACA, 0, None, lambda _: None)


def test_a_blocked_task_gives_up_its_turn_at_the_blocks() -> None:
    """An exclusive operation that waits for others steps back, so that the ACA task gets at the blocks; later it asks anew."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    running = bench.start(write_10(0, 1), bytes(512))
    waiting = bench.start(COMPARE_AND_WRITE, bytes(1024))
    assert len(executor.operations) == 1
    fault(bench)
    executor.finish()
    assert executor.operations == []
    repair = bench.start(write_10(0, 1), b"x" * 512, attribute=TaskAttribute.ACA)
    executor.finish()
    assert bench.owner.status(repair) is Status.GOOD
    clear(bench)
    assert bench.owner.status(running) is Status.GOOD
    executor.finish()
    # It compares with what the repair has written.
    assert sense_of(bench.owner.ends[waiting]) == (0x0E, 0x1D, 0x00)


def test_abort_of_a_blocked_task_that_has_stepped_back() -> None:
    """There is nothing to wait for, and nothing goes on later."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    bench.start(write_10(0, 1), bytes(512))
    waiting = bench.start(COMPARE_AND_WRITE, bytes(1024))
    fault(bench)
    bench.unit.task_set.abort((waiting,), lambda _: None)
    assert bench.owner.ends[waiting] is None
    executor.finish()
    clear(bench)
    assert executor.operations == []
    assert len(bench.unit.task_set) == 0


def test_a_handler_does_not_go_on_while_blocked() -> None:
    """What it waits for ends, but it does nothing with that before the condition is cleared."""
    done: list[str] = []

    def handler(unit: LogicalUnit, task: Task) -> Steps:
        done.append("begin")
        yield Read(0, 512)
        done.append("end")
        return GOOD

    executor = HeldExecutor()
    probe = Probe(handler, executor)
    task = probe.start()
    fault(probe.bench)
    executor.finish()
    assert done == ["begin"]
    clear(probe.bench)
    assert done == ["begin", "end"]
    assert probe.bench.owner.ends[task] == GOOD


def test_a_task_that_waits_for_its_group_is_blocked_as_well() -> None:
    """When the delay of its target port group is over, it does not begin before the condition is."""
    timer = FakeTimer()
    group = AluaPortGroup(alua_group_id=0, non_optimized_delay=1, state=AluaAccessState.ACTIVE_NON_OPTIMIZED)
    bench = Bench(unit=make_unit(alua_group=group, call_later=timer.call_later))
    task = bench.start(TEST_UNIT_READY)
    bench.unit.task_set.establish_aca(bench.nexus, bench.task(write_10(0, 1)))
    timer.advance(1)
    assert task.state is TaskState.BLOCKED
    clear(bench)
    assert bench.owner.ends[task] == GOOD


def test_a_response_that_waits_is_blocked_as_well() -> None:
    """A task that waits for what it has aborted does not complete while the condition is in effect."""
    executor = HeldExecutor()

    def handler(unit: LogicalUnit, task: Task) -> Response:
        unit.abort_tasks_for(task, {other})
        return GOOD

    probe = Probe(handler, executor)
    other = probe.bench.connect(isid=2)
    probe.bench.start(read_10(0, 1), nexus=other)
    task = probe.start()
    fault(probe.bench)
    executor.finish()
    assert task.state is TaskState.BLOCKED
    clear(probe.bench)
    assert probe.bench.owner.ends[task] == GOOD
