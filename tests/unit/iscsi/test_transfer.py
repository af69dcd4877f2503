import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import LocalProtocolError
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.pdu import DataOut
from isthmus.iscsi.transfer import (
    TRANSITIONS,
    DataOutBudget,
    DataOutTransfer,
    TransferError,
    TransferInput,
    TransferState,
    data_in_segments,
)

TAG = 7


def transfer(expected: int, *, immediate: bytes = b"", final: bool = True, first_burst: int = 64) -> DataOutTransfer:
    """A transfer of `expected` bytes that has begun with `immediate`."""
    return DataOutTransfer(
        expected=expected, first_burst_length=first_burst, immediate_data=memoryview(immediate), final=final
    )


def ask(
    subject: DataOutTransfer, *, max_burst: int = 16, outstanding: int = 1, tag: int = TAG
) -> tuple[int, int] | None:
    """Offset and length of the next R2T, if there is one."""
    burst = subject.next_burst(max_burst_length=max_burst, max_outstanding=outstanding, new_tag=lambda: tag)
    return (burst.buffer_offset, burst.length) if burst else None


def data_out(data: bytes, offset: int, data_sn: int, *, final: bool = True, tag: int = 0xFFFF_FFFF) -> DataOut:
    """A Data-Out PDU."""
    return DataOut(data_segment=data, buffer_offset=offset, data_sn=data_sn, final=final, target_transfer_tag=tag)


def test_immediate_data_completes_a_short_write() -> None:
    """A write that brings all its data needs nothing more."""
    subject = transfer(4, immediate=b"abcd")
    assert subject.state is TransferState.COMPLETE
    assert subject.error is None
    assert b"".join(subject.take_pieces()) == b"abcd"


def test_unsolicited_data_follows_immediate_data() -> None:
    """With F = 0 the initiator goes on to FirstBurstLength, then the target asks."""
    subject = transfer(12, immediate=b"abcd", final=False, first_burst=8)
    subject.receive(data_out(b"ef", 4, 0, final=False))
    subject.receive(data_out(b"gh", 6, 1))
    states = [subject.state]
    assert ask(subject) == (8, 4)
    subject.receive(data_out(b"ijkl", 8, 0, tag=TAG))
    states.append(subject.state)
    assert b"".join(subject.take_pieces()) == b"abcdefghijkl"
    assert states == [TransferState.SOLICITED, TransferState.COMPLETE]


def test_r2ts_are_bounded_in_length_and_number() -> None:
    """No more than MaxOutstandingR2T bursts of MaxBurstLength each are asked for at once."""
    subject = transfer(40)
    assert [ask(subject, outstanding=2, tag=tag) for tag in (1, 2, 3)] == [(0, 16), (16, 16), None]
    subject.receive(data_out(bytes(16), 0, 0, tag=1))
    assert ask(subject, outstanding=2, tag=3) == (32, 8)
    assert subject.r2ts_sent == 3


def test_no_more_is_asked_for_than_the_cdb_wants() -> None:
    """An expected length beyond the CDB's is not filled by R2T."""
    subject = transfer(40)
    subject.want(10)
    assert ask(subject) == (0, 10)
    subject.receive(data_out(bytes(10), 0, 0, tag=TAG))
    assert subject.state is TransferState.COMPLETE


def test_surplus_unsolicited_data_is_cut() -> None:
    """What exceeds the CDB's need is taken, since it was announced, and dropped."""
    subject = transfer(8, immediate=b"abcd", final=False)
    subject.want(3)
    subject.receive(data_out(b"efgh", 4, 0))
    assert subject.state is TransferState.COMPLETE
    assert b"".join(subject.take_pieces()) == b"abc"


@pytest.mark.parametrize(
    ("offset", "data_sn"), [(0, 1), (0, 27), (0, 0xFFFF_FFFF), (4, 0)], ids=["gap", "far", "minus one", "offset"]
)
def test_unsolicited_data_out_of_order_fails_when_all_of_it_is_here(offset: int, data_sn: int) -> None:
    """A missing PDU makes the data useless, and the connection goes on (RFC 7143 §7.8 b)."""
    subject = transfer(8, final=False)
    subject.receive(data_out(b"abcd", offset, data_sn, final=False))
    assert (subject.state, subject.error) == (TransferState.DISCARDING, TransferError.OUT_OF_ORDER)
    subject.receive(data_out(b"efgh", 4, 1))
    assert subject.state is TransferState.COMPLETE
    assert subject.take_pieces() == []


def test_solicited_data_out_of_order_waits_for_every_burst() -> None:
    """All R2Ts that are out are answered before the command fails, and no further one goes out."""
    subject = transfer(64)
    assert ask(subject, outstanding=2, tag=1)
    assert ask(subject, outstanding=2, tag=2)
    subject.receive(data_out(bytes(16), 0, 5, tag=1))
    assert subject.state is TransferState.DISCARDING
    assert ask(subject, outstanding=2, tag=3) is None
    subject.receive(data_out(bytes(16), 16, 0, tag=2))
    assert (subject.state, subject.error) == (TransferState.COMPLETE, TransferError.OUT_OF_ORDER)


def test_too_much_unsolicited_data_is_an_error_of_its_own() -> None:
    """Immediate data beyond FirstBurstLength is unexpected (RFC 7143 §11.4.7.2)."""
    subject = transfer(100, immediate=bytes(65))
    assert (subject.state, subject.error) == (TransferState.COMPLETE, TransferError.UNEXPECTED_UNSOLICITED_DATA)


def test_too_little_unsolicited_data_is_an_error_of_its_own() -> None:
    """F = 0 announces FirstBurstLength; F = 1 before that is an incorrect amount."""
    subject = transfer(100, final=False)
    subject.receive(data_out(bytes(10), 0, 0))
    assert (subject.state, subject.error) == (TransferState.COMPLETE, TransferError.INCORRECT_AMOUNT_OF_DATA)


def test_data_nobody_asked_for_ends_the_connection() -> None:
    """Unsolicited data without announcement, an unknown tag, and too long a burst are violations."""
    with pytest.raises(ConnectionViolation, match="promised none"):
        transfer(8).receive(data_out(b"abcd", 0, 0))
    with pytest.raises(ConnectionViolation, match="not sent"):
        transfer(8).receive(data_out(b"abcd", 0, 0, tag=TAG))
    subject = transfer(40)
    ask(subject)
    with pytest.raises(ConnectionViolation, match="more data than"):
        subject.receive(data_out(bytes(17), 0, 0, tag=TAG))


def test_a_burst_must_end_where_r2t_said() -> None:
    """F = 1 too early, or missing at the end, fails the transfer."""
    early = transfer(16)
    ask(early)
    early.receive(data_out(bytes(8), 0, 0, tag=TAG))
    assert early.error is TransferError.OUT_OF_ORDER
    late = transfer(16)
    ask(late)
    late.receive(data_out(bytes(16), 0, 0, final=False, tag=TAG))
    assert (late.state, late.error) == (TransferState.DISCARDING, TransferError.OUT_OF_ORDER)


def test_cancel_discards_what_is_owed() -> None:
    """A command that has its answer still gets the data that the initiator announced, and drops it."""
    subject = transfer(64, immediate=bytes(8), final=False)
    subject.cancel()
    states = [subject.state]
    subject.receive(data_out(bytes(56), 8, 0))
    states.append(subject.state)
    assert states == [TransferState.DISCARDING, TransferState.COMPLETE]
    assert subject.pieces == []


@pytest.mark.parametrize(("state", "happened"), list(itertools.product(TransferState, TransferInput)))
def test_every_pair_has_a_row_or_raises(state: TransferState, happened: TransferInput) -> None:
    """A pair leads where the table says, or is named as our mistake."""
    subject = transfer(8)
    subject.state = state
    if (state, happened) in TRANSITIONS:
        subject._advance(happened)
        assert subject.state is TRANSITIONS[state, happened]
    else:
        with pytest.raises(LocalProtocolError, match=happened.name):
            subject._advance(happened)


def test_the_budget_serves_in_order_of_asking() -> None:
    """A small request does not overtake a large one that waits, and nobody is forgotten."""
    budget = DataOutBudget(100)
    granted: list[str] = []
    budget.request(60, lambda: granted.append("a"))
    budget.request(50, lambda: granted.append("b"))
    budget.request(10, lambda: granted.append("c"))
    assert granted == ["a"]
    budget.release(60)
    assert granted == ["a", "b", "c"]
    assert budget.reserved == 60


def test_a_request_over_the_budget_goes_through_alone() -> None:
    """One that could never fit is let through when nothing else is out."""
    budget = DataOutBudget(100)
    granted: list[str] = []
    budget.request(1000, lambda: granted.append("big"))
    budget.request(1, lambda: granted.append("small"))
    assert granted == ["big"]
    budget.release(1000)
    assert granted == ["big", "small"]


@given(length=st.integers(0, 5000), max_segment=st.integers(1, 700), max_burst=st.integers(1, 900))
def test_segments_cover_the_data_once_within_both_limits(length: int, max_segment: int, max_burst: int) -> None:
    """Each byte in one PDU, no PDU over MaxRecvDataSegmentLength, F at the end of each MaxBurstLength."""
    position, in_burst = 0, 0
    for offset, size, final in data_in_segments(length, max_segment=max_segment, max_burst=max_burst):
        assert offset == position
        assert 0 < size <= max_segment
        position += size
        in_burst += size
        assert in_burst <= max_burst
        assert final == (in_burst == max_burst or position == length)
        if final:
            in_burst = 0
    assert position == length
