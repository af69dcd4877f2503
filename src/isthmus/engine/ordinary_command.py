"""A SCSI Command PDU with READ or WRITE (10) or (16), as the fast paths take it apart: two layouts over one header."""

import struct
from typing import Final

__all__ = ["CDB_16_OFFSET", "COMMAND", "COMMAND_16", "write_16"]

COMMAND: Final = struct.Struct(">HxxIQIIIIHIBHB")
"""Opcode and flags, lengths, LUN, ITT, expected length, CmdSN, ExpStatSN (RFC 7143 §11.3); of the CDB: bytes 0-1, 2-5, 6,
7-8, 9 (SBC-4 §5.17, §5.41)."""
COMMAND_16: Final = struct.Struct(">QIBB")
"""Bytes 2 to 15 of a 16-byte CDB: LBA, transfer length, group number, CONTROL (SBC-4 §5.19, §5.43)."""
CDB_16_OFFSET: Final = 34
"""Where these begin in the header."""


def write_16(lba: int, blocks: int) -> bytes:
    """The CDB of an ordinary WRITE (16)."""
    return b"\x8a\0" + COMMAND_16.pack(lba, blocks, 0, 0)
