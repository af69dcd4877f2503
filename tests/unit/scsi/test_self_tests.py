"""Self-tests, through SEND DIAGNOSTIC, the log page and REQUEST SENSE."""

import errno
import struct
from collections.abc import Iterator

import pytest

from isthmus.backstores.base import Capabilities, Extent, Provisioning
from isthmus.backstores.operations import BlockOperation, MapStatus, Read
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.self_tests import KEPT_RESULTS, SelfTestCode, SelfTestResult, SelfTestResults
from isthmus.scsi.sense import ProgressIndication, Sense
from isthmus.scsi.state_store import SELF_TESTS, MemoryStateStore
from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD
from tests.support.disk import Memory
from tests.support.primary import data_of, in_cdb, inquiry, refusal
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_unit, read_10

SHORT, EXTENDED, ABORT = SelfTestCode.BACKGROUND_SHORT, SelfTestCode.BACKGROUND_EXTENDED, SelfTestCode.ABORT_BACKGROUND
FOREGROUND_SHORT, FOREGROUND_EXTENDED = SelfTestCode.FOREGROUND_SHORT, SelfTestCode.FOREGROUND_EXTENDED
SELFTEST = 0x04
REQUEST_SENSE = bytes((0x03, 0, 0, 0, 252, 0))
STOP = bytes((0x1B, 0, 0, 0, 0, 0))
NO_FAILURE = 0xFFFF_FFFF_FFFF_FFFF
IN_PROGRESS = Sense.LOGICAL_UNIT_NOT_READY_SELF_TEST_IN_PROGRESS
BROKEN = BackstoreError(errno.EIO, "the disk is broken", offset=0x5000)


def send(code: int, flags: int = 0) -> bytes:
    """SEND DIAGNOSTIC with a SELF-TEST CODE."""
    return bytes((0x1D, code << 5 | flags, 0, 0, 0, 0))


def results(bench: Bench) -> list[tuple[int, ...]]:
    """The log page: code, result, segment, hours, address of the failure and sense of each test that there was."""
    data = data_of(bench.run(struct.pack(">BBBBBHHB", 0x4D, 0, 0x50, 0, 0, 0, 0xFFFF, 0)))
    assert data[:4] == bytes((0x90, 0)) + (400).to_bytes(2)
    found = []
    for index in range(KEPT_RESULTS):
        parameter = data[4 + 20 * index : 24 + 20 * index]
        assert parameter[:4] == struct.pack(">HBB", index + 1, 3, 16)
        first, *rest = struct.unpack(">BBHQBBB", parameter[4:19])
        if any(parameter[4:]):
            found.append((first >> 5, first & 0x0F, *rest))
    return found


def passed(code: SelfTestCode) -> tuple[int, ...]:
    """The result of a test that found nothing."""
    return (code, SelfTestResult.PASSED, 0, 0, NO_FAILURE, 0, 0, 0)


def drive(executor: HeldExecutor) -> Iterator[BlockOperation]:
    """Finish what is asked for, one after the other."""
    while executor.operations:
        operation = executor.operations[0]
        yield getattr(operation, "operation", operation)
        executor.finish()


@pytest.mark.parametrize("code", [SHORT, EXTENDED, FOREGROUND_SHORT, FOREGROUND_EXTENDED])
def test_a_unit_that_works(code: SelfTestCode) -> None:
    """The test passes, and the log page says so."""
    bench = Bench()
    assert results(bench) == []
    assert bench.run(send(code)) == GOOD
    assert results(bench) == [passed(code)]


def test_a_short_test_reads_a_sample() -> None:
    """Sixty-four blocks, the first and the last among them."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    task = bench.start(send(FOREGROUND_SHORT))
    reads = [operation.extent for operation in drive(executor) if isinstance(operation, Read)]
    assert bench.owner.ends[task] == GOOD
    assert len(reads) == 64
    assert (reads[0], reads[-1]) == ((0, 512), ((1 << 20) - 512, 512))


def test_a_unit_of_one_block() -> None:
    """It is read once."""
    executor = HeldExecutor()
    bench = Bench(unit=make_unit(512), executor=executor)
    bench.start(send(FOREGROUND_SHORT))
    assert [operation.extent for operation in drive(executor) if isinstance(operation, Read)] == [(0, 512)]


def test_an_extended_test_reads_what_is_mapped() -> None:
    """Holes are zeros, and nothing can be wrong with those."""
    memory = Memory(8 << 20, write_back=False, capabilities=Capabilities(map_status=True))
    mapped, hole = Provisioning.MAPPED, Provisioning.DEALLOCATED
    memory.extents = [
        Extent(length=3 << 19, provisioning=mapped),
        Extent(length=4 << 20, provisioning=hole),
        Extent(length=5 << 19, provisioning=mapped),
    ]
    executor = HeldExecutor()
    bench = Bench(unit=LogicalUnit(memory), executor=executor)
    bench.start(send(EXTENDED))
    done = list(drive(executor))
    reads = [operation.extent for operation in done if isinstance(operation, Read)]
    assert reads == [
        (0, 1 << 20),
        (1 << 20, 1 << 19),
        (11 << 19, 1 << 20),
        (13 << 19, 1 << 20),
        (15 << 19, 1 << 19),
    ]
    assert any(isinstance(operation, MapStatus) for operation in done)
    assert results(bench) == [passed(EXTENDED)]


def test_in_the_background_others_go_on() -> None:
    """The status is about the start; REQUEST SENSE tells how far the test is, and the log page that it goes on."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    task = bench.start(send(SHORT))
    assert bench.owner.ends[task] == GOOD
    for _ in range(32):
        executor.finish()
    assert results(bench)[0][:2] == (SHORT, SelfTestResult.IN_PROGRESS)
    assert bench.run(TEST_UNIT_READY) == GOOD
    sense = data_of(bench.run(REQUEST_SENSE))
    assert (sense[2] & 0x0F, sense[12], sense[13]) == IN_PROGRESS.value
    assert 0x7000 < int.from_bytes(sense[16:18]) < 0x9000
    read = bench.start(read_10(0, 1))
    list(drive(executor))
    ended = bench.owner.ends[read]
    assert ended is not None
    assert ended.status is Status.GOOD
    assert results(bench) == [passed(SHORT)]


@pytest.mark.parametrize("second", [send(SHORT), send(FOREGROUND_EXTENDED), send(0, SELFTEST)])
def test_one_test_at_a_time(second: bytes) -> None:
    """Another is refused until the one in the background is over."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    bench.start(send(SHORT))
    response = bench.run(second)
    assert response.status is Status.CHECK_CONDITION
    assert (response.sense[2] & 0x0F, response.sense[12], response.sense[13]) == IN_PROGRESS.value
    list(drive(executor))
    assert bench.owner.ends[bench.start(send(SHORT))] == GOOD


@pytest.mark.parametrize("code", [FOREGROUND_SHORT, FOREGROUND_EXTENDED])
def test_in_the_foreground_nothing_else_runs(code: SelfTestCode) -> None:
    """But what needs no medium and tells about the unit."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    bench.start(send(code))
    assert bench.unit.self_tests.in_foreground
    assert [bench.unit.is_ready] == [False]
    for command in (TEST_UNIT_READY, read_10(0, 1), send(SHORT)):
        sense = bench.run(command).sense
        assert (sense[2] & 0x0F, sense[12], sense[13]) == IN_PROGRESS.value
    assert bench.run(inquiry()).status is Status.GOOD
    list(drive(executor))
    assert bench.unit.is_ready
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_a_failure_in_the_foreground() -> None:
    """The status says that, and the log page where."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    task = bench.start(send(FOREGROUND_SHORT))
    executor.finish()
    executor.finish(error=BROKEN)
    list(drive(executor))
    response = bench.owner.ends[task]
    assert response is not None
    assert refusal(response) == (Sense.LOGICAL_UNIT_FAILED_SELF_TEST, None)
    assert results(bench) == [(FOREGROUND_SHORT, SelfTestResult.FIRST_SEGMENT_FAILED, 1, 0, 0x28, 3, 0x11, 0)]
    assert bench.run(TEST_UNIT_READY) == GOOD


def test_a_failure_in_the_background() -> None:
    """Nobody waits for it: the log page alone tells; without a place, it is what was being read."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    bench.start(send(SHORT))
    executor.finish()
    read = executor.operations[0].extent[0]
    executor.finish(error=BackstoreError(errno.EIO, "the disk is broken"))
    list(drive(executor))
    assert results(bench) == [(SHORT, SelfTestResult.FIRST_SEGMENT_FAILED, 1, 0, read // 512, 3, 0x11, 0)]


def test_abort() -> None:
    """The test ends, and says by whom it was ended."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    bench.start(send(EXTENDED))
    assert bench.run(send(ABORT)) == GOOD
    list(drive(executor))
    assert results(bench) == [(EXTENDED, SelfTestResult.ABORTED_BY_SEND_DIAGNOSTIC, 0, 0, NO_FAILURE, 0, 0, 0)]


def test_abort_of_nothing() -> None:
    """There has to be a test."""
    assert refusal(Bench().run(send(ABORT))) == in_cdb(1, 7)


@pytest.mark.parametrize("how", ["stop", "format", "reset"])
def test_other_ends(how: str) -> None:
    """START STOP UNIT and FORMAT UNIT end a test in the background, and so does a reset."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    bench.start(send(EXTENDED))
    if how == "reset":
        bench.unit.reset(Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, by=bench.nexus, done=lambda: None)
        bench.run(TEST_UNIT_READY)
    else:
        bench.start(STOP if how == "stop" else bytes((0x04, 0, 0, 0, 0, 0)))
    list(drive(executor))
    assert results(bench)[0][:2] == (EXTENDED, SelfTestResult.ABORTED_OTHERWISE)
    assert bench.unit.self_tests.running is None


def test_a_foreground_test_ends_with_its_task() -> None:
    """An abort of the task is an abort of the test, and the unit is ready again."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    bench.start(send(FOREGROUND_EXTENDED))
    bench.unit.abort_tasks({bench.nexus}, by=bench.nexus, done=lambda: None)
    list(drive(executor))
    assert bench.unit.is_ready
    assert results(bench) == [(FOREGROUND_EXTENDED, SelfTestResult.ABORTED_OTHERWISE, 0, 0, NO_FAILURE, 0, 0, 0)]


def test_storage_that_shrinks_ends_the_test() -> None:
    """What is gone cannot be read, and is no failure of the medium."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    bench.start(send(SHORT))
    executor.finish()
    bench.unit.backstore.size = 4096
    list(drive(executor))
    assert results(bench)[0][:2] == (SHORT, SelfTestResult.ABORTED_OTHERWISE)


def test_the_last_twenty_outlive_a_restart() -> None:
    """The last one stands first."""
    store = MemoryStateStore()
    bench = Bench(unit=make_unit(state=store))
    for _ in range(KEPT_RESULTS):
        bench.run(send(FOREGROUND_SHORT))
    bench.run(send(SHORT))
    again = Bench(unit=make_unit(state=store))
    assert results(again) == [passed(SHORT)] + [passed(FOREGROUND_SHORT)] * (KEPT_RESULTS - 1)


def test_results_that_cannot_be_saved() -> None:
    """They are there until the end of the server."""

    class Full(MemoryStateStore):
        def save(self, unit_serial: str, record: str, data: bytes | None) -> None:
            raise BackstoreError(errno.ENOSPC, "no room")

    bench = Bench(unit=make_unit(state=Full()))
    assert bench.run(send(FOREGROUND_SHORT)) == GOOD
    assert results(bench) == [passed(FOREGROUND_SHORT)]


@pytest.mark.parametrize("record", [b"x", bytes(16 * 21)])
def test_a_record_of_another_form(record: bytes) -> None:
    """It is refused, as every other."""
    store = MemoryStateStore()
    store.save("unit", SELF_TESTS, record)
    with pytest.raises(ConfigurationError, match="unknown form"):
        SelfTestResults.load(store, "unit")


def test_results_are_not_reset() -> None:
    """LOG SELECT with PCR takes counters back, not what came of tests."""
    bench = Bench()
    bench.run(send(SHORT))
    for page in (0x00, 0x10):
        assert bench.run(bytes((0x4C, 0x02, 0x40 | page, 0, 0, 0, 0, 0, 0, 0))) == GOOD
    assert results(bench) == [passed(SHORT)]


def test_progress() -> None:
    """It begins at 0."""
    executor = HeldExecutor()
    bench = Bench(executor=executor)
    bench.start(send(EXTENDED))
    running = bench.unit.self_tests.running
    assert running is not None
    assert running.sense_data.specific == ProgressIndication(0)
