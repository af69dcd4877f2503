from hypothesis import given
from hypothesis import strategies as st

from isthmus.iscsi.sequencing import SEQUENCE_MASK, Arrival, CommandWindow


def test_arrival_follows_the_window() -> None:
    """The next, the early, the old and the too high each have their answer (RFC 7143 §4.2.2.1)."""
    window = CommandWindow(exp_cmd_sn=10, depth=4)
    assert [window.arrival(number) for number in (10, 11, 13)] == [Arrival.NEXT, Arrival.EARLY, Arrival.EARLY]
    assert [window.arrival(number) for number in (9, 14, 0x8000_0000)] == [Arrival.IGNORED] * 3


def test_a_closed_window_takes_nothing() -> None:
    """With MaxCmdSN = ExpCmdSN - 1 even the next number is ignored."""
    window = CommandWindow(exp_cmd_sn=0xFFFF_FFFF, depth=1)
    window.received()
    assert (window.exp_cmd_sn, window.max_cmd_sn) == (0, 0xFFFF_FFFF)
    assert window.arrival(0) is Arrival.IGNORED
    window.ended()
    assert window.arrival(0) is Arrival.NEXT


@given(start=st.integers(0, SEQUENCE_MASK), depth=st.integers(1, 512), events=st.lists(st.booleans()))
def test_the_window_never_shrinks_nor_exceeds_its_depth(start: int, depth: int, events: list[bool]) -> None:
    """Whatever comes and ends, as many places are open as commands are not in progress."""
    window = CommandWindow(exp_cmd_sn=start, depth=depth)
    in_progress = 0
    for received in events:
        if received and in_progress < depth:
            assert window.arrival(window.exp_cmd_sn) is Arrival.NEXT
            window.received()
            in_progress += 1
        elif not received and in_progress:
            window.ended()
            in_progress -= 1
        open_places = (window.max_cmd_sn - window.exp_cmd_sn + 1) & SEQUENCE_MASK
        assert open_places == depth - in_progress
