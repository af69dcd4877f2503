import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.iscsi.text_format import (
    MAX_BINARY_BYTES,
    MAX_KEYS,
    MAX_TEXT_BYTES,
    TextAssembler,
    TextViolation,
    encode_base64,
    encode_boolean,
    encode_hex,
    encode_text,
    parse_binary,
    parse_boolean,
    parse_list,
    parse_numeric,
    parse_text,
    split_text,
)

NAMES = st.from_regex(r"[A-Z][A-Za-z0-9.+@_-]{0,62}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80)
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=30)


@given(PAIRS)
def test_pairs_survive_the_wire(pairs: list[tuple[str, str]]) -> None:
    """What is encoded is read back, in order, repeated keys and empty values included."""
    assert parse_text(encode_text(pairs)) == pairs


@given(st.binary(max_size=300))
def test_any_bytes_are_pairs_or_a_violation(data: bytes) -> None:
    """Nothing but `TextViolation` comes out of what strangers send."""
    try:
        pairs = parse_text(data)
    except TextViolation:
        return
    assert all(key and "\0" not in key + value for key, value in pairs)


@pytest.mark.parametrize(
    "data",
    [b"InitiatorName=x", b"InitiatorName\0", b"=x\0", b"\xff=x\0", b"K" * 64 + b"=x\0", b"A=1\0B\0", b"A=1\0B=2"],
)
def test_what_is_not_text_is_a_violation(data: bytes) -> None:
    """No null byte at the end, no equals sign, no key, no UTF-8, a key that is too long (RFC 7143 §6.1)."""
    with pytest.raises(TextViolation):
        parse_text(data)


def test_a_value_may_hold_an_equals_sign() -> None:
    """The first one ends the key; base64 values end in them."""
    assert parse_text(b"CHAP_R=0bAA==\0") == [("CHAP_R", "0bAA==")]


def test_padding_counted_into_the_segment_is_let_pass() -> None:
    """Null bytes behind the last pair say nothing."""
    assert parse_text(b"A=1\0\0\0\0") == [("A", "1")]
    assert parse_text(b"\0\0") == []
    assert parse_text(b"") == []


def test_the_number_of_keys_has_a_budget() -> None:
    """The last key within it is read, one more is refused."""
    pairs = [(f"X-{number}", "1") for number in range(MAX_KEYS)]
    assert len(parse_text(encode_text(pairs))) == MAX_KEYS
    with pytest.raises(TextViolation, match="keys"):
        parse_text(encode_text([*pairs, ("X-more", "1")]))
    assert len(parse_text(encode_text([*pairs, ("X-more", "1")]), max_keys=MAX_KEYS + 1)) == MAX_KEYS + 1


@given(PAIRS, st.integers(1, 600))
def test_a_split_text_is_the_same_text(pairs: list[tuple[str, str]], limit: int) -> None:
    """Every piece fits, and together they are the whole; there is always one."""
    data = encode_text(pairs)
    pieces = split_text(data, limit)
    assert b"".join(pieces) == data
    assert all(len(piece) <= limit for piece in pieces)
    assert pieces
    assert all(pieces[:-1])


def test_a_text_is_split_between_pairs_where_it_can_be() -> None:
    """A pair is cut only if it is longer than a segment."""
    assert split_text(b"A=1\0B=2\0C=3\0", 10) == [b"A=1\0B=2\0", b"C=3\0"]
    assert split_text(b"A=1\0B=2\0", 8) == [b"A=1\0B=2\0"]
    assert split_text(b"A=123456\0B=2\0", 4) == [b"A=12", b"3456", b"\0", b"B=2\0"]


@given(PAIRS, st.integers(1, 40))
def test_an_assembler_joins_what_was_split(pairs: list[tuple[str, str]], limit: int) -> None:
    """Pairs come with the last piece, and not before."""
    pieces = split_text(encode_text(pairs), limit)
    assembler = TextAssembler()
    for piece in pieces[:-1]:
        assert assembler.add(piece, more=True) is None
    assert assembler.add(pieces[-1], more=False) == pairs


def test_an_assembler_has_one_budget_for_its_life() -> None:
    """Many short texts are refused like one that is too long."""
    assembler = TextAssembler(budget=12)
    assert assembler.add(b"A=1\0", more=False) == [("A", "1")]
    assert assembler.add(b"B=2\0", more=False) == [("B", "2")]
    assert assembler.add(memoryview(b"C=3\0"), more=False) == [("C", "3")]
    with pytest.raises(TextViolation, match="budget"):
        assembler.add(b"D", more=True)
    assert TextAssembler().add(b"A" * MAX_TEXT_BYTES, more=True) is None
    with pytest.raises(TextViolation, match="budget"):
        TextAssembler().add(b"A" * (MAX_TEXT_BYTES + 1), more=True)


def test_booleans_are_yes_and_no() -> None:
    """Nothing else, not in another case either (RFC 7143 §6.1)."""
    assert [parse_boolean(text) for text in ("Yes", "No")] == [True, False]
    assert [encode_boolean(value) for value in (True, False)] == ["Yes", "No"]
    for text in ("yes", "NO", "1", "", "Yes "):
        with pytest.raises(TextViolation):
            parse_boolean(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("512", 512),
        ("0x200", 512),
        ("0X0aF", 175),
        ("18446744073709551615", (1 << 64) - 1),
        ("0xffffffffffffffff", (1 << 64) - 1),
        ("0x00000000000000000000000001", 1),
    ],
)
def test_numbers_are_decimal_or_hexadecimal(text: str, number: int) -> None:
    """The forms of a numerical-value (RFC 7143 §6.1)."""
    assert parse_numeric(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "01",
        "1_0",
        "0x",
        "0xg",
        "1.0",
        "1e3",
        "٣",
        "18446744073709551616",
        "0x10000000000000000",
        "9" * 5000,
    ],
)
def test_what_is_no_number_is_a_violation(text: str) -> None:
    """Signs, blanks, leading zeros, other scripts' digits, and all from 2^64 on."""
    with pytest.raises(TextViolation):
        parse_numeric(text)


def test_lists_are_cut_at_commas() -> None:
    """In order, and no value is empty."""
    assert parse_list("CRC32C,None") == ["CRC32C", "None"]
    assert parse_list("None") == ["None"]
    for text in ("", ",", "None,", ",None", "A,,B"):
        with pytest.raises(TextViolation):
            parse_list(text)


@given(st.binary(min_size=1, max_size=MAX_BINARY_BYTES))
def test_binary_values_survive_both_encodings(data: bytes) -> None:
    """Hexadecimal and base64 constants hold their bytes, leading zeros included."""
    assert parse_binary(encode_hex(data)) == data
    assert parse_binary(encode_base64(data)) == data


def test_binary_values_take_either_case_and_odd_digits() -> None:
    """0X and 0B, capital digits, and a first digit alone (RFC 7143 §6.1)."""
    assert parse_binary("0XABcd") == b"\xab\xcd"
    assert parse_binary("0xabc") == b"\x0a\xbc"
    assert parse_binary("0BAQID") == b"\x01\x02\x03"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "0b",
        "12",
        "abcd",
        "0xg0",
        "0b!!!!",
        "0bAQI",
        "0bAQ=I",
        "0bAQID ",
        "0x" + "00" * (MAX_BINARY_BYTES + 1),
    ],
)
def test_what_is_no_binary_value_is_a_violation(text: str) -> None:
    """Another form, digits of another base, bad base64 padding, too many bytes."""
    with pytest.raises(TextViolation):
        parse_binary(text)


def test_a_base64_value_has_the_same_limit_as_a_hexadecimal_one() -> None:
    """1024 bytes after decoding (RFC 7143 §12.1.3)."""
    assert len(parse_binary(encode_base64(bytes(MAX_BINARY_BYTES)))) == MAX_BINARY_BYTES
    with pytest.raises(TextViolation, match="1024"):
        parse_binary(encode_base64(bytes(MAX_BINARY_BYTES + 1)))


@given(st.text(max_size=50))
def test_no_value_raises_anything_but_a_violation(text: str) -> None:
    """Every parser of values takes any text."""
    for parse in (parse_boolean, parse_numeric, parse_list, parse_binary):
        try:
            parse(text)
        except TextViolation:
            continue
