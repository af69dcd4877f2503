"""The disc in the drive: one session with one data track, which is what an image file holds (MMC-6 §4).

Whether it passes for a CD or a DVD follows from its length, as nothing in an image says so.
"""

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["BLOCK_LENGTH", "MAX_CD_BLOCKS", "Profile", "address", "msf", "msf_to_lba", "profile_of"]

BLOCK_LENGTH: Final = 2048
"""Bytes of user data in a sector of Mode 1."""
_FRAMES: Final = 75
"""Sectors in a second."""
_SECONDS: Final = 60
MAX_CD_BLOCKS: Final = 80 * _SECONDS * _FRAMES
"""80 minutes: no CD that drives have to read is longer."""
_LEAD_IN: Final = 150
"""Sectors from 00:00:00 to LBA 0 (MMC-6 §4.2)."""
_LAST_MSF: Final = bytes((0xFF, _SECONDS - 1, _FRAMES - 1))
"""What stands for an address that minutes, seconds and frames cannot tell."""


class Profile(enum.IntEnum):
    """What the drive is at the moment (MMC-6 §5.3.1)."""

    NONE = 0x0000
    CD_ROM = 0x0008
    DVD_ROM = 0x0010


def profile_of(unit: "LogicalUnit") -> Profile:
    """By the length of the disc."""
    if not unit.medium_present:
        return Profile.NONE
    return Profile.CD_ROM if unit.num_blocks <= MAX_CD_BLOCKS else Profile.DVD_ROM


def msf(lba: int) -> bytes:
    """Minutes, seconds and frames of an LBA."""
    seconds, frame = divmod(lba + _LEAD_IN, _FRAMES)
    minute, second = divmod(seconds, _SECONDS)
    return bytes((minute, second, frame)) if minute <= 0xFF else _LAST_MSF


def msf_to_lba(time: bytes) -> int:
    """The LBA at minutes, seconds and frames; below 0 before the start of the track."""
    minute, second, frame = time
    return (minute * _SECONDS + second) * _FRAMES + frame - _LEAD_IN


def address(lba: int, *, in_time: bool) -> bytes:
    """Four bytes: the LBA, or the time of it."""
    return b"\0" + msf(lba) if in_time else lba.to_bytes(4)
