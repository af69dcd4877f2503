from hypothesis import given
from hypothesis import strategies as st

from isthmus.initiator.command_window import CommandWindow, SendNumbered
from isthmus.names import SerialNumber

LAST = 0xFFFF_FFFF


def opened(cmd_sn: int = 1, width: int = 4) -> tuple[CommandWindow, list[int]]:
    """A window of `width` numbers, and a list of those that were sent."""
    window = CommandWindow(cmd_sn)
    window.update(exp_cmd_sn=cmd_sn, max_cmd_sn=SerialNumber(cmd_sn + width - 1))
    return window, []


def test_is_closed_until_the_target_speaks() -> None:
    """Nothing may be sent before the first MaxCmdSN."""
    window = CommandWindow(1)
    sent: list[int] = []
    window.submit(sent.append)
    assert not window.is_open
    assert (sent, window.waiting) == ([], 1)
    window.update(exp_cmd_sn=1, max_cmd_sn=1)
    assert (sent, window.waiting) == ([1], 0)


def test_sends_at_once_while_open() -> None:
    """Numbers go up by one, without waiting."""
    window, sent = opened()
    for _ in range(4):
        window.submit(sent.append)
    assert sent == [1, 2, 3, 4]


def test_queues_when_max_cmd_sn_is_reached() -> None:
    """What does not fit waits, and leaves in the order of asking."""
    window, _ = opened(width=1)
    order: list[tuple[str, int]] = []

    def request(name: str) -> SendNumbered:
        return lambda cmd_sn: order.append((name, cmd_sn))

    for name in "abc":
        window.submit(request(name))
    assert order == [("a", 1)]
    window.update(exp_cmd_sn=2, max_cmd_sn=3)
    assert order == [("a", 1), ("b", 2), ("c", 3)]


def test_wraps_around() -> None:
    """The number after 2^32 - 1 is 0."""
    window, sent = opened(cmd_sn=LAST, width=2)
    window.submit(sent.append)
    window.submit(sent.append)
    assert sent == [LAST, 0]
    assert window.cmd_sn == 1


def test_ignores_older_numbers() -> None:
    """A window that would shrink is that of an older PDU."""
    window, _ = opened(width=8)
    window.update(exp_cmd_sn=3, max_cmd_sn=6)
    assert (window.exp_cmd_sn, window.max_cmd_sn) == (3, 8)


def test_ignores_numbers_that_contradict_each_other() -> None:
    """MaxCmdSN below ExpCmdSN - 1 makes both void (RFC 7143 §4.2.2.1)."""
    window, _ = opened(width=2)
    window.update(exp_cmd_sn=10, max_cmd_sn=8)
    assert (window.exp_cmd_sn, window.max_cmd_sn) == (1, 2)


def test_takes_a_closed_window() -> None:
    """MaxCmdSN of ExpCmdSN - 1 means: none now."""
    window, sent = opened(width=1)
    window.submit(sent.append)
    window.update(exp_cmd_sn=2, max_cmd_sn=1)
    assert not window.is_open
    assert window.exp_cmd_sn == 2


def test_a_withdrawn_request_takes_no_number() -> None:
    """The next in the queue gets the number that it would have had."""
    window, sent = opened(width=0)
    withdrawn: list[int] = []
    window.submit(withdrawn.append)
    window.submit(sent.append)
    # Each access makes a new bound method, equal to the one submitted.
    assert window.withdraw(withdrawn.append)
    assert not window.withdraw(withdrawn.append)
    window.update(exp_cmd_sn=1, max_cmd_sn=9)
    assert (withdrawn, sent) == ([], [1])


def test_a_request_submitted_from_within_another_waits_its_turn() -> None:
    """Sending may submit more without disturbing the order."""
    window, sent = opened()

    def first(cmd_sn: SerialNumber) -> None:
        window.submit(sent.append)
        sent.append(cmd_sn)

    window.submit(first)
    assert sent == [2, 1]
    assert window.cmd_sn == 3


@given(st.integers(0, LAST), st.lists(st.integers(0, 5), max_size=20))
def test_never_passes_max_cmd_sn(start: int, steps: list[int]) -> None:
    """However the window grows, each number is used once, in order, and none beyond it."""
    window = CommandWindow(start)
    sent: list[int] = []
    for _ in range(60):
        window.submit(sent.append)
    width = 0
    for step in steps:
        width += step
        window.update(exp_cmd_sn=start, max_cmd_sn=SerialNumber(start + width - 1))
        assert sent == [SerialNumber(start + index) for index in range(min(width, 60))]
