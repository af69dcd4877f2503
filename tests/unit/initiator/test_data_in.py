import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.initiator.data_in import DataInBuffer
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.pdu import DataIn


def pdu(data_sn: int, offset: int, data: bytes) -> DataIn:
    """One Data-In PDU."""
    return DataIn(data_sn=data_sn, buffer_offset=offset, data_segment=data)


def test_joins_the_pieces() -> None:
    """PDUs in order give their data."""
    buffer = DataInBuffer(6)
    buffer.add(pdu(0, 0, b"abcd"))
    buffer.add(pdu(1, 4, b"ef"))
    assert (buffer.take(), buffer.received, buffer.num_pdus) == (b"abcdef", 6, 2)


def test_nothing_gives_nothing() -> None:
    """A command without data-in has none."""
    assert DataInBuffer(512).take() == b""


def test_refuses_a_wrong_data_sn() -> None:
    """A gap in DataSN is a lost PDU."""
    with pytest.raises(ConnectionViolation, match="DataSN 1 came where 0"):
        DataInBuffer(4).add(pdu(1, 0, b"abcd"))


def test_refuses_data_beyond_the_end() -> None:
    """No byte may lie beyond the expected length."""
    with pytest.raises(ConnectionViolation, match="byte 5 of a transfer of 4"):
        DataInBuffer(4).add(pdu(0, 1, b"abcd"))


def test_refuses_a_jump_where_order_was_agreed() -> None:
    """With DataPDUInOrder each PDU continues the one before."""
    with pytest.raises(ConnectionViolation, match="offset 2 came where 0"):
        DataInBuffer(4).add(pdu(0, 2, b"cd"))


@given(st.binary(min_size=1, max_size=200), st.lists(st.integers(1, 20), min_size=1, max_size=20), st.randoms())
def test_takes_any_order_where_that_was_agreed(data: bytes, lengths: list[int], random: object) -> None:
    """Pieces in any order give the same data."""
    pieces, offset = [], 0
    for length in lengths:
        if piece := data[offset : offset + length]:
            pieces.append((offset, piece))
        offset += length
    random.shuffle(pieces)  # type: ignore[attr-defined]
    buffer = DataInBuffer(len(data), in_order=False)
    for data_sn, (position, piece) in enumerate(pieces):
        buffer.add(pdu(data_sn, position, piece))
    assert buffer.take() == data[:offset]


@pytest.mark.parametrize("second", [(1, b"x"), (3, b"x")])
def test_refuses_overlaps_and_gaps(second: tuple[int, bytes]) -> None:
    """Out of order, two pieces may neither overlap nor leave a hole."""
    buffer = DataInBuffer(8, in_order=False)
    buffer.add(pdu(0, 0, b"ab"))
    buffer.add(pdu(1, *second))
    with pytest.raises(ConnectionViolation, match="gap or an overlap"):
        buffer.take()
