"""Block device range descriptors: the blocks that a token stands for, or that it is written to (SBC-4 §5.12)."""

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from isthmus.scsi.copy.limits import MAX_RANGE_DESCRIPTORS, MAX_TOKEN_TRANSFER
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_list

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["MAX_LIST_LENGTH", "RANGE_DESCRIPTOR_LENGTH", "ByteRange", "hull", "paired", "parse_ranges", "shortened"]

ByteRange = tuple[int, int]
"""(offset, length), in bytes."""

_RANGE: Final = struct.Struct(">QI4x")
RANGE_DESCRIPTOR_LENGTH: Final = _RANGE.size
MAX_LIST_LENGTH: Final = 2 + 0xFFFF
"""Bytes that a parameter list can say that it has."""


def parse_ranges(unit: "LogicalUnit", data: bytes, header: int) -> tuple[ByteRange, ...]:
    """The ranges behind the `header` bytes of a parameter list of POPULATE TOKEN or WRITE USING TOKEN, without empty ones.

    The first two bytes of the list are its length, the last two of the header that of the descriptors. Raises
    `CheckCondition` for what exceeds the unit or its limits, and for ranges that overlap. A descriptor that is not there
    as a whole is ignored.
    """
    length = _descriptors_length(data, header)
    ranges: list[ByteRange] = []
    for place in range(header, header + length, RANGE_DESCRIPTOR_LENGTH):
        lba, num_blocks = _RANGE.unpack_from(data, place)
        if lba + num_blocks > unit.num_blocks:
            pointer = FieldPointer(place, in_cdb=False)
            raise CheckCondition(Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, field=pointer)
        block_range = lba * unit.block_length, num_blocks * unit.block_length
        if any(_overlap(block_range, other) for other in ranges):
            raise invalid_in_list(place)
        if num_blocks:
            ranges.append(block_range)
        if sum(size for _, size in ranges) > MAX_TOKEN_TRANSFER:
            raise invalid_in_list(place + 8)
    return tuple(ranges)


def _descriptors_length(data: bytes, header: int) -> int:
    """Bytes of whole range descriptors; raises `CheckCondition` if the lengths contradict each other."""
    if len(data) < header:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    data_length = int.from_bytes(data[:2]) + 2
    length = int.from_bytes(data[header - 2 : header])
    if data_length < header + RANGE_DESCRIPTOR_LENGTH:
        raise invalid_in_list(0)
    if length < RANGE_DESCRIPTOR_LENGTH or header + length > data_length:
        raise invalid_in_list(header - 2)
    count = min(length, len(data) - header) // RANGE_DESCRIPTOR_LENGTH
    if count > MAX_RANGE_DESCRIPTORS:
        pointer = FieldPointer(header - 2, in_cdb=False)
        raise CheckCondition(Sense.TOO_MANY_SEGMENT_DESCRIPTORS, field=pointer)
    return count * RANGE_DESCRIPTOR_LENGTH


def _overlap(left: ByteRange, right: ByteRange) -> bool:
    return max(left[0], right[0]) < min(sum(left), sum(right))


def hull(ranges: Sequence[ByteRange]) -> ByteRange:
    """The smallest range that holds all of them; one without length, if there are none."""
    if not ranges:
        return 0, 0
    start = min(offset for offset, _ in ranges)
    return start, max(map(sum, ranges)) - start


def shortened(ranges: Sequence[ByteRange], length: int) -> Iterator[ByteRange]:
    """The first `length` bytes of `ranges`, or all of them."""
    for offset, size in ranges:
        if length > 0:
            yield offset, min(size, length)
        length -= size


def paired(
    sources: Sequence[ByteRange], destinations: Sequence[ByteRange], skipped: int
) -> Iterator[tuple[int, int, int]]:
    """Which bytes of `sources`, after the first `skipped`, go where in `destinations`: (source, destination, length).

    There are at least as many bytes in `sources` as that takes.
    """
    rest = iter(_without(sources, skipped))
    source, available = 0, 0
    for offset, length in destinations:
        while length:
            if not available:
                source, available = next(rest)
            step = min(length, available)
            yield source, offset, step
            source, available = source + step, available - step
            offset, length = offset + step, length - step


def _without(ranges: Sequence[ByteRange], skipped: int) -> Iterator[ByteRange]:
    for offset, length in ranges:
        if skipped < length:
            yield offset + skipped, length - skipped
        skipped = max(0, skipped - length)
