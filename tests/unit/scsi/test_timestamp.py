"""The timestamp and its clock."""

from isthmus.scsi.timestamp import Timestamp, TimestampOrigin, stopped_clock


class Watch:
    """A clock that is moved by hand."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def test_follows_the_clock() -> None:
    """Until it is set it is the time of the machine."""
    watch = Watch(1_000)
    timestamp = Timestamp(watch)
    watch.now = 61_000
    assert timestamp.milliseconds == 61_000
    assert timestamp.milliseconds_powered_on == 60_000
    assert timestamp.origin is TimestampOrigin.OUTSIDE


def test_set() -> None:
    """What is set goes on from there; how long the unit is on stays as it is."""
    watch = Watch(1_000)
    timestamp = Timestamp(watch)
    timestamp.set(5)
    watch.now = 3_000
    assert timestamp.milliseconds == 2_005
    assert timestamp.milliseconds_powered_on == 2_000
    assert timestamp.origin is TimestampOrigin.SET_TIMESTAMP


def test_wraps() -> None:
    """It has 48 bits."""
    watch = Watch(0)
    timestamp = Timestamp(watch)
    timestamp.set((1 << 48) - 1)
    watch.now = 2
    assert timestamp.milliseconds == 1


def test_clock_that_is_put_back() -> None:
    """A clock that was put back makes no negative time."""
    watch = Watch(1_000)
    timestamp = Timestamp(watch)
    watch.now = 0
    assert timestamp.milliseconds_powered_on == 0


def test_stopped_clock() -> None:
    """Without a clock the time stands."""
    assert Timestamp(stopped_clock).milliseconds == 0
