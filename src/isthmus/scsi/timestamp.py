"""The timestamp of a device (SPC-5 §5.2): milliseconds since 1970-01-01 00:00 UTC, told by a clock that is handed in.

Until an initiator sets it, it is the time of the machine. Setting it moves what this unit reports, and nothing else; that
lasts until the process ends.
"""

import enum
from collections.abc import Callable
from typing import Final

__all__ = ["Clock", "Timestamp", "TimestampOrigin", "stopped_clock"]

Clock = Callable[[], int]
"""Gives milliseconds since 1970-01-01 00:00 UTC."""

_WRAP: Final = 1 << 48


def stopped_clock() -> int:
    """For units that nobody asks for the time: it is always the beginning of 1970."""
    return 0


class TimestampOrigin(enum.IntEnum):
    """The TIMESTAMP ORIGIN field (SPC-5 table 59)."""

    POWER_ON = 0b000
    SET_TIMESTAMP = 0b010
    OUTSIDE = 0b011
    """Set by a method outside the scope of the standard: the system's clock."""


class Timestamp:
    """The timestamp of one logical unit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._powered_on_at = clock()
        self._ahead = 0
        self.origin = TimestampOrigin.OUTSIDE

    @property
    def milliseconds(self) -> int:
        """The time, in the 48 bits that it has on the wire."""
        return (self._clock() + self._ahead) % _WRAP

    @property
    def milliseconds_powered_on(self) -> int:
        """How long the unit has been there, whatever the timestamp was set to."""
        return max(0, self._clock() - self._powered_on_at)

    def set(self, milliseconds: int) -> None:
        """From now on count from here."""
        self._ahead = milliseconds - self._clock()
        self.origin = TimestampOrigin.SET_TIMESTAMP
