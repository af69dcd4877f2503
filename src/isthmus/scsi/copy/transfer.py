"""Moving the data of a copy, step by step.

Between two steps others get their turn, the copy can be aborted, and both ends are asked again whether it may go on.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.backstores.operations import BlockOperation, Copy, Flush, Read, SourceFailure, WriteZeroes
from isthmus.backstores.partial_blocks import MAX_LENGTH, CopyPartialBlocks, whole_blocks
from isthmus.errors import BackstoreError
from isthmus.scsi.background import Background
from isthmus.scsi.backstore_errors import sense_for
from isthmus.scsi.copy.copy_operations import CopyOperation, CopyState
from isthmus.scsi.copy.endpoint import Endpoint
from isthmus.scsi.copy.limits import STEP
from isthmus.scsi.elsewhere import Elsewhere
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.task import GOOD

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["Move", "Transfer", "Zeroing", "flushed", "run_copy", "transfer"]

Transfer = Generator[BlockOperation, Any, None]
"""Yields block operations; raises `CheckCondition` or `EndpointFailure`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zeroing:
    """Zeros to be written to `destination`; offsets and lengths are bytes."""

    destination: Endpoint
    offset: int
    length: int

    @property
    def step(self) -> int:
        """The length of a piece."""
        return STEP

    @property
    def units(self) -> "tuple[LogicalUnit, ...]":
        """Those whose limits each step has to keep to."""
        return (self.destination.unit,)

    def pieces(self) -> Iterator[tuple[int, int]]:
        """The steps, in the order in which they are done: (bytes from the start, length)."""
        for start in range(0, self.length, self.step):
            yield start, min(self.step, self.length - start)

    def check(self, start: int, length: int) -> None:
        """Raise `EndpointFailure` if this piece may not be done."""
        self.destination.check(self.offset + start, length, writing=True)

    def operation(self, start: int, length: int) -> Elsewhere:
        """What does one piece."""
        return Elsewhere(self.destination.unit, WriteZeroes(self.offset + start, length), self.destination.nexus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Zeroing):
    """Bytes to be copied from `source`."""

    source: Endpoint
    source_offset: int

    def pieces(self) -> Iterator[tuple[int, int]]:
        """From the end, if the copy would otherwise overwrite what it is yet to read."""
        # Not `super()`: that does not know this class, which `slots` has made anew.
        pieces = Zeroing.pieces(self)
        return reversed(tuple(pieces)) if self.is_backwards else pieces

    @property
    def step(self) -> int:
        return MAX_LENGTH if self._has_partial_blocks else STEP

    @property
    def units(self) -> "tuple[LogicalUnit, ...]":
        return tuple(dict.fromkeys((self.source.unit, self.destination.unit)))

    @property
    def _has_partial_blocks(self) -> bool:
        source, destination = self.source.unit.block_length, self.destination.unit.block_length
        ends = self.source_offset % source or self.offset % destination
        return bool(ends or self.length % source or self.length % destination)

    @property
    def is_backwards(self) -> bool:
        """Whether the last piece is copied first."""
        shift = self.offset - self.source_offset
        return self.source.unit is self.destination.unit and 0 < shift < self.length

    def check(self, start: int, length: int) -> None:
        self.source.check(self.source_offset + start, length, writing=False)
        Zeroing.check(self, start, length)

    def operation(self, start: int, length: int) -> Elsewhere:
        source, source_offset = self.source.unit, self.source_offset + start
        unit, offset = self.destination.unit, self.offset + start
        copy: BlockOperation = Copy(source.backstore, source_offset, offset, length)
        if self._has_partial_blocks:
            copy = CopyPartialBlocks(
                source=source.backstore,
                source_offset=source_offset,
                source_block_length=source.block_length,
                offset=offset,
                block_length=unit.block_length,
                length=length,
            )
        extent = whole_blocks(source_offset, length, source.block_length)
        return Elsewhere(unit, copy, self.destination.nexus, source, extent)


def transfer(copy: CopyOperation, move: Zeroing, check_source: Callable[[], None] = lambda: None) -> Transfer:
    """Do `move` as part of `copy`; `check_source` raises if what it reads is not any more what was asked for."""
    for start, length in move.pieces():
        for unit in move.units:
            if unit.throttle is not None:
                yield unit.throttle.until(length)
        if copy.abort_requested:
            raise CheckCondition(Sense.COMMANDS_CLEARED_BY_DEVICE_SERVER)
        move.check(start, length)
        check_source()
        yield from _step(move, start, length)
        # A write to the source while it was read has torn what was read.
        check_source()
        copy.transferred(length)


def _step(move: Zeroing, start: int, length: int) -> Transfer:
    operation = move.operation(start, length)
    try:
        result = yield operation
    except BackstoreError as error:
        sense_data = sense_for(error, operation.operation, move.destination.unit.block_length)
        raise move.destination.failure(sense_data, from_source=False) from error
    except CheckCondition as error:
        # The destination has become too small for it.
        raise move.destination.failure(error.sense_data, from_source=False) from error
    if isinstance(result, SourceFailure) and isinstance(move, Move):
        read = Read(move.source_offset + start, length)
        sense_data = sense_for(result.error, read, move.source.unit.block_length)
        raise move.source.failure(sense_data, from_source=True)


def flushed(destination: Endpoint) -> Transfer:
    """What has been written to `destination` is durable, if its write cache is off."""
    if destination.unit.mode.write_cache_enabled:
        return
    try:
        yield Elsewhere(destination.unit, Flush(), destination.nexus)
    except BackstoreError as error:
        raise destination.failure(
            sense_for(error, Flush(), destination.unit.block_length), from_source=False
        ) from error


def run_copy(copy: CopyOperation, steps: Transfer) -> Steps:
    """The steps of the command: all of the copy, or (IMMED) only its beginning."""
    if not copy.background:
        yield from _tracked(copy, steps)
        return GOOD
    try:
        yield Background(_silent(_tracked(copy, steps)), awaited=False)
    finally:
        if not copy.begun:
            # The task was aborted before it came to that: nobody will ever begin.
            copy.end(CopyState.ABORTED)
    return GOOD


def _tracked(copy: CopyOperation, steps: Transfer) -> Transfer:
    """`steps`, of whose end `copy` tells."""
    copy.begun = True
    try:
        yield from steps
        copy.end(CopyState.COMPLETED)
    except CheckCondition as error:
        copy.end(CopyState.ABORTED if copy.abort_requested else CopyState.FAILED, error.sense_data)
        raise
    finally:
        if copy.in_progress:
            # Its task was aborted, or the server ends.
            copy.end(CopyState.ABORTED)


def _silent(steps: Transfer) -> Transfer:
    """Nobody waits: who wants to know asks for the status of the copy."""
    with suppress(CheckCondition):
        yield from steps
