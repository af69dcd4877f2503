"""A SCSI device behind SG_IO, without a kernel: what stands in the place of `ioctl`, and notes each command."""

import ctypes
import errno
import os
import struct
from dataclasses import dataclass, field
from typing import Any

from isthmus.backstores.pscsi import SgIoHeader

__all__ = ["BLOCK", "SgDevice"]

BLOCK = 512
_SG_IO = 0x2285
_BLKSECTGET = 0x1267
_SG_GET_SG_TABLESIZE = 0x227F


def _sense(key: int, code: bytes) -> bytes:
    return bytes((0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, *code, 0, 0, 0, 0))


_NOT_READY = _sense(2, b"\x3a\0")


@dataclass
class SgDevice:
    """A disk of a few blocks, or a device of another type that has no medium."""

    device_type: int = 0
    content: bytearray = field(default_factory=lambda: bytearray(16 * BLOCK))
    commands: list[bytes] = field(default_factory=list)
    host_status: int = 0
    status: int = 0
    """With `host_status`."""
    errno: int = 0
    """What the kernel says in the device's place."""
    attention: bytes = b""
    """ASC and ASCQ of what it has to say first."""
    max_sectors: int = 0
    """Bytes of a command, as the kernel tells of an sg node."""
    pieces: int = 0
    takes_commands: bool = True
    pages: dict[int, bytes] = field(default_factory=dict)
    """Vital product data."""
    last_timeout: int = 0
    """Milliseconds."""

    def ioctl(self, _descriptor: int, request: int, argument: Any) -> int:
        """What the kernel would do."""
        if not self.takes_commands:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        if request == _SG_IO:
            assert isinstance(argument, SgIoHeader)
            if self.errno:
                raise OSError(self.errno, os.strerror(self.errno))
            self._run(argument)
        elif request in {_BLKSECTGET, _SG_GET_SG_TABLESIZE}:
            argument[:] = struct.pack("=i", self.max_sectors if request == _BLKSECTGET else self.pieces)
        return 0

    def _run(self, header: SgIoHeader) -> None:
        assert header.interface_id == ord("S")
        cdb = ctypes.string_at(header.cmdp, header.cmd_len)
        self.commands.append(cdb)
        self.last_timeout = header.timeout
        header.host_status = self.host_status
        if self.host_status:
            header.status = self.status
            return
        outgoing = ctypes.string_at(header.dxferp, header.dxfer_len) if header.dxfer_direction == -2 else b""
        sense = _NOT_READY
        if self.attention and cdb[0] != 0x12:
            sense, answer = _sense(6, self.attention), None
            self.attention = b""
        else:
            answer = self._do(cdb, outgoing)
        if answer is None:
            ctypes.memmove(header.sbp, sense, len(sense))
            header.status, header.sb_len_wr, header.driver_status = 2, len(sense), 8
            header.resid = header.dxfer_len
        elif header.dxfer_direction == -3:
            used = min(len(answer), header.dxfer_len)
            ctypes.memmove(header.dxferp, answer, used)
            header.resid = header.dxfer_len - used

    def _do(self, cdb: bytes, outgoing: bytes) -> bytes | None:
        """The data of a command; None: it ends with MEDIUM NOT PRESENT."""
        if cdb[0] == 0x12 and cdb[1]:
            return self.pages.get(cdb[2])
        if cdb[0] == 0x12:
            return bytes((self.device_type, 0, 6, 2, 31, 0, 0, 0)) + b"ACME    A DEVICE        1.0 "
        if self.device_type:
            return b"" if cdb[0] == 0 else None
        if cdb[0] == 0x9E:
            return (len(self.content) // BLOCK - 1).to_bytes(8) + BLOCK.to_bytes(4) + bytes(20)
        if cdb[0] in {0x88, 0x8A}:
            start, count = int.from_bytes(cdb[2:10]) * BLOCK, int.from_bytes(cdb[10:14]) * BLOCK
            if cdb[0] == 0x88:
                return bytes(self.content[start : start + count])
            self.content[start : start + len(outgoing)] = outgoing
        return b""
