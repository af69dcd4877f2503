"""WRITE ATOMIC (16) and (32) (SBC-4 §5.48, §5.49, §4.29): all of the blocks are written, or none.

That holds against every other command, and against a crash: of the server, or of the machine under it. On storage that
outlives those, a journal keeps the promise (`backstores/journal.py`), so each such write is durable before its status,
FUA or not. A unit whose state is kept nowhere has no place for a journal, and does not have the commands.

An ATOMIC BOUNDARY allows to cut a write there, into several atomic operations. None is ever cut: all of it is one.
"""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores.base import Backstore
from isthmus.backstores.journal import AtomicWrite, WriteJournal
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.limits import Limits
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sbc.block_range import BlockRange, CdbLayout, check_range
from isthmus.scsi.sbc.data_out import exact_data_out
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.state_store import ATOMIC_WRITE, MemoryStateStore, UnitStateStore
from isthmus.scsi.task import GOOD, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "ATOMIC_SIXTEEN",
    "BOUNDARY_BYTE_16",
    "BOUNDARY_BYTE_32",
    "WriteAtomic",
    "can_write_atomically",
    "open_journal",
    "parse_write_atomic",
    "write_atomic",
]

ATOMIC_SIXTEEN: Final = CdbLayout(unpack=struct.Struct(">xBQxxH").unpack_from, length_byte=12)
"""WRITE ATOMIC (16) has fewer bits of TRANSFER LENGTH than the others of its length."""
BOUNDARY_BYTE_16: Final = 10
BOUNDARY_BYTE_32: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteAtomic(BlockRange):
    """WRITE ATOMIC, whatever its CDB length. DPO and FUA change nothing: see above."""

    @property
    def data_out_length(self) -> int:
        return self.length


def can_write_atomically(backstore: Backstore, state: UnitStateStore) -> bool:
    """Whether a unit can keep the promise."""
    return backstore.volatile or not isinstance(state, MemoryStateStore)


def open_journal(backstore: Backstore, state: UnitStateStore, unit_serial: str) -> WriteJournal | None:
    """The journal of a unit, after an interrupted write is made whole; None for storage that knows no crash.

    Raises `ConfigurationError` if that cannot be done.
    """
    if backstore.volatile or not can_write_atomically(backstore, state):
        return None
    journal = WriteJournal(
        lambda: state.load(unit_serial, ATOMIC_WRITE), lambda data: state.save(unit_serial, ATOMIC_WRITE, data)
    )
    try:
        journal.recover(backstore)
    except BackstoreError as error:
        raise ConfigurationError(
            f"a write that was cut short cannot be made whole: {error}",
            "serve the unit writable once, on storage that works",
        ) from error
    return journal


def parse_write_atomic(layout: CdbLayout, boundary: int, cdb: bytes, unit: "LogicalUnit") -> WriteAtomic:
    """Take a WRITE ATOMIC CDB apart whose ATOMIC BOUNDARY is in the two bytes from `boundary` on."""
    _, lba, num_blocks = layout.unpack(cdb)
    check_range(unit, layout, lba, num_blocks)
    limits = unit.limits
    if lba % (limits.atomic_alignment_blocks or 1):
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(layout.lba_byte))
    _check_length(limits, int.from_bytes(cdb[boundary : boundary + 2]), boundary)
    _check_length(limits, num_blocks, layout.length_byte)
    return WriteAtomic(lba=lba, num_blocks=num_blocks, block_length=unit.block_length)


def _check_length(limits: Limits, num_blocks: int, field: int) -> None:
    """A length, or the distance between boundaries, has a maximum and a granularity (SBC-4 §4.29, §6.6.4)."""
    if num_blocks > limits.max_atomic_blocks or num_blocks % (limits.atomic_granularity_blocks or 1):
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=FieldPointer(field))


def write_atomic(unit: "LogicalUnit", task: Task) -> Steps:
    """Write all of the blocks; data-out of any other length ends the command with nothing written."""
    command = task.command
    assert isinstance(command, WriteAtomic)
    data = exact_data_out(task, command.length)
    if command.num_blocks:
        yield AtomicWrite(command.offset, data, unit.journal)
    return GOOD
