"""What Linux tells of a block device: its sectors by ioctl, its queue by sysfs."""

import fcntl
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from isthmus.backstores.base import Capabilities

__all__ = ["BlockDeviceProperties"]

_BLKSSZGET: Final = 0x1268
_BLKPBSZGET: Final = 0x127B
"""linux/fs.h: the logical and the physical sector size, each an int."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDeviceProperties:
    """All lengths in bytes."""

    logical_sector_length: int
    """The unit of every access."""
    physical_sector_length: int
    can_deallocate: bool
    """The device gives room back, and what it gave back reads as zeros. (A discard alone promises no content.)"""
    deallocation_granularity: int

    @classmethod
    def of(cls, descriptor: int) -> Self:
        """Those of the open block device; raises `OSError`."""
        number = os.fstat(descriptor).st_rdev
        logical = _integer_ioctl(descriptor, _BLKSSZGET)
        zeroes = _queue_attribute(number, "write_zeroes_max_bytes")
        return cls(
            logical_sector_length=logical,
            physical_sector_length=_integer_ioctl(descriptor, _BLKPBSZGET),
            can_deallocate=bool(zeroes and _queue_attribute(number, "discard_max_bytes")),
            deallocation_granularity=max(logical, _queue_attribute(number, "discard_granularity")),
        )

    def capabilities(self) -> Capabilities:
        """What a backstore on the device can do."""
        return Capabilities(
            discard=self.can_deallocate,
            discard_granularity=self.deallocation_granularity,
            physical_block_length=self.physical_sector_length,
        )


def _integer_ioctl(descriptor: int, request: int) -> int:
    (value,) = struct.unpack("i", fcntl.ioctl(descriptor, request, bytes(4)))
    return int(value)


def _queue_attribute(device_number: int, name: str) -> int:
    """An attribute of the device's queue (Documentation/ABI/stable/sysfs-block), 0 without one.

    A partition has no queue, but its disk, the directory above, has.
    """
    directory = Path(f"/sys/dev/block/{os.major(device_number)}:{os.minor(device_number)}").resolve()
    for queue in (directory / "queue", directory.parent / "queue"):
        with suppress(OSError, ValueError):
            return int((queue / name).read_text())
    return 0
