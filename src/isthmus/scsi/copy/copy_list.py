"""The parameter lists of EXTENDED COPY (LID1) and (LID4): a header, CSCD descriptors, segment descriptors (SPC-4 §6.4)."""

import struct
from dataclasses import dataclass
from typing import Final

from isthmus.scsi.copy.cscd import CSCD_DESCRIPTOR_LENGTH, IDENTIFICATION, CscdDescriptor, parse_cscd
from isthmus.scsi.copy.limits import MAX_CSCD_DESCRIPTORS, MAX_INLINE_DATA_LENGTH
from isthmus.scsi.copy.segments import SEGMENT_TYPES, Segment, parse_segments
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_list

__all__ = [
    "DESCRIPTOR_TYPES",
    "LID1_HEADER_LENGTH",
    "LID4_HEADER_LENGTH",
    "CopyList",
    "parse_lid1_list",
    "parse_lid4_list",
]

DESCRIPTOR_TYPES: Final = bytes((*SEGMENT_TYPES, IDENTIFICATION))
"""The type codes of all segment and CSCD descriptors that are known, in order (SPC-4 §6.22, §7.8.17.7)."""

_LID1: Final = struct.Struct(">BBH4xII")
_LID4: Final = struct.Struct(">BBH11xBB3xI18xHHH")
LID1_HEADER_LENGTH: Final = _LID1.size
LID4_HEADER_LENGTH: Final = _LID4.size
_LID4_FORMAT: Final = 0x01
_HEADER_CSCD_LIST_LENGTH: Final = 0x20
_HEADER_CSCD_TYPE: Final = 0xFF
_IMMED: Final = 0x01
_G_SENSE: Final = 0x02
_USAGE_RESERVED: Final = 0b01
_USAGE_NO_IDENTIFIER: Final = 0b11


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyList:
    """What a copy is to do."""

    list_identifier: int | None
    """None: the copy is not to be asked about (LIST ID USAGE 11b)."""
    immediate: bool
    cscds: tuple[CscdDescriptor, ...]
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lengths:
    """The three lengths of a header, and where they stand."""

    header: int
    cscds: int
    cscds_field: int
    segments: int
    inline_data: int
    inline_data_field: int


def parse_lid1_list(data: bytes) -> CopyList:
    """The parameter list of EXTENDED COPY (LID1)."""
    _check_length(data, LID1_HEADER_LENGTH)
    list_identifier, flags, cscds, segments, inline_data = _LID1.unpack_from(data)
    lengths = _Lengths(
        header=LID1_HEADER_LENGTH,
        cscds=cscds,
        cscds_field=2,
        segments=segments,
        inline_data=inline_data,
        inline_data_field=12,
    )
    return _parse(data, lengths, _identifier(list_identifier, flags, 0), immediate=False)


def parse_lid4_list(data: bytes) -> CopyList:
    """The parameter list of EXTENDED COPY (LID4)."""
    _check_length(data, LID4_HEADER_LENGTH)
    list_format, flags, cscd_header, more, kind, list_identifier, cscds, segments, inline_data = _LID4.unpack_from(data)
    if list_format != _LID4_FORMAT:
        raise invalid_in_list(0)
    if cscd_header != _HEADER_CSCD_LIST_LENGTH:
        raise invalid_in_list(2)
    identifier = _identifier(list_identifier, flags, 20)
    immediate = bool(more & _IMMED)
    if immediate and (more & _G_SENSE or identifier is None):
        # The sense is that of the standard, though the fields are in the list.
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB)
    if more & _G_SENSE:
        # There is nothing to tell of a copy that succeeded but its status.
        raise invalid_in_list(15, 1)
    if kind != _HEADER_CSCD_TYPE:
        raise invalid_in_list(16)
    lengths = _Lengths(
        header=LID4_HEADER_LENGTH,
        cscds=cscds,
        cscds_field=42,
        segments=segments,
        inline_data=inline_data,
        inline_data_field=46,
    )
    return _parse(data, lengths, identifier, immediate=immediate)


def _check_length(data: bytes, header: int) -> None:
    if len(data) < header:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)


def _identifier(list_identifier: int, flags: int, field: int) -> int | None:
    """Held data are never there to be held or discarded, so that 00b and 10b say the same (tables 128 and 129)."""
    usage = flags >> 3 & 0b11
    if usage == _USAGE_RESERVED:
        raise invalid_in_list(1, 4)
    if usage != _USAGE_NO_IDENTIFIER:
        return list_identifier
    if list_identifier:
        raise invalid_in_list(field)
    return None


def _parse(data: bytes, lengths: _Lengths, list_identifier: int | None, *, immediate: bool) -> CopyList:
    if lengths.inline_data > MAX_INLINE_DATA_LENGTH:
        pointer = FieldPointer(lengths.inline_data_field, in_cdb=False)
        raise CheckCondition(Sense.INLINE_DATA_LENGTH_EXCEEDED, field=pointer)
    segments_start = lengths.header + lengths.cscds
    _check_length(data, segments_start + lengths.segments)
    return CopyList(
        list_identifier=list_identifier,
        immediate=immediate,
        cscds=_parse_cscds(data, lengths),
        segments=parse_segments(data, segments_start, lengths.segments),
    )


def _parse_cscds(data: bytes, lengths: _Lengths) -> tuple[CscdDescriptor, ...]:
    count, rest = divmod(lengths.cscds, CSCD_DESCRIPTOR_LENGTH)
    if rest:
        raise invalid_in_list(lengths.cscds_field)
    if count > MAX_CSCD_DESCRIPTORS:
        pointer = FieldPointer(lengths.cscds_field, in_cdb=False)
        raise CheckCondition(Sense.TOO_MANY_TARGET_DESCRIPTORS, field=pointer)
    places = range(lengths.header, lengths.header + lengths.cscds, CSCD_DESCRIPTOR_LENGTH)
    return tuple(parse_cscd(data, place) for place in places)
