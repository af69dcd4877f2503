"""How the data of a copy are moved, step by step."""

import pytest

from isthmus.backstores.operations import Copy, Flush, WriteZeroes
from isthmus.backstores.partial_blocks import MAX_LENGTH, CopyPartialBlocks
from isthmus.scsi.background import Background
from isthmus.scsi.copy.copy_operations import CopyOperation, CopyState
from isthmus.scsi.copy.endpoint import Endpoint
from isthmus.scsi.copy.limits import STEP
from isthmus.scsi.copy.transfer import Move, Transfer, Zeroing, flushed, run_copy, transfer
from isthmus.scsi.elsewhere import Elsewhere
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.task import GOOD
from isthmus.scsi.throttle import RateLimits
from isthmus.scsi.waiting import Until
from tests.support.copying import CopyBench
from tests.support.timer import FakeTimer

BENCH = CopyBench()
SOURCE, DESTINATION = Endpoint(BENCH.source, BENCH.nexus, 0), Endpoint(BENCH.destination, BENCH.nexus, 1 << 48)


def operation(*, background: bool = False) -> CopyOperation:
    """A copy that has just begun."""
    return CopyOperation(BENCH.nexus, 1, 0, background=background)


def move(source_offset: int, offset: int, length: int, *, within: bool = False) -> Move:
    """From the source to the destination, or within the source."""
    return Move(
        source=SOURCE,
        source_offset=source_offset,
        destination=SOURCE if within else DESTINATION,
        offset=offset,
        length=length,
    )


def test_pieces() -> None:
    """Whole steps, and what is left; shorter ones where blocks are written in part."""
    assert list(move(0, 0, 2 * STEP + 512).pieces()) == [(0, STEP), (STEP, STEP), (2 * STEP, 512)]
    for partial in (move(1, 0, MAX_LENGTH + 512), move(0, 1, MAX_LENGTH + 512)):
        assert list(partial.pieces()) == [(0, MAX_LENGTH), (MAX_LENGTH, 512)]
    assert list(move(0, 0, MAX_LENGTH + 1).pieces()) == [(0, MAX_LENGTH), (MAX_LENGTH, 1)]
    assert list(Zeroing(destination=DESTINATION, offset=0, length=0).pieces()) == []


@pytest.mark.parametrize(
    ("offset", "within", "backwards"),
    [(512, True, True), (2 * STEP - 512, True, True), (2 * STEP, True, False), (0, True, False), (512, False, False)],
)
def test_direction(offset: int, within: bool, backwards: bool) -> None:
    """From the end where a copy within one unit would overwrite what it is yet to read."""
    pieces = list(move(0, offset, 2 * STEP, within=within).pieces())
    assert pieces == ([(STEP, STEP), (0, STEP)] if backwards else [(0, STEP), (STEP, STEP)])


def test_operations() -> None:
    """What is asked of which unit, and what of the other is read."""
    copying = move(512, 1024, 4096).operation(512, 1024)
    assert (copying.unit, copying.source, copying.source_extent) == (BENCH.destination, BENCH.source, (1024, 1024))
    assert copying.operation == Copy(BENCH.source.backstore, 1024, 1536, 1024)
    partial = move(513, 1024, 10).operation(0, 10)
    assert isinstance(partial.operation, CopyPartialBlocks)
    assert (partial.source_extent, partial.extent) == ((512, 512), (1024, 512))
    zeroing = Zeroing(destination=DESTINATION, offset=1024, length=4096).operation(512, 1024)
    assert (zeroing.operation, zeroing.source) == (WriteZeroes(1536, 1024), None)


def test_an_abort_between_steps() -> None:
    """The step that is under way ends and counts; the next one is not begun."""
    copy = operation()
    steps = transfer(copy, Zeroing(destination=DESTINATION, offset=0, length=STEP))
    copy.abort_requested = True
    with pytest.raises(CheckCondition) as caught:
        next(steps)
    assert caught.value.sense_data.sense is Sense.COMMANDS_CLEARED_BY_DEVICE_SERVER


def test_progress() -> None:
    """Each step counts when it is over."""
    copy = operation()
    steps = transfer(copy, move(0, 0, 4096))
    next(steps)
    assert copy.bytes_transferred == 0
    with pytest.raises(StopIteration):
        steps.send(None)
    assert (copy.bytes_transferred, copy.steps) == (4096, 1)


def test_a_step_waits_for_both_units() -> None:
    """It counts at each of them that is limited, once if it is the same."""
    timer = FakeTimer()
    bench = CopyBench()
    for unit in (bench.source, bench.destination):
        unit.call_later = timer.call_later
        unit.limit(RateLimits(bytes_per_second=1000, bytes_burst=1000), lambda: timer.now)
    ends = Endpoint(bench.source, bench.nexus, 0), Endpoint(bench.destination, bench.nexus, 1 << 48)
    both = Move(source=ends[0], source_offset=0, destination=ends[1], offset=0, length=4096)
    steps = transfer(operation(), both)
    assert [isinstance(next(steps), Until) for _ in range(3)] == [True, True, False]
    assert both.units == (bench.source, bench.destination)
    within = Move(source=ends[0], source_offset=0, destination=ends[0], offset=8192, length=4096)
    assert within.units == (bench.source,)
    over: list[object] = []
    first = next(transfer(operation(), within))
    assert isinstance(first, Until)
    first.begin(lambda result, error: over.append((result, error)))
    assert over == [(None, None)]
    first.begin(lambda result, error: over.append((result, error)))
    assert len(over) == 1
    timer.advance(4.1)
    assert len(over) == 2


def test_flushed() -> None:
    """Only where there is no write cache that may keep it."""
    assert [type(step) for step in flushed(DESTINATION)] == [Elsewhere]
    [flush] = flushed(DESTINATION)
    assert isinstance(flush, Elsewhere)
    assert flush.operation == Flush()


def nothing() -> Transfer:
    """Steps that do one thing."""
    yield Flush()


def failing() -> Transfer:
    """Steps that fail."""
    yield Flush()
    raise CheckCondition(Sense.UNREACHABLE_COPY_TARGET)


def test_the_end_of_a_copy() -> None:
    """The copy tells how its steps ended, and the command ends with them."""
    copy = operation()
    steps = run_copy(copy, nothing())
    next(steps)
    assert (copy.begun, copy.state) == (True, CopyState.IN_PROGRESS)
    with pytest.raises(StopIteration) as stop:
        steps.send(None)
    assert (stop.value.value, copy.state) == (GOOD, CopyState.COMPLETED)


def test_a_copy_that_fails() -> None:
    """Its sense is kept, and is that of the command."""
    copy = operation()
    steps = run_copy(copy, failing())
    next(steps)
    with pytest.raises(CheckCondition):
        steps.send(None)
    assert copy.state is CopyState.FAILED
    assert copy.sense_data is not None
    assert copy.sense_data.sense is Sense.UNREACHABLE_COPY_TARGET


def test_a_copy_whose_task_is_aborted() -> None:
    """When its steps are closed, it is aborted."""
    copy = operation()
    steps = run_copy(copy, nothing())
    next(steps)
    steps.close()
    assert copy.state is CopyState.ABORTED


def test_in_the_background() -> None:
    """The steps are handed over, and the command is GOOD whatever becomes of them."""
    copy = operation(background=True)
    steps = run_copy(copy, failing())
    background = next(steps)
    assert isinstance(background, Background)
    next(background.steps)
    with pytest.raises(StopIteration) as stop:
        steps.send(None)
    assert stop.value.value == GOOD
    with pytest.raises(StopIteration):
        background.steps.send(None)
    assert copy.state is CopyState.FAILED


def test_a_background_that_never_began() -> None:
    """If the task is aborted before that, the copy is over."""
    copy = operation(background=True)
    steps = run_copy(copy, nothing())
    next(steps)
    steps.close()
    assert copy.state is CopyState.ABORTED
