"""Counts of what was read and written, as values that can be added."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.scsi.fast_path_grant import FastPathGrant

__all__ = ["Counts"]


@dataclass(slots=True, kw_only=True)
class Counts:
    """Sums since some moment."""

    read_commands: int = 0
    write_commands: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    bytes_verified: int = 0
    read_errors: int = 0
    """Commands that ended since the storage could not read."""
    write_errors: int = 0
    verify_errors: int = 0

    @classmethod
    def of_grants(cls, grants: Iterable["FastPathGrant"]) -> "Counts":
        """What the engine has served under `grants`."""
        counts = cls()
        for grant in grants:
            counts.read_commands += grant.read_commands
            counts.bytes_read += grant.read_bytes
            counts.write_commands += grant.write_commands
            counts.bytes_written += grant.write_bytes
        return counts

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(**{name: getattr(self, name) - getattr(other, name) for name in self.__slots__})

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})
