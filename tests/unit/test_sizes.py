import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import ConfigurationError
from isthmus.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("512", 512),
        ("64k", 64 << 10),
        ("64K", 64 << 10),
        ("3m", 3 << 20),
        ("10G", 10 << 30),
        ("10GiB", 10 << 30),
        ("10 gb", 10 << 30),
        ("2T", 2 << 40),
        ("1p", 1 << 50),
        (" 7 ", 7),
    ],
)
def test_units_are_powers_of_1024(text: str, size: int) -> None:
    """A unit multiplies by a power of 1024, in either case and with or without the B."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5G", "10X", "1e9", "0x10", "1G 2G", "10 000", "١٠"])
def test_what_is_not_a_whole_number_is_refused(text: str) -> None:
    """Anything but digits and one unit is refused, with an example of what is right."""
    with pytest.raises(ConfigurationError, match="like 10G"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0", "0G", "8192p", "9223372036854775808"])
def test_impossible_sizes_are_refused(text: str) -> None:
    """A disk has at least one byte and no more than a file offset can reach."""
    with pytest.raises(ConfigurationError, match="between 1 byte and 8191P"):
        parse_size(text)


def test_the_largest_size() -> None:
    """The last size that is possible is taken."""
    assert parse_size("8191P") == 8191 << 50


@given(st.integers(min_value=1, max_value=(1 << 63) - 1))
def test_formatting_loses_nothing(size: int) -> None:
    """Whatever `format_size` writes, `parse_size` reads as the same number of bytes."""
    assert parse_size(format_size(size).replace("bytes", "")) == size


@pytest.mark.parametrize(("size", "text"), [(1 << 30, "1G"), (1536, "1536 bytes"), (3 << 20, "3M"), (0, "0 bytes")])
def test_formatting_chooses_the_largest_unit(size: int, text: str) -> None:
    """A size is shown in the largest unit that divides it."""
    assert format_size(size) == text
