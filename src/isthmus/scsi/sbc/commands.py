"""The rows of the block commands (SBC-4 table 31). A further command is a row here and a module beside its kin.

Usage masks: bits of protection fields (RDPROTECT and its kin), RARC and the obsolete FUA_NV stay 0, as no unit has
protection information; a CDB that sets them is refused before it is parsed. GROUP NUMBER is accepted and counts for
nothing. The reservation classes are those of SBC-4 table 13.
"""

from dataclasses import replace
from functools import partial
from typing import Final

from isthmus.scsi.opcodes import AccessClass, CommandDescriptor, Parser, ReservationClass, reads_medium, writes_medium
from isthmus.scsi.sbc.block_range import SIX, SIXTEEN, TEN, TWELVE
from isthmus.scsi.sbc.cache import parse_pre_fetch, parse_synchronize_cache, pre_fetch, synchronize_cache
from isthmus.scsi.sbc.capacity import parse_read_capacity_10, parse_read_capacity_16, read_capacity_10, read_capacity_16
from isthmus.scsi.sbc.compare_and_write import compare_and_write, parse_compare_and_write
from isthmus.scsi.sbc.lba_status import get_lba_status, parse_get_lba_status
from isthmus.scsi.sbc.orwrite import or_write, parse_or_write
from isthmus.scsi.sbc.provisioning import parse_unmap, unmap
from isthmus.scsi.sbc.read_write import parse_read, parse_write, read, write
from isthmus.scsi.sbc.variable_length import VARIABLE_LENGTH_ROWS
from isthmus.scsi.sbc.verify import parse_verify, parse_write_and_verify, verify, write_and_verify
from isthmus.scsi.sbc.write_atomic import ATOMIC_SIXTEEN, BOUNDARY_BYTE_16, parse_write_atomic, write_atomic
from isthmus.scsi.sbc.write_same import parse_write_same, write_same

__all__ = ["ROWS"]

_CONTROL: Final = 0x04
"""NACA (SAM-5 §5.2)."""
_GROUP_NUMBER: Final = 0x3F
_DPO: Final = 0x10
_FUA: Final = 0x08
_BYTCHK: Final = 0x06
_IMMED: Final = 0x02
_SYNC_NV: Final = 0x04
"""Obsolete since SBC-3: it allowed what is in a cache that keeps it without power to stay there."""
_ANCHOR_UNMAP: Final = 0x18
_NDOB: Final = 0x01
_FIELD = b"\xff"


def _six(opcode: int) -> bytes:
    """The usage mask of a six-byte CDB: 21 bits of LBA, 8 of length."""
    return bytes((opcode, 0x1F)) + _FIELD * 3 + bytes((_CONTROL,))


def _ten(opcode: int, flags: int) -> bytes:
    """The usage mask of a ten-byte CDB: 32 bits of LBA, 16 of length."""
    return bytes((opcode, flags)) + _FIELD * 4 + bytes((_GROUP_NUMBER,)) + _FIELD * 2 + bytes((_CONTROL,))


def _twelve(opcode: int, flags: int) -> bytes:
    """The usage mask of a twelve-byte CDB: 32 bits of LBA, 32 of length."""
    return bytes((opcode, flags)) + _FIELD * 8 + bytes((_GROUP_NUMBER, _CONTROL))


def _sixteen(opcode: int, flags: int) -> bytes:
    """The usage mask of a sixteen-byte CDB: 64 bits of LBA, 32 of length."""
    return bytes((opcode, flags)) + _FIELD * 12 + bytes((_GROUP_NUMBER, _CONTROL))


def _synchronizes(name: str, usage: bytes, parse: Parser, source: str) -> CommandDescriptor:
    """SYNCHRONIZE CACHE conflicts like a write, though a write-protected unit does it (SBC-4 table 13)."""
    return CommandDescriptor(
        name=name,
        usage=usage,
        parse=parse,
        handler=synchronize_cache,
        reservation=ReservationClass.WRITE,
        source=source,
    )


_READ: Final = (
    reads_medium("READ (6)", _six(0x08), partial(parse_read, SIX), read, "SBC-2 §5.5"),
    reads_medium("READ (10)", _ten(0x28, _DPO | _FUA), partial(parse_read, TEN), read, "SBC-4 §5.16"),
    reads_medium("READ (12)", _twelve(0xA8, _DPO | _FUA), partial(parse_read, TWELVE), read, "SBC-4 §5.17"),
    reads_medium("READ (16)", _sixteen(0x88, _DPO | _FUA), partial(parse_read, SIXTEEN), read, "SBC-4 §5.18"),
)

_WRITE: Final = (
    writes_medium("WRITE (6)", _six(0x0A), partial(parse_write, SIX), write, "SBC-2 §5.24"),
    writes_medium("WRITE (10)", _ten(0x2A, _DPO | _FUA), partial(parse_write, TEN), write, "SBC-4 §5.40"),
    writes_medium("WRITE (12)", _twelve(0xAA, _DPO | _FUA), partial(parse_write, TWELVE), write, "SBC-4 §5.41"),
    writes_medium("WRITE (16)", _sixteen(0x8A, _DPO | _FUA), partial(parse_write, SIXTEEN), write, "SBC-4 §5.42"),
)

_VERIFY: Final = (
    reads_medium("VERIFY (10)", _ten(0x2F, _DPO | _BYTCHK), partial(parse_verify, TEN), verify, "SBC-4 §5.36"),
    reads_medium("VERIFY (12)", _twelve(0xAF, _DPO | _BYTCHK), partial(parse_verify, TWELVE), verify, "SBC-4 §5.37"),
    reads_medium("VERIFY (16)", _sixteen(0x8F, _DPO | _BYTCHK), partial(parse_verify, SIXTEEN), verify, "SBC-4 §5.38"),
)

_WRITE_AND_VERIFY: Final = (
    writes_medium(
        "WRITE AND VERIFY (10)",
        _ten(0x2E, _DPO | _BYTCHK),
        partial(parse_write_and_verify, TEN),
        write_and_verify,
        "SBC-4 §5.44",
    ),
    writes_medium(
        "WRITE AND VERIFY (12)",
        _twelve(0xAE, _DPO | _BYTCHK),
        partial(parse_write_and_verify, TWELVE),
        write_and_verify,
        "SBC-4 §5.45",
    ),
    writes_medium(
        "WRITE AND VERIFY (16)",
        _sixteen(0x8E, _DPO | _BYTCHK),
        partial(parse_write_and_verify, SIXTEEN),
        write_and_verify,
        "SBC-4 §5.46",
    ),
)

_CACHE: Final = (
    _synchronizes(
        "SYNCHRONIZE CACHE (10)", _ten(0x35, _IMMED | _SYNC_NV), partial(parse_synchronize_cache, TEN), "SBC-4 §5.33"
    ),
    _synchronizes(
        "SYNCHRONIZE CACHE (16)",
        _sixteen(0x91, _IMMED | _SYNC_NV),
        partial(parse_synchronize_cache, SIXTEEN),
        "SBC-4 §5.34",
    ),
    reads_medium("PRE-FETCH (10)", _ten(0x34, _IMMED), partial(parse_pre_fetch, TEN), pre_fetch, "SBC-4 §5.13"),
    reads_medium("PRE-FETCH (16)", _sixteen(0x90, _IMMED), partial(parse_pre_fetch, SIXTEEN), pre_fetch, "SBC-4 §5.14"),
)

_ATOMIC: Final = (
    writes_medium(
        "COMPARE AND WRITE",
        bytes((0x89, _DPO | _FUA)) + _FIELD * 8 + bytes((0, 0, 0, 0xFF, _GROUP_NUMBER, _CONTROL)),
        parse_compare_and_write,
        compare_and_write,
        "SBC-4 §5.3",
    ),
    replace(
        writes_medium(
            "WRITE ATOMIC (16)",
            bytes((0x9C, _DPO | _FUA)) + _FIELD * 12 + bytes((_GROUP_NUMBER, _CONTROL)),
            partial(parse_write_atomic, ATOMIC_SIXTEEN, BOUNDARY_BYTE_16),
            write_atomic,
            "SBC-4 §5.48",
        ),
        needs_atomic_writes=True,
    ),
    writes_medium(
        "ORWRITE (16)", _sixteen(0x8B, _DPO | _FUA), partial(parse_or_write, SIXTEEN), or_write, "SBC-4 §5.10"
    ),
)

_PROVISIONING: Final = (
    replace(
        writes_medium(
            "UNMAP",
            bytes((0x42, 0x01, 0, 0, 0, 0, _GROUP_NUMBER, 0xFF, 0xFF, _CONTROL)),
            parse_unmap,
            unmap,
            "SBC-4 §5.35",
        ),
        needs_discard=True,
    ),
    writes_medium(
        "WRITE SAME (10)", _ten(0x41, _ANCHOR_UNMAP), partial(parse_write_same, TEN), write_same, "SBC-4 §5.52"
    ),
    writes_medium(
        "WRITE SAME (16)",
        _sixteen(0x93, _ANCHOR_UNMAP | _NDOB),
        partial(parse_write_same, SIXTEEN),
        write_same,
        "SBC-4 §5.53",
    ),
    CommandDescriptor(
        name="GET LBA STATUS (16)",
        service_action=0x12,
        usage=bytes((0x9E, 0x12)) + _FIELD * 12 + bytes((0xFF, _CONTROL)),
        parse=parse_get_lba_status,
        handler=get_lba_status,
        reservation=ReservationClass.READ,
        source="SBC-4 §5.6",
    ),
)

_CAPACITY: Final = (
    CommandDescriptor(
        name="READ CAPACITY (10)",
        usage=bytes((0x25, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0x01, _CONTROL)),
        parse=parse_read_capacity_10,
        handler=read_capacity_10,
        reservation=ReservationClass.ALWAYS,
        access=AccessClass.STANDBY,
        source="SBC-4 §5.20",
    ),
    CommandDescriptor(
        name="READ CAPACITY (16)",
        service_action=0x10,
        usage=bytes((0x9E, 0x10)) + _FIELD * 12 + bytes((0x01, _CONTROL)),
        parse=parse_read_capacity_16,
        handler=read_capacity_16,
        reservation=ReservationClass.ALWAYS,
        access=AccessClass.STANDBY,
        source="SBC-4 §5.21",
    ),
)

ROWS: Final[tuple[CommandDescriptor, ...]] = (
    *_CAPACITY,
    *_READ,
    *_WRITE,
    *_VERIFY,
    *_WRITE_AND_VERIFY,
    *_CACHE,
    *_ATOMIC,
    *_PROVISIONING,
    *VARIABLE_LENGTH_ROWS,
)
"""Every block command."""
