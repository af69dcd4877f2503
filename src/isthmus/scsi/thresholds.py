"""Warnings before thin storage is full: logical block provisioning thresholds (SBC-4 §4.7.3.7, §6.5.9).

An initiator sets a threshold in the mode page, in units of a threshold set. There are two: on what is left, which is
reached when that falls, and on what is used, which is reached when that rises. A threshold that is reached says so
once, by a unit attention; it is armed again when the amount has gone back by a whole set, or when it is changed.

How much is used and left is measured from time to time (`server/threshold_watch.py`), and never in the course of a
READ or WRITE.
"""

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from weakref import proxy

from isthmus.backstores.base import Space
from isthmus.scsi.sense import Sense

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["NO_THRESHOLDS", "Resource", "Threshold", "ThresholdMonitor", "Thresholds", "threshold_exponent"]

_SMALLEST_SET: Final = 1 << 20
"""Bytes."""
_MOST_SETS: Final = 1 << 32
"""THRESHOLD COUNT has 32 bits (SBC-4 §6.6.6)."""


class Resource(enum.IntEnum):
    """The THRESHOLD RESOURCE field, and the parameter codes of the log page (SBC-4 §6.4.5)."""

    AVAILABLE = 0x01
    USED = 0x02


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One that is enabled."""

    resource: Resource
    count: int
    """The middle of the threshold range, in threshold sets."""
    place: int
    """The offset of its descriptor in the mode page, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What the mode page asks for."""

    enabled: tuple[Threshold, ...] = ()
    single_initiator: bool = False
    """SITUA: one nexus hears of it, not all."""


NO_THRESHOLDS: Final = Thresholds()


def threshold_exponent(unit: "LogicalUnit") -> int:
    """A threshold set is 2 to this power of logical blocks (SBC-4 §6.6.6)."""
    exponent = (_SMALLEST_SET // unit.block_length).bit_length() - 1
    while unit.num_blocks >> exponent >= _MOST_SETS:
        exponent += 1
    return exponent


class ThresholdMonitor:
    """Compares what is measured with the thresholds of one unit."""

    def __init__(self, unit: "LogicalUnit") -> None:
        self._unit: LogicalUnit = proxy(unit)
        self.latest: Space | None = None
        """The last measurement."""
        self._reached: set[Threshold] = set()
        """Those that have said so, and are not armed."""

    @property
    def is_wanted(self) -> bool:
        """Whether there is something to compare a measurement with."""
        return bool(self._unit.mode.thresholds.enabled)

    def observe(self, space: Space | None) -> None:
        """Take note of a measurement; a unit attention tells of each threshold that it newly reaches."""
        self.latest = space
        if space is None:
            return
        thresholds = self._unit.mode.thresholds
        set_length = self._unit.block_length << threshold_exponent(self._unit)
        self._reached &= set(thresholds.enabled)
        for threshold in thresholds.enabled:
            # The range is one set wide; a rising amount is compared like a falling one, with the signs changed.
            sign = -1 if threshold.resource is Resource.USED else 1
            amount = space.used if threshold.resource is Resource.USED else space.available
            distance = sign * (amount - threshold.count * set_length)
            if 2 * distance >= set_length:
                self._reached.discard(threshold)
            elif 2 * distance <= -set_length and threshold not in self._reached:
                self._reached.add(threshold)
                self._tell(threshold, single_initiator=thresholds.single_initiator)

    def _tell(self, threshold: Threshold, *, single_initiator: bool) -> None:
        sense, attentions = Sense.THIN_PROVISIONING_SOFT_THRESHOLD_REACHED, self._unit.unit_attentions
        attentions.information[sense] = threshold.place
        if not single_initiator:
            attentions.establish_for_all(sense)
        elif nexuses := self._unit.nexuses:
            first = min(nexuses, key=lambda nexus: (nexus.initiator_port_name, nexus.relative_target_port_id))
            attentions.establish(first, sense)
