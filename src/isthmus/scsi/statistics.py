"""What a logical unit has done: commands, bytes and errors, for the log pages and for whoever asks.

The engine counts what it serves alone in its grants; the device server counts the rest here. Neither sees what the other
counts, so the sum is the truth. Counters do not outlive the process.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores.operations import BlockOperation, MapStatus, Read
from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.sbc.block_range import BlockRange
from isthmus.scsi.status import Status

if TYPE_CHECKING:
    from isthmus.scsi.fast_path_grant import FastPathGrant
    from isthmus.scsi.task import Response, Task
    from isthmus.scsi.unit_grants import UnitGrants

__all__ = ["Counts", "UnitStatistics"]


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


class UnitStatistics:
    """The counts of one logical unit."""

    def __init__(self, grants: "UnitGrants") -> None:
        """`grants` are those of the unit, past and present."""
        self._grants = grants
        self._counts = Counts()
        self._reset_at = Counts()

    @property
    def since_reset(self) -> Counts:
        """The sums since the counters were reset, or since the process has started."""
        return self._sum() - self._reset_at

    def reset(self) -> None:
        """Start from 0 (LOG SELECT with PCR, SPC-5 §6.9)."""
        self._reset_at = self._sum()

    def _sum(self) -> Counts:
        return self._counts + self._grants.counts

    def count(self, task: "Task", response: "Response") -> None:
        """A command has ended."""
        row = task.descriptor
        kind = None if row is None or response.status is not Status.GOOD else _KINDS.get(_key(row))
        if kind == "read":
            self._counts.read_commands += 1
            self._counts.bytes_read += memoryview(response.data_in).nbytes
        elif kind == "write":
            self._counts.write_commands += 1
            self._counts.bytes_written += sum(map(len, task.data_out))
        elif kind == "verify" and isinstance(task.command, BlockRange):
            self._counts.bytes_verified += task.command.length

    def count_error(self, task: "Task", operation: BlockOperation | None) -> None:
        """The storage has failed in an `operation` of `task`."""
        if task.descriptor is not None and _KINDS.get(_key(task.descriptor)) == "verify":
            self._counts.verify_errors += 1
        elif isinstance(operation, (Read, MapStatus)):
            self._counts.read_errors += 1
        else:
            self._counts.write_errors += 1


def _key(row: CommandDescriptor) -> tuple[int, int | None]:
    return (row.opcode, row.service_action)


_KINDS: Final[dict[tuple[int, int | None], str]] = {
    **dict.fromkeys(((opcode, None) for opcode in (0x08, 0x28, 0xA8, 0x88)), "read"),
    (0x7F, 0x0009): "read",
    **dict.fromkeys(
        ((opcode, None) for opcode in (0x0A, 0x2A, 0xAA, 0x8A, 0x2E, 0xAE, 0x8E, 0x89, 0x8B, 0x9C, 0x41, 0x93)), "write"
    ),
    **dict.fromkeys(((0x7F, action) for action in (0x000B, 0x000C, 0x000D)), "write"),
    **dict.fromkeys(((opcode, None) for opcode in (0x2F, 0xAF, 0x8F)), "verify"),
    (0x7F, 0x000A): "verify",
}
"""Which commands count as what: those that move logical blocks (SPC-5 §7.3.8, SBC-4 §6.4.5)."""
