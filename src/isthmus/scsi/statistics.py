"""What a logical unit has done: commands, bytes and errors, for the log pages and for whoever asks.

The engine counts what it serves alone in its grants; the device server counts the rest here. Neither sees what the other
counts, so the sum is the truth. Counters do not outlive the process.
"""

from typing import TYPE_CHECKING, Final

from isthmus.backstores.operations import BlockOperation, MapStatus, Read
from isthmus.scsi.counts import Counts
from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.sbc.block_range import BlockRange
from isthmus.scsi.status import Status

if TYPE_CHECKING:
    from isthmus.scsi.task import Response, Task
    from isthmus.scsi.unit_grants import UnitGrants

__all__ = ["UnitStatistics", "kind_of"]


class UnitStatistics:
    """The counts of one logical unit."""

    def __init__(self, grants: "UnitGrants") -> None:
        """`grants` are those of the unit, past and present."""
        self._grants = grants
        self._counts = Counts()
        self._reset_at = Counts()

    @property
    def since_start(self) -> Counts:
        """The sums since the process has started."""
        return self._sum()

    @property
    def since_reset(self) -> Counts:
        """The sums since the counters were reset, or since the process has started."""
        return self._sum() - self._reset_at

    def reset(self) -> None:
        """Start from 0 (LOG SELECT with PCR, SPC-5 §6.8)."""
        self._reset_at = self._sum()

    def _sum(self) -> Counts:
        return self._counts + self._grants.counts

    def count(self, task: "Task", response: "Response") -> None:
        """A command has ended."""
        kind = kind_of(task) if response.status is Status.GOOD else None
        if kind is None:
            return
        for counts in self._counts_of(task):
            if kind == "read":
                counts.read_commands += 1
                counts.bytes_read += memoryview(response.data_in).nbytes
            elif kind == "write":
                counts.write_commands += 1
                counts.bytes_written += sum(map(len, task.data_out))
            elif isinstance(task.command, BlockRange):
                counts.bytes_verified += task.command.length

    def _counts_of(self, task: "Task") -> tuple[Counts, ...]:
        """Of the unit, and of the LUN through which the task has come, if that is still there."""
        grant = task.nexus.grants.get(task.lun)
        return (self._counts,) if grant is None else (self._counts, grant.long_way)

    def count_error(self, task: "Task", operation: BlockOperation | None) -> None:
        """The storage has failed in an `operation` of `task`."""
        for counts in self._counts_of(task):
            if kind_of(task) == "verify":
                counts.verify_errors += 1
            elif isinstance(operation, (Read, MapStatus)):
                counts.read_errors += 1
            else:
                counts.write_errors += 1


def kind_of(task: "Task") -> str | None:
    """read, write or verify; None: a command that moves no logical blocks."""
    return None if task.descriptor is None else _KINDS.get(_key(task.descriptor))


def _key(row: CommandDescriptor) -> tuple[int, int | None]:
    return (row.opcode, row.service_action)


_KINDS: Final[dict[tuple[int, int | None], str]] = {
    **dict.fromkeys(((opcode, None) for opcode in (0x08, 0x28, 0xA8, 0x88, 0xB9, 0xBE)), "read"),
    (0x7F, 0x0009): "read",
    **dict.fromkeys(
        ((opcode, None) for opcode in (0x0A, 0x2A, 0xAA, 0x8A, 0x2E, 0xAE, 0x8E, 0x89, 0x8B, 0x9C, 0x41, 0x93)), "write"
    ),
    **dict.fromkeys(((0x7F, action) for action in (0x000B, 0x000C, 0x000D)), "write"),
    **dict.fromkeys(((opcode, None) for opcode in (0x2F, 0xAF, 0x8F)), "verify"),
    (0x7F, 0x000A): "verify",
}
"""Which commands count as what: those that move logical blocks (SPC-5 §7.3.8, SBC-4 §6.4.5)."""
