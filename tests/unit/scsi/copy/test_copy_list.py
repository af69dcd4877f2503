"""The parameter lists of EXTENDED COPY."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.scsi.copy.copy_list import CopyList, parse_lid1_list, parse_lid4_list
from isthmus.scsi.copy.limits import MAX_CSCD_DESCRIPTORS, MAX_SEGMENT_DESCRIPTORS
from isthmus.scsi.copy.segments import BlockToBlock
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from tests.support.copying import copy_list_lid1, copy_list_lid4, identification, segment

NAA = bytes(range(8))
CSCD = identification(NAA)
Parse = Callable[[bytes], CopyList]
Build = Callable[..., bytes]
BOTH = pytest.mark.parametrize(
    ("build", "parse", "header"), [(copy_list_lid1, parse_lid1_list, 16), (copy_list_lid4, parse_lid4_list, 48)]
)


def refusal(parse: Parse, data: bytes) -> tuple[Sense, object]:
    """Why a list is refused."""
    with pytest.raises(CheckCondition) as caught:
        parse(data)
    return caught.value.sense_data.sense, caught.value.sense_data.specific


def in_list(byte: int, bit: int | None = None) -> tuple[Sense, FieldPointer]:
    """A wrong field."""
    return Sense.INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(byte, bit, in_cdb=False)


@BOTH
def test_a_list(build: Build, parse: Parse, header: int) -> None:
    """The identifier, the descriptors and where they stand."""
    copy_list = parse(build([CSCD, CSCD], [segment(1, 2, 3)], identifier=0x77))
    assert (copy_list.list_identifier, copy_list.immediate) == (0x77, False)
    assert [cscd.place for cscd in copy_list.cscds] == [header, header + 32]
    assert copy_list.cscds[0].designator == NAA
    (only,) = copy_list.segments
    assert isinstance(only, BlockToBlock)
    assert (only.source_lba, only.destination_lba) == (1, 2)


def test_a_long_identifier() -> None:
    """LID4 has four bytes, and IMMED."""
    copy_list = parse_lid4_list(copy_list_lid4([CSCD], [], identifier=0xDEADBEEF, immediate=True))
    assert (copy_list.list_identifier, copy_list.immediate) == (0xDEADBEEF, True)


@BOTH
def test_list_id_usage(build: Build, parse: Parse, header: int) -> None:
    """Hold and discard say the same here; 11b says that there is no identifier, which then is 0; 01b says nothing."""
    assert [parse(build([], [], usage=usage)).list_identifier for usage in (0, 2)] == [1, 1]
    assert parse(build([], [], usage=3, identifier=0)).list_identifier is None
    assert refusal(parse, build([], [], usage=3, identifier=1)) == in_list(0 if header == 16 else 20)
    assert refusal(parse, build([], [], usage=1)) == in_list(1, 4)


@BOTH
def test_truncated(build: Build, parse: Parse, header: int) -> None:
    """A list that ends inside its header or its descriptors is too short."""
    data = build([CSCD], [segment(0, 0, 1)])
    for length in (header - 1, header + 31, header + 32, len(data) - 1):
        assert refusal(parse, data[:length]) == (Sense.PARAMETER_LIST_LENGTH_ERROR, None)


@BOTH
def test_inline_data(build: Build, parse: Parse, header: int) -> None:
    """No segment that is known has any."""
    field = 12 if header == 16 else 46
    assert refusal(parse, build([], [], inline_data=1) + b"x") == (
        Sense.INLINE_DATA_LENGTH_EXCEEDED,
        FieldPointer(field, in_cdb=False),
    )


@BOTH
def test_too_many(build: Build, parse: Parse, header: int) -> None:
    """One descriptor of either kind beyond its limit is refused as such; the limit is not."""
    parse(build([CSCD] * MAX_CSCD_DESCRIPTORS, [segment(0, 0, 1)] * MAX_SEGMENT_DESCRIPTORS))
    sense, _ = refusal(parse, build([CSCD] * (MAX_CSCD_DESCRIPTORS + 1), []))
    assert sense is Sense.TOO_MANY_TARGET_DESCRIPTORS
    sense, place = refusal(parse, build([CSCD], [segment(0, 0, 1)] * (MAX_SEGMENT_DESCRIPTORS + 1)))
    assert sense is Sense.TOO_MANY_SEGMENT_DESCRIPTORS
    assert place == FieldPointer(header + 32 + 28 * MAX_SEGMENT_DESCRIPTORS, in_cdb=False)


@BOTH
def test_half_a_cscd_descriptor(build: Build, parse: Parse, header: int) -> None:
    """They are 32 bytes long, all of them."""
    assert refusal(parse, build([CSCD[:31]], [])) == in_list(2 if header == 16 else 42)


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (0, 0, in_list(0)),
        (3, 0x1F, in_list(2)),
        (15, 0x02, in_list(15, 1)),
        (16, 0xFE, in_list(16)),
    ],
)
def test_the_header_of_lid4(place: int, value: int, expected: Any) -> None:
    """Its format, its own CSCD fields, and G_SENSE, which is not supported."""
    data = bytearray(copy_list_lid4([CSCD], []))
    data[place] = value
    assert refusal(parse_lid4_list, bytes(data)) == expected


def test_nobody_could_ask_for_the_end() -> None:
    """IMMED without an identifier would be a copy of which nothing can be learnt; with G_SENSE there is no status for it."""
    for fields in ({"usage": 3, "identifier": 0}, {"flags": 0x02}):
        data = copy_list_lid4([], [], immediate=True, **fields)
        assert refusal(parse_lid4_list, data) == (Sense.INVALID_FIELD_IN_CDB, None)


@given(st.binary(max_size=200), st.sampled_from([parse_lid1_list, parse_lid4_list]))
def test_any_bytes(data: bytes, parse: Parse) -> None:
    """Whatever comes is a list, or is refused."""
    try:
        parse(data)
    except CheckCondition:
        return


@given(st.binary(min_size=28, max_size=200), st.integers(0, 64), st.integers(0, 120))
def test_any_descriptors(data: bytes, cscds: int, segments: int) -> None:
    """Also with lengths that fit."""
    head = struct.pack(">BBH4xII", 1, 0, cscds, segments, 0)
    try:
        parse_lid1_list(head + data)
    except CheckCondition:
        return
