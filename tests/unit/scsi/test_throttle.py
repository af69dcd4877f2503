from collections.abc import Callable

import pytest

from isthmus.scsi.alua import CallLater
from isthmus.scsi.cdb import Command
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.status import Status
from isthmus.scsi.task import TaskState
from isthmus.scsi.task_manager import SamFunction
from isthmus.scsi.throttle import RateLimits, Throttle, moved_by
from tests.support.scsi import TEST_UNIT_READY, Bench, HeldExecutor, make_unit, read_10, write_10
from tests.support.timer import FakeTimer

TICK = 0.001
LATE = 0.07
"""Seconds between two looks at the timers of a loop that has much to do."""
BLOCK = 512


def throttle(timer: FakeTimer, **limits: int) -> Throttle:
    """One on the clock of the test."""
    return Throttle(RateLimits(**limits), lambda: timer.now, timer.call_later)


def rate_of(timer: FakeTimer, line: Throttle, num_bytes: int, seconds: float, tick: float = TICK) -> float:
    """How many commands a second get through if somebody always wants more."""
    done = 0

    def again() -> None:
        nonlocal done
        done += 1
        while line.admit(num_bytes, again) is None:
            done += 1

    while line.admit(num_bytes, again) is None:
        done += 1
    for _ in range(round(seconds / tick)):
        timer.advance(tick)
    return done / seconds


@pytest.mark.parametrize(
    ("limits", "num_bytes", "expected"),
    [
        ({"commands_per_second": 100}, 4096, 100),
        ({"commands_per_second": 5000}, 4096, 5000),
        ({"commands_per_second": 3}, 1 << 20, 3),
        ({"bytes_per_second": 1 << 20}, 4096, 256),
        ({"bytes_per_second": 1 << 20}, 1 << 19, 2),
        ({"commands_per_second": 100, "bytes_per_second": 1 << 20}, 4096, 100),
        ({"commands_per_second": 1000, "bytes_per_second": 1 << 20}, 4096, 256),
        ({"commands_per_second": 100, "commands_burst": 1}, 512, 100),
    ],
)
def test_the_rate_is_the_limit(limits: dict[str, int], num_bytes: int, expected: float) -> None:
    """Within a tenth, whichever limit is the narrower, and for commands larger than a bucket, too."""
    timer = FakeTimer()
    assert rate_of(timer, throttle(timer, **limits), num_bytes, 20) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("limits", [{"commands_per_second": 100, "commands_burst": 1}, {"bytes_per_second": 51200}])
def test_late_timers_cost_nothing(limits: dict[str, int]) -> None:
    """What has come meanwhile is used by those who have waited for it."""
    timer = FakeTimer()
    assert rate_of(timer, throttle(timer, **limits), BLOCK, 20, LATE) == pytest.approx(100, rel=0.1)


def admitted(line: Throttle, num_bytes: int = 0) -> int:
    """How many are let through at once."""
    count = 0
    while (turn := line.admit(num_bytes, lambda: None)) is None:
        count += 1
    turn.give_up()
    return count


def test_a_pause_is_good_for_a_burst() -> None:
    """Of its own size, or a tenth of what comes in a second; more is not saved up."""
    timer = FakeTimer()
    assert admitted(throttle(timer, commands_per_second=100)) == 10
    line = throttle(timer, commands_per_second=100, commands_burst=50)
    assert admitted(line) == 50
    timer.advance(0.1)
    assert admitted(line) == 10
    timer.advance(3600)
    assert admitted(line) == 50
    assert admitted(throttle(timer, bytes_per_second=1 << 20, bytes_burst=8192), 4096) == 2


def test_whoever_waits_goes_in_the_order_of_coming() -> None:
    """Who gives up is not waited for, and pays nothing."""
    timer = FakeTimer()
    line = throttle(timer, commands_per_second=10, commands_burst=1)
    assert line.admit(0, lambda: None) is None
    went: list[int] = []
    turns = [line.admit(0, lambda number=number: went.append(number)) for number in range(4)]  # type: ignore[misc]
    assert len(line) == 4
    for number in (0, 2):
        turn = turns[number]
        assert turn is not None
        turn.give_up()
        turn.give_up()
    timer.advance(0.1)
    assert went == [1]
    timer.advance(0.1)
    assert went == [1, 3]
    assert len(line) == 0


def test_a_small_command_does_not_overtake_a_large_one() -> None:
    """Or the large one would never have its turn."""
    timer = FakeTimer()
    line = throttle(timer, bytes_per_second=1000, bytes_burst=1000)
    went: list[str] = []
    assert line.admit(1000, lambda: None) is None
    line.admit(1000, lambda: went.append("large"))
    line.admit(1, lambda: went.append("small"))
    timer.advance(0.5)
    assert went == []
    timer.advance(0.501)
    assert went[0] == "large"


def test_other_limits_hold_for_those_who_wait() -> None:
    """Without any, all of them go at once."""
    timer = FakeTimer()
    line = throttle(timer, commands_per_second=1)
    went: list[int] = []
    for number in range(5):
        line.admit(0, lambda number=number: went.append(number))  # type: ignore[misc]
    assert went == []
    line.change(RateLimits(commands_per_second=20))
    assert went == [1, 2]
    line.change(RateLimits(commands_per_second=20))
    assert went == [1, 2]
    line.change(RateLimits())
    assert went == [1, 2, 3, 4]


def test_timers_are_not_asked_for_more_than_they_can() -> None:
    """A timer that comes too early must not make the loop spin."""
    asked: list[float] = []

    def call_later(seconds: float, _callback: Callable[[], None]) -> None:
        asked.append(seconds)

    typed: CallLater = call_later
    line = Throttle(RateLimits(commands_per_second=1_000_000, commands_burst=1), lambda: 0.0, typed)
    line.admit(0, lambda: None)
    line.admit(0, lambda: None)
    assert asked == [0.001]


# -- In a logical unit -------------------------------------------------------------------------------------------------


class Limited:
    """A bench whose unit is limited."""

    def __init__(self, executor: HeldExecutor | None = None, **limits: int) -> None:
        self.timer = FakeTimer()
        self.unit = make_unit(call_later=self.timer.call_later)
        self.bench = Bench(unit=self.unit) if executor is None else Bench(unit=self.unit, executor=executor)
        self.limit(**limits)

    def limit(self, **limits: int) -> None:
        """Other limits."""
        self.unit.limit(RateLimits(**limits), lambda: self.timer.now)

    @property
    def ended(self) -> int:
        """How many tasks have ended."""
        return len(self.bench.owner.ends)

    def granted(self, nexus: Nexus) -> tuple[bool, bool]:
        """Whether the engine may read and write alone."""
        grant = nexus.grants[encode_lun(0)]
        return grant.reads, grant.writes


def test_a_limited_unit_has_no_grants() -> None:
    """They come back with the last limit."""
    limited = Limited()
    assert limited.granted(limited.bench.nexus) == (True, True)
    limited.limit(commands_per_second=100)
    assert limited.granted(limited.bench.nexus) == (False, False)
    limited.limit()
    assert limited.granted(limited.bench.nexus) == (True, True)
    assert limited.unit.throttle is None


def test_commands_wait_in_the_task_set() -> None:
    """Those that move no blocks do not."""
    limited = Limited(commands_per_second=10, commands_burst=1)
    tasks = [limited.bench.start(write_10(0, 1), bytes(BLOCK)) for _ in range(3)]
    assert limited.ended == 1
    assert [task in limited.unit.task_set for task in tasks] == [False, True, True]
    assert limited.bench.run(TEST_UNIT_READY).status is Status.GOOD
    for passed in (3, 4):
        limited.timer.advance(0.1)
        assert limited.ended == passed


def test_a_waiting_task_can_be_aborted() -> None:
    """At once, and without paying for what it did not do."""
    limited = Limited(commands_per_second=10, commands_burst=1)
    _, victim, last = (limited.bench.start(read_10(0, 1)) for _ in range(3))
    results: list[object] = []
    limited.bench.router.manage(victim.nexus, SamFunction.ABORT_TASK, victim.lun, victim, results.append)
    assert len(results) == 1
    assert victim.state is TaskState.ENDED
    limited.timer.advance(0.1)
    assert limited.bench.owner.status(last) is Status.GOOD


def test_a_lost_nexus_leaves_nobody_waiting() -> None:
    """And others are not held up by it."""
    limited = Limited(commands_per_second=10, commands_burst=1)
    other = limited.bench.connect(isid=2)
    for _ in range(50):
        limited.bench.start(read_10(0, 1))
    task = limited.bench.start(read_10(0, 1), nexus=other)
    limited.bench.router.nexus_lost(limited.bench.nexus)
    assert limited.unit.throttle is not None
    assert len(limited.unit.throttle) == 1
    limited.timer.advance(0.1)
    assert limited.bench.owner.status(task) is Status.GOOD


def test_waiting_tasks_go_when_the_limit_is_lifted() -> None:
    """In their order."""
    limited = Limited(commands_per_second=1, commands_burst=1)
    tasks = [limited.bench.start(write_10(0, 1), bytes([number]) * BLOCK) for number in range(4)]
    limited.limit()
    assert all(limited.bench.owner.status(task) is Status.GOOD for task in tasks)
    assert limited.bench.run(read_10(0, 1)).data_in == bytes([3]) * BLOCK


def test_an_aca_condition_holds_back_whose_turn_has_come() -> None:
    """It goes on when the condition is cleared."""
    limited = Limited(commands_per_second=10, commands_burst=1)
    limited.bench.start(read_10(0, 1))
    waiting = limited.bench.start(read_10(0, 1))
    cause = limited.bench.task(write_10(0, 1))
    limited.unit.task_set.establish_aca(limited.bench.nexus, cause)
    limited.timer.advance(1)
    assert waiting.state is TaskState.BLOCKED
    limited.unit.task_set.clear_aca(limited.bench.nexus)
    assert limited.bench.owner.status(waiting) is Status.GOOD


def test_the_rate_of_a_unit() -> None:
    """Of reads and writes together, in bytes: what is asked for, not what is on the disk."""
    limited = Limited(bytes_per_second=100 * BLOCK)
    for _ in range(500):
        limited.bench.start(read_10(0, 1))
        limited.bench.start(write_10(0, 1), bytes(BLOCK))
    before = limited.ended
    for _ in range(5000):
        limited.timer.advance(TICK)
    assert (limited.ended - before) / 5 == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize(
    ("cdb", "data", "expected"),
    [
        (read_10(0, 8), b"", 8 * BLOCK),
        (write_10(0, 2), bytes(2 * BLOCK), 2 * BLOCK),
        (bytes((0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0)), bytes(BLOCK), BLOCK),
        (TEST_UNIT_READY, b"", None),
        (bytes((0x12, 0, 0, 0, 36, 0)), b"", None),
    ],
)
def test_what_a_command_moves(cdb: bytes, data: bytes, expected: int | None) -> None:
    """WRITE SAME brings one block, however often that is written."""
    bench = Bench()
    assert moved_by(bench.start(cdb, data)) == expected


def test_without_a_row_nothing_is_moved() -> None:
    """A task that never came so far."""
    task = Bench().task(bytes((0xFF,)))
    task.descriptor = None
    task.command = Command()
    assert moved_by(task) is None
