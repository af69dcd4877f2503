"""Byte ranges of a logical unit as streams, several commands in flight; the edges need not lie on block boundaries."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Generic, Self, TypeVar

from isthmus.errors import ConfigurationError
from isthmus.initiator.errors import LengthMismatch, ScsiError
from isthmus.initiator.inquiry import BlockLimits, decode_vpd_page
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.parameter_data import Capacity

__all__ = ["DEFAULT_CHUNK_LENGTH", "DEFAULT_OUTSTANDING", "ByteRange", "read_range", "write_range"]

DEFAULT_CHUNK_LENGTH: Final = 1024 * 1024
"""Bytes of one command."""
DEFAULT_OUTSTANDING: Final = 8
_BLOCK_LIMITS_PAGE: Final = 0xB0

T = TypeVar("T")
ReadSome = Callable[[int], Awaitable[bytes]]
"""Gives up to that many bytes of a source, none at its end."""


class InFlight(Generic[T]):
    """Work that runs side by side, and whose results are taken in the order in which it was begun."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tasks: deque[asyncio.Task[T]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether one must be taken before another may begin."""
        return len(self._tasks) >= self._limit

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, work: Coroutine[Any, Any, T]) -> None:
        """Start it."""
        self._tasks.append(asyncio.create_task(work))

    async def take(self) -> T:
        """The result of the oldest, or its error."""
        return await self._tasks.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave nothing running behind, whatever ended the stream."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of a unit, cut into commands. Two commands never share a block, so that they may run side by side."""

    unit: LogicalUnit
    capacity: Capacity
    chunk_length: int
    """Bytes, whole blocks."""

    @classmethod
    async def of(cls, unit: LogicalUnit, *, chunk_length: int = DEFAULT_CHUNK_LENGTH) -> Self:
        """The whole of `unit`, in commands no longer than `chunk_length` bytes, nor than the unit takes."""
        capacity = await unit.read_capacity()
        blocks = max(1, chunk_length // capacity.block_length)
        limit = await _max_transfer_length(unit)
        return cls(unit, capacity, min(blocks, limit or blocks) * capacity.block_length)

    def check(self, offset: int, length: int) -> None:
        """Raise `ConfigurationError` unless the unit has these bytes."""
        if offset + length > self.capacity.size:
            raise ConfigurationError(
                f"bytes {offset} to {offset + length} are asked for, but the unit ends at byte {self.capacity.size}",
                "choose a smaller --offset or --length",
            )

    def chunk_end(self, offset: int) -> int:
        """Where the command that `offset` lies in ends."""
        return min((offset // self.chunk_length + 1) * self.chunk_length, self.capacity.size)

    def _blocks(self, offset: int, length: int) -> tuple[int, int]:
        """(LBA, number of blocks) that hold these bytes."""
        block = self.capacity.block_length
        first = offset // block
        return first, -(-(offset + length) // block) - first

    async def read(self, offset: int, length: int) -> bytes:
        """These bytes, by one command."""
        block = self.capacity.block_length
        lba, num_blocks = self._blocks(offset, length)
        data = await self.unit.read(lba=lba, num_blocks=num_blocks, block_length=block)
        start = offset - lba * block
        return data if len(data) == length else data[start : start + length]

    async def write(self, offset: int, data: bytes) -> None:
        """Write these bytes; blocks that they fill only in part are read first, and written back with the rest as it was."""
        block = self.capacity.block_length
        lba, num_blocks = self._blocks(offset, len(data))
        if num_blocks * block != len(data):
            whole = bytearray(await self.unit.read(lba=lba, num_blocks=num_blocks, block_length=block))
            start = offset - lba * block
            whole[start : start + len(data)] = data
            data = bytes(whole)
        await self.unit.write(data, lba=lba, block_length=block)


async def _max_transfer_length(unit: LogicalUnit) -> int:
    """MAXIMUM TRANSFER LENGTH in blocks, 0 where there is none (SBC-4 §6.6.4)."""
    try:
        page = decode_vpd_page(await unit.vpd_page(_BLOCK_LIMITS_PAGE))
    except ScsiError:
        # A unit need not have the page; one that has not states no limit.
        return 0
    return page.max_transfer_length if isinstance(page, BlockLimits) else 0


async def read_range(
    source: ByteRange, *, offset: int, length: int, outstanding: int = DEFAULT_OUTSTANDING
) -> AsyncGenerator[bytes, None]:
    """The bytes in order, with up to `outstanding` commands in flight. Raises `ScsiError` and what sessions raise."""
    source.check(offset, length)
    end = offset + length
    async with InFlight[bytes](outstanding) as reads:
        while offset < end or len(reads):
            while offset < end and not reads.is_full:
                stop = min(source.chunk_end(offset), end)
                reads.begin(source.read(offset, stop - offset))
                offset = stop
            yield await reads.take()


async def write_range(
    target: ByteRange,
    read_some: ReadSome,
    *,
    offset: int,
    length: int | None = None,
    outstanding: int = DEFAULT_OUTSTANDING,
) -> int:
    """Write what `read_some` gives, `length` bytes or all of it, and give the number of bytes written.

    On an error what was in flight may or may not be written. Raises `ConfigurationError` for a range that the unit does not
    have, and `LengthMismatch`, when all else is written, for a source of less than `length`, or of more than the unit.
    """
    target.check(offset, length or 0)
    end = target.capacity.size if length is None else offset + length
    position = offset
    async with InFlight[None](outstanding) as writes:
        while data := await _read_exactly(read_some, min(target.chunk_end(position), end) - position):
            if writes.is_full:
                await writes.take()
            writes.begin(target.write(position, data))
            position += len(data)
        while len(writes):
            await writes.take()
    if length is not None and position < end:
        raise LengthMismatch(f"the data ended after {position - offset} bytes of {length}")
    if length is None and position == end and await read_some(1):
        raise LengthMismatch(f"the data goes on after the end of the unit at byte {end}")
    return position - offset


async def _read_exactly(read_some: ReadSome, length: int) -> bytes:
    """`length` bytes, or fewer at the end of the source."""
    pieces = []
    while length and (piece := await read_some(length)):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)
