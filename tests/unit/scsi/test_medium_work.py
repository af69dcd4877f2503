"""Operations on a whole medium, from the first block to the last or to their failure."""

import errno
from collections.abc import Callable

import pytest

from isthmus.backstores.operations import Barrier, Flush, Read, WriteRepeated, WriteZeroes
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.background import BackgroundRun, BackgroundSteps
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.medium_plan import Interrupted, MediumPlan
from isthmus.scsi.medium_work import (
    MediumFailure,
    MediumOperation,
    MediumWork,
    forget_medium_failure,
    load_medium_failure,
    resume_medium_work,
    sanitize_medium,
    work_on_medium,
)
from isthmus.scsi.sense import CheckCondition, ProgressIndication, Sense
from isthmus.scsi.state_store import MEDIUM_WORK, MemoryStateStore
from isthmus.scsi.status import Status
from tests.support.primary import data_of, inquiry, refusal
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_unit, read_10

ERROR = BackstoreError(errno.EIO, "the disk is broken")
REQUEST_SENSE = bytes((3, 0, 0, 0, 18, 0))
HALVES = (WriteZeroes(0, 1 << 19), WriteZeroes(1 << 19, 1 << 19))


class Work:
    """An operation in two steps on a bench that holds each."""

    def __init__(self, operation: MediumOperation, *, unrestricted: bool = False) -> None:
        self.executor = HeldExecutor()
        self.store = MemoryStateStore()
        self.unit = make_unit(state=self.store)
        self.bench = Bench(unit=self.unit, executor=self.executor)
        self.over: list[Exception | None] = []
        steps = work_on_medium(self.unit, operation, lambda: HALVES, total=1 << 20, unrestricted=unrestricted)
        BackgroundRun(self.unit, self.executor, steps, lambda _, error: self.over.append(error)).start()

    @property
    def record(self) -> bytes | None:
        """What would be there after a restart."""
        return self.store.load(self.unit.identity.serial, MEDIUM_WORK)

    def fail_after(self, count: int) -> None:
        """Let `count` steps succeed, and then fail one."""
        for _ in range(count):
            self.executor.finish()
        self.executor.finish(error=ERROR)


@pytest.mark.parametrize(
    ("operation", "sense"),
    [
        (MediumOperation.FORMAT, Sense.LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS),
        (MediumOperation.SANITIZE, Sense.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS),
    ],
)
def test_from_begin_to_end(operation: MediumOperation, sense: Sense) -> None:
    """Nobody gets at the medium meanwhile; the record stands from before the first step to after the last flush."""
    work = Work(operation)
    (grant,) = work.bench.nexus.grants.values()
    progress = []
    while work.executor.operations:
        assert (grant.reads, grant.writes) == (False, False)
        assert refusal(work.bench.run(TEST_UNIT_READY))[0] is sense
        assert refusal(work.bench.run(read_10(0, 1)))[0] is sense
        assert data_of(work.bench.run(inquiry()))
        told = data_of(work.bench.run(REQUEST_SENSE))
        assert (told[2], told[12], told[13], told[15]) == (sense.key, sense.asc, sense.ascq, 0x80)
        progress.append(int.from_bytes(told[16:18]))
        work.executor.finish()
    assert progress == [0, 0, 0, 0x8000, 0xFFFF, 0xFFFF]
    assert work.over == [None]
    assert work.record is None
    assert work.bench.run(TEST_UNIT_READY).status is Status.GOOD
    assert (grant.reads, grant.writes) == (True, True)


def test_order_of_the_steps() -> None:
    """First the record, then whatever was under way ends, then the steps, and all is durable before the record goes."""
    work = Work(MediumOperation.FORMAT)
    done = []
    while work.executor.operations:
        done.append((work.executor.operations[0].extent, work.executor.operations[0].exclusive, work.record))
        work.executor.finish()
    record = b"format\n"
    assert done == [
        ((0, 0), False, None),
        (Barrier(1 << 20).extent, True, record),
        (HALVES[0].extent, False, record),
        (HALVES[1].extent, False, record),
        (Flush().extent, False, record),
        ((0, 0), False, record),
    ]


@pytest.mark.parametrize("successes", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("operation", "failed", "left_behind"),
    [
        (MediumOperation.FORMAT, Sense.FORMAT_COMMAND_FAILED, Sense.MEDIUM_FORMAT_CORRUPTED),
        (MediumOperation.SANITIZE, Sense.SANITIZE_COMMAND_FAILED, Sense.SANITIZE_COMMAND_FAILED),
    ],
)
def test_failure(operation: MediumOperation, failed: Sense, left_behind: Sense, successes: int) -> None:
    """After a failed step, flush or record the medium is left behind, also for the next run."""
    work = Work(operation)
    work.fail_after(successes)
    (error,) = work.over
    assert isinstance(error, CheckCondition)
    assert error.sense_data.sense is failed
    assert refusal(work.bench.run(TEST_UNIT_READY))[0] is left_behind
    assert refusal(work.bench.run(read_10(0, 1)))[0] is left_behind
    assert data_of(work.bench.run(REQUEST_SENSE))[12] == left_behind.asc
    again = make_unit(state=work.store)
    assert again.medium_failure == MediumFailure(operation)
    assert not again.is_ready


def test_no_record_no_work() -> None:
    """If not even the record can be saved nothing is touched, and the unit is as it was."""
    work = Work(MediumOperation.SANITIZE)
    work.fail_after(0)
    assert work.over == [ERROR]
    assert work.executor.operations == []
    assert work.unit.medium_failure is None
    assert work.bench.run(TEST_UNIT_READY).status is Status.GOOD


def test_reset_does_not_end_it() -> None:
    """A reset, or the loss of a nexus, leaves it going (SBC-4 §4.11.2)."""
    work = Work(MediumOperation.SANITIZE)
    work.executor.finish()
    work.unit.reset(Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, by=work.bench.nexus, done=lambda: None)
    work.bench.router.nexus_lost(work.bench.nexus)
    nexus = work.bench.connect(isid=2)
    sense = Sense.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS
    assert refusal(work.bench.run(TEST_UNIT_READY, nexus=nexus))[0] is sense
    work.executor.finish_all()
    assert work.over == [None]


def test_server_that_stops() -> None:
    """When the server ends in the middle the unit stays closed, and is left behind for the next run."""
    work = Work(MediumOperation.SANITIZE, unrestricted=True)
    for _ in range(3):
        work.executor.finish()
    work.unit.stop_background()
    work.executor.finish_all()
    assert refusal(work.bench.run(TEST_UNIT_READY))[0] is Sense.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS
    assert work.record == b"sanitize unrestricted\n"
    assert make_unit(state=work.store).medium_failure == MediumFailure(MediumOperation.SANITIZE, unrestricted=True)


def test_storage_that_shrinks() -> None:
    """Nothing is written behind an end that has come nearer: the operation fails instead."""
    work = Work(MediumOperation.FORMAT)
    for _ in range(2):
        work.executor.finish()
    work.unit.backstore.size = 1 << 19
    work.executor.finish()
    (error,) = work.over
    assert isinstance(error, CheckCondition)
    assert work.unit.medium_failure == MediumFailure(MediumOperation.FORMAT)


def test_waits_for_what_is_under_way() -> None:
    """A read that began before is over before the first block changes."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    read = bench.start(read_10(0, 1))
    steps = work_on_medium(bench.unit, MediumOperation.FORMAT, lambda: HALVES, total=1 << 20)
    BackgroundRun(bench.unit, executor, steps, lambda *_: None).start()
    executor.finish(1)
    assert [type(operation) for operation in executor.operations] == [Read]
    executor.finish_all()
    assert bench.owner.status(read) is Status.GOOD
    assert bench.unit.is_ready


def test_forget() -> None:
    """A failure that is forgotten is forgotten for good; if that cannot be recorded it is not forgotten."""
    store = MemoryStateStore()
    unit = make_unit()
    store.save(unit.identity.serial, MEDIUM_WORK, b"sanitize\n")
    executor = HeldExecutor()
    unit = make_unit(state=store)
    for error in (ERROR, None):
        BackgroundRun(unit, executor, forget_medium_failure(unit), lambda *_: None).start()
        executor.finish(error=error)
        assert unit.is_ready is (error is None)
    assert load_medium_failure(store, unit.identity.serial) is None


@pytest.mark.parametrize("record", [b"", b"format", b"sanitize unrestricted", b"polish\n", b"sanitize\nx\n"])
def test_unknown_record(record: bytes) -> None:
    """A record that nobody can read stops the start."""
    store = MemoryStateStore()
    unit = make_unit()
    store.save(unit.identity.serial, MEDIUM_WORK, record)
    with pytest.raises(ConfigurationError, match="unknown form"):
        LogicalUnit(unit.backstore, state=store, identity=unit.identity)


@pytest.mark.parametrize(("done", "total", "progress"), [(0, 0, 0), (0, 10, 0), (5, 10, 0x8000), (10, 10, 0xFFFF)])
def test_progress(done: int, total: int, progress: int) -> None:
    """Progress is told in 65536ths, and never as the whole."""
    work = MediumWork(MediumOperation.FORMAT, total, done)
    assert work.sense_data.specific == ProgressIndication(progress)


def test_rate() -> None:
    """With a rate each step is followed by the time that its bytes may take; a server that stops waits for none."""
    timers: list[tuple[float, Callable[[], None]]] = []
    executor = HeldExecutor()
    unit = make_unit(erase_rate=1 << 18, call_later=lambda seconds, then: timers.append((seconds, then)))
    steps = work_on_medium(unit, MediumOperation.FORMAT, lambda: HALVES, total=1 << 20)
    BackgroundRun(unit, executor, steps, lambda *_: None).start()
    for _ in range(3):
        executor.finish()
    assert executor.operations == []
    seconds, then = timers.pop()
    assert seconds == 2.0
    then()
    assert [operation.extent for operation in executor.operations] == [HALVES[1].extent]
    executor.finish()
    unit.stop_background()
    timers.pop()[1]()
    assert executor.operations == []


def test_rate_that_is_not_timed() -> None:
    """Without somebody who can wait there is no rate."""
    executor = HeldExecutor()
    unit = make_unit(erase_rate=1)
    steps = work_on_medium(unit, MediumOperation.FORMAT, lambda: HALVES, total=1 << 20)
    BackgroundRun(unit, executor, steps, lambda *_: None).start()
    executor.finish_all()
    assert unit.is_ready


MIB = 1 << 20
PLAN = MediumPlan(length=20 * MIB, block=b"\xaa" * 512)


class Overwriting:
    """An overwrite by `PLAN` in steps of 8 MiB, and what a restart in the middle of it finds."""

    def __init__(self, *, unrestricted: bool = False) -> None:
        self.store = MemoryStateStore()
        self.disk = RamdiskBackstore("disk", 20 * MIB)
        self.disk.write(0, [b"data" * (5 * MIB)])
        self.executor = HeldExecutor()
        self.over: list[Exception | None] = []
        unit = self.serve()
        self._go(unit, sanitize_medium(unit, PLAN, unrestricted=unrestricted))

    def serve(self, *, read_only: bool = False) -> LogicalUnit:
        """The unit of another run."""
        return LogicalUnit(self.disk, state=self.store, read_only=read_only)

    def _go(self, unit: LogicalUnit, steps: BackgroundSteps) -> None:
        BackgroundRun(unit, self.executor, steps, lambda _, error: self.over.append(error)).start()

    def written(self) -> int:
        """Go on until the next step of the overwrite has been done; gives where it ended."""
        while True:
            operation = self.executor.operations[0]
            self.executor.finish()
            if isinstance(getattr(operation, "operation", operation), WriteRepeated):
                return sum(operation.extent)

    def restart(self) -> LogicalUnit:
        """The server is gone at once, and comes back."""
        self.executor = HeldExecutor()
        unit = self.serve()
        steps = resume_medium_work(unit)
        if steps is not None:
            self._go(unit, steps)
        return unit


@pytest.mark.parametrize("unrestricted", [False, True])
def test_a_sanitize_operation_goes_on_after_a_restart(unrestricted: bool) -> None:
    """It is in progress from the start, looks at the medium, and then does what is left."""
    work = Overwriting(unrestricted=unrestricted)
    assert work.written() == 8 * MIB
    for _ in range(2):  # the checkpoint: a flush, and the record
        work.executor.finish()
    interrupted = Interrupted(PLAN, 8 * MIB)
    assert work.serve().medium_failure == MediumFailure(MediumOperation.SANITIZE, unrestricted, interrupted)
    unit = work.restart()
    bench = Bench(unit=unit)
    assert unit.medium_work is not None
    assert unit.medium_work.sense_data.specific == ProgressIndication(0x10000 * 8 // 20)
    assert refusal(bench.run(TEST_UNIT_READY))[0] is Sense.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS
    assert work.written() == 16 * MIB
    work.executor.finish_all()
    assert work.over == [None]
    assert unit.is_ready
    content = bytearray(20 * MIB)
    work.disk.read_into(0, memoryview(content))
    assert content == b"\xaa" * (20 * MIB)
    assert work.restart().is_ready


def test_two_restarts() -> None:
    """The second one finds what the first one found, and it goes on just the same."""
    work = Overwriting()
    work.written()
    for _ in range(2):
        work.executor.finish()
    work.restart()
    work.written()
    unit = work.restart()
    work.executor.finish_all()
    assert unit.is_ready


def test_before_the_first_checkpoint() -> None:
    """Nothing shows that it is the medium that was to be erased: it is left alone, and the operation has failed."""
    work = Overwriting()
    work.written()
    unit = work.restart()
    work.executor.finish_all()
    assert work.over[-1] is not None
    assert refusal(Bench(unit=unit).run(TEST_UNIT_READY))[0] is Sense.SANITIZE_COMMAND_FAILED
    assert work.serve().medium_failure == MediumFailure(MediumOperation.SANITIZE)


@pytest.mark.parametrize("how", ["a backup", "another size", "no reading"])
def test_another_medium_is_not_erased(how: str) -> None:
    """What was not there when the operation was begun stays, and no later restart tries again."""
    work = Overwriting()
    work.written()
    for _ in range(2):
        work.executor.finish()
    if how == "a backup":
        work.disk.write(4 * MIB - 512, [b"kept" * 128])
        work.disk.write(4096, [b"kept" * 128])
    if how == "another size":
        work.disk.resize(24 * MIB)
    unit = work.restart()
    if how == "no reading":
        work.executor.finish(error=ERROR)
    work.executor.finish_all()
    (error,) = work.over
    assert isinstance(error, CheckCondition)
    assert error.sense_data.sense is Sense.SANITIZE_COMMAND_FAILED
    assert refusal(Bench(unit=unit).run(TEST_UNIT_READY))[0] is Sense.SANITIZE_COMMAND_FAILED
    rest = bytearray(4 * MIB)
    work.disk.read_into(16 * MIB, memoryview(rest))
    assert rest == b"data" * MIB
    assert resume_medium_work(work.serve()) is None


def test_what_has_failed_does_not_go_on() -> None:
    """A restart is no second try."""
    work = Overwriting()
    work.written()
    for _ in range(2):
        work.executor.finish()
    work.executor.finish(error=ERROR)
    work.executor.finish_all()
    assert isinstance(work.over[0], CheckCondition)
    unit = work.serve()
    assert unit.medium_failure == MediumFailure(MediumOperation.SANITIZE)
    assert resume_medium_work(unit) is None


def test_a_unit_that_is_not_written_to_is_not_erased_further() -> None:
    """It waits for one that is."""
    work = Overwriting()
    work.written()
    for _ in range(2):
        work.executor.finish()
    unit = work.serve(read_only=True)
    assert resume_medium_work(unit) is None
    assert refusal(Bench(unit=unit).run(TEST_UNIT_READY))[0] is Sense.SANITIZE_COMMAND_FAILED
    assert resume_medium_work(work.serve()) is not None


def test_a_sound_medium_has_nothing_to_go_on_with() -> None:
    """Nor has one that a format operation has left."""
    assert resume_medium_work(make_unit()) is None
    work = Work(MediumOperation.FORMAT)
    for _ in range(3):
        work.executor.finish()
    assert resume_medium_work(make_unit(state=work.store)) is None
