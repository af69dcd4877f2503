"""Segment descriptors."""

import pytest

from isthmus.scsi.copy.limits import MAX_SEGMENT_LENGTH
from isthmus.scsi.copy.segments import SEGMENT_TYPES, BlockToBlock, ByteToByte, VerifyCscd, parse_segments
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from tests.support.copying import byte_segment, segment, verify_segment


def test_block_to_block() -> None:
    """Every field, and its number among the others."""
    data = b"xx" + segment(1, 2, 3, flags=0x02) + segment(1 << 63, 5, 0xFFFF, source=7, destination=0xFFFF)
    assert parse_segments(data, 2, 56) == (
        BlockToBlock(
            number=0,
            source=0,
            destination=1,
            num_blocks=3,
            counts_destination_blocks=True,
            source_lba=1,
            destination_lba=2,
        ),
        BlockToBlock(
            number=1,
            source=7,
            destination=0xFFFF,
            num_blocks=0xFFFF,
            counts_destination_blocks=False,
            source_lba=1 << 63,
            destination_lba=5,
        ),
    )


def test_byte_to_byte() -> None:
    """Every field; a length that is that of no block."""
    data = byte_segment((1, 2), (3, 4), 5, cscds=(6, 7))
    assert parse_segments(data, 0, len(data)) == (
        ByteToByte(
            number=0,
            source=6,
            destination=7,
            num_bytes=5,
            source_lba=1,
            destination_lba=3,
            source_offset=2,
            destination_offset=4,
        ),
    )


def test_verify_cscd() -> None:
    """With and without TUR, between others."""
    data = verify_segment(3) + segment(1, 2, 3) + verify_segment(4, test_unit_ready=True)
    first, _, last = parse_segments(data, 0, len(data))
    assert first == VerifyCscd(number=0, source=3, test_unit_ready=False)
    assert last == VerifyCscd(number=2, source=4, test_unit_ready=True)


@pytest.mark.parametrize("code", [code for code in range(0x100) if code not in SEGMENT_TYPES])
def test_other_types(code: int) -> None:
    """Tapes, held data, keys: all that is not there has its own sense."""
    with pytest.raises(CheckCondition) as caught:
        parse_segments(bytes((code,)) + bytes(31), 0, 32)
    assert caught.value.sense_data.sense is Sense.UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE_CODE


def test_none() -> None:
    """A list may be empty."""
    assert parse_segments(b"", 0, 0) == ()


@pytest.mark.parametrize(
    ("data", "sense", "place"),
    [
        (segment(0, 0, 0) + segment(0, 0, 0, type_code=0x00), Sense.UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE_CODE, 28),
        (byte_segment((0, 0), (0, 0), 1, length=0x18), Sense.INVALID_FIELD_IN_PARAMETER_LIST, 2),
        (byte_segment((0, 0), (0, 0), MAX_SEGMENT_LENGTH + 1), Sense.INVALID_FIELD_IN_PARAMETER_LIST, 8),
        (segment(0, 0, 0, length=0x14), Sense.INVALID_FIELD_IN_PARAMETER_LIST, 2),
        (segment(0, 0, 0) + segment(0, 0, 0)[:27], Sense.PARAMETER_LIST_LENGTH_ERROR, None),
    ],
)
def test_refused(data: bytes, sense: Sense, place: int | None) -> None:
    """Another type, a wrong length, a list that ends within a descriptor."""
    with pytest.raises(CheckCondition) as caught:
        parse_segments(data, 0, len(data))
    assert caught.value.sense_data.sense is sense
    assert caught.value.sense_data.specific == (None if place is None else FieldPointer(place, in_cdb=False))
