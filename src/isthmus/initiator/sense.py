"""Sense data as a target sends it, fixed or descriptor format, turned into a value (SPC-5 §4.4)."""

from dataclasses import dataclass
from typing import Final

from isthmus.scsi.sense import FieldPointer, ProgressIndication, Sense, SenseKey

__all__ = ["DecodedSense", "decode_sense"]

_FIXED: Final = (0x70, 0x71)
_DESCRIPTOR: Final = (0x72, 0x73)
_DESCRIPTOR_HEADER_LENGTH: Final = 8
_INFORMATION: Final = 0x00
_SENSE_KEY_SPECIFIC: Final = 0x02
_NAMES: Final[dict[tuple[int, int, int], Sense]] = {(sense.key, sense.asc, sense.ascq): sense for sense in Sense}
_KEY_NAMES: Final[dict[int, str]] = {key: key.name.replace("_", " ") for key in SenseKey}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedSense:
    """One report. A code that SPC gained later than this table keeps its numbers, with `sense` None."""

    key: int
    asc: int
    ascq: int
    information: int | None = None
    specific: FieldPointer | ProgressIndication | None = None
    deferred: bool = False
    """Whether it tells of an earlier command (response codes 71h and 73h)."""

    @property
    def sense(self) -> Sense | None:
        """SPC's name for the three numbers, if it is known here."""
        return _NAMES.get((self.key, self.asc, self.ascq))

    def __str__(self) -> str:
        key = _KEY_NAMES.get(self.key, f"SENSE KEY {self.key:X}h")
        named = self.sense
        name = f" {named.name.replace('_', ' ')}" if named is not None else ""
        return f"{key},{name} ({self.asc:02X}h/{self.ascq:02X}h){self._details()}"

    def _details(self) -> str:
        text = ", deferred" if self.deferred else ""
        if self.information is not None:
            text += f", information {self.information:#x}"
        if isinstance(self.specific, FieldPointer):
            place = "CDB" if self.specific.in_cdb else "parameter list"
            text += f", {place} byte {self.specific.byte}"
            text += f" bit {self.specific.bit}" if self.specific.bit is not None else ""
        elif isinstance(self.specific, ProgressIndication):
            text += f", progress {self.specific.progress / 65536:.0%}"
        return text


def decode_sense(data: bytes) -> DecodedSense | None:
    """The report in `data`, or None if there is none that SPC defines (too short, vendor specific)."""
    response_code = data[0] & 0x7F if data else 0
    if response_code in _FIXED and len(data) >= 3:
        return _decode_fixed(data, deferred=response_code == _FIXED[1])
    if response_code in _DESCRIPTOR and len(data) >= 4:
        return _decode_descriptors(data, deferred=response_code == _DESCRIPTOR[1])
    return None


def _decode_fixed(data: bytes, *, deferred: bool) -> DecodedSense:
    # ADDITIONAL SENSE LENGTH may end the data before the codes: what is not there is zero (SPC-5 §4.4.3).
    whole = data.ljust(18, b"\0")
    key = whole[2] & 0x0F
    return DecodedSense(
        key=key,
        asc=whole[12],
        ascq=whole[13],
        information=int.from_bytes(whole[3:7]) if whole[0] & 0x80 else None,
        specific=_decode_specific(key, whole[15:18]),
        deferred=deferred,
    )


def _decode_descriptors(data: bytes, *, deferred: bool) -> DecodedSense:
    key = data[1] & 0x0F
    information = specific = None
    for kind, body in _descriptors(data):
        if kind == _INFORMATION and len(body) >= 10 and body[0] & 0x80:
            information = int.from_bytes(body[2:10])
        elif kind == _SENSE_KEY_SPECIFIC and len(body) >= 5:
            specific = _decode_specific(key, body[2:5])
    return DecodedSense(
        key=key, asc=data[2], ascq=data[3], information=information, specific=specific, deferred=deferred
    )


def _descriptors(data: bytes) -> list[tuple[int, bytes]]:
    """(type, what follows the length byte) of each whole descriptor."""
    found = []
    position = _DESCRIPTOR_HEADER_LENGTH
    while position + 2 <= len(data):
        end = position + 2 + data[position + 1]
        if end > len(data):
            break
        found.append((data[position], data[position + 2 : end]))
        position = end
    return found


def _decode_specific(key: int, field: bytes) -> FieldPointer | ProgressIndication | None:
    if not field[0] & 0x80:
        return None
    value = int.from_bytes(field[1:3])
    if key == SenseKey.ILLEGAL_REQUEST:
        bit = field[0] & 0x07 if field[0] & 0x08 else None
        return FieldPointer(byte=value, bit=bit, in_cdb=bool(field[0] & 0x40))
    if key in (SenseKey.NO_SENSE, SenseKey.NOT_READY):
        return ProgressIndication(progress=value)
    return None
