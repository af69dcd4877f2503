"""Block operations: what SCSI asks of a backstore, as values, so that who asks need not know on which thread they run.

`operation.run(backstore)` does it, blocking, and gives the result. `operation.run_inline(backstore)` does it only if
that cannot block, and otherwise gives `WOULD_BLOCK`.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from typing_extensions import Buffer

from isthmus.backstores.base import Backstore, Extent, Space
from isthmus.backstores.copying import copy_bytes
from isthmus.backstores.tray import Tray
from isthmus.errors import BackstoreError

__all__ = [
    "WOULD_BLOCK",
    "Barrier",
    "BlockOperation",
    "ChangeKey",
    "CompareAndWrite",
    "Copy",
    "Discard",
    "Flush",
    "FollowSize",
    "MapStatus",
    "MeasureSpace",
    "Miscompare",
    "OrWrite",
    "Prefetch",
    "Read",
    "Resize",
    "SourceFailure",
    "WouldBlock",
    "Write",
    "WriteRepeated",
    "WriteZeroes",
    "first_difference",
]

MAX_CHUNK: Final = 1 << 20
"""Bytes written at once by the operations that repeat a pattern."""


class WouldBlock(enum.Enum):
    """The answer of `run_inline` when a worker has to do the operation."""

    WOULD_BLOCK = 0


_WHOLE: Final = 1 << 80
"""Bytes: more than any storage has."""

WOULD_BLOCK: Final = WouldBlock.WOULD_BLOCK


@dataclass(frozen=True, slots=True)
class BlockOperation:
    """One thing to do with a backstore.

    No abstract base class: each command asks several times what it has in hand, and of those that costs ten times as much.
    """

    def run(self, backstore: Backstore) -> Any:
        """Do it, and block while it takes; raises `BackstoreError`."""
        raise NotImplementedError

    def run_inline(self, backstore: Backstore) -> Any | Literal[WouldBlock.WOULD_BLOCK]:
        """Do it at once if it cannot block, else answer `WOULD_BLOCK` and change nothing."""
        return self.run(backstore) if backstore.never_blocks else WOULD_BLOCK

    @property
    def exclusive(self) -> bool:
        """Whether no other access to `extent` may overlap this one in time (SBC-4 §5.3: COMPARE AND WRITE)."""
        return False

    @property
    def extent(self) -> tuple[int, int]:
        """The bytes touched, as (offset, length)."""
        return (0, 0)

    def exceeds(self, size: int) -> bool:
        """Whether it would touch bytes that storage of `size` bytes does not have: it was asked for when that had more."""
        offset, length = self.extent
        return offset + length > size

    @property
    def changes(self) -> tuple[tuple[int, int], ...]:
        """The bytes that may not be afterwards what they were before, as (offset, length)."""
        return (self.extent,)


class _Unchanging(BlockOperation):
    """An operation that leaves every byte as it is."""

    __slots__ = ()

    @property
    def changes(self) -> tuple[tuple[int, int], ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Read(_Unchanging):
    """Read `length` bytes from `offset`; gives a `memoryview` of them."""

    offset: int
    length: int

    def run(self, backstore: Backstore) -> memoryview:
        buffer = memoryview(bytearray(self.length))
        backstore.read_into(self.offset, buffer)
        return buffer

    def run_inline(self, backstore: Backstore) -> memoryview | Literal[WouldBlock.WOULD_BLOCK]:
        buffer = memoryview(bytearray(self.length))
        if backstore.read_if_cached(self.offset, buffer):
            return buffer
        return self.run(backstore) if backstore.never_blocks else WOULD_BLOCK

    @property
    def extent(self) -> tuple[int, int]:
        return (self.offset, self.length)


@dataclass(frozen=True, slots=True)
class Prefetch(_Unchanging):
    """Begin to bring `length` bytes from `offset` to where a read finds them sooner, without waiting for it."""

    offset: int
    length: int

    def run(self, backstore: Backstore) -> None:
        backstore.prefetch(self.offset, self.length)

    @property
    def extent(self) -> tuple[int, int]:
        return (self.offset, self.length)


@dataclass(frozen=True, slots=True)
class Write(BlockOperation):
    """Write `data` at `offset`, durably if asked (FUA)."""

    offset: int
    data: Sequence[Buffer]
    length: int
    durable: bool = False

    def run(self, backstore: Backstore) -> None:
        backstore.write(self.offset, self.data, durable=self.durable)

    @property
    def extent(self) -> tuple[int, int]:
        return (self.offset, self.length)


@dataclass(frozen=True, slots=True)
class WriteRepeated(BlockOperation):
    """Write `pattern` over and over from `offset` until `length` bytes (a multiple of its length) are written."""

    offset: int
    length: int
    pattern: bytes
    durable: bool = False

    def run(self, backstore: Backstore) -> None:
        backstore.reserve(self.offset, self.length)
        repeats = max(1, min(MAX_CHUNK, self.length) // len(self.pattern))
        chunk = memoryview(self.pattern * repeats)
        done = 0
        while done < self.length:
            part = chunk[: self.length - done]
            backstore.write(self.offset + done, (part,), durable=self.durable)
            done += len(part)

    @property
    def extent(self) -> tuple[int, int]:
        return (self.offset, self.length)


@dataclass(frozen=True, slots=True)
class Flush(_Unchanging):
    """Make all that is written durable."""

    def run(self, backstore: Backstore) -> None:
        backstore.flush()


@dataclass(frozen=True, slots=True)
class Barrier(_Unchanging):
    """Nothing, but not before every access to the first `length` bytes that began earlier is over."""

    length: int

    def run(self, backstore: Backstore) -> None:
        """There is nothing to do: what counts is when."""

    def run_inline(self, backstore: Backstore) -> None:
        """Nothing cannot block."""

    def exceeds(self, size: int) -> bool:
        return False

    @property
    def exclusive(self) -> bool:
        return True

    @property
    def extent(self) -> tuple[int, int]:
        return (0, self.length)


@dataclass(frozen=True, slots=True)
class Discard(BlockOperation):
    """Give back the room of each (offset, length), or with `anchor` only the data."""

    ranges: tuple[tuple[int, int], ...]
    anchor: bool = False

    def run(self, backstore: Backstore) -> None:
        give_back = backstore.anchor if self.anchor else backstore.discard
        for offset, length in self.ranges:
            give_back(offset, length)

    @property
    def extent(self) -> tuple[int, int]:
        if not self.ranges:
            return (0, 0)
        start = min(offset for offset, _ in self.ranges)
        return (start, max(offset + length for offset, length in self.ranges) - start)

    @property
    def changes(self) -> tuple[tuple[int, int], ...]:
        return self.ranges


@dataclass(frozen=True, slots=True)
class WriteZeroes(BlockOperation):
    """Zero `length` bytes from `offset`, and keep the room."""

    offset: int
    length: int
    durable: bool = False

    def run(self, backstore: Backstore) -> None:
        backstore.write_zeroes(self.offset, self.length, durable=self.durable)

    @property
    def extent(self) -> tuple[int, int]:
        return (self.offset, self.length)


@dataclass(frozen=True, slots=True)
class MapStatus(_Unchanging):
    """The provisioning of `length` bytes from `offset`: at most `limit` extents, neighbours of one state joined."""

    offset: int
    length: int
    limit: int

    def run(self, backstore: Backstore) -> list[Extent]:
        extents: list[Extent] = []
        done = 0
        while done < self.length:
            extent = backstore.map_status(self.offset + done, self.length - done)
            done += extent.length
            if extents and extents[-1].provisioning is extent.provisioning:
                joined = extents[-1].length + extent.length
                extents[-1] = Extent(length=joined, provisioning=extent.provisioning)
            elif len(extents) == self.limit:
                break
            else:
                extents.append(extent)
        return extents

    @property
    def extent(self) -> tuple[int, int]:
        return (self.offset, self.length)


@dataclass(frozen=True, slots=True)
class Miscompare:
    """The first byte that differed, counted in bytes from the start of the comparison."""

    offset: int


@dataclass(frozen=True, slots=True)
class CompareAndWrite(BlockOperation):
    """If the bytes at `offset` are `expected`, write `data` there; else write nothing and give the `Miscompare`."""

    offset: int
    expected: memoryview
    data: memoryview
    durable: bool = False

    def run(self, backstore: Backstore) -> Miscompare | None:
        present = memoryview(bytearray(len(self.expected)))
        backstore.read_into(self.offset, present)
        difference = first_difference(present, self.expected)
        if difference < len(present):
            return Miscompare(difference)
        backstore.write(self.offset, (self.data,), durable=self.durable)
        return None

    @property
    def exclusive(self) -> bool:
        return True

    @property
    def extent(self) -> tuple[int, int]:
        return (self.offset, len(self.expected))


@dataclass(frozen=True, slots=True)
class OrWrite(BlockOperation):
    """Set the bits at `offset` that are set in `data`, and leave the others (SBC-4 §4.26.2)."""

    offset: int
    data: memoryview
    durable: bool = False

    def run(self, backstore: Backstore) -> None:
        present = bytearray(len(self.data))
        backstore.read_into(self.offset, memoryview(present))
        merged = int.from_bytes(present) | int.from_bytes(self.data)
        backstore.write(self.offset, (merged.to_bytes(len(present)),), durable=self.durable)

    @property
    def exclusive(self) -> bool:
        return True

    @property
    def extent(self) -> tuple[int, int]:
        return (self.offset, len(self.data))


@dataclass(frozen=True, slots=True)
class SourceFailure:
    """The source of a copy could not be read."""

    error: BackstoreError


@dataclass(frozen=True, slots=True)
class Copy(BlockOperation):
    """Copy `length` bytes from `source_offset` of `source` to `offset`; gives the `SourceFailure` if that failed.

    The two may be one backstore, and the ranges may overlap.
    """

    source: Backstore
    source_offset: int
    offset: int
    length: int

    def run(self, backstore: Backstore) -> SourceFailure | None:
        error = copy_bytes(self.source, self.source_offset, backstore, self.offset, self.length)
        return None if error is None else SourceFailure(error)

    def run_inline(self, backstore: Backstore) -> SourceFailure | Literal[WouldBlock.WOULD_BLOCK] | None:
        """Even in memory, a long copy would keep everybody else waiting."""
        in_memory = backstore.never_blocks and self.source.never_blocks
        return self.run(backstore) if in_memory and self.length <= MAX_CHUNK else WOULD_BLOCK

    @property
    def extent(self) -> tuple[int, int]:
        return (self.offset, self.length)


@dataclass(frozen=True, slots=True)
class ChangeKey(BlockOperation):
    """Make everything unreadable by changing the key; who asks sees to it that nothing else is under way."""

    def run(self, backstore: Backstore) -> None:
        backstore.change_key()

    def run_inline(self, backstore: Backstore) -> Literal[WouldBlock.WOULD_BLOCK]:
        """The new key is kept somewhere, whether or not the backstore blocks."""
        return WOULD_BLOCK

    @property
    def changes(self) -> tuple[tuple[int, int], ...]:
        return ((0, _WHOLE),)


@dataclass(frozen=True, slots=True)
class MeasureSpace(_Unchanging):
    """How much room is taken and left; gives a `Space`, or None if the storage does not tell."""

    def run(self, backstore: Backstore) -> Space | None:
        return backstore.space()


@dataclass(frozen=True, slots=True)
class Resize(BlockOperation):
    """Change the size of the backstore to `size` bytes, while nothing else is done with it."""

    size: int

    def run(self, backstore: Backstore) -> None:
        backstore.resize(self.size)

    def exceeds(self, size: int) -> bool:
        return False

    @property
    def exclusive(self) -> bool:
        return True

    @property
    def extent(self) -> tuple[int, int]:
        return (0, _WHOLE)


@dataclass(frozen=True, slots=True)
class FollowSize(BlockOperation):
    """Take over a size that the storage was given by somebody else, in whole multiples of `granularity` bytes."""

    granularity: int

    def run(self, backstore: Backstore) -> None:
        backstore.follow_size(self.granularity)

    def exceeds(self, size: int) -> bool:
        return False

    @property
    def exclusive(self) -> bool:
        return True

    @property
    def extent(self) -> tuple[int, int]:
        return (0, _WHOLE)


@dataclass(frozen=True, slots=True)
class ExchangeMedium(BlockOperation):
    """Put `medium` into a tray, or nothing, while nothing else is done with it; gives what was in there."""

    medium: Backstore | None

    def run(self, backstore: Backstore) -> Backstore | None:
        assert isinstance(backstore, Tray)
        return backstore.exchange(self.medium)

    def exceeds(self, size: int) -> bool:
        return False

    @property
    def exclusive(self) -> bool:
        return True

    @property
    def extent(self) -> tuple[int, int]:
        return (0, _WHOLE)


def first_difference(left: memoryview, right: memoryview) -> int:
    """The index of the first byte in which two equally long buffers differ (their length if they are equal)."""
    if _equal(left, right):
        return len(left)
    low, high = 0, len(left)
    while high - low > 1:
        middle = (low + high) // 2
        if _equal(left[low:middle], right[low:middle]):
            low = middle
        else:
            high = middle
    return low


def _equal(left: memoryview, right: memoryview) -> bool:
    """A bytearray compares whole buffers at once; two memoryviews are compared item by item, 20 times slower."""
    return bytearray(left) == right
