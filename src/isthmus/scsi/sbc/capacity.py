"""READ CAPACITY (10) and (16) (SBC-4 §5.20, §5.21)."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "ReadCapacity10",
    "ReadCapacity16",
    "parse_read_capacity_10",
    "parse_read_capacity_16",
    "read_capacity_10",
    "read_capacity_16",
]

_LARGEST_LBA_10: Final = 0xFFFF_FFFF
_LBPME: Final = 0x80
_LBPRZ: Final = 0x40
_DATA_LENGTH_16: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCapacity10(Command):
    """READ CAPACITY (10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCapacity16(Command):
    """READ CAPACITY (16)."""

    allocation_length: int


def parse_read_capacity_10(cdb: bytes, unit: "LogicalUnit") -> ReadCapacity10:
    """Take the CDB apart."""
    _check_obsolete(unit, lba=int.from_bytes(cdb[2:6]), partial_medium_indicator=bool(cdb[8] & 0x01))
    return ReadCapacity10()


def parse_read_capacity_16(cdb: bytes, unit: "LogicalUnit") -> ReadCapacity16:
    """Take the CDB apart."""
    _check_obsolete(unit, lba=int.from_bytes(cdb[2:10]), partial_medium_indicator=bool(cdb[14] & 0x01))
    return ReadCapacity16(allocation_length=int.from_bytes(cdb[10:14]))


def _check_obsolete(unit: "LogicalUnit", *, lba: int, partial_medium_indicator: bool) -> None:
    """LOGICAL BLOCK ADDRESS and PMI are obsolete, and mean to old initiators what SBC-2 §5.10 says.

    With PMI they ask for the last block before a substantial delay, seen from an LBA: that is always the last block of
    the unit. Without PMI the LBA has to be 0.
    """
    if lba and not partial_medium_indicator:
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(2))
    if lba and lba >= unit.num_blocks:
        raise CheckCondition(Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, field=FieldPointer(2))


def read_capacity_10(unit: "LogicalUnit", _task: Task) -> Response:
    """The last LBA, or FFFFFFFFh if it needs READ CAPACITY (16), and the block length in bytes."""
    last = min(unit.num_blocks - 1, _LARGEST_LBA_10)
    return Response(data_in=struct.pack(">II", last, unit.block_length))


def read_capacity_16(unit: "LogicalUnit", task: Task) -> Response:
    """The last LBA, the block length, and how blocks lie on the storage and are provisioned."""
    command = task.command
    assert isinstance(command, ReadCapacity16)
    exponent = (unit.physical_block_length // unit.block_length).bit_length() - 1
    # No protection information. A block that was given back reads as zeros.
    capabilities = unit.backstore.capabilities
    zeros = _LBPRZ if capabilities.reports_zeroes else 0
    provisioning = _LBPME | zeros if capabilities.discard else 0
    flags = provisioning << 8 | unit.lowest_aligned_lba
    data = struct.pack(">QIxBH", unit.num_blocks - 1, unit.block_length, exponent, flags)
    return Response(data_in=data.ljust(_DATA_LENGTH_16, b"\0")[: command.allocation_length])
