"""How much reads may hold, and who waits for room."""

from collections.abc import Callable

import pytest

from isthmus.engine import read_memory
from isthmus.engine.read_memory import ReadMemory, SessionReads


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that can be followed."""
    monkeypatch.setattr(read_memory, "OF_SESSION", 10)
    monkeypatch.setattr(read_memory, "TOTAL", 15)


class Memory:
    """The memory of several sessions, and what has started."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.memory = ReadMemory(self.soon.append)
        self.started: list[str] = []

    def wait(self, reads: SessionReads, name: str, length: int) -> None:
        """Let a read wait."""
        assert not reads.take(length)
        reads.wait(name, length, lambda: self.started.append(name))

    def turn(self) -> list[str]:
        """Let the loop turn; gives all that has started."""
        while self.soon:
            self.soon.pop(0)()
        return self.started


def test_a_session_holds_so_much_and_no_more() -> None:
    """The rest waits, in order, also those for which there would be room; nothing starts while something else is done."""
    under_test = Memory()
    reads = under_test.memory.of_session()
    assert reads.take(6)
    under_test.wait(reads, "long", 5)
    under_test.wait(reads, "short", 1)
    assert under_test.turn() == []
    reads.give_back(6)
    assert under_test.started == []
    assert under_test.turn() == ["long", "short"]
    assert reads.in_use == under_test.memory.in_use == 6
    assert not reads.has_waiting


def test_what_is_larger_than_the_bound_goes_alone() -> None:
    """Else it would never go."""
    under_test = Memory()
    reads = under_test.memory.of_session()
    assert reads.take(100)
    under_test.wait(reads, "next", 100)
    reads.give_back(100)
    assert under_test.turn() == ["next"]


def test_one_read_of_each_session_goes_whatever_the_others_hold() -> None:
    """A peer that takes nothing keeps nobody else from reading."""
    under_test = Memory()
    greedy, also_greedy, modest = (under_test.memory.of_session() for _ in range(3))
    assert greedy.take(10)
    assert also_greedy.take(5)
    assert modest.take(3)
    under_test.wait(modest, "second", 1)
    modest.give_back(3)
    assert under_test.turn() == ["second"]


def test_sessions_take_turns() -> None:
    """What one gives back, those may have that wait longest; who has got something waits behind the others."""
    under_test = Memory()
    one, two, three = (under_test.memory.of_session() for _ in range(3))
    assert one.take(8)
    assert two.take(4)
    assert three.take(3)
    under_test.wait(one, "one", 2)
    under_test.wait(two, "two", 4)
    under_test.wait(two, "two again", 2)
    three.give_back(3)
    assert under_test.turn() == ["one"]
    one.give_back(8)
    assert under_test.turn() == ["one", "two", "two again"]


def test_who_does_not_want_it_any_more() -> None:
    """It makes way for those behind it; cancelling what does not wait does nothing."""
    under_test = Memory()
    reads = under_test.memory.of_session()
    assert reads.take(6)
    under_test.wait(reads, "aborted", 5)
    under_test.wait(reads, "next", 4)
    reads.cancel("aborted")
    reads.cancel("nobody")
    assert under_test.turn() == ["next"]
