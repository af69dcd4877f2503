"""The power conditions of a logical unit, stopped apart, and the timers that lead to them (SPC-5 §5.13, SBC-4 §4.20).

Nothing here has a motor: what a unit saves by idling is nothing, and what it needs to become active again is no time. But
initiators set the timers and ask for the conditions, and what they are told has to be what they asked for.

The engine serves reads and writes without a word to anyone, so a timer cannot start anew with each of them. While timers
are enabled, the unit looks from time to time whether anything has happened since it looked last; so a condition comes up
to `LONGEST_STEP` later than its timer says, and never sooner.
"""

import enum
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import proxy

from isthmus.scsi.sense import Sense
from isthmus.scsi.weakly import weakly

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["LONGEST_STEP", "SHORTEST_STEP", "PowerCondition", "PowerConditions"]

LONGEST_STEP: Final = 1.0
"""Seconds from one look to the next, at most."""
SHORTEST_STEP: Final = 0.1
"""At least: the unit of the timers (SPC-5 §7.5.16)."""


class PowerCondition(enum.IntEnum):
    """From the one that is ready for everything to the one that would need most to become so (SPC-5 §5.13)."""

    ACTIVE = 0
    IDLE_A = 1
    IDLE_B = 2
    IDLE_C = 3
    STANDBY_Y = 4
    STANDBY_Z = 5


_SENSES: Final[Mapping[PowerCondition, tuple[Sense, Sense]]] = {
    PowerCondition.ACTIVE: (Sense.NO_ADDITIONAL_SENSE_INFORMATION, Sense.NO_ADDITIONAL_SENSE_INFORMATION),
    PowerCondition.IDLE_A: (Sense.IDLE_CONDITION_ACTIVATED_BY_COMMAND, Sense.IDLE_CONDITION_ACTIVATED_BY_TIMER),
    PowerCondition.IDLE_B: (Sense.IDLE_B_CONDITION_ACTIVATED_BY_COMMAND, Sense.IDLE_B_CONDITION_ACTIVATED_BY_TIMER),
    PowerCondition.IDLE_C: (Sense.IDLE_C_CONDITION_ACTIVATED_BY_COMMAND, Sense.IDLE_C_CONDITION_ACTIVATED_BY_TIMER),
    PowerCondition.STANDBY_Y: (
        Sense.STANDBY_Y_CONDITION_ACTIVATED_BY_COMMAND,
        Sense.STANDBY_Y_CONDITION_ACTIVATED_BY_TIMER,
    ),
    PowerCondition.STANDBY_Z: (
        Sense.STANDBY_CONDITION_ACTIVATED_BY_COMMAND,
        Sense.STANDBY_CONDITION_ACTIVATED_BY_TIMER,
    ),
}
"""What REQUEST SENSE tells: by command, by timer."""


class PowerConditions:
    """Which power condition a unit is in, and what leads to another."""

    def __init__(self, unit: "LogicalUnit") -> None:
        self._unit: LogicalUnit = proxy(unit)
        self.condition = PowerCondition.ACTIVE
        self.transitions: Counter[PowerCondition] = Counter()
        """How often each was entered."""
        self.start_stop_cycles = 0
        """How often the unit was started after it had been stopped."""
        self.attentive = False
        """Whether `accessed` wants to know of accesses to the medium."""
        self._by_timer = False
        self._commanded = False
        """START STOP UNIT has taken control from the timers (SBC-4 §5.31)."""
        self._accesses = 0
        self._seen = 0
        self._quiet = 0.0
        """Seconds without an access."""
        self._round = 0
        """Counts the times that the timers were started, so that what was put off before does nothing."""

    @property
    def sense(self) -> Sense:
        """What REQUEST SENSE tells of the condition (SPC-5 §6.38)."""
        return _SENSES[self.condition][self._by_timer]

    def command(self, condition: PowerCondition) -> None:
        """An initiator wants the unit in `condition`: no timer leads to another one until `release`."""
        self._commanded = True
        self._enter(condition, by_timer=False)
        self.start_timers()

    def force(self, condition: PowerCondition) -> None:
        """The timer of `condition` counts as expired (FORCE_IDLE and FORCE_STANDBY)."""
        if condition > self.condition:
            self._enter(condition, by_timer=True)
            self.start_timers()

    def release(self) -> None:
        """Timers lead from one condition to the next again (LU_CONTROL)."""
        self._commanded = False
        self.start_timers()

    def reset(self) -> None:
        """As after power on."""
        self._commanded = False
        self._enter(PowerCondition.ACTIVE, by_timer=False)
        self.start_timers()

    def accessed(self) -> None:
        """A command accesses the medium, which takes the unit back to active (SPC-5 §5.13.4)."""
        self._accesses += 1
        if self.condition is not PowerCondition.ACTIVE:
            self._enter(PowerCondition.ACTIVE, by_timer=False)
            self.start_timers()

    def start_timers(self) -> None:
        """Begin to count anew, by the timers that the mode page has enabled; without any, nothing looks."""
        self._round += 1
        self._quiet = 0.0
        self._seen = self._activity()
        self._look_later()

    def nexus_attached(self) -> None:
        """Nobody looks while there is no nexus: somebody has to, if this is the first."""
        if len(self._unit.nexuses) == 1:
            self.start_timers()

    def _look_later(self) -> None:
        due = self._next()
        self.attentive = due is not None or self.condition is not PowerCondition.ACTIVE
        if due is not None and self._unit.call_later is not None and self._unit.nexuses:
            step = min(max(due - self._quiet, SHORTEST_STEP), LONGEST_STEP)
            self._unit.call_later(step, partial(weakly(self._look), self._round, step))

    def _next(self) -> float | None:
        """After how many quiet seconds the next condition comes; None if none does."""
        if self._commanded or not self._unit.started:
            return None
        return min(
            (seconds for to, seconds in self._unit.mode.power_timers.items() if to > self.condition), default=None
        )

    def _look(self, started: int, step: float) -> None:
        if started != self._round or not self._unit.nexuses:
            return
        activity = self._activity()
        busy = activity != self._seen or self._busy()
        self._seen = activity
        self._quiet = 0.0 if busy else self._quiet + step
        timers = self._unit.mode.power_timers
        # Steps add up to a little less than they should: half of the unit of the timers makes up for that.
        over = [to for to, seconds in timers.items() if seconds <= self._quiet + SHORTEST_STEP / 2]
        if over and not busy and max(over) > self.condition:
            self._enter(max(over), by_timer=True)
        self._look_later()

    def _activity(self) -> int:
        counts = self._unit.grants.counts
        return self._accesses + counts.read_commands + counts.write_commands

    def _busy(self) -> bool:
        unit = self._unit
        return bool(len(unit.task_set) or unit.background or unit.grants.any_in_flight)

    def _enter(self, condition: PowerCondition, *, by_timer: bool) -> None:
        if condition is not self.condition:
            self.transitions[condition] += 1
        self.condition = condition
        self._by_timer = by_timer
        self._unit.refresh_grants()
