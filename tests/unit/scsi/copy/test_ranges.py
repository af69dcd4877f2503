"""Block device range descriptors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.scsi.copy.limits import MAX_RANGE_DESCRIPTORS, MAX_TOKEN_TRANSFER
from isthmus.scsi.copy.ranges import hull, paired, parse_ranges, shortened
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from tests.support.copying import populate_list
from tests.support.scsi import make_unit

UNIT = make_unit()
LARGE = make_unit(2 * MAX_TOKEN_TRANSFER)
HEADER = 16


def refusal(data: bytes) -> tuple[Sense, object]:
    """Why a list is refused."""
    with pytest.raises(CheckCondition) as caught:
        parse_ranges(UNIT, data, HEADER)
    return caught.value.sense_data.sense, caught.value.sense_data.specific


def in_list(byte: int) -> tuple[Sense, FieldPointer]:
    """A wrong field."""
    return Sense.INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(byte, in_cdb=False)


def test_in_bytes() -> None:
    """In their order, in bytes, without those that are empty."""
    data = populate_list([(10, 2), (5, 0), (0, 1)])
    assert parse_ranges(UNIT, data, HEADER) == ((5120, 1024), (0, 512))


def test_more_data_than_descriptors() -> None:
    """What follows the descriptors is not looked at."""
    data = bytearray(populate_list([(10, 2)]) + bytes(16))
    data[:2] = (len(data) - 2).to_bytes(2)
    assert parse_ranges(UNIT, bytes(data), HEADER) == ((5120, 1024),)


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (0, 29, in_list(0)),
        (14, 0, in_list(14)),
        (14, 15, in_list(14)),
        (14, 17, in_list(14)),
    ],
)
def test_lengths_that_contradict_each_other(place: int, value: int, expected: object) -> None:
    """Of the list and of the descriptors."""
    data = bytearray(populate_list([(0, 1)]))
    data[place : place + 2] = value.to_bytes(2)
    assert refusal(bytes(data)) == expected


def test_truncated() -> None:
    """A list that ends in its header is refused; a descriptor that is not there as a whole is ignored."""
    data = populate_list([(0, 1), (1, 1)])
    for length in (0, 15):
        assert refusal(data[:length]) == (Sense.PARAMETER_LIST_LENGTH_ERROR, None)
    found = [len(parse_ranges(UNIT, data[:length], HEADER)) for length in (16, 31, 32, 47, 48)]
    assert found == [0, 0, 1, 1, 2]


def test_a_length_with_a_rest() -> None:
    """The last descriptor is incomplete, and ignored."""
    data = bytearray(populate_list([(0, 1), (1, 1)]))
    data[14:16] = (31).to_bytes(2)
    assert parse_ranges(UNIT, bytes(data), HEADER) == ((0, 512),)


def test_too_many() -> None:
    """One more than the limit, and the limit."""
    ranges = [(lba, 1) for lba in range(MAX_RANGE_DESCRIPTORS + 1)]
    assert refusal(populate_list(ranges)) == (Sense.TOO_MANY_SEGMENT_DESCRIPTORS, FieldPointer(14, in_cdb=False))
    assert len(parse_ranges(UNIT, populate_list(ranges[:-1]), HEADER)) == MAX_RANGE_DESCRIPTORS


@pytest.mark.parametrize("lba", [2047, 2049, (1 << 64) - 1])
def test_beyond_the_end(lba: int) -> None:
    """The place of the descriptor is told."""
    expected = Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, FieldPointer(32, in_cdb=False)
    assert refusal(populate_list([(0, 1), (lba, 2)])) == expected


def test_more_than_a_token_may_hold() -> None:
    """The sum counts, and is allowed to reach the limit."""
    blocks = MAX_TOKEN_TRANSFER // 512
    parse_ranges(LARGE, populate_list([(0, blocks - 1), (blocks, 1)]), HEADER)
    with pytest.raises(CheckCondition) as caught:
        parse_ranges(LARGE, populate_list([(0, blocks), (blocks, 1)]), HEADER)
    assert caught.value.sense_data.specific == FieldPointer(40, in_cdb=False)


RANGES = st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 50)), min_size=1, max_size=6)


@given(RANGES, RANGES, st.integers(0, 100))
def test_pairs(sources: list[tuple[int, int]], destinations: list[tuple[int, int]], skipped: int) -> None:
    """Byte for byte, the data of the sources behind the first ones go to the destinations in order."""
    data = [byte for start, length in sources for byte in range(start, start + length)][skipped:]
    wanted = [byte for start, length in destinations for byte in range(start, start + length)]
    if len(data) < len(wanted):
        return
    moves = list(paired(sources, destinations, skipped))
    assert [byte for source, _, length in moves for byte in range(source, source + length)] == data[: len(wanted)]
    assert [byte for _, start, length in moves for byte in range(start, start + length)] == wanted


@given(RANGES, st.integers(-5, 400))
def test_shortened(ranges: list[tuple[int, int]], length: int) -> None:
    """The first bytes of the ranges, in their order, and no empty range."""
    everything = [byte for start, size in ranges for byte in range(start, start + size)]
    short = list(shortened(ranges, length))
    assert [byte for start, size in short for byte in range(start, start + size)] == everything[: max(0, length)]
    assert all(size for _, size in short)


def test_hull() -> None:
    """From the first byte to the last; nothing, if there are none."""
    assert hull([]) == (0, 0)
    assert hull([(100, 10), (20, 5), (50, 100)]) == (20, 130)
