"""`pscsi`: a SCSI device of this machine, which gets the commands of initiators as they are (SG_IO, scsi/sg.h).

The device is named by /dev/sgN, by another node that takes SG_IO (/dev/sdX, /dev/srN), or by HOST:CHANNEL:TARGET:LUN. A
disk must not be in use: its block device is held exclusively as long as it is served. All initiators share the one I_T
nexus of this machine with the device; what keeps them apart (reservations, unit attentions) is above this.
"""

import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from typing_extensions import Buffer

from isthmus.backstores.base import Backstore
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import BackstoreError, ConfigurationError

__all__ = ["Ioctl", "PassThroughBackstore", "PassThroughResult", "SgIoHeader"]

Ioctl = Callable[[int, int, Any], object]
"""`fcntl.ioctl`, or what a test has in its place: a descriptor, a request and its argument; raises `OSError`."""

_SG_IO: Final = 0x2285
_SG_GET_VERSION_NUM: Final = 0x2282
_DXFER_NONE: Final = -1
_DXFER_TO_DEVICE: Final = -2
_DXFER_FROM_DEVICE: Final = -3
_SENSE_LENGTH: Final = 252
_SECONDS: Final = 60
_LONG_SECONDS: Final = 4 * 3600
_LONG: Final = frozenset({0x01, 0x04, 0x11, 0x19, 0x1B, 0x48, 0x91, 0x92, 0xA1, 0xA5})
"""Opcodes of what may take hours: REWIND, FORMAT UNIT, SPACE, ERASE, LOAD, SANITIZE, LOCATE, BLANK, MOVE MEDIUM."""
_HOST_ERRNO: Final = {0x01: errno.ENODEV, 0x03: errno.ETIMEDOUT, 0x04: errno.ENODEV, 0x0F: errno.ENODEV}
"""DID_NO_CONNECT, DID_TIME_OUT, DID_BAD_TARGET, DID_TRANSPORT_FAILFAST."""
_SENSE_OR_NOTHING: Final = (0x00, 0x08)
"""DRIVER_OK and DRIVER_SENSE: the device itself has answered."""
_DISK_TYPES: Final = (0x00, 0x0E)
_SCSI_DEVICES: Final = Path("/sys/class/scsi_device")


class SgIoHeader(ctypes.Structure):
    """struct sg_io_hdr, version 3."""

    _fields_ = (
        ("interface_id", ctypes.c_int),
        ("dxfer_direction", ctypes.c_int),
        ("cmd_len", ctypes.c_ubyte),
        ("mx_sb_len", ctypes.c_ubyte),
        ("iovec_count", ctypes.c_ushort),
        ("dxfer_len", ctypes.c_uint),
        ("dxferp", ctypes.c_void_p),
        ("cmdp", ctypes.c_void_p),
        ("sbp", ctypes.c_void_p),
        ("timeout", ctypes.c_uint),
        ("flags", ctypes.c_uint),
        ("pack_id", ctypes.c_int),
        ("usr_ptr", ctypes.c_void_p),
        ("status", ctypes.c_ubyte),
        ("masked_status", ctypes.c_ubyte),
        ("msg_status", ctypes.c_ubyte),
        ("sb_len_wr", ctypes.c_ubyte),
        ("host_status", ctypes.c_ushort),
        ("driver_status", ctypes.c_ushort),
        ("resid", ctypes.c_int),
        ("duration", ctypes.c_uint),
        ("info", ctypes.c_uint),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PassThroughResult:
    """What the device has answered."""

    status: int
    sense: bytes
    data_in: memoryview
    data_out_consumed: int
    """Bytes."""


class PassThroughBackstore(Backstore):
    """One SCSI device."""

    kind = "pscsi"
    volatile = True
    """Nothing is promised here: the device answers for itself."""
    pass_through = True

    def __init__(self, path: str, descriptors: Sequence[int], *, read_only: bool, ioctl: Ioctl) -> None:
        """Commands go to the first of `descriptors`, which are this object's from now on."""
        self.read_only = read_only
        self.path = path
        self._descriptors = tuple(descriptors)
        self._ioctl = ioctl
        self.size = 0
        """Bytes, of a disk; initiators ask the device."""

    @classmethod
    def open(cls, spec: BackstoreSpec, *, ioctl: Ioctl = fcntl.ioctl, devices: Path = _SCSI_DEVICES) -> Self:
        """Open the device; raises `ConfigurationError`. `devices` is where the kernel tells of SCSI devices."""
        path = _resolved(spec.path, devices)
        descriptors: list[int] = []
        try:
            flags = os.O_RDONLY if spec.read_only else os.O_RDWR
            descriptors.append(os.open(path, flags | _exclusively(path) | os.O_NONBLOCK | os.O_CLOEXEC))
            ioctl(descriptors[0], _SG_GET_VERSION_NUM, bytearray(4))
            made = cls(str(path), descriptors, read_only=spec.read_only, ioctl=ioctl)
            made.size = made._capacity()
        except OSError as error:
            for descriptor in descriptors:
                os.close(descriptor)
            raise _refusal(path, error) from error
        return made

    @property
    def identity(self) -> str:
        return f"pscsi {self.path}"

    def execute(self, cdb: bytes, data_out: Sequence[Buffer], data_in_length: int) -> PassThroughResult:
        """Have the device do a command, and wait for it; raises `BackstoreError` if the device has not answered."""
        outgoing = b"".join(data_out)
        buffer = bytearray(outgoing or data_in_length)
        sense = bytearray(_SENSE_LENGTH)
        header = _header(cdb, buffer, sense, outgoing=bool(outgoing))
        try:
            self._ioctl(self._descriptors[0], _SG_IO, header)
        except OSError as error:
            raise BackstoreError(error.errno or errno.EIO, f"{self.path}: {error.strerror}") from error
        if header.host_status or header.driver_status & 0x0F not in _SENSE_OR_NOTHING:
            number = _HOST_ERRNO.get(header.host_status, errno.EREMOTEIO)
            raise BackstoreError(number, f"{self.path}: host status {header.host_status:#x}")
        done = max(0, len(buffer) - max(0, header.resid))
        return PassThroughResult(
            status=header.status,
            sense=bytes(sense[: header.sb_len_wr]),
            data_in=memoryview(buffer)[:done] if not outgoing else memoryview(b""),
            data_out_consumed=done if outgoing else 0,
        )

    def _capacity(self) -> int:
        """Bytes of a disk that is ready, by READ CAPACITY (10) or (16)."""
        try:
            inquiry = self.execute(bytes((0x12, 0, 0, 0, 36, 0)), (), 36).data_in
            if not len(inquiry) or inquiry[0] & 0x1F not in _DISK_TYPES:
                return 0
            for cdb, length in ((b"\x9e\x10".ljust(13, b"\0") + b"\x20\0\0", 8), (b"\x25".ljust(10, b"\0"), 4)):
                result = self.execute(cdb, (), 32 if length == 8 else 8)
                if result.status == 0 and len(result.data_in) >= length + 4:
                    last = int.from_bytes(result.data_in[:length])
                    return (last + 1) * int.from_bytes(result.data_in[length : length + 4])
        except BackstoreError as error:
            raise OSError(error.errno, str(error)) from error
        return 0

    def close(self) -> None:
        """Let go of the device."""
        descriptors, self._descriptors = self._descriptors, ()
        for descriptor in descriptors:
            os.close(descriptor)

    # What a device does is asked for by commands alone.

    def read_into(self, offset: int, buffer: memoryview) -> None:
        raise self._only_commands()

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        raise self._only_commands()

    def write_zeroes(self, offset: int, length: int, *, durable: bool = False) -> None:
        raise self._only_commands()

    def flush(self) -> None:
        """Whatever the initiators wanted flushed, they have said to the device."""

    def _only_commands(self) -> BackstoreError:
        return BackstoreError(errno.EOPNOTSUPP, f"{self.path} takes SCSI commands only")


def _header(cdb: bytes, buffer: bytearray, sense: bytearray, *, outgoing: bool) -> SgIoHeader:
    """The argument of SG_IO; the addresses in it hold as long as the objects do, which the header keeps."""
    direction = _DXFER_NONE if not buffer else _DXFER_TO_DEVICE if outgoing else _DXFER_FROM_DEVICE
    command = (ctypes.c_ubyte * len(cdb)).from_buffer_copy(cdb)
    data = (ctypes.c_ubyte * len(buffer)).from_buffer(buffer)
    told = (ctypes.c_ubyte * len(sense)).from_buffer(sense)
    header = SgIoHeader(
        interface_id=ord("S"),
        dxfer_direction=direction,
        cmd_len=len(cdb),
        mx_sb_len=len(sense),
        dxfer_len=len(buffer),
        dxferp=ctypes.addressof(data) if buffer else None,
        cmdp=ctypes.addressof(command),
        sbp=ctypes.addressof(told),
        timeout=1000 * (_LONG_SECONDS if cdb[0] in _LONG else _SECONDS),
    )
    header.kept = (command, data, told)
    return header


def _resolved(name: str, devices: Path) -> Path:
    """The node of a device; raises `ConfigurationError` if HOST:CHANNEL:TARGET:LUN names none."""
    if name.startswith("/"):
        return Path(name)
    found = sorted((devices / name / "device" / "scsi_generic").glob("sg*"))
    if not found:
        raise ConfigurationError(
            f"there is no SCSI device {name}", "see lsscsi -g, and whether the sg module is loaded"
        )
    return Path("/dev") / found[0].name


def _exclusively(path: Path) -> int:
    """O_EXCL where that keeps a device from being used otherwise: a block device that is mounted is not opened."""
    return os.O_EXCL if stat.S_ISBLK(path.stat().st_mode) else 0


def _refusal(path: Path, error: OSError) -> ConfigurationError:
    if error.errno == errno.EBUSY:
        return ConfigurationError(f"{path} is in use", "unmount it, or take it from whoever has it")
    if error.errno in {errno.ENOTTY, errno.EINVAL}:
        return ConfigurationError(f"{path} takes no SCSI commands", "name /dev/sgN, or serve it as block or fileio")
    return ConfigurationError(f"{path} cannot be used: {error.strerror}", "see whether it is there and may be opened")
