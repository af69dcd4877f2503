"""GET CONFIGURATION (MMC-6 §6.5): what the drive can do, and what of that it can do with the disc that is in it.

`FEATURES` is the only list of it. A feature is current as long as its commands would work.
"""

import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.mmc.disc import BLOCK_LENGTH, Profile, profile_of
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["FEATURES", "Feature", "GetConfiguration", "get_configuration", "parse_get_configuration"]

_SCSI_FAMILY: Final = 1
"""PHYSICAL INTERFACE STANDARD."""
_INQ2: Final = 0x02
"""INQUIRY is as in SPC."""
_TRAY_LOADS_EJECTS_LOCKS: Final = 0x39
_PAGE_PRESENT: Final = 0x01
"""The Read-Write Error Recovery mode page is there."""
_CD_BLOCKING: Final = 1
_DVD_BLOCKING: Final = 16
"""Blocks in an ECC block."""


class RequestedType(enum.IntEnum):
    """The RT field."""

    ALL = 0
    CURRENT = 1
    ONE = 2


def _always(_unit: "LogicalUnit") -> bool:
    return True


def _any_disc(unit: "LogicalUnit") -> bool:
    return profile_of(unit) is not Profile.NONE


def _is(profile: Profile) -> "Callable[[LogicalUnit], bool]":
    return lambda unit: profile_of(unit) is profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One row."""

    code: int
    name: str
    source: str
    version: int = 0
    current: "Callable[[LogicalUnit], bool]" = _always
    data: "Callable[[LogicalUnit], bytes]" = lambda _: b""

    def build(self, unit: "LogicalUnit") -> bytes:
        """The feature descriptor; what is always current is persistent (MMC-6 §5.2.2)."""
        data = self.data(unit)
        flags = self.version << 2 | (self.current is _always) << 1 | self.current(unit)
        return struct.pack(">HBB", self.code, flags, len(data)) + data


def _profiles(unit: "LogicalUnit") -> bytes:
    current = profile_of(unit)
    return b"".join(struct.pack(">HBx", profile, profile is current) for profile in (Profile.DVD_ROM, Profile.CD_ROM))


def _random_readable(unit: "LogicalUnit") -> bytes:
    blocking = _DVD_BLOCKING if profile_of(unit) is Profile.DVD_ROM else _CD_BLOCKING
    return struct.pack(">IHBx", BLOCK_LENGTH, blocking, _PAGE_PRESENT)


def _serial_number(unit: "LogicalUnit") -> bytes:
    """A multiple of four bytes, filled with blanks."""
    serial = unit.identity.serial_field
    return (serial + b" " * (-len(serial) % 4))[:252]


FEATURES: Final = (
    Feature(code=0x0000, name="Profile List", source="MMC-6 §5.3.1", data=_profiles),
    Feature(
        code=0x0001,
        name="Core",
        source="MMC-6 §5.3.2",
        version=2,
        data=lambda _: struct.pack(">IBxxx", _SCSI_FAMILY, _INQ2),
    ),
    # No event tells that features have become current: a change of the disc does.
    Feature(code=0x0002, name="Morphing", source="MMC-6 §5.3.3", version=1, data=lambda _: bytes(4)),
    Feature(
        code=0x0003,
        name="Removable Medium",
        source="MMC-6 §5.3.4",
        version=1,
        data=lambda _: bytes((_TRAY_LOADS_EJECTS_LOCKS, 0, 0, 0)),
    ),
    Feature(code=0x0010, name="Random Readable", source="MMC-6 §5.3.6", current=_any_disc, data=_random_readable),
    # Neither audio, nor C2 error pointers, nor CD-Text: an image has none of them.
    Feature(
        code=0x001E,
        name="CD Read",
        source="MMC-6 §5.3.8",
        version=2,
        current=_is(Profile.CD_ROM),
        data=lambda _: bytes(4),
    ),
    Feature(
        code=0x001F,
        name="DVD Read",
        source="MMC-6 §5.3.9",
        version=1,
        current=_is(Profile.DVD_ROM),
        data=lambda _: bytes(4),
    ),
    Feature(code=0x0100, name="Power Management", source="MMC-6 §5.3"),
    Feature(code=0x0105, name="Timeout", source="MMC-6 §5.3", version=1, data=lambda _: bytes(4)),
    Feature(code=0x0108, name="Drive Serial Number", source="MMC-6 §5.3", data=_serial_number),
)
"""In the order of their codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetConfiguration(Command):
    """GET CONFIGURATION."""

    requested: RequestedType
    start: int
    """The first feature that is asked for."""
    allocation_length: int


def parse_get_configuration(cdb: bytes, _unit: "LogicalUnit") -> GetConfiguration:
    """Take the CDB apart."""
    if cdb[1] not in tuple(RequestedType):
        raise invalid_in_cdb(1, 1)
    return GetConfiguration(
        requested=RequestedType(cdb[1]),
        start=int.from_bytes(cdb[2:4]),
        allocation_length=int.from_bytes(cdb[7:9]),
    )


def get_configuration(unit: "LogicalUnit", task: Task) -> Response:
    """The current profile, and the features from the one that was asked for."""
    command = task.command
    assert isinstance(command, GetConfiguration)
    features = b"".join(feature.build(unit) for feature in FEATURES if _is_wanted(feature, command, unit))
    header = struct.pack(">IxxH", 4 + len(features), profile_of(unit))
    return allocated(header + features, command.allocation_length)


def _is_wanted(feature: Feature, command: GetConfiguration, unit: "LogicalUnit") -> bool:
    if command.requested is RequestedType.ONE:
        return feature.code == command.start
    return feature.code >= command.start and (command.requested is RequestedType.ALL or feature.current(unit))
