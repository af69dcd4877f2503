import pytest

from isthmus.scsi.countdown import Countdown


@pytest.mark.parametrize("count", [0, 1, 3])
def test_done_comes_once_after_the_last(count: int) -> None:
    """`done` is called when all have ended, and at once if there is nothing to wait for."""
    done: list[bool] = []
    countdown = Countdown(count, lambda: done.append(True))
    for _ in range(count):
        assert not done
        countdown()
    assert done == [True]
