"""Operations that are not on the task's own logical unit alone: a copy, between whichever units its parameters name.

They keep to the range locks of all the units that they touch. Locks are taken in one order that is the same for all
operations, so that two copies in opposite directions cannot wait for each other for ever; and of one unit, all that is
touched is taken at once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import BlockOperation, WouldBlock
from isthmus.scsi.range_lock import Hold, RangeLock
from isthmus.scsi.sense import CheckCondition, Sense

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = ["AnyRangeLock", "Elsewhere", "JointRangeLock", "Place", "Visits", "place_of"]

_Extent = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Elsewhere(BlockOperation):
    """`operation` for `nexus`, on the backstore of `unit`, which also reads `source_extent` (offset, length) of `source`."""

    unit: "LogicalUnit"
    operation: BlockOperation
    nexus: "Nexus"
    source: "LogicalUnit | None" = None
    source_extent: _Extent = (0, 0)

    def run(self, backstore: Backstore) -> Any:
        """Do it on the backstore that it is for."""
        return self.operation.run(self.unit.backstore)

    def run_inline(self, backstore: Backstore) -> Any | Literal[WouldBlock.WOULD_BLOCK]:
        """Do it at once, on the backstore that it is for, if that cannot block."""
        return self.operation.run_inline(self.unit.backstore)

    @property
    def exclusive(self) -> bool:
        return self.operation.exclusive

    @property
    def extent(self) -> _Extent:
        return self.operation.extent

    @property
    def changes(self) -> tuple[_Extent, ...]:
        return self.operation.changes

    def lock(self) -> "JointRangeLock":
        """What keeps it apart from the exclusive operations of every unit that it touches."""
        places = [(self.unit.range_lock, self.operation.extent)]
        if self.source is not None:
            places.append((self.source.range_lock, self.source_extent))
        return JointRangeLock(places, self.unit.visits, self.nexus)


class JointRangeLock:
    """The range locks of several units, taken for one operation as if they were one lock."""

    def __init__(self, places: Sequence[tuple[RangeLock, _Extent]], visits: "Visits", nexus: "Nexus") -> None:
        """`places` are the extents (offset, length) and where they lie; a lock may come more than once.

        The operation is one of `visits`, for `nexus`, while it is under way.
        """
        by_lock: dict[RangeLock, _Extent] = {}
        for lock, extent in places:
            by_lock[lock] = _hull(by_lock[lock], extent) if lock in by_lock else extent
        # Any order will do that is the same wherever two of these locks are taken.
        self._places = sorted(by_lock.items(), key=lambda place: id(place[0]))
        self._visits = visits
        self._nexus = nexus
        self._holds: list[tuple[RangeLock, Hold]] = []
        self._holding = False

    def acquire(self, hold: Hold) -> None:
        """Call `hold.start` when every lock is taken, which may be before this returns."""
        if len(self._holds) == len(self._places):
            self._holding = True
            self._visits.begin(self, hold, self._nexus)
            hold.start()
            return
        lock, extent = self._places[len(self._holds)]
        part = Hold(extent, exclusive=hold.exclusive, start=lambda: self.acquire(hold))
        self._holds.append((lock, part))
        lock.acquire(part)

    def release(self, hold: Hold) -> None:
        """The operation has ended, or is not wanted any more."""
        self._holding = False
        self._visits.end(hold)
        holds, self._holds = self._holds, []
        for lock, part in reversed(holds):
            lock.release(part)

    def is_holding(self, _hold: Hold) -> bool:
        """Whether the operation has started and not ended."""
        return self._holding

    def isolate(self, _hold: Hold) -> None:
        """Nothing may overlap any more with the operation, which is under way, until it is released."""
        for lock, part in self._holds:
            lock.isolate(part)


class Visits:
    """The operations under way on one unit for tasks of other units, which no task set of this one knows."""

    def __init__(self) -> None:
        self._under_way: dict[Hold, tuple[JointRangeLock, Nexus]] = {}

    def begin(self, lock: JointRangeLock, hold: Hold, nexus: "Nexus") -> None:
        """An operation for `nexus` starts."""
        self._under_way[hold] = lock, nexus

    def end(self, hold: Hold) -> None:
        """It is over, or has never started."""
        self._under_way.pop(hold, None)

    def isolate(self, nexuses: Collection["Nexus"]) -> None:
        """What `nexuses` are doing is not wanted any more: whoever comes later to the same blocks waits until it is over."""
        for hold, (lock, nexus) in self._under_way.items():
            if nexus in nexuses:
                lock.isolate(hold)


AnyRangeLock = RangeLock | JointRangeLock


@dataclass(slots=True)
class Place:
    """Where an operation is done."""

    unit: "LogicalUnit"
    operation: BlockOperation
    lock: AnyRangeLock

    def begin(self) -> Backstore:
        """The operation starts now, on the backstore that this gives.

        Raises `CheckCondition` if the unit has become too small for it since the command was parsed.
        """
        if self.operation.exceeds(self.unit.backstore.size):
            raise CheckCondition(Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
        self.unit.will_change(self.operation)
        return self.unit.backstore


def place_of(operation: BlockOperation, unit: "LogicalUnit") -> Place:
    """Where `operation`, which a task or a work of `unit` asks for, is done."""
    if isinstance(operation, Elsewhere):
        return Place(operation.unit, operation.operation, operation.lock())
    return Place(unit, operation, unit.range_lock)


def _hull(left: _Extent, right: _Extent) -> _Extent:
    """The smallest extent that holds both; one without length touches nothing."""
    if not left[1] or not right[1]:
        return left if left[1] else right
    start = min(left[0], right[0])
    return start, max(left[0] + left[1], right[0] + right[1]) - start
