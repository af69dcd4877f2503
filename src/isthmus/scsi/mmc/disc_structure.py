"""READ DISC STRUCTURE (MMC-6 §6.22): what the lead-in of a DVD says of the disc."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.mmc.disc import Profile, profile_of
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["ReadDiscStructure", "parse_read_disc_structure", "read_disc_structure"]

_DVD: Final = 0
"""MEDIA TYPE."""
_FIRST_SECTOR: Final = 0x03_0000
"""The physical sector number of LBA 0."""
_BLOCKS_OF_A_LAYER: Final = 2_295_104
"""What one layer of a DVD holds at most: a longer disc has two."""
_DVD_ROM_VERSION_1: Final = 0x01
_ANY_RATE: Final = 0x0F
_EMBOSSED: Final = 0x01
_TWO_LAYERS_OPPOSITE: Final = 0x30
_PHYSICAL_FORMAT_LENGTH: Final = 2048
_READABLE: Final = 0x40
"""RDS, in the list of structures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDiscStructure(Command):
    """READ DISC STRUCTURE."""

    format: int
    allocation_length: int


def parse_read_disc_structure(cdb: bytes, unit: "LogicalUnit") -> ReadDiscStructure:
    """Take the CDB apart; a CD has no such structures."""
    if cdb[1] & 0x0F != _DVD:
        raise invalid_in_cdb(1, 3)
    if profile_of(unit) is Profile.CD_ROM:
        raise CheckCondition(Sense.CANNOT_READ_MEDIUM_INCOMPATIBLE_FORMAT)
    layers = 2 if unit.num_blocks > _BLOCKS_OF_A_LAYER else 1
    if cdb[6] >= layers:
        raise invalid_in_cdb(6)
    if cdb[7] not in _STRUCTURES:
        raise invalid_in_cdb(7)
    return ReadDiscStructure(format=cdb[7], allocation_length=int.from_bytes(cdb[8:10]))


def read_disc_structure(unit: "LogicalUnit", task: Task) -> Response:
    """The structure behind its header, whose length does not count itself."""
    command = task.command
    assert isinstance(command, ReadDiscStructure)
    structure = _STRUCTURES[command.format](unit)
    return allocated(struct.pack(">Hxx", 2 + len(structure)) + structure, command.allocation_length)


def _physical_format(unit: "LogicalUnit") -> bytes:
    """A disc of 120 mm. Where there are two layers, the second goes back to where the first began (OTP)."""
    two = unit.num_blocks > _BLOCKS_OF_A_LAYER
    layers = _EMBOSSED | (_TWO_LAYERS_OPPOSITE if two else 0)
    last = _FIRST_SECTOR + unit.num_blocks - 1
    end_of_first = _FIRST_SECTOR + (unit.num_blocks + 1) // 2 - 1 if two else 0
    data = struct.pack(">BBBBIII", _DVD_ROM_VERSION_1, _ANY_RATE, layers, 0, _FIRST_SECTOR, last, end_of_first)
    return data.ljust(_PHYSICAL_FORMAT_LENGTH, b"\0")


def _copyright(_unit: "LogicalUnit") -> bytes:
    """No protection system, and no region is left out."""
    return bytes(4)


def _list(unit: "LogicalUnit") -> bytes:
    return b"".join(struct.pack(">BBH", number, _READABLE, 4 + len(build(unit))) for number, build in _TOLD.items())


_TOLD: "Final[dict[int, Callable[[LogicalUnit], bytes]]]" = {0x00: _physical_format, 0x01: _copyright}
_STRUCTURES: Final = {**_TOLD, 0xFF: _list}
"""By the FORMAT field."""
