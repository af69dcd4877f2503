"""Operations on other units, and the locks of several units taken as one."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from isthmus.backstores.operations import Copy, Flush, Read
from isthmus.scsi.elsewhere import Elsewhere, JointRangeLock, Visits, place_of
from isthmus.scsi.range_lock import Hold, RangeLock
from tests.support.scsi import make_nexus, make_unit

NEXUS = make_nexus()


class Started:
    """Notes which operations have started."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str) -> Callable[[], None]:
        return lambda: self.names.append(name)


def joint(*places: tuple[RangeLock, tuple[int, int]], visits: Visits | None = None) -> JointRangeLock:
    """A lock over these places."""
    return JointRangeLock(places, visits or Visits(), NEXUS)


def hold(start: Callable[[], None]) -> Hold:
    """The place of an operation that is not exclusive."""
    return Hold((0, 1), exclusive=False, start=start)


def exclusive(extent: tuple[int, int], start: Callable[[], None]) -> Hold:
    """The place of an operation that is."""
    return Hold(extent, exclusive=True, start=start)


def test_where_an_operation_is_done() -> None:
    """One of a unit's own is done there under its lock; one for another unit on that one's backstore."""
    unit, other = make_unit(), make_unit()
    own = place_of(Read(0, 512), unit)
    assert (own.unit, own.lock) == (unit, unit.range_lock)
    copy = Copy(unit.backstore, 0, 0, 512)
    there = place_of(Elsewhere(other, copy, NEXUS, unit, (0, 512)), unit)
    assert (there.unit, there.operation) == (other, copy)
    assert there.begin() is other.backstore


def test_an_operation_knows_what_it_is_for() -> None:
    """It runs on the backstore of its unit, whichever is handed in, and touches there what it touches."""
    unit, other = make_unit(), make_unit()
    unit.backstore.write(0, (b"u" * 512,))
    elsewhere = Elsewhere(other, Copy(unit.backstore, 0, 512, 512), NEXUS)
    assert elsewhere.run_inline(unit.backstore) is None
    assert bytes(Read(512, 512).run(other.backstore)) == b"u" * 512
    elsewhere.run(unit.backstore)
    assert (elsewhere.extent, elsewhere.changes, elsewhere.exclusive) == ((512, 512), ((512, 512),), False)


def test_every_lock_has_to_be_had() -> None:
    """It starts when nothing exclusive overlaps in any of the units."""
    for blocked in range(2):
        locks = [RangeLock(), RangeLock()]
        started = Started()
        obstacle = exclusive((5, 10), started("exclusive"))
        locks[blocked].acquire(obstacle)
        both = joint((locks[0], (0, 10)), (locks[1], (0, 10)))
        mine = hold(started("joint"))
        both.acquire(mine)
        assert started.names == ["exclusive"]
        assert not both.is_holding(mine)
        locks[blocked].release(obstacle)
        assert started.names == ["exclusive", "joint"]
        assert both.is_holding(mine)


def test_every_lock_is_given_back() -> None:
    """What waits in any of the units starts when it is over."""
    locks = [RangeLock(), RangeLock()]
    started = Started()
    both = joint((locks[0], (0, 10)), (locks[1], (0, 10)))
    mine = hold(started("joint"))
    both.acquire(mine)
    for number, lock in enumerate(locks):
        lock.acquire(exclusive((0, 1), started(str(number))))
    assert started.names == ["joint"]
    both.release(mine)
    assert sorted(started.names) == ["0", "1", "joint"]


def test_an_operation_that_is_not_wanted_any_more() -> None:
    """One that waits leaves all of its places, and never starts."""
    locks = [RangeLock(), RangeLock()]
    started = Started()
    obstacles = [exclusive((0, 1), started(str(number))) for number in range(2)]
    locks[1].acquire(obstacles[1])
    both = joint((locks[0], (0, 10)), (locks[1], (0, 10)))
    mine = hold(started("joint"))
    both.acquire(mine)
    both.release(mine)
    locks[0].acquire(obstacles[0])
    locks[1].release(obstacles[1])
    assert started.names == ["1", "0"]


def test_one_unit_is_locked_once() -> None:
    """Two extents of one unit are taken together: between them nothing exclusive can come to wait, and be waited for."""
    lock = RangeLock()
    started = Started()
    both = joint((lock, (0, 10)), (lock, (100, 10)))
    mine = hold(started("joint"))
    both.acquire(mine)
    lock.acquire(exclusive((105, 1), started("exclusive")))
    assert started.names == ["joint"]
    both.release(mine)
    assert started.names == ["joint", "exclusive"]


def test_what_touches_nothing_waits_for_nothing() -> None:
    """A flush, which has no extent, and whose source has none."""
    lock = RangeLock()
    started = Started()
    lock.acquire(exclusive((0, 1 << 40), started("exclusive")))
    unit = make_unit()
    elsewhere = Elsewhere(unit, Flush(), NEXUS)
    both = joint((lock, elsewhere.extent), (lock, (0, 0)))
    both.acquire(hold(started("flush")))
    assert started.names == ["exclusive", "flush"]


@given(st.lists(st.permutations(range(3)), min_size=3, max_size=3))
def test_nobody_waits_for_ever(orders: list[list[int]]) -> None:
    """In whatever order operations name their units, all of them come to their turn beside exclusive ones."""
    locks = [RangeLock() for _ in range(3)]
    started = Started()
    taken = []
    for number, order in enumerate(orders):
        mine = hold(started(f"joint {number}"))
        both = joint(*((locks[which], (0, 10)) for which in order))
        both.acquire(mine)
        taken.append((both, mine))
        obstacle = exclusive((0, 10), started(f"exclusive {number}"))
        locks[order[0]].acquire(obstacle)
        taken.append((locks[order[0]], obstacle))  # type: ignore[arg-type]
    while taken:
        ready = [pair for pair in taken if pair[0].is_holding(pair[1])]
        assert ready, "everybody waits for somebody"
        for lock, mine in ready:
            lock.release(mine)
            taken.remove((lock, mine))
    assert len(started.names) == 6


def test_visits_can_be_isolated() -> None:
    """What is under way for a nexus keeps later operations off its blocks, once that is asked for."""
    locks = [RangeLock(), RangeLock()]
    visits, started = Visits(), Started()
    both = joint((locks[0], (0, 10)), (locks[1], (0, 10)), visits=visits)
    mine = hold(started("visit"))
    both.acquire(mine)
    visits.isolate({make_nexus(isid=2)})
    locks[0].acquire(Hold((0, 1), exclusive=False, start=started("before")))
    visits.isolate({NEXUS})
    locks[0].acquire(Hold((0, 1), exclusive=False, start=started("after")))
    locks[0].acquire(Hold((20, 1), exclusive=False, start=started("beside")))
    assert started.names == ["visit", "before", "beside"]
    both.release(mine)
    assert started.names == ["visit", "before", "beside", "after"]


def test_what_waits_is_no_visit() -> None:
    """An operation that has not started need not be waited for."""
    lock, visits, started = RangeLock(), Visits(), Started()
    obstacle = exclusive((0, 1), started("exclusive"))
    lock.acquire(obstacle)
    both = joint((lock, (0, 10)), visits=visits)
    mine = hold(started("visit"))
    both.acquire(mine)
    visits.isolate({NEXUS})
    assert not mine.exclusive
    both.release(mine)
    lock.release(obstacle)
    assert not lock.exclusive_pending
