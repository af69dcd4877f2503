"""Logical unit numbers: the 8-byte LUN field and the number that people see (SAM-5 §4.7)."""

from typing import Final

__all__ = ["MAX_LUN", "REPORT_LUNS_WELL_KNOWN", "decode_lun", "encode_lun"]

MAX_LUN: Final = 16383
"""The largest number that flat space addressing holds (SAM-5 §4.7.7.3)."""
_MAX_PERIPHERAL: Final = 255
REPORT_LUNS_WELL_KNOWN: Final = 0xC101_0000_0000_0000
"""The REPORT LUNS well known logical unit, W-LUN 01h (SPC-5 §7.2)."""


def encode_lun(number: int) -> int:
    """The LUN field, as a big-endian integer: peripheral device addressing to 255, flat space addressing above."""
    if not 0 <= number <= MAX_LUN:
        raise ValueError(f"a LUN is 0 to {MAX_LUN}, not {number}")
    return number << 48 if number <= _MAX_PERIPHERAL else (0x4000 | number) << 48


def decode_lun(field: int) -> int | None:
    """The number in a LUN field, or None if it is not a single-level LUN (well known, extended, several levels)."""
    if field & 0xFFFF_FFFF_FFFF:
        return None
    first_level = field >> 48
    method = first_level >> 14
    if method == 0:
        # Peripheral device addressing: bus identifier 0, then the LUN (SAM-5 §4.7.7.2).
        return first_level if first_level <= _MAX_PERIPHERAL else None
    if method == 1:
        return first_level & 0x3FFF
    return None
