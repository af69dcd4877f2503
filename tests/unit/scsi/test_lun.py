import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.scsi.lun import MAX_LUN, REPORT_LUNS_WELL_KNOWN, decode_lun, encode_lun


@pytest.mark.parametrize(
    ("number", "field"),
    [
        (0, 0x0000_0000_0000_0000),
        (1, 0x0001_0000_0000_0000),
        (255, 0x00FF_0000_0000_0000),
        (256, 0x4100_0000_0000_0000),
        (16383, 0x7FFF_0000_0000_0000),
    ],
)
def test_encoding(number: int, field: int) -> None:
    """Peripheral device addressing goes to 255, flat space addressing on from there."""
    assert encode_lun(number) == field
    assert decode_lun(field) == number


@given(st.integers(0, MAX_LUN))
def test_round_trip(number: int) -> None:
    """Every LUN comes back from its field."""
    assert decode_lun(encode_lun(number)) == number


@pytest.mark.parametrize("number", [-1, MAX_LUN + 1])
def test_numbers_that_do_not_fit(number: int) -> None:
    """A number that no field can hold is a mistake of the caller."""
    with pytest.raises(ValueError, match="16383"):
        encode_lun(number)


def test_flat_space_addressing_of_a_small_number() -> None:
    """An initiator may use flat space addressing for any LUN."""
    assert decode_lun(0x4005_0000_0000_0000) == 5


@pytest.mark.parametrize(
    "field",
    [
        REPORT_LUNS_WELL_KNOWN,
        0x0100_0000_0000_0000,  # bus identifier 1
        0x8005_0000_0000_0000,  # logical unit addressing
        0x0001_0002_0000_0000,  # two levels
        0x0001_0000_0000_0001,
    ],
)
def test_fields_that_are_no_single_level_lun(field: int) -> None:
    """What is not a single-level LUN names no logical unit here."""
    assert decode_lun(field) is None
