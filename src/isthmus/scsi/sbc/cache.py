"""SYNCHRONIZE CACHE and PRE-FETCH (10) and (16) (SBC-4 §5.13, §5.14, §5.33, §5.34)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.backstores import operations
from isthmus.scsi.background import Background, BackgroundSteps
from isthmus.scsi.deferred_errors import deferring
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sbc.block_range import BlockRange, CdbLayout, check_range
from isthmus.scsi.task import GOOD, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "PreFetch",
    "SynchronizeCache",
    "parse_pre_fetch",
    "parse_synchronize_cache",
    "pre_fetch",
    "synchronize_cache",
]

_IMMED = 0x02


@dataclass(frozen=True, slots=True, kw_only=True)
class SynchronizeCache(BlockRange):
    """SYNCHRONIZE CACHE, whatever its CDB length; no blocks stand for all from `lba` to the end."""

    immediate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PreFetch(BlockRange):
    """PRE-FETCH, whatever its CDB length; a length of 0 has been resolved to the blocks up to the end."""

    immediate: bool


def parse_synchronize_cache(layout: CdbLayout, cdb: bytes, unit: "LogicalUnit") -> SynchronizeCache:
    """Take a SYNCHRONIZE CACHE CDB apart."""
    flags, lba, num_blocks = layout.unpack(cdb)
    check_range(unit, layout, lba, num_blocks)
    return SynchronizeCache(
        lba=lba, num_blocks=num_blocks, block_length=unit.block_length, immediate=bool(flags & _IMMED)
    )


def parse_pre_fetch(layout: CdbLayout, cdb: bytes, unit: "LogicalUnit") -> PreFetch:
    """Take a PRE-FETCH CDB apart."""
    flags, lba, num_blocks = layout.unpack(cdb)
    check_range(unit, layout, lba, num_blocks)
    return PreFetch(
        lba=lba,
        num_blocks=num_blocks or unit.num_blocks - lba,
        block_length=unit.block_length,
        immediate=bool(flags & _IMMED),
    )


def synchronize_cache(unit: "LogicalUnit", task: Task) -> Steps:
    """Make everything durable: a backstore knows no part of its cache, and more than the range is allowed.

    With IMMED the status comes first, and an error is told with a later command (SPC-5 §4.4.7).
    """
    assert isinstance(task.command, SynchronizeCache)
    if task.command.immediate:
        yield Background(deferring(unit, task.nexus, _flush()), awaited=False)
    else:
        yield operations.Flush()
    return GOOD


def _flush() -> BackgroundSteps:
    yield operations.Flush()


def pre_fetch(unit: "LogicalUnit", task: Task) -> Steps:
    """Bring blocks into the cache: before the status, or with IMMED, by asking the backstore to begin with it.

    The answer is GOOD, not CONDITION MET: the cache is the system's page cache, and nobody can say that it has room for
    the blocks and will keep them. Of a long run the beginning is fetched, up to MAXIMUM TRANSFER LENGTH.
    """
    command = task.command
    assert isinstance(command, PreFetch)
    length = min(command.num_blocks, unit.limits.max_transfer_blocks) * command.block_length
    if command.immediate:
        yield operations.Prefetch(command.offset, length)
    elif not unit.backstore.never_blocks:
        for start, size in command.chunks(length):
            yield operations.Read(command.offset + start, size)
    return GOOD
