"""Deferred errors: what went wrong after the status of its command had gone out (SPC-5 §4.4.7).

The nexus whose command it was hears of it with the next command that it sends, which is not processed; its sense data
has a response code of its own, so that the initiator does not take it for an error of that command.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from isthmus.errors import BackstoreError
from isthmus.scsi.background import BackgroundSteps
from isthmus.scsi.backstore_errors import sense_for
from isthmus.scsi.sense import CheckCondition, SenseData

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = ["DeferredErrors", "deferring"]

_MOST: Final = 16
"""Errors that wait for one nexus; if it asks for more, the first ones tell what began it."""


class DeferredErrors:
    """The deferred errors of one logical unit, by nexus."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called after each change: grants depend on what is pending."""
        self._queues: dict[Nexus, deque[SenseData]] = {}
        self._changed = changed

    def establish(self, nexus: "Nexus", sense_data: SenseData) -> None:
        """Let `nexus` hear of an error."""
        queue = self._queues.setdefault(nexus, deque())
        if len(queue) < _MOST:
            queue.append(replace(sense_data, deferred=True))
            self._changed()

    def pending(self, nexus: "Nexus") -> bool:
        """Whether there is something that `nexus` has not heard."""
        return nexus in self._queues

    def take(self, nexus: "Nexus") -> SenseData | None:
        """The oldest error of `nexus`, which with that is told."""
        queue = self._queues.get(nexus)
        if queue is None:
            return None
        sense_data = queue.popleft()
        if not queue:
            self.forget(nexus)
        return sense_data

    def forget(self, nexus: "Nexus") -> None:
        """The nexus is lost, or has been reset: there is nobody to tell."""
        if self._queues.pop(nexus, None) is not None:
            self._changed()

    def clear(self) -> None:
        """Forget all: the unit has been reset."""
        self._queues.clear()
        self._changed()


def deferring(unit: "LogicalUnit", nexus: "Nexus", steps: BackgroundSteps) -> BackgroundSteps:
    """`steps`, of whose failure `nexus` hears with a later command, if it is still there then."""
    try:
        yield from steps
    except BackstoreError as error:
        _defer(unit, nexus, sense_for(error, None, unit.block_length))
    except CheckCondition as error:
        _defer(unit, nexus, error.sense_data)


def _defer(unit: "LogicalUnit", nexus: "Nexus", sense_data: SenseData) -> None:
    if nexus in unit.nexuses:
        unit.deferred_errors.establish(nexus, sense_data)
