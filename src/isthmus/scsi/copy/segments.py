"""Segment descriptors: what to copy from where to where (SPC-4 §6.4.6). Known is block device to block device (02h)."""

import struct
from dataclasses import dataclass
from typing import Final

from isthmus.scsi.copy.limits import MAX_SEGMENT_DESCRIPTORS
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_list

__all__ = ["BLOCK_TO_BLOCK", "COPY_MANAGER_UNIT", "DESTINATION_FIELD", "SOURCE_FIELD", "BlockToBlock", "parse_segments"]

BLOCK_TO_BLOCK: Final = 0x02
COPY_MANAGER_UNIT: Final = 0xFFFF
"""The CSCD DESCRIPTOR ID of the unit that the command was sent to."""
SOURCE_FIELD: Final = 4
DESTINATION_FIELD: Final = 6
"""Where a segment descriptor keeps the identifiers of its two CSCD descriptors."""
_HEADER_LENGTH: Final = 4
_DESTINATION_COUNT: Final = 0x02
_BLOCK_TO_BLOCK: Final = struct.Struct(">xBHHHxxHQQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockToBlock:
    """A segment descriptor of type 02h."""

    number: int
    """Its place among the segment descriptors."""
    source: int
    destination: int
    """CSCD DESCRIPTOR IDs."""
    num_blocks: int
    counts_destination_blocks: bool
    """DC: `num_blocks` are blocks of the destination, not of the source."""
    source_lba: int
    destination_lba: int


def parse_segments(data: bytes, start: int, length: int) -> tuple[BlockToBlock, ...]:
    """Take the descriptors apart that fill `length` bytes of the parameter list from `start`."""
    segments: list[BlockToBlock] = []
    place, end = start, start + length
    while place < end:
        if len(segments) == MAX_SEGMENT_DESCRIPTORS:
            pointer = FieldPointer(place, in_cdb=False)
            raise CheckCondition(Sense.TOO_MANY_SEGMENT_DESCRIPTORS, field=pointer)
        segments.append(_parse_segment(data[:end], place, len(segments)))
        place += _BLOCK_TO_BLOCK.size
    return tuple(segments)


def _parse_segment(data: bytes, place: int, number: int) -> BlockToBlock:
    if data[place] != BLOCK_TO_BLOCK:
        pointer = FieldPointer(place, in_cdb=False)
        raise CheckCondition(Sense.UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE_CODE, field=pointer)
    if place + _BLOCK_TO_BLOCK.size > len(data):
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    flags, length, source, destination, num_blocks, source_lba, destination_lba = _BLOCK_TO_BLOCK.unpack_from(
        data, place
    )
    if length != _BLOCK_TO_BLOCK.size - _HEADER_LENGTH:
        raise invalid_in_list(place + 2)
    return BlockToBlock(
        number=number,
        source=source,
        destination=destination,
        num_blocks=num_blocks,
        counts_destination_blocks=bool(flags & _DESTINATION_COUNT),
        source_lba=source_lba,
        destination_lba=destination_lba,
    )
