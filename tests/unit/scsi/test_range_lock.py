from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from isthmus.backstores.operations import CompareAndWrite, Read, Write
from isthmus.scsi.range_lock import Hold, RangeLock
from tests.support.scsi import limited_stack


@dataclass(eq=False)
class Access:
    """One operation, and whether it is under way."""

    hold: Hold = field(init=False)
    started: bool = False

    def begin(self) -> None:
        self.started = True

    def is_under_way(self) -> bool:
        return self.started


def hold(offset: int, length: int, *, exclusive: bool = False) -> Access:
    """An access to `length` bytes that knows when it starts."""
    access = Access()
    access.hold = Hold((offset, length), exclusive=exclusive, start=access.begin)
    return access


def acquire(lock: RangeLock, *accesses: Access) -> None:
    """Ask for each in turn."""
    for access in accesses:
        lock.acquire(access.hold)


def test_operations_that_are_not_exclusive_overlap() -> None:
    """Plain operations on the same bytes are under way at once."""
    lock = RangeLock()
    first, second = hold(0, 10), hold(5, 10)
    acquire(lock, first, second)
    assert first.is_under_way()
    assert second.is_under_way()
    assert not lock.exclusive_pending


def test_exclusive_waits_for_what_overlaps() -> None:
    """An exclusive operation starts when the last one on its bytes is over."""
    lock = RangeLock()
    first, second, alone = hold(0, 10), hold(19, 10), hold(5, 15, exclusive=True)
    acquire(lock, first, second, alone)
    lock.release(first.hold)
    assert not alone.is_under_way()
    lock.release(second.hold)
    assert alone.is_under_way()


def test_neighbours_do_not_conflict() -> None:
    """Extents that only touch share no byte."""
    lock = RangeLock()
    below, above, alone = hold(0, 10), hold(20, 10), hold(10, 10, exclusive=True)
    acquire(lock, below, above, alone)
    assert alone.is_under_way()


def test_a_later_operation_does_not_overtake_an_exclusive_one() -> None:
    """A stream of overlapping reads cannot starve an exclusive operation."""
    lock = RangeLock()
    first, alone, later, elsewhere = hold(0, 10), hold(0, 10, exclusive=True), hold(0, 10), hold(50, 10)
    acquire(lock, first, alone, later, elsewhere)
    assert not later.is_under_way()
    assert elsewhere.is_under_way()
    lock.release(first.hold)
    assert alone.is_under_way()
    assert not later.is_under_way()
    lock.release(alone.hold)
    assert later.is_under_way()


def test_an_operation_without_extent_conflicts_with_nothing() -> None:
    """A flush goes on beside an exclusive operation."""
    lock = RangeLock()
    alone, flush = hold(0, 10, exclusive=True), hold(0, 0)
    acquire(lock, alone, flush)
    assert flush.is_under_way()


def test_a_waiting_operation_can_be_given_up() -> None:
    """What is not wanted any more holds nobody back."""
    lock = RangeLock()
    first, alone, later = hold(0, 10), hold(0, 10, exclusive=True), hold(0, 10)
    acquire(lock, first, alone, later)
    lock.release(alone.hold)
    assert later.is_under_way()
    assert not alone.is_under_way()
    assert not lock.exclusive_pending


def test_exclusive_is_announced_and_waits_for_the_engine() -> None:
    """The grants fall before an exclusive operation waits for the engine's accesses, and rise after it."""
    idle: list[Callable[[], None]] = []
    seen: list[bool] = []
    lock = RangeLock(lambda: seen.append(lock.exclusive_pending), idle.append)
    alone = hold(0, 10, exclusive=True)
    acquire(lock, alone)
    assert seen == [True]
    assert not alone.is_under_way()
    idle[0]()
    assert alone.is_under_way()
    lock.release(alone.hold)
    assert seen == [True, False]


def test_isolated_operation_keeps_others_off() -> None:
    """The write of an aborted task keeps later ones away from its bytes, and only from those."""
    lock = RangeLock()
    old, new, elsewhere = hold(0, 10), hold(9, 10), hold(10, 10)
    acquire(lock, old)
    lock.isolate(old.hold)
    lock.isolate(old.hold)
    acquire(lock, new, elsewhere)
    assert not new.is_under_way()
    assert elsewhere.is_under_way()
    lock.release(old.hold)
    assert new.is_under_way()
    assert not lock.exclusive_pending


def test_isolate_all_keeps_everything_off() -> None:
    """While accesses of a lost nexus are under way, nothing starts anywhere."""
    lock = RangeLock()
    fence = lock.isolate_all()
    access = hold(1 << 60, 512)
    acquire(lock, access)
    assert not access.is_under_way()
    lock.release(fence)
    assert access.is_under_way()


def test_nothing_starts_while_paused() -> None:
    """What becomes free in a `paused` block starts at its end."""
    lock = RangeLock()
    alone, first, second = hold(0, 10, exclusive=True), hold(0, 10), hold(0, 10)
    acquire(lock, alone, first, second)
    with lock.paused():
        lock.release(alone.hold)
        assert not first.is_under_way()
        lock.release(first.hold)
    assert not first.is_under_way()
    assert second.is_under_way()


def test_operations_that_end_at_once_do_not_nest() -> None:
    """A long row of waiting operations, each of which ends inside its start, takes no stack."""
    lock = RangeLock()
    alone = hold(0, 10, exclusive=True)
    acquire(lock, alone)
    order: list[Hold] = []

    def begin_and_end() -> None:
        order.append(row[len(order)])
        lock.release(order[-1])

    row = [Hold((0, 10), exclusive=True, start=begin_and_end) for _ in range(300)]
    for one in row:
        lock.acquire(one)
    with limited_stack(100):
        lock.release(alone.hold)
    assert order == row


def test_hold_of_an_operation() -> None:
    """An operation says itself where it works, and whether alone."""
    assert Hold.of(Read(512, 1024), lambda: None).length == 1024
    assert not Hold.of(Write(0, (b"x",), 1), lambda: None).exclusive
    compare = CompareAndWrite(offset=4096, expected=memoryview(bytes(512)), data=memoryview(bytes(512)))
    alone = Hold.of(compare, lambda: None)
    assert (alone.offset, alone.length, alone.exclusive) == (4096, 512, True)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6), st.booleans()), max_size=25), st.data())
def test_no_two_conflicting_operations_ever_overlap(plans: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    """Whatever comes and ends in whatever order, an exclusive operation shares its bytes with none, and all get on."""
    lock = RangeLock()
    accesses: list[Access] = []
    pending = [hold(offset, length, exclusive=alone) for offset, length, alone in plans]
    while pending or accesses:
        under_way = [access for access in accesses if access.is_under_way()]
        if pending and (not under_way or data.draw(st.booleans())):
            accesses.append(pending.pop(0))
            lock.acquire(accesses[-1].hold)
        else:
            # With nothing more to come, something must be under way: nobody waits for ever.
            ending = data.draw(st.sampled_from(under_way))
            accesses.remove(ending)
            lock.release(ending.hold)
        _check_apart([access.hold for access in accesses if access.is_under_way()])
        assert lock.exclusive_pending == any(access.hold.exclusive for access in accesses)


def _check_apart(holds: list[Hold]) -> None:
    for number, one in enumerate(holds):
        for other in holds[number + 1 :]:
            if one.exclusive or other.exclusive:
                shared = range(max(one.offset, other.offset), min(one.offset + one.length, other.offset + other.length))
                assert not shared
