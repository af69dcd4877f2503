"""What the server looks after while it serves: how full thin storage is, and what size storage has been given."""

from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

import structlog

from isthmus import events
from isthmus.backstores.base import Space
from isthmus.backstores.operations import MeasureSpace
from isthmus.errors import BackstoreError
from isthmus.scsi.block_executor import BlockExecutor
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.online_change import follow_size

__all__ = ["AT_ONCE", "MEASURE_EVERY", "UnitWatch"]

MEASURE_EVERY: Final = 2.0
"""Seconds between two measurements of the space of a unit whose initiators want to be warned."""

AT_ONCE: Final = 50
"""Units that are looked at before others have the loop."""

_log = structlog.get_logger()


class UnitWatch:
    """Watches `units`, a collection in which units may come and go."""

    def __init__(self, units: Collection[LogicalUnit], executor: BlockExecutor, loop: AbstractEventLoop) -> None:
        self._units = units
        self._executor = executor
        self._loop = loop
        self._timer: TimerHandle | None = None
        self._being_measured: set[LogicalUnit] = set()

    def start(self) -> None:
        """Measure from now on. A unit without a threshold costs nothing."""
        self._timer = self._loop.call_later(MEASURE_EVERY, self._measure)

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _measure(self) -> None:
        self._each(self._measure_one, deque(self._units))
        self.start()

    def _measure_one(self, unit: LogicalUnit) -> None:
        # A measurement that takes longer than the period, on storage that hangs, is not asked for twice.
        if unit.thresholds.is_wanted and unit not in self._being_measured:
            self._being_measured.add(unit)
            self._executor.submit(unit.backstore, MeasureSpace(), partial(self._measured, unit))

    def _each(self, look: Callable[[LogicalUnit], None], left: deque[LogicalUnit]) -> None:
        """`look` at those that are `left`, and still there when it is their turn: some now, and the others later."""
        for _ in range(min(AT_ONCE, len(left))):
            unit = left.popleft()
            if unit in self._units:
                look(unit)
        if left:
            self._loop.call_soon(self._each, look, left)

    def _measured(self, unit: LogicalUnit, space: Space | None, error: BackstoreError | None) -> None:
        self._being_measured.discard(unit)
        if error is None:  # else the executor has logged it, and nothing is known
            unit.thresholds.observe(space)

    def follow_sizes(self) -> None:
        """Let each unit have the size that its storage has by now."""
        self._each(self._follow_one, deque(self._units))

    def _follow_one(self, unit: LogicalUnit) -> None:
        follow_size(unit, self._executor, partial(_followed, unit, unit.backstore.size))


def _followed(unit: LogicalUnit, before: int, error: Exception | None) -> None:
    storage, size = unit.backstore.identity, unit.backstore.size
    if error is not None:
        _log.warning("the size of the storage cannot be taken over", storage=storage, bytes=size, problem=str(error))
    elif size != before:
        events.emit(events.SIZE_CHANGED, storage=storage, bytes_before=before, bytes=size)
