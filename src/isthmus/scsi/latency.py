"""How long commands take, as a distribution: a histogram with buckets that grow with what they hold, after HdrHistogram.

Each doubling has eight buckets, so that a figure read from one is at most an eighth too large, whatever its size; 232 of them reach
from 128 ns to two minutes. Counting costs the same for one command or a hundred that took the same time.
"""

from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["BUCKETS", "LatencyHistogram", "upper_bound"]

_SUB_BITS: Final = 3
_SUB: Final = 1 << _SUB_BITS
"""Buckets of one doubling."""
_UNIT_BITS: Final = 7
"""Nothing is told apart below 128 ns."""
_LINEAR_BITS: Final = _UNIT_BITS + _SUB_BITS
_DOUBLINGS: Final = 28
BUCKETS: Final = _SUB * (1 + _DOUBLINGS)


def upper_bound(bucket: int) -> int:
    """Nanoseconds, below which everything in `bucket` is, that is not in an earlier one."""
    doubling, sub = divmod(bucket, _SUB)
    if not doubling:
        return (sub + 1) << _UNIT_BITS
    return (_SUB + sub + 1) << (_UNIT_BITS + doubling - 1)


def _bucket(nanoseconds: int) -> int:
    doubling = nanoseconds.bit_length() - _LINEAR_BITS
    if doubling <= 0:
        return nanoseconds >> _UNIT_BITS
    if doubling > _DOUBLINGS:
        return BUCKETS - 1
    # The bits behind the highest one choose within the doubling; the highest one itself adds one doubling.
    return (doubling - 1 << _SUB_BITS) + (nanoseconds >> _UNIT_BITS + doubling - 1)


_FIRST_BUCKETS: Final = bytes(_bucket(unit << _UNIT_BITS) for unit in range(1 << 13))
"""The bucket of what takes less than a millisecond, by units of 128 ns: a look here costs a third of the arithmetic."""


class LatencyHistogram:
    """One distribution. What takes longer than the last bucket's bound counts there."""

    __slots__ = ("counts", "nanoseconds")

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self.nanoseconds = 0
        """The sum of all."""

    def record(self, nanoseconds: int, commands: int = 1) -> None:
        """`commands` took that long each."""
        self.nanoseconds += nanoseconds * commands
        try:
            self.counts[_FIRST_BUCKETS[nanoseconds >> _UNIT_BITS]] += commands
        except IndexError:
            self.counts[_bucket(nanoseconds)] += commands

    @classmethod
    def sum_of(cls, histograms: "Iterable[LatencyHistogram | None]") -> "LatencyHistogram | None":
        """All of them together; None has nothing in it, nor has the sum of nothing."""
        known = [histogram for histogram in histograms if histogram is not None]
        if len(known) <= 1:
            return known[0] if known else None
        total = cls()
        total.counts = list(map(sum, zip(*(histogram.counts for histogram in known), strict=True)))
        total.nanoseconds = sum(histogram.nanoseconds for histogram in known)
        return total

    @property
    def commands(self) -> int:
        """How many were counted."""
        return sum(self.counts)

    def buckets(self) -> Iterator[tuple[int, int]]:
        """Those that are not empty: the upper bound in nanoseconds, and the commands."""
        for bucket, commands in enumerate(self.counts):
            if commands:
                yield upper_bound(bucket), commands
