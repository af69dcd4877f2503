"""Segment descriptors."""

import pytest

from isthmus.scsi.copy.segments import BlockToBlock, parse_segments
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from tests.support.copying import segment


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


def test_none() -> None:
    """A list may be empty."""
    assert parse_segments(b"", 0, 0) == ()


@pytest.mark.parametrize(
    ("data", "sense", "place"),
    [
        (segment(0, 0, 0) + segment(0, 0, 0, type_code=0x0A), Sense.UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE_CODE, 28),
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
