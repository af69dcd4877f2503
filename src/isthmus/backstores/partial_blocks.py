"""Copying bytes that do not begin or end where blocks do.

Storage may know nothing smaller than a block, and a block is written as a whole or not at all. So the blocks at both ends
are read, changed and written back, and nobody else may touch them meanwhile.
"""

from dataclasses import dataclass
from typing import Final

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import BlockOperation, SourceFailure
from isthmus.errors import BackstoreError

__all__ = ["MAX_LENGTH", "CopyPartialBlocks", "whole_blocks"]

MAX_LENGTH: Final = 1 << 20
"""Bytes of one such operation: they are in memory at once."""


def whole_blocks(offset: int, length: int, block_length: int) -> tuple[int, int]:
    """The extent (offset, length) of the blocks that hold any of these bytes."""
    start = offset - offset % block_length
    end = -(-(offset + length) // block_length) * block_length
    return start, end - start


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPartialBlocks(BlockOperation):
    """Copy `length` bytes from `source_offset` of `source` to `offset`; gives the `SourceFailure` if that failed.

    All are bytes. The two may be one backstore, and the ranges may overlap.
    """

    source: Backstore
    source_offset: int
    source_block_length: int
    offset: int
    block_length: int
    length: int

    def run(self, backstore: Backstore) -> SourceFailure | None:
        start, size = whole_blocks(self.source_offset, self.length, self.source_block_length)
        try:
            data = _read(self.source, start, size)[self.source_offset - start :][: self.length]
        except BackstoreError as error:
            return SourceFailure(error)
        start, size = self.extent
        blocks = _read(backstore, start, size)
        blocks[self.offset - start :][: self.length] = data
        backstore.write(start, (blocks,))
        return None

    @property
    def exclusive(self) -> bool:
        return True

    @property
    def extent(self) -> tuple[int, int]:
        return whole_blocks(self.offset, self.length, self.block_length)


def _read(backstore: Backstore, offset: int, length: int) -> memoryview:
    buffer = memoryview(bytearray(length))
    backstore.read_into(offset, buffer)
    return buffer
