from typing import Any, cast

import pytest

from isthmus.engine.lookout import PATIENCE, PAUSE, WINDOW, Lookout
from tests.support.engine import FakeLoop


class Bench:
    """A lookout on a loop and a clock of its own."""

    def __init__(self, *, processors: int = 2) -> None:
        self.now = 10.0
        self.threads_work = False
        self.loop = FakeLoop()
        self.lookout = Lookout(
            cast("Any", self.loop), lambda: self.threads_work, clock=lambda: self.now, processors=processors
        )

    @property
    def looks(self) -> bool:
        """Whether the loop will turn once more."""
        return bool(self.loop.soon)

    def turn(self, seconds: float) -> None:
        """The loop turns once, after so long."""
        self.now += seconds
        soon, self.loop.soon = list(self.loop.soon), []  # type: ignore[assignment]
        for callback, arguments in soon:
            callback(*arguments)

    def misses(self) -> None:
        """An answer, behind which nothing comes."""
        self.lookout.answered()
        self.turn(WINDOW)


def test_it_looks_for_a_moment() -> None:
    """Then the loop may sleep."""
    bench = Bench()
    bench.lookout.answered()
    for _ in range(3):
        bench.turn(WINDOW / 4)
        assert bench.looks
    bench.turn(WINDOW / 2)
    assert not bench.looks


def test_what_comes_in_time_makes_it_look_on() -> None:
    """From the last answer on."""
    bench = Bench()
    bench.lookout.answered()
    bench.turn(WINDOW * 0.9)
    bench.lookout.answered()
    bench.turn(WINDOW * 0.9)
    assert bench.looks


def test_it_does_not_take_the_interpreter_from_threads_that_work() -> None:
    """Neither when they do already, nor when they begin."""
    bench = Bench()
    bench.threads_work = True
    bench.lookout.answered()
    assert not bench.looks
    bench.threads_work = False
    bench.lookout.answered()
    bench.threads_work = True
    bench.turn(0.0)
    assert not bench.looks


def test_what_never_comes_is_not_looked_for() -> None:
    """After some times, for some time."""
    bench = Bench()
    for _ in range(PATIENCE):
        bench.misses()
    for _ in range(PAUSE):
        bench.lookout.answered()
        assert not bench.looks
    bench.lookout.answered()
    assert bench.looks


def test_one_that_comes_keeps_it_looking() -> None:
    """Only misses in a row count."""
    bench = Bench()
    for _ in range(PATIENCE * 3):
        bench.lookout.answered()
        bench.turn(WINDOW / 2)
        bench.lookout.answered()
        bench.turn(WINDOW)
        assert not bench.looks
    bench.lookout.answered()
    assert bench.looks


@pytest.mark.parametrize("processors", [1, 0])
def test_with_one_processor_it_would_keep_the_sender_from_sending(processors: int) -> None:
    """So it never looks."""
    bench = Bench(processors=processors)
    for _ in range(3):
        bench.lookout.answered()
        assert not bench.looks
