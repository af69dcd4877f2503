"""READ DISC INFORMATION and READ TRACK INFORMATION (MMC-6 §6.21, §6.26): a finished disc with one finished track."""

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "ReadDiscInformation",
    "ReadTrackInformation",
    "parse_read_disc_information",
    "parse_read_track_information",
    "read_disc_information",
    "read_track_information",
]

_COMPLETE: Final = 0b11_10
"""STATE OF LAST SESSION and DISC STATUS: both are complete; ERASABLE 0."""
_UNRESTRICTED: Final = 0x20
"""URU: the disc may be used by anybody."""
_NOT_WRITABLE: Final = 0xFFFF_FFFF
"""There is no next session whose lead-in and lead-out could begin anywhere."""
_DATA_TRACK: Final = 0x04
_MODE_1: Final = 0x01


class _AddressType(enum.IntEnum):
    LBA = 0
    TRACK = 1
    SESSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDiscInformation(Command):
    """READ DISC INFORMATION."""

    allocation_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTrackInformation(Command):
    """READ TRACK INFORMATION."""

    allocation_length: int


def parse_read_disc_information(cdb: bytes, _unit: "LogicalUnit") -> ReadDiscInformation:
    """Take the CDB apart; the other data types are of discs that can be written."""
    if cdb[1]:
        raise invalid_in_cdb(1, 2)
    return ReadDiscInformation(allocation_length=int.from_bytes(cdb[7:9]))


def read_disc_information(_unit: "LogicalUnit", task: Task) -> Response:
    """Standard disc information: session 1 and track 1 are the first and the last."""
    command = task.command
    assert isinstance(command, ReadDiscInformation)
    data = struct.pack(
        ">HBBBBBBBxxxIII8xBB", 32, _COMPLETE, 1, 1, 1, 1, _UNRESTRICTED, 0, 0, _NOT_WRITABLE, _NOT_WRITABLE, 0, 0
    )
    return allocated(data, command.allocation_length)


def parse_read_track_information(cdb: bytes, unit: "LogicalUnit") -> ReadTrackInformation:
    """Take the CDB apart; whatever is asked for can only be the one track."""
    kind, number = cdb[1] & 0x03, int.from_bytes(cdb[2:6])
    if kind not in tuple(_AddressType):
        raise invalid_in_cdb(1, 1)
    if kind == _AddressType.LBA and number >= unit.num_blocks and unit.medium_present:
        raise CheckCondition(Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, field=FieldPointer(2))
    if kind != _AddressType.LBA and number != 1:
        raise invalid_in_cdb(2)
    return ReadTrackInformation(allocation_length=int.from_bytes(cdb[7:9]))


def read_track_information(unit: "LogicalUnit", task: Task) -> Response:
    """Track 1 of session 1: all of the disc, in Mode 1."""
    command = task.command
    assert isinstance(command, ReadTrackInformation)
    data = struct.pack(">HBBxBBBIIIIIIBBxx", 34, 1, 1, _DATA_TRACK, _MODE_1, 0, 0, 0, 0, 0, unit.num_blocks, 0, 0, 0)
    return allocated(data, command.allocation_length)
