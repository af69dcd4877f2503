"""`pscsi`: a SCSI device of this machine, which gets the commands of initiators as they are (SG_IO, scsi/sg.h).

The device is named by any of its nodes (/dev/sgN, /dev/sdX, /dev/srN, /dev/stN, /dev/bsg/…) or by HOST:CHANNEL:TARGET:LUN.
By whichever, commands go to its sg node if that can be opened, since the kernel lets only some pass through the others
(block/scsi_ioctl.c), and its block device is held exclusively as long as it is served: a disk must not be in use. All
initiators share the one I_T nexus of this machine with the device; what keeps them apart (reservations, unit
attentions) is above this.
"""

import ctypes
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from typing_extensions import Buffer

from isthmus.backstores.base import Backstore
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import BackstoreError, ConfigurationError

__all__ = ["Ioctl", "PassThroughBackstore", "PassThroughResult", "SgIoHeader", "is_attention"]

Ioctl = Callable[[int, int, Any], object]
"""`fcntl.ioctl`, or what a test has in its place: a descriptor, a request and its argument; raises `OSError`."""

_SG_IO: Final = 0x2285
_SG_GET_VERSION_NUM: Final = 0x2282
_SG_GET_SG_TABLESIZE: Final = 0x227F
_BLKSECTGET: Final = 0x1267
"""Of an sg node: bytes, an int."""
_PAGE: Final = 4096
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
_HOST_BUSY: Final = frozenset({0x02, 0x08, 0x0B, 0x0C, 0x0D, 0x0E})
"""DID_BUS_BUSY, RESET, SOFT_ERROR, IMM_RETRY, REQUEUE, TRANSPORT_DISRUPTED: it may do later."""
_BUSY: Final = 0x08
_SENSE_OR_NOTHING: Final = (0x00, 0x08)
"""DRIVER_OK and DRIVER_SENSE: the device itself has answered."""
_ATTENTIONS: Final = 8
"""How often a device may have something to say first."""
_DISK_TYPES: Final = (0x00, 0x0E)
_UNKNOWN_TYPE: Final = 0x1F
_SYSFS: Final = Path("/sys")


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
        self.device_type = 0
        """The first byte of its INQUIRY data."""
        self.device_block_length = 0
        """Bytes, of a disk."""
        self.max_transfer = self._transfer_limit()
        """Bytes of one command that the kernel takes for sure; 0 if it does not say."""

    @classmethod
    def open(cls, spec: BackstoreSpec, *, ioctl: Ioctl = fcntl.ioctl, sysfs: Path = _SYSFS) -> Self:
        """Open the device; raises `ConfigurationError`. `sysfs` is where the kernel tells of devices."""
        path = _resolved(spec.path, sysfs)
        try:
            with ExitStack() as undo:
                descriptors = _open_nodes(path, os.O_RDONLY if spec.read_only else os.O_RDWR, sysfs, undo)
                ioctl(descriptors[0], _SG_GET_VERSION_NUM, bytearray(4))
                made = cls(str(path), descriptors, read_only=spec.read_only, ioctl=ioctl)
                made._measure()
                undo.pop_all()
        except OSError as error:
            raise _refusal(Path(error.filename or path), error) from error
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
        if header.host_status in _HOST_BUSY and not header.status:
            return PassThroughResult(status=_BUSY, sense=b"", data_in=memoryview(b""), data_out_consumed=0)
        # With a status it is the device's answer, whatever the kernel makes of that (DID_NEXUS_FAILURE is a conflict).
        if not header.status and (header.host_status or header.driver_status & 0x0F not in _SENSE_OR_NOTHING):
            number = _HOST_ERRNO.get(header.host_status, errno.EREMOTEIO)
            raise BackstoreError(number, f"{self.path}: host status {header.host_status:#x}")
        done = max(0, len(buffer) - max(0, header.resid))
        return PassThroughResult(
            status=header.status,
            sense=bytes(sense[: header.sb_len_wr]),
            data_in=memoryview(buffer)[:done] if not outgoing else memoryview(b""),
            data_out_consumed=done if outgoing else 0,
        )

    def _measure(self) -> None:
        """Find out what a disk that is ready holds, by READ CAPACITY (10) or (16); raises `OSError`."""
        try:
            inquiry = self.execute(bytes((0x12, 0, 0, 0, 36, 0)), (), 36).data_in
            self.device_type = inquiry[0] if len(inquiry) else _UNKNOWN_TYPE
            if self.device_type & 0x1F not in _DISK_TYPES:
                return
            for cdb, length in ((b"\x9e\x10".ljust(13, b"\0") + b"\x20\0\0", 8), (b"\x25".ljust(10, b"\0"), 4)):
                result = self._told_of_attentions(cdb, 32 if length == 8 else 8)
                if result.status == 0 and len(result.data_in) >= length + 4:
                    last = int.from_bytes(result.data_in[:length])
                    self.device_block_length = int.from_bytes(result.data_in[length : length + 4])
                    self.size = (last + 1) * self.device_block_length
                    return
        except BackstoreError as error:
            raise OSError(error.errno, str(error)) from error

    def _told_of_attentions(self, cdb: bytes, data_in_length: int) -> PassThroughResult:
        """The result of a command, after what the device had to say first: who is served later hears of a start anyway."""
        result = self.execute(cdb, (), data_in_length)
        for _ in range(_ATTENTIONS):
            if not is_attention(result.sense):
                break
            result = self.execute(cdb, (), data_in_length)
        return result

    def _transfer_limit(self) -> int:
        """An sg node takes as many pages as its adapter takes pieces, in the worst case."""
        limits = (bytearray(4), bytearray(4))
        with suppress(OSError):
            self._ioctl(self._descriptors[0], _BLKSECTGET, limits[0])
            self._ioctl(self._descriptors[0], _SG_GET_SG_TABLESIZE, limits[1])
        length, pages = (int.from_bytes(limit, sys.byteorder) for limit in limits)
        return min(length, pages * _PAGE)

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


def is_attention(sense: Buffer) -> bool:
    """Whether it reports a UNIT ATTENTION, in either format (SPC-5 §4.4)."""
    data = bytes(sense)
    return len(data) > 3 and (data[1] if data[0] & 0x7F >= 0x72 else data[2]) & 0x0F == 6


def _resolved(name: str, sysfs: Path) -> Path:
    """A node of a device; raises `ConfigurationError` if HOST:CHANNEL:TARGET:LUN names none."""
    if name.startswith("/"):
        return Path(name)
    found = sorted((sysfs / "class/scsi_device" / name / "device/scsi_generic").glob("sg*"))
    if not found:
        raise ConfigurationError(
            f"there is no SCSI device {name}", "see lsscsi -g, and whether the sg module is loaded"
        )
    return Path("/dev") / found[0].name


def _open_nodes(path: Path, access: int, sysfs: Path, undo: ExitStack) -> list[int]:
    """All nodes of the device: the first takes the commands. Raises `OSError`, or `ConfigurationError` for a partition."""

    def opened(node: Path, flags: int) -> int:
        descriptor = os.open(node, flags | os.O_NONBLOCK | os.O_CLOEXEC)
        undo.callback(os.close, descriptor)
        return descriptor

    status = path.stat()
    is_block = stat.S_ISBLK(status.st_mode)
    told = sysfs / "dev" / ("block" if is_block else "char") / f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    if (told / "partition").exists():
        raise ConfigurationError(
            f"{path} is a partition, which takes no SCSI commands", "name the disk, or serve it as block"
        )
    descriptors = [opened(path, access | (os.O_EXCL if is_block else 0))]
    if not is_block:
        descriptors += [opened(node, os.O_RDONLY | os.O_EXCL) for node in _siblings(told, "block", path)]
    with suppress(OSError):
        descriptors[:0] = [opened(node, access) for node in _siblings(told, "scsi_generic", path)]
    return descriptors


def _siblings(told: Path, kind: str, path: Path) -> Iterator[Path]:
    """The other nodes that a device has of that kind; none of what is no device."""
    for entry in sorted((told / "device" / kind).glob("*")):
        if entry.name != path.name:
            yield Path("/dev") / entry.name


def _refusal(path: Path, error: OSError) -> ConfigurationError:
    if error.errno == errno.EBUSY:
        return ConfigurationError(f"{path} is in use", "unmount it, or take it from whoever has it")
    if error.errno in {errno.ENOTTY, errno.EINVAL}:
        return ConfigurationError(f"{path} takes no SCSI commands", "name /dev/sgN, or serve it as block or fileio")
    return ConfigurationError(f"{path} cannot be used: {error.strerror}", "see whether it is there and may be opened")
