from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from isthmus.iscsi.opcodes import RESERVED_TAG
from isthmus.iscsi.session import Session
from tests.support.full_feature import SessionUnderTest, command

FIRST = 0xFFFF_FFF0
"""Numbers that wrap around amid a test."""


def make_session(depth: int = 32) -> Session:
    """A session without connections."""
    session = SessionUnderTest(window_depth=depth).session
    session.window.exp_cmd_sn = FIRST
    session.window.max_cmd_sn = (FIRST + depth - 1) & 0xFFFF_FFFF
    return session


@given(st.permutations(range(32)), st.lists(st.integers(-40, 80), max_size=20))
def test_every_number_is_delivered_once_and_in_order(order: list[int], strays: list[int]) -> None:
    """However they come, duplicates and numbers outside the window among them (RFC 7143 §4.2.2.1)."""
    session = make_session()
    delivered: list[int] = []

    def deliver(number: int) -> Callable[[], None]:
        return lambda: delivered.append(number)

    for place, number in enumerate(order):
        session.sequence((FIRST + number) & 0xFFFF_FFFF, deliver(number))
        if place < len(strays):
            outside = strays[place]
            known = outside in order[: place + 1] or not 0 <= outside < 32
            if known:
                assert not session.sequence((FIRST + outside) & 0xFFFF_FFFF, deliver(1000))
    assert delivered == list(range(32))
    assert (session.early, session.window.exp_cmd_sn) == ({}, (FIRST + 32) & 0xFFFF_FFFF)


def test_a_delivery_may_bring_another() -> None:
    """What is delivered may sequence something itself, and the order holds."""
    session = make_session()
    delivered: list[int] = []

    def plug() -> None:
        delivered.append(0)
        session.sequence((FIRST + 1) & 0xFFFF_FFFF, lambda: delivered.append(1))

    session.sequence((FIRST + 2) & 0xFFFF_FFFF, lambda: delivered.append(2))
    session.sequence(FIRST, plug)
    assert delivered == [0, 1, 2]


def test_transfer_tags_never_are_the_reserved_one() -> None:
    """They count up and start anew (RFC 7143 §11.7.4)."""
    session = make_session()
    session._next_target_transfer_tag = RESERVED_TAG - 2
    assert [session.new_target_transfer_tag() for _ in range(3)] == [RESERVED_TAG - 1, 0, 1]


def test_a_task_is_forgotten_once() -> None:
    """Its tag, its place in the window and its part of the budget come back, and only once."""
    under_test = SessionUnderTest(budget=1000)
    peer = under_test.connect()
    peer.sends(command(1, 100, write=True, expected_data_transfer_length=800))
    task = under_test.session.tasks[1]
    assert under_test.session.budget.reserved == 800
    for _ in range(2):
        under_test.session.forget(task)
        assert (task.ended, under_test.session.tasks) == (True, {})
        assert (under_test.session.window.max_cmd_sn, under_test.session.budget.reserved) == (108, 0)


def test_a_tag_that_is_in_use_again_stays() -> None:
    """Forgetting the old task does not forget the new one."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(command(1, 100))
    old = under_test.session.tasks.pop(1)
    peer.sends(command(1, 101))
    under_test.session.forget(old)
    assert under_test.session.tasks[1] is not old
