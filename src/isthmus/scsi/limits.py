"""How much one command may ask for: what the block limits page reports and what the parsers enforce (SBC-4 §6.6.4)."""

from dataclasses import dataclass
from typing import Final, Self

from isthmus.backstores.base import Backstore

__all__ = ["Limits"]

_MAX_TRANSFER: Final = 16 << 20
"""Bytes of one READ or WRITE: what one command may hold in memory. Linux uses at most 4 MiB, Windows 8 MiB."""
_OPTIMAL_TRANSFER: Final = 1 << 20
_MAX_UNMAP: Final = 512 << 20
"""Bytes: 2**20 blocks of 512; initiators take a larger limit that is not FFFFFFFFh for a mistake."""
_MAX_UNMAP_DESCRIPTORS: Final = 256
_MAX_WRITE_SAME: Final = _MAX_TRANSFER
"""Bytes: a pattern that is not zero is written out, and a command should not last longer than a second. Not more than
can be read back in one command."""
_MAX_COMPARE_AND_WRITE: Final = 255
"""Blocks: the field has one byte (SBC-4 §6.6.4)."""

_MAX_ATOMIC: Final = 256
"""Blocks: what WRITE ATOMIC writes, it writes twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All in logical blocks, but for the number of descriptors."""

    max_transfer_blocks: int
    optimal_transfer_blocks: int
    max_unmap_blocks: int
    max_unmap_descriptors: int
    max_write_same_blocks: int
    unmap_granularity_blocks: int
    unmap_alignment_blocks: int = 0
    """Where the first group of blocks begins that are unmapped at once."""
    max_compare_and_write_blocks: int = _MAX_COMPARE_AND_WRITE
    max_atomic_blocks: int = _MAX_ATOMIC
    atomic_alignment_blocks: int = 0
    """What the LBA of an atomic write has to be a multiple of; 0 and 1 allow any. The journal needs none: it is the
    operator's, to have initiators keep to whole physical blocks."""
    atomic_granularity_blocks: int = 0
    """What the length of an atomic write, and an atomic boundary, have to be a multiple of; 0 and 1 allow any."""
    optimal_granularity_blocks: int = 0
    """OPTIMAL TRANSFER LENGTH GRANULARITY; 0: a physical block."""
    write_same_non_zero: bool = True
    """WSNZ: a WRITE SAME of 0 blocks, which once meant all up to the last one, is refused: it has no bound."""

    @classmethod
    def for_backstore(cls, backstore: Backstore, block_length: int) -> Self:
        """The limits that fit `backstore`, cut into blocks of `block_length` bytes."""
        return cls(
            max_transfer_blocks=_MAX_TRANSFER // block_length,
            optimal_transfer_blocks=_OPTIMAL_TRANSFER // block_length,
            max_unmap_blocks=_MAX_UNMAP // block_length,
            max_unmap_descriptors=_MAX_UNMAP_DESCRIPTORS,
            max_write_same_blocks=_MAX_WRITE_SAME // block_length,
            unmap_granularity_blocks=max(1, backstore.capabilities.discard_granularity // block_length),
        )
