"""A SCSI device behind SG_IO, without a kernel: what stands in the place of `ioctl`, and notes each command."""

import ctypes
import errno
from dataclasses import dataclass, field
from typing import Any

from isthmus.backstores.pscsi import SgIoHeader

__all__ = ["BLOCK", "SgDevice"]

BLOCK = 512
_SG_IO = 0x2285
_NOT_READY = bytes((0x70, 0, 2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x3A, 0, 0, 0, 0, 0))


@dataclass
class SgDevice:
    """A disk of a few blocks, or a device of another type that has no medium."""

    device_type: int = 0
    content: bytearray = field(default_factory=lambda: bytearray(16 * BLOCK))
    commands: list[bytes] = field(default_factory=list)
    host_status: int = 0
    takes_commands: bool = True
    last_timeout: int = 0
    """Milliseconds."""

    def ioctl(self, _descriptor: int, request: int, argument: Any) -> int:
        """What the kernel would do."""
        if not self.takes_commands:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        if request == _SG_IO:
            assert isinstance(argument, SgIoHeader)
            self._run(argument)
        return 0

    def _run(self, header: SgIoHeader) -> None:
        assert header.interface_id == ord("S")
        cdb = ctypes.string_at(header.cmdp, header.cmd_len)
        self.commands.append(cdb)
        self.last_timeout = header.timeout
        header.host_status = self.host_status
        if self.host_status:
            return
        outgoing = ctypes.string_at(header.dxferp, header.dxfer_len) if header.dxfer_direction == -2 else b""
        answer = self._do(cdb, outgoing)
        if answer is None:
            ctypes.memmove(header.sbp, _NOT_READY, len(_NOT_READY))
            header.status, header.sb_len_wr, header.driver_status = 2, len(_NOT_READY), 8
            header.resid = header.dxfer_len
        elif header.dxfer_direction == -3:
            used = min(len(answer), header.dxfer_len)
            ctypes.memmove(header.dxferp, answer, used)
            header.resid = header.dxfer_len - used

    def _do(self, cdb: bytes, outgoing: bytes) -> bytes | None:
        """The data of a command; None: it ends with MEDIUM NOT PRESENT."""
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
