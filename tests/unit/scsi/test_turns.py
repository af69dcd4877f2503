from collections.abc import Generator
from typing import Any

import pytest

from isthmus.scsi.background import Background
from isthmus.scsi.turns import Turn, Turns
from isthmus.scsi.waiting import Until
from tests.support.scsi import limited_stack


class Queue:
    """Turns, and who has had one."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.begun: list[str] = []

    def enter(self, name: str) -> Turn:
        """Wait for a turn."""
        turn = Turn(self.turns)
        turn.wait(lambda _result, _error: self.begun.append(name))
        return turn


def test_in_order() -> None:
    """The first begins at once, each other when the one before it is over."""
    queue = Queue()
    first, second, third = (queue.enter(name) for name in "abc")
    assert queue.begun == ["a"]
    first.leave()
    assert queue.begun == ["a", "b"]
    second.leave()
    third.leave()
    assert queue.begun == ["a", "b", "c"]
    queue.enter("d")
    assert queue.begun[-1] == "d"


def test_leaving_the_queue() -> None:
    """Who gives up its place is passed over."""
    queue = Queue()
    first, second, third = (queue.enter(name) for name in "abc")
    second.leave()
    first.leave()
    assert queue.begun == ["a", "c"]
    third.leave()


def test_a_long_row_does_not_nest() -> None:
    """Thousands of turns that are over at once cost no stack."""
    turns = Turns()
    held = Turn(turns)
    held.wait(lambda _result, _error: None)
    begun = 0

    def enter() -> None:
        turn = Turn(turns)

        def begin(_result: Any, _error: Exception | None) -> None:
            nonlocal begun
            begun += 1
            turn.leave()

        turn.wait(begin)

    for _ in range(3000):
        enter()
    with limited_stack(50):
        held.leave()
    assert begun == 3000


def steps(log: list[str], name: str) -> Generator[Any, Any, str]:
    """Work that notes when it begins and how it ends."""
    log.append(f"{name} begins")
    yield "operation"
    log.append(f"{name} ends")
    return name


def test_a_handler() -> None:
    """A handler waits for its turn, has the steps done in the background, and gets their result; then the next begins."""
    turns, log = Turns(), ["start"]
    other = Turn(turns)
    other.wait(lambda _result, _error: log.append("other"))
    handler = turns.in_turn(steps(log, "mine"))
    until = next(handler)
    assert isinstance(until, Until)
    until.begin(lambda _result, _error: log.append("mine may"))
    assert log == ["start", "other"]
    other.leave()
    assert log[-1] == "mine may"
    background = next(handler)
    assert isinstance(background, Background)
    assert background.awaited is True
    after = Turn(turns)
    after.wait(lambda _result, _error: log.append("after"))
    assert len(list(background.steps)) == 1
    assert log[-3:] == ["mine begins", "mine ends", "after"]
    with pytest.raises(StopIteration) as stop:
        handler.send("mine")
    assert stop.value.value == "mine"


def test_a_handler_that_is_closed_while_it_waits() -> None:
    """An aborted task gives its place up."""
    turns, log = Turns(), ["start"]
    other, after = Turn(turns), Turn(turns)
    other.wait(lambda _result, _error: None)
    handler = turns.in_turn(steps(log, "mine"))
    until = next(handler)
    assert isinstance(until, Until)
    until.begin(lambda _result, _error: log.append("mine may"))
    after.wait(lambda _result, _error: log.append("after"))
    handler.close()
    other.leave()
    assert log == ["start", "after"]


def test_steps_that_fail() -> None:
    """The turn is over with the steps, however they end."""
    turns, log = Turns(), ["start"]
    handler = turns.in_turn(steps(log, "mine"))
    until = next(handler)
    assert isinstance(until, Until)
    until.begin(lambda _result, _error: None)
    background = next(handler)
    assert isinstance(background, Background)
    next(background.steps)
    after = Turn(turns)
    after.wait(lambda _result, _error: log.append("after"))
    with pytest.raises(ValueError, match="broken"):
        background.steps.throw(ValueError("broken"))
    assert log == ["start", "mine begins", "after"]
