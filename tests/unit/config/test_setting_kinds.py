import pytest

from isthmus.config.setting_kinds import (
    Ascii,
    Choice,
    Flag,
    Hexadecimal,
    Host,
    KeyList,
    Kind,
    ListOf,
    Number,
    OneOf,
    Text,
    Value,
)

UPPER = ListOf(str.upper, "a letter")


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (Number(1, 9), "0x9", 9),
        (Number(3, 9, or_zero=True), 0, 0),
        (OneOf((-1, 4)), "-1", -1),
        (Flag(), "ON", 1),
        (Flag(), False, 0),
        (Text(2), "ä", "ä"),
        (Ascii(4), "ab  ", "ab"),
        (Hexadecimal((2,)), " 0xAB ", "ab"),
        (Hexadecimal((2,)), "", ""),
        (Choice(("Yes", "No")), "yes", "Yes"),
        (KeyList(("CRC32C", "None")), "none, crc32c", "None,CRC32C"),
        (UPPER, "a, b", "A,B"),
        (UPPER, " ", ""),
        (Host(), "[::1]", "::1"),
        (Host(), "", ""),
    ],
)
def test_a_value_has_one_form(kind: Kind, value: Value, kept: Value) -> None:
    """And is itself in that form."""
    assert kind.parse(value) == kept
    assert kind.parse(kept) == kept


@pytest.mark.parametrize(
    ("kind", "value", "complaint"),
    [
        (Number(1, 9), "x", "'x' is not a whole number"),
        (Number(1, 9), 0, "0 is not from 1 to 9$"),
        (Number(3, 9, or_zero=True), 1, "1 is not from 3 to 9, or 0"),
        (OneOf((-1, 4)), 3, "3 is not one of -1, 4"),
        (OneOf((-1, 4)), 5, "5 is not from -1 to 4"),
        (Flag(), 2, "2 is neither 1 nor 0"),
        (Text(1), "ä", "longer than 1 bytes"),
        (Ascii(4), "abcde", "at most 4 printable ASCII"),
        (Hexadecimal((2, 4)), "abc", "2 or 4 hexadecimal digits"),
        (Choice(("Yes", "No")), "maybe", "'maybe' is not one of Yes, No"),
        (KeyList(("CRC32C", "None")), "None,none", "names a value twice"),
        (UPPER, "a,A", "names a letter twice"),
        (Host(), "a b", "neither an IP address nor a host name"),
    ],
)
def test_what_cannot_be_is_said(kind: Kind, value: Value, complaint: str) -> None:
    """With what can."""
    with pytest.raises(ValueError, match=complaint):
        kind.parse(value)
