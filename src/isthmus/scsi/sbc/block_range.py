"""The run of logical blocks that a command addresses: where CDBs keep it, and the checks that all these commands share.

A six-byte CDB has a layout of its own; those of 10, 12, 16 and 32 bytes differ only in the width and place of the fields
(SBC-4 §5, SPC-5 §4.2.2).
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "CHUNK",
    "SIX",
    "SIXTEEN",
    "TEN",
    "THIRTY_TWO",
    "TWELVE",
    "BlockRange",
    "CdbLayout",
    "check_range",
    "check_transfer",
]

CHUNK: Final = 1 << 20
"""Bytes: how much a command that only looks at the medium holds in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRange(Command):
    """The base of every command that addresses `num_blocks` blocks of `block_length` bytes from `lba`."""

    lba: int
    num_blocks: int
    block_length: int

    @property
    def offset(self) -> int:
        """Where the run starts, in bytes."""
        return self.lba * self.block_length

    @property
    def length(self) -> int:
        """How long the run is, in bytes."""
        return self.num_blocks * self.block_length

    @staticmethod
    def chunks(length: int) -> Iterator[tuple[int, int]]:
        """`length` bytes in pieces of at most `CHUNK` bytes, each as (bytes from the start, length)."""
        for start in range(0, length, CHUNK):
            yield start, min(CHUNK, length - start)


@dataclass(frozen=True, slots=True, kw_only=True)
class CdbLayout:
    """Where a CDB of one length keeps the address and the number of blocks."""

    unpack: Callable[[bytes], tuple[Any, ...]]
    """Gives the byte of flags, the LBA and the number of blocks; the flags are 0 where that byte belongs to the LBA."""
    flags_byte: int = 1
    lba_byte: int = 2
    length_byte: int


def _unpack_six(cdb: bytes) -> tuple[int, int, int]:
    """READ (6) and WRITE (6): 21 bits of LBA, and a TRANSFER LENGTH of 0 stands for 256 blocks (SBC-2 §5.5)."""
    return 0, int.from_bytes(cdb[1:4]) & 0x1F_FFFF, cdb[4] or 256


SIX: Final = CdbLayout(unpack=_unpack_six, lba_byte=1, length_byte=4)
TEN: Final = CdbLayout(unpack=struct.Struct(">xBIxH").unpack_from, length_byte=7)
TWELVE: Final = CdbLayout(unpack=struct.Struct(">xBII").unpack_from, length_byte=6)
SIXTEEN: Final = CdbLayout(unpack=struct.Struct(">xBQI").unpack_from, length_byte=10)
THIRTY_TWO: Final = CdbLayout(
    unpack=struct.Struct(">10xBxQ8xI").unpack_from, flags_byte=10, lba_byte=12, length_byte=28
)
"""The variable-length CDBs of operation code 7Fh (SPC-5 §4.2.3); the tags for type 2 protection are passed over."""


def check_range(unit: "LogicalUnit", layout: CdbLayout, lba: int, num_blocks: int) -> None:
    """Refuse a run that exceeds the capacity of the medium; an empty run may start right behind the last block.

    Without a medium there is no capacity, and the command will find the unit not ready.
    """
    if unit.medium_present and lba + num_blocks > unit.num_blocks:
        raise CheckCondition(Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, field=FieldPointer(layout.lba_byte))


def check_transfer(unit: "LogicalUnit", layout: CdbLayout, lba: int, num_blocks: int) -> None:
    """`check_range`, and refuse more blocks than MAXIMUM TRANSFER LENGTH allows (SBC-4 §6.6.4)."""
    check_range(unit, layout, lba, num_blocks)
    if num_blocks > unit.limits.max_transfer_blocks:
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(layout.length_byte))
