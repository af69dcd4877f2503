"""How fast a logical unit may be used: commands and bytes a second, as token buckets.

Who comes too early waits in a line, in the order of coming; one timer lets them go. An unlimited unit has no throttle. A
limited one has no fast-path grants, so that every command passes here. Tokens are counted by the clock, and a bucket
overflows only while nobody waits, so a timer that is late costs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from isthmus.scsi.alua import CallLater
from isthmus.scsi.sbc.block_range import BlockRange
from isthmus.scsi.statistics import kind_of
from isthmus.scsi.waiting import Until

if TYPE_CHECKING:
    from isthmus.scsi.task import Task

__all__ = ["RateLimits", "Throttle", "Turn", "moved_by"]

_SHORTEST_WAIT: Final = 0.001
"""Seconds. Timers are no finer, and one that comes too early must not make the loop spin."""
_DEFAULT_BURST: Final = 10
"""A bucket without a size of its own holds what comes in a second, divided by this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What an operator allows; 0 is no limit, or the default burst."""

    commands_per_second: int = 0
    commands_burst: int = 0
    bytes_per_second: int = 0
    bytes_burst: int = 0

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return bool(self.commands_per_second or self.bytes_per_second)


class _Bucket:
    """Tokens that come at a rate, up to a depth. A price above the depth is paid in advance: the bucket owes it."""

    def __init__(self, rate: int, burst: int, now: float) -> None:
        self._rate = rate
        self._depth = float(burst or max(1.0, rate / _DEFAULT_BURST))
        self._tokens = self._depth
        self._filled_at = now

    def seconds_until(self, price: int, now: float, *, wanted: bool) -> float:
        """How long until `price` can be taken: 0 now. `wanted`: somebody has waited, so that nothing has overflowed."""
        if now > self._filled_at:
            tokens = self._tokens + (now - self._filled_at) * self._rate
            self._tokens = tokens if wanted else min(self._depth, tokens)
            self._filled_at = now
        return max(0.0, min(price, self._depth) - self._tokens) / self._rate

    def take(self, price: int) -> None:
        """Take `price`, which can be taken now."""
        self._tokens -= price


class Turn:
    """A place in the line."""

    __slots__ = ("_line", "go_on", "num_bytes")

    def __init__(self, line: "dict[Turn, None]", num_bytes: int, go_on: Callable[[], None]) -> None:
        self._line = line
        self.num_bytes = num_bytes
        self.go_on = go_on

    def give_up(self) -> None:
        """Leave the line; nothing is paid. Does nothing for whose turn it has been."""
        self._line.pop(self, None)


class Throttle:
    """The limits of one unit, and who waits there."""

    def __init__(self, limits: RateLimits, clock: Callable[[], float], call_later: CallLater) -> None:
        """`clock` tells seconds and never goes back."""
        self._clock = clock
        self._call_later = call_later
        self._line: dict[Turn, None] = {}
        self._timed = False
        self._limits = RateLimits()
        self._commands: _Bucket | None = None
        self._bytes: _Bucket | None = None
        self.change(limits)

    def change(self, limits: RateLimits) -> None:
        """Let other limits hold from now on, with full buckets, also for those who wait."""
        if limits == self._limits:
            return
        self._limits = limits
        now = self._clock()
        self._commands = _bucket(limits.commands_per_second, limits.commands_burst, now)
        self._bytes = _bucket(limits.bytes_per_second, limits.bytes_burst, now)
        self._serve()

    def admit(self, num_bytes: int, go_on: Callable[[], None]) -> Turn | None:
        """A command moves `num_bytes`. None: it may do so now; else `go_on` is called when its turn has come."""
        if not self._line and self._pays(num_bytes):
            return None
        turn = Turn(self._line, num_bytes, go_on)
        self._line[turn] = None
        self._wait()
        return turn

    def until(self, num_bytes: int) -> Until:
        """What a handler yields to wait for its turn."""

        def begin(over: Callable[[Any, Exception | None], None]) -> None:
            if self.admit(num_bytes, partial(over, None, None)) is None:
                over(None, None)

        return Until(begin)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._line)

    def _pays(self, num_bytes: int) -> bool:
        """Take the price, if it is there."""
        if self._seconds_until(num_bytes) > 0:
            return False
        if self._commands is not None:
            self._commands.take(1)
        if self._bytes is not None:
            self._bytes.take(num_bytes)
        return True

    def _seconds_until(self, num_bytes: int) -> float:
        now, wanted = self._clock(), bool(self._line)
        buckets = ((self._commands, 1), (self._bytes, num_bytes))
        return max(
            (bucket.seconds_until(price, now, wanted=wanted) for bucket, price in buckets if bucket), default=0.0
        )

    def _serve(self) -> None:
        while self._line:
            turn = next(iter(self._line))
            if not self._pays(turn.num_bytes):
                break
            del self._line[turn]
            turn.go_on()
        self._wait()

    def _wait(self) -> None:
        """Come back when the first in the line can go. One timer is enough: nobody overtakes."""
        if self._line and not self._timed:
            self._timed = True
            first = next(iter(self._line))
            self._call_later(max(_SHORTEST_WAIT, self._seconds_until(first.num_bytes)), self._time_is_up)

    def _time_is_up(self) -> None:
        self._timed = False
        self._serve()


def _bucket(rate: int, burst: int, now: float) -> _Bucket | None:
    return _Bucket(rate, burst, now) if rate else None


def moved_by(task: "Task") -> int | None:
    """The bytes of logical blocks that `task` moves between initiator and medium; None: it is no such command."""
    kind, command = kind_of(task), task.command
    if kind is None:
        return None
    if kind == "write":
        return sum(map(len, task.data_out))
    return command.length if isinstance(command, BlockRange) else 0
