"""Bits of CDBs that a unit may offer or not: DPO and FUA (SBC-4 §5.16), UNMAP and ANCHOR in WRITE SAME (§5.52).

Whether a unit offers one, its command table says: the usage mask of a row has the bit, or the CDB that sets it is
refused (SPC-5 §6.34.3). What MODE SENSE and VPD pages tell of them is read off the same table.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from isthmus.scsi.opcodes import VARIABLE_LENGTH, CommandDescriptor

if TYPE_CHECKING:
    from isthmus.scsi.command_table import CommandTable

__all__ = ["DPO", "FUA", "UNMAP", "has_dpo_and_fua", "unmapping_commands", "without_options", "without_unmap"]

DPO: Final = 0x10
FUA: Final = 0x08
UNMAP: Final = 0x18
"""UNMAP of WRITE SAME, and ANCHOR, which means nothing without it."""

_FLAGS_BYTE: Final = 1
_LONG_FLAGS_BYTE: Final = 10
_UNMAP_OPCODE: Final = 0x42
_WRITE_SAME: Final = frozenset({0x41, 0x93, 0x7F000D})
_ACCESSES: Final = frozenset(
    {
        *(0x28, 0xA8, 0x88, 0x7F0009),  # READ
        *(0x2A, 0xAA, 0x8A, 0x7F000B),  # WRITE
        *(0x2F, 0xAF, 0x8F, 0x7F000A),  # VERIFY
        *(0x2E, 0xAE, 0x8E, 0x7F000C),  # WRITE AND VERIFY
        *(0x9C, 0x7F000F),  # WRITE ATOMIC
        *(0x89, 0x8B),  # COMPARE AND WRITE, ORWRITE
    }
)
"""The commands with DPO, most of them with FUA; of 32-byte CDBs, opcode and service action."""
_LBPU: Final = 0x80
_LBPWS: Final = 0x40
_LBPWS10: Final = 0x20


def without_options(row: CommandDescriptor, bits: int, *, of: Iterable[int] = _ACCESSES) -> CommandDescriptor:
    """`row` without `bits`, if it is one of the commands `of` that have them."""
    if _number(row) not in of:
        return row
    usage = bytearray(row.usage)
    usage[_flags_byte(row)] &= ~bits
    return replace(row, usage=bytes(usage))


def without_unmap(row: CommandDescriptor) -> CommandDescriptor:
    """`row`; if it is WRITE SAME, it unmaps nothing."""
    return without_options(row, UNMAP, of=_WRITE_SAME)


@lru_cache(maxsize=64)
def has_dpo_and_fua(table: "CommandTable") -> bool:
    """DPOFUA: READ and WRITE have both bits (SBC-4 §6.5.1)."""
    rows = [row for row in table if _number(row) in _ACCESSES and row.name.startswith(("READ (", "WRITE ("))]
    return all(row.usage[_flags_byte(row)] & (DPO | FUA) == DPO | FUA for row in rows)


def unmapping_commands(table: "CommandTable") -> int:
    """LBPU, LBPWS and LBPWS10: which commands give room back (SBC-4 §6.6.6)."""
    found = _LBPU if table.lookup(_UNMAP_OPCODE) is not None else 0
    for opcode, bit in ((0x93, _LBPWS), (0x41, _LBPWS10)):
        row = table.lookup(opcode)
        if row is not None and row.usage[_FLAGS_BYTE] & UNMAP:
            found |= bit
    return found


def _number(row: CommandDescriptor) -> int:
    """The opcode; of a 32-byte CDB with the service action behind it."""
    return VARIABLE_LENGTH << 16 | (row.service_action or 0) if row.opcode == VARIABLE_LENGTH else row.opcode


def _flags_byte(row: CommandDescriptor) -> int:
    return _LONG_FLAGS_BYTE if row.opcode == VARIABLE_LENGTH else _FLAGS_BYTE
