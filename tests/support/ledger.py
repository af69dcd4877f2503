"""What was written, what was answered, and what was promised: to judge a medium after a crash.

Every block tells which write it is from, and has a checksum: a block that is only partly written is noticed, and so is
one that is older than it may be.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["BLOCK", "Damage", "Ledger", "Promise", "block_of", "sequence_in"]

BLOCK = 512
_HEAD = struct.Struct(">8sQQ")
_MAGIC = b"isthmus."
_CHECKSUM = struct.Struct(">I")

Promise = Mapping[int, int]
"""By LBA, the sequence number of the oldest write that the block may be from."""


class Damage(AssertionError):
    """A block is not what it must be."""


def block_of(lba: int, sequence: int) -> bytes:
    """What write `sequence` puts into block `lba`: every byte depends on both."""
    head = _HEAD.pack(_MAGIC, lba, sequence)
    body = head + zlib.crc32(head).to_bytes(4) * ((BLOCK - len(head) - _CHECKSUM.size) // 4)
    return body + _CHECKSUM.pack(zlib.crc32(body))


def sequence_in(lba: int, block: bytes) -> int | None:
    """Which write block `lba` is from, None if it is all zeros; raises `Damage` if it is neither."""
    if block == bytes(BLOCK):
        return None
    magic, found, sequence = _HEAD.unpack_from(block)
    if magic != _MAGIC or found != lba or block != block_of(found, sequence):
        raise Damage(f"block {lba} is torn or foreign: {block[:24].hex(' ')}")
    return int(sequence)


@dataclass(slots=True)
class Ledger:
    """The writes to blocks 0 to `num_blocks`; nobody writes to a block while a write to it is under way."""

    num_blocks: int
    issued: dict[int, int] = field(default_factory=dict)
    """By LBA, the last write that was sent."""
    acknowledged: dict[int, int] = field(default_factory=dict)
    """By LBA, the last write that was answered with GOOD."""
    promised: dict[int, int] = field(default_factory=dict)
    """By LBA, the last write of which a GOOD status said that it survives a loss of power."""
    num_acknowledged: int = 0
    unmapped: dict[int, list[int]] = field(default_factory=dict)
    """By LBA, the writes that were none, but an UNMAP: all zeros may be from each of them."""
    _sequence: int = 0

    def format(self) -> bytes:
        """A whole medium of blocks from write 0, which counts as promised."""
        for state in (self.issued, self.acknowledged, self.promised):
            state.update(dict.fromkeys(range(self.num_blocks), 0))
        return b"".join(block_of(lba, 0) for lba in range(self.num_blocks))

    def issue(self, lbas: range) -> tuple[int, bytes]:
        """A new write to these blocks: its number and its data."""
        self._sequence += 1
        self.issued.update(dict.fromkeys(lbas, self._sequence))
        return self._sequence, b"".join(block_of(lba, self._sequence) for lba in lbas)

    def issue_unmap(self, lbas: range) -> int:
        """A new UNMAP of these blocks: its number among the writes."""
        sequence, _ = self.issue(lbas)
        for lba in lbas:
            self.unmapped.setdefault(lba, []).append(sequence)
        return sequence

    def acknowledge(self, lbas: range, sequence: int, *, durable: bool) -> None:
        """The write was answered with GOOD; with FUA, or without a write cache, that is a promise."""
        self.num_acknowledged += 1
        self.acknowledged.update(dict.fromkeys(lbas, sequence))
        if durable:
            self._promise(dict.fromkeys(lbas, sequence))

    def begin_synchronizing(self) -> Promise:
        """What a SYNCHRONIZE CACHE that is sent now will promise."""
        return dict(self.acknowledged)

    def synchronized(self, promise: Promise) -> None:
        """That command was answered with GOOD."""
        self.num_acknowledged += 1
        self._promise(promise)

    def _promise(self, promise: Promise) -> None:
        for lba, sequence in promise.items():
            self.promised[lba] = max(self.promised[lba], sequence)

    def judge(self, medium: bytes, oldest: Promise) -> dict[int, int]:
        """By LBA, which write each block is from; raises `Damage` if one is older than `oldest`, or newer than sent."""
        found = {lba: self._judge_block(lba, block, oldest[lba]) for lba, block in enumerate(_blocks(medium))}
        if len(found) != self.num_blocks:
            raise Damage(f"the medium has {len(found)} blocks instead of {self.num_blocks}")
        return found

    def _judge_block(self, lba: int, block: bytes, oldest: int) -> int:
        newest = self.issued[lba]
        sequence = sequence_in(lba, block)
        if sequence is None:
            sequence = max((unmap for unmap in self.unmapped.get(lba, ()) if unmap <= newest), default=-1)
        elif sequence in self.unmapped.get(lba, ()):
            raise Damage(f"block {lba} has data from UNMAP {sequence}")
        if not oldest <= sequence <= newest:
            raise Damage(f"block {lba} is from write {sequence}, and may be from {oldest} to {newest}")
        return sequence

    def restarted(self, found: Promise) -> None:
        """What is on the medium now is where everything goes on from."""
        self.acknowledged.update(found)


def _blocks(medium: bytes) -> Iterable[bytes]:
    return (medium[start : start + BLOCK] for start in range(0, len(medium), BLOCK))
