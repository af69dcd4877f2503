"""The seam to storage: what every backstore can do, in bytes.

Two families of calls:

* `read_if_cached` never blocks and runs on the event loop;
* everything else may block and runs on a worker thread, unless `never_blocks` says that the loop may call it as well.

Every failure is a `BackstoreError` with the system's `errno`: ENOSPC for no room, EIO for a medium error, ENODEV for
storage that is gone, EROFS for storage that cannot be written. A failed write leaves the bytes that it did not reach
as they were; one that fails with ENOSPC leaves all of them, where `reserve` can do what it says.
"""

import enum
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import Buffer

__all__ = ["Backstore", "Capabilities", "Extent", "Provisioning", "Space"]


class Provisioning(enum.Enum):
    """What the storage keeps for a run of bytes (SBC-4 §4.7.4)."""

    MAPPED = 0
    DEALLOCATED = 1
    ANCHORED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """A run of `length` bytes that share one provisioning state."""

    length: int
    provisioning: Provisioning


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backstore can do beyond reading and writing; SCSI offers to initiators only what stands here.

    It is said of the storage: whether it may be written now makes no difference.
    """

    discard: bool = False
    """`discard` gives the room back, and the bytes then read as zeros."""
    discard_granularity: int = 1
    """Bytes; smaller or unaligned discards are rounded inwards, and what is left over is written with zeros."""
    reports_zeroes: bool = True
    """Initiators are told that discarded bytes read as zeros; they do so in any case."""
    anchor: bool = False
    """`anchor` gives back the data of bytes and keeps their room."""
    measures_space: bool = False
    """`space` tells how much room is taken and left."""
    map_status: bool = False
    """`map_status` tells mapped from deallocated; without it everything counts as mapped."""
    physical_block_length: int = 512
    """Bytes that the storage writes at once; a smaller write costs it a read."""
    rotational: bool = False
    """Initiators are told that the medium turns. The operator says so: what Linux says of a virtual disk means nothing."""
    encrypts: bool = False
    """`change_key` makes all that was written unreadable at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The room of thinly provisioned storage, in bytes."""

    used: int
    """What the backstore takes."""
    available: int
    """What is left for it, and for whoever shares the storage with it."""


class Backstore(ABC):
    """A fixed run of bytes that can be read and written at any offset.

    Offsets and lengths are bytes and within `size`: the caller has checked them. A backstore that needs aligned
    access (O_DIRECT) takes care of that itself.
    """

    kind: str = ""
    """The registered name, e.g. `fileio`."""
    size: int
    """Bytes."""
    read_only: bool = False
    write_back: bool = False
    """A write may return before the bytes are durable; `flush` (or `durable=True`) makes them so."""
    volatile: bool = False
    """Nothing outlives the process: what would be torn by a crash is gone."""
    pass_through: bool = False
    """It is a SCSI device by itself: it takes commands, and no reads and writes."""
    never_blocks: bool = False
    """No call waits for anything (memory, null): the event loop may call all of them."""
    capabilities: Capabilities = Capabilities()

    @property
    @abstractmethod
    def identity(self) -> str:
        """A text that is the same after a restart and differs between backstores; serial numbers derive from it."""

    def read_if_cached(self, offset: int, buffer: memoryview) -> bool:
        """Fill `buffer` from `offset` without blocking; False (with `buffer` undefined) if that is not possible."""
        return False

    def prefetch(self, offset: int, length: int) -> None:
        """Begin to bring bytes to where a read finds them sooner, and do not wait for it; a hint that may do nothing."""
        return

    @abstractmethod
    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset`."""

    @abstractmethod
    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        """Write `buffers`, one after the other, from `offset`; with `durable` (FUA) return only when they are safe."""

    @abstractmethod
    def flush(self) -> None:
        """Make every write that has returned durable."""

    def discard(self, offset: int, length: int) -> None:
        """Give back the room of `length` bytes, which then read as zeros."""
        self.write_zeroes(offset, length)

    def anchor(self, offset: int, length: int) -> None:
        """Give back the data of `length` bytes, which then read as zeros, and keep the room for what will be written."""
        self.write_zeroes(offset, length)

    def reserve(self, offset: int, length: int) -> None:
        """Take the room for a write of `length` bytes from `offset`, so that it cannot run out in the middle of it.

        Raises `BackstoreError` with ENOSPC, and has then changed no byte. Storage that cannot do that does nothing.
        """
        return

    def space(self) -> Space | None:
        """How much room is taken and left; None if the storage does not tell. May block."""
        return None

    @abstractmethod
    def write_zeroes(self, offset: int, length: int, *, durable: bool = False) -> None:
        """Zero `length` bytes; the room stays taken where the storage can tell the difference."""

    def copy_from(self, source: "Backstore", source_offset: int, offset: int, length: int) -> int:
        """Copy `length` bytes of `source` to `offset` inside the system; gives how many bytes were: 0 where it cannot.

        The two ranges do not overlap. What was copied is as durable as after `write`. Only failures of this backstore
        are raised: whatever is wrong with `source`, reading from it finds it.
        """
        return 0

    def change_key(self) -> None:
        """Forget, durably, the key under which everything is encrypted, and use a new one. May block."""
        raise NotImplementedError

    def beneath(self, offset: int, data: Buffer) -> "tuple[Backstore, Buffer]":
        """Where a write of `data` at `offset` ends up: the backstore that keeps it, and the bytes as that gets them."""
        return self, data

    def map_status(self, offset: int, length: int) -> Extent:
        """The first extent at `offset`, at most `length` bytes long."""
        return Extent(length=length, provisioning=Provisioning.MAPPED)

    def resize(self, size: int) -> None:
        """Change `size` (bytes); shrinking loses the bytes beyond it."""
        raise NotImplementedError

    def follow_size(self, granularity: int) -> None:
        """Take as `size` what somebody else has made of the storage, in whole multiples of `granularity` bytes."""
        return

    @abstractmethod
    def close(self) -> None:
        """Flush and let go of the storage; the backstore is not used again."""

    def withdraw(self) -> None:
        """Close because the start failed after all: what opening it made is undone."""
        self.close()
