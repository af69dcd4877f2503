"""Segment descriptors: what to copy from where to where (SPC-4 §6.4.6).

`_TYPES` is the only list of those that are known: block device to block device, in blocks (02h) or in bytes (0Ah), which is
what initiators copy disks with, and the question whether a unit can be reached (07h). The others move data to or from
tapes, hold data back for the initiator, or register keys on its behalf, which it can do itself.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from isthmus.scsi.copy.limits import MAX_SEGMENT_DESCRIPTORS, MAX_SEGMENT_LENGTH
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_list

__all__ = [
    "COPY_MANAGER_UNIT",
    "DESTINATION_FIELD",
    "SEGMENT_TYPES",
    "SOURCE_FIELD",
    "BlockToBlock",
    "ByteToByte",
    "CopySegment",
    "Segment",
    "VerifyCscd",
    "parse_segments",
]

COPY_MANAGER_UNIT: Final = 0xFFFF
"""The CSCD DESCRIPTOR ID of the unit that the command was sent to."""
SOURCE_FIELD: Final = 4
DESTINATION_FIELD: Final = 6
"""Where a segment descriptor keeps the identifiers of its two CSCD descriptors."""
_HEADER_LENGTH: Final = 4
_DESTINATION_COUNT: Final = 0x02
_TUR: Final = 0x01
_BLOCK_TO_BLOCK: Final = struct.Struct(">xB2xHHxxHQQ")
_VERIFY_CSCD: Final = struct.Struct(">4xHxxB3x")
_BYTE_TO_BYTE: Final = struct.Struct(">4xHHIQQHH")
_NUM_BYTES_FIELD: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment descriptor."""

    number: int
    """Its place among the segment descriptors."""
    source: int
    """A CSCD DESCRIPTOR ID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyCscd(Segment):
    """Type 07h: whether the source can be reached, and with TUR whether it is ready."""

    test_unit_ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySegment(Segment):
    """A segment that copies."""

    length_field: ClassVar[int]
    """The byte of the descriptor where its length stands."""

    destination: int
    """Likewise."""
    source_lba: int
    destination_lba: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockToBlock(CopySegment):
    """Type 02h."""

    length_field: ClassVar[int] = 10

    num_blocks: int
    counts_destination_blocks: bool
    """DC: `num_blocks` are blocks of the destination, not of the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteToByte(CopySegment):
    """Type 0Ah: the first and the last block need not be whole, on either side."""

    length_field: ClassVar[int] = _NUM_BYTES_FIELD

    num_bytes: int
    source_offset: int
    """Bytes into the first block."""
    destination_offset: int


def parse_segments(data: bytes, start: int, length: int) -> tuple[Segment, ...]:
    """Take the descriptors apart that fill `length` bytes of the parameter list from `start`."""
    segments: list[Segment] = []
    place, end = start, start + length
    while place < end:
        if len(segments) == MAX_SEGMENT_DESCRIPTORS:
            pointer = FieldPointer(place, in_cdb=False)
            raise CheckCondition(Sense.TOO_MANY_SEGMENT_DESCRIPTORS, field=pointer)
        layout, parse = _type(data[place], place)
        _check_length(data[:end], place, layout.size)
        segments.append(parse(layout.unpack_from(data, place), place, len(segments)))
        place += layout.size
    return tuple(segments)


def _type(code: int, place: int) -> tuple[struct.Struct, "_Parse"]:
    if code not in _TYPES:
        pointer = FieldPointer(place, in_cdb=False)
        raise CheckCondition(Sense.UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE_CODE, field=pointer)
    return _TYPES[code]


def _check_length(data: bytes, place: int, size: int) -> None:
    if place + size > len(data):
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    if int.from_bytes(data[place + 2 : place + _HEADER_LENGTH]) != size - _HEADER_LENGTH:
        raise invalid_in_list(place + 2)


_Parse = Callable[[tuple[Any, ...], int, int], Segment]
"""From the fields of a descriptor, its place in the parameter list, and its number."""


def _block_to_block(fields: tuple[Any, ...], _place: int, number: int) -> Segment:
    flags, source, destination, num_blocks, source_lba, destination_lba = fields
    return BlockToBlock(
        number=number,
        source=source,
        destination=destination,
        num_blocks=num_blocks,
        counts_destination_blocks=bool(flags & _DESTINATION_COUNT),
        source_lba=source_lba,
        destination_lba=destination_lba,
    )


def _verify_cscd(fields: tuple[Any, ...], _place: int, number: int) -> Segment:
    source, flags = fields
    return VerifyCscd(number=number, source=source, test_unit_ready=bool(flags & _TUR))


def _byte_to_byte(fields: tuple[Any, ...], place: int, number: int) -> Segment:
    source, destination, num_bytes, source_lba, destination_lba, source_offset, destination_offset = fields
    if num_bytes > MAX_SEGMENT_LENGTH:
        raise invalid_in_list(place + _NUM_BYTES_FIELD)
    return ByteToByte(
        number=number,
        source=source,
        destination=destination,
        num_bytes=num_bytes,
        source_lba=source_lba,
        destination_lba=destination_lba,
        source_offset=source_offset,
        destination_offset=destination_offset,
    )


_TYPES: Final[Mapping[int, tuple[struct.Struct, _Parse]]] = {
    0x02: (_BLOCK_TO_BLOCK, _block_to_block),
    0x07: (_VERIFY_CSCD, _verify_cscd),
    0x0A: (_BYTE_TO_BYTE, _byte_to_byte),
}
SEGMENT_TYPES: Final = tuple(_TYPES)
"""Their type codes, in order."""
