"""Unit attentions: what an initiator must hear before its next command runs (SAM-5 §5.14).

Each nexus has a queue of its own. A reset condition goes before everything else, and clears the reset conditions
that it covers; POWER ON clears all. The rest is reported in the order of the events, none twice.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from isthmus.scsi.sense import Sense, SenseData

if TYPE_CHECKING:
    from isthmus.scsi.nexus import Nexus

__all__ = ["UnitAttentions", "is_reset"]

_RESETS: Final = (
    Sense.POWER_ON_OCCURRED,
    Sense.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED,
    Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED,
    Sense.I_T_NEXUS_LOSS_OCCURRED,
)
"""The conditions of SAM-5 §6.3, highest precedence first: each tells all that those after it tell."""

_POWER_ON: Final = frozenset(_RESETS[:2])

_TOLD_BY_RESETS: Final = (Sense.COMMANDS_CLEARED_BY_ANOTHER_INITIATOR,)
"""What every reset condition says as well."""


def is_reset(sense: Sense) -> bool:
    """Whether `sense` reports a reset or the loss of the nexus: these go before other statuses (SAM-5 §5.3.3)."""
    return sense in _RESETS


class UnitAttentions:
    """The unit attentions of one logical unit, by nexus."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called after each change: grants depend on what is pending."""
        self._queues: dict[Nexus, list[Sense]] = {}
        self._changed = changed
        self.information: dict[Sense, int] = {}
        """What the INFORMATION field says with a condition, where that defines it."""

    def attach(self, nexus: "Nexus") -> None:
        """From now on `nexus` gets what is established for all."""
        self._queues.setdefault(nexus, [])

    def detach(self, nexus: "Nexus") -> None:
        """Forget `nexus` and all that is pending for it."""
        self._queues.pop(nexus, None)
        self._changed()

    def establish(self, nexus: "Nexus", sense: Sense) -> None:
        """Make `sense` pending for `nexus`, if that is attached."""
        queue = self._queues.get(nexus)
        if queue is not None:
            _enqueue(queue, sense)
            self._changed()

    def establish_for_all(self, sense: Sense, but: "Nexus | None" = None) -> None:
        """Make `sense` pending for every attached nexus, except `but`."""
        for nexus, queue in self._queues.items():
            if nexus is not but:
                _enqueue(queue, sense)
        self._changed()

    def pending(self, nexus: "Nexus") -> Sense | None:
        """What would be reported next; leaves it pending."""
        queue = self._queues.get(nexus)
        return queue[0] if queue else None

    def take(self, nexus: "Nexus") -> Sense | None:
        """What is reported now, and with that cleared (UA_INTLCK_CTRL 00b)."""
        queue = self._queues.get(nexus)
        if not queue:
            return None
        sense = queue.pop(0)
        if not queue:
            self._changed()
        return sense

    def sense_data(self, sense: Sense) -> SenseData:
        """What is reported of the condition `sense`."""
        return SenseData(sense=sense, information=self.information.get(sense))

    def discard(self, nexus: "Nexus", sense: Sense) -> None:
        """Clear `sense` alone: an event told by other means (REPORT LUNS, SPC-5 §6.32)."""
        queue = self._queues.get(nexus)
        if queue and sense in queue:
            queue.remove(sense)
            self._changed()

    def clear(self, nexus: "Nexus") -> None:
        """Clear all that is pending for `nexus`, which stays attached."""
        if self._queues.get(nexus):
            self._queues[nexus].clear()
            self._changed()


def _enqueue(queue: list[Sense], sense: Sense) -> None:
    if sense not in _RESETS:
        if sense not in queue and not (sense in _TOLD_BY_RESETS and queue and queue[0] in _RESETS):
            queue.append(sense)
        return
    if queue and queue[0] in _RESETS[: _RESETS.index(sense) + 1]:
        return
    covered = queue if sense in _POWER_ON else (*_RESETS, *_TOLD_BY_RESETS)
    queue[:] = [sense, *(pending for pending in queue if pending not in covered)]
