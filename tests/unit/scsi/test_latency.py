import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.scsi.latency import BUCKETS, LatencyHistogram, upper_bound


def bucket_of(nanoseconds: int) -> int:
    """Where it is counted."""
    histogram = LatencyHistogram()
    histogram.record(nanoseconds)
    return histogram.counts.index(1)


def test_bounds_grow() -> None:
    """Each bucket begins where the one before it ends."""
    bounds = [upper_bound(bucket) for bucket in range(BUCKETS)]
    assert bounds == sorted(set(bounds))
    assert bounds[:3] == [128, 256, 384]
    assert bounds[-1] == 1 << 38


@given(st.integers(0, (1 << 38) - 1))
def test_what_is_counted_is_within_its_bucket(nanoseconds: int) -> None:
    """And its bound is at most an eighth above it, or 128 ns."""
    bucket = bucket_of(nanoseconds)
    bound = upper_bound(bucket)
    assert nanoseconds < bound
    assert bucket == 0 or nanoseconds >= upper_bound(bucket - 1)
    assert bound - nanoseconds <= max(128, nanoseconds / 8)


@pytest.mark.parametrize("nanoseconds", [1 << 38, 1 << 50])
def test_what_takes_too_long_is_in_the_last(nanoseconds: int) -> None:
    """It is not lost."""
    assert bucket_of(nanoseconds) == BUCKETS - 1


def test_many_at_once() -> None:
    """Commands of a batch took the same time."""
    histogram = LatencyHistogram()
    histogram.record(1000, 5)
    histogram.record(100_000)
    assert (histogram.commands, histogram.nanoseconds) == (6, 105_000)
    assert list(histogram.buckets()) == [(1024, 5), (106_496, 1)]


def test_sums() -> None:
    """Of those that are there."""
    one, other = LatencyHistogram(), LatencyHistogram()
    one.record(10)
    other.record(10, 2)
    other.record(5000)
    total = LatencyHistogram.sum_of((one, None, other))
    assert total is not None
    assert list(total.buckets()) == [(128, 3), (5120, 1)]
    assert total.nanoseconds == 5030
    assert one.commands == 1
    assert LatencyHistogram.sum_of((None, one)) is one
    assert LatencyHistogram.sum_of((None,)) is None
