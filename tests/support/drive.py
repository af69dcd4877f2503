"""A drive to try multi-media commands on, and the image of a disc that file systems understand."""

import struct
from typing import Any, Final

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.backstores.tray import Tray
from isthmus.scsi.device_type import CD_DVD
from isthmus.scsi.logical_unit import LogicalUnit
from tests.support.disk import pattern
from tests.support.scsi import Bench

__all__ = ["DVD_BLOCKS", "SECTOR", "bench", "drive", "iso_image"]

SECTOR: Final = 2048
DVD_BLOCKS: Final = 360_001
"""One more than a CD can have."""


def drive(num_blocks: int = 64, **options: Any) -> LogicalUnit:
    """A drive with a disc of so many blocks, which differ from each other; none: the tray is empty."""
    disc = RamdiskBackstore("disc", num_blocks * SECTOR) if num_blocks else None
    if disc is not None:
        disc.write(0, (pattern(min(num_blocks, 64) * SECTOR),))
    return LogicalUnit(Tray("drive", disc), device_type=CD_DVD, **options)


def bench(num_blocks: int = 64) -> Bench:
    """A target with such a drive."""
    return Bench(unit=drive(num_blocks))


def iso_image(name: str, content: bytes, volume: str = "ISTHMUS") -> bytes:
    """A disc in ISO 9660 (ECMA-119) with one file; `name` as there, like `HELLO.TXT;1`."""
    path_table, root, data = 18, 20, 21
    length = -(-len(content) // SECTOR)
    records = (
        _record(b"\0", root, SECTOR, directory=True)
        + _record(b"\1", root, SECTOR, directory=True)
        + _record(name.encode(), data, len(content))
    )
    descriptor = bytearray(SECTOR)
    descriptor[0:7] = b"\1CD001\1"
    descriptor[8:72] = b" " * 32 + volume.encode().ljust(32)
    descriptor[80:88] = _both(data + length, 4)
    descriptor[120:132] = _both(1, 2) + _both(1, 2) + _both(SECTOR, 2)
    descriptor[132:140] = _both(10, 4)
    descriptor[140:156] = struct.pack("<II", path_table, 0) + struct.pack(">II", path_table + 1, 0)
    descriptor[156:190] = _record(b"\0", root, SECTOR, directory=True)
    descriptor[190:813] = b" " * 623
    descriptor[813:881] = (b"0" * 16 + b"\0") * 4
    descriptor[881] = 1
    terminator = b"\xffCD001\1"
    sectors = {
        16: bytes(descriptor),
        17: terminator,
        path_table: struct.pack("<BBIH2s", 1, 0, root, 1, b"\0\0"),
        path_table + 1: struct.pack(">BBIH2s", 1, 0, root, 1, b"\0\0"),
        root: records,
    }
    head = b"".join(sectors.get(number, b"").ljust(SECTOR, b"\0") for number in range(data))
    return head + content.ljust(length * SECTOR, b"\0")


def _both(number: int, length: int) -> bytes:
    """Little-endian, then big-endian (ECMA-119 §7.2.3, §7.3.3)."""
    return number.to_bytes(length, "little") + number.to_bytes(length, "big")


def _record(name: bytes, place: int, length: int, *, directory: bool = False) -> bytes:
    """A directory record (ECMA-119 §9.1)."""
    date = bytes((126, 1, 1, 0, 0, 0, 0))
    flags = bytes((2 if directory else 0, 0, 0))
    body = b"\0" + _both(place, 4) + _both(length, 4) + date + flags + _both(1, 2) + bytes((len(name),)) + name
    body += b"\0" * ((len(body) + 1) % 2)
    return bytes((len(body) + 1,)) + body
