"""What a sanitize operation does to every byte of a medium, in a form that outlives the server (SBC-4 §4.11).

A restart in the middle of it does not end the operation: it goes on from where the last checkpoint was. But only on the
medium that it was begun on. Under the same name may be another one by now, a backup for instance, which nobody has asked to
erase. So what the plan says is done by then is looked at first, and if it is not there, nothing is touched.
"""

import json
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from isthmus.backstores.operations import BlockOperation, ChangeKey, Discard, Flush, Read, WriteRepeated

__all__ = ["Interrupted", "MediumPlan", "is_begun", "steps_through"]

_WRITE_STEP: Final = 8 << 20
"""Bytes of one operation: often enough for a progress indication, and not so often that the steps cost time."""
_DISCARD_STEP: Final = 1 << 30
_CHECKPOINTS: Final = 64
_LEAST_BETWEEN: Final = 1 << 30
"""Bytes from one checkpoint to the next, at least."""
_HEAD: Final = 1 << 20
"""Bytes at the start of a medium, where partition tables and file systems are: all of them are looked at."""
_SAMPLES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MediumPlan:
    """The passes over a medium of `length` bytes. A position counts the bytes of all passes."""

    length: int
    block: bytes = b""
    """What each block holds in the end; empty: its room is given back, and it reads as zeros."""
    count: int = 1
    invert: bool = False
    """Every other pass writes the opposite of `block`, but not the last."""
    changes_key: bool = False
    """Before anything else."""

    @property
    def total(self) -> int:
        """Bytes of all passes."""
        return self.length * self.count

    def pattern(self, number: int) -> bytes:
        """The block of a pass, counted from 0; a zero stands for itself, whatever the block length."""
        if self.invert and (self.count - 1 - number) % 2:
            return bytes(byte ^ 0xFF for byte in self.block)
        return self.block or b"\0"

    def steps(self, start: int = 0) -> Iterator[BlockOperation]:
        """The operations from position `start` on, which was a checkpoint."""
        if self.changes_key and not start:
            yield ChangeKey()
        if not self.block:
            yield from (Discard((step,)) for step in steps_through(self.length, _DISCARD_STEP, start))
            return
        for number in range(start // self.length, self.count) if self.length else ():
            pattern = self.pattern(number)
            for offset, size in steps_through(self.length, _WRITE_STEP, max(0, start - number * self.length)):
                yield WriteRepeated(offset, size, pattern)
            yield Flush()

    def is_checkpoint(self, before: int, after: int) -> bool:
        """Whether the step between two positions is one to keep the second: the first step, and then not too often."""
        apart = max(_LEAST_BETWEEN, self.total // _CHECKPOINTS)
        return before < after and (not before or before // apart < after // apart)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A plan, and the position up to which everything is durable."""

    plan: MediumPlan
    done: int

    def to_text(self) -> str:
        """One line."""
        fields = {**asdict(self.plan), "block": self.plan.block.hex(), "done": self.done}
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The value again; raises `ValueError` for a line of another form."""
        try:
            fields: dict[str, Any] = json.loads(text)
            done = int(fields.pop("done"))
            return cls(MediumPlan(**{**fields, "block": bytes.fromhex(fields["block"])}), done)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{text!r} is no plan") from error


def is_begun(interrupted: Interrupted, block_length: int) -> Generator[BlockOperation, Any, bool]:
    """Whether a medium shows the plan to be as far as it says: all of its start, and samples of the rest, hold the pattern.

    Nothing done shows nothing. The pass that was going on may have come further than the last checkpoint.
    """
    plan, done = interrupted.plan, interrupted.done
    if not 0 < done <= plan.total:
        return False
    number, covered = divmod(done - 1, plan.length)
    covered += 1
    expected = {plan.pattern(number), plan.pattern(min(number + 1, plan.count - 1))}
    for offset, length in _places(covered, block_length):
        data: memoryview = yield Read(offset, length)
        blocks = {bytes(data[start : start + block_length]) for start in range(0, length, block_length)}
        if not blocks <= {(pattern * block_length)[:block_length] for pattern in expected}:
            return False
    return True


def _places(covered: int, block_length: int) -> Iterator[tuple[int, int]]:
    yield 0, min(covered, _HEAD)
    last = covered // block_length - 1
    for lba in dict.fromkeys(last * index // (_SAMPLES - 1) for index in range(_SAMPLES)):
        yield lba * block_length, block_length


def steps_through(length: int, step: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """The bytes from `start` to `length` in pieces of at most `step` bytes, each as (offset, length)."""
    for offset in range(start, length, step):
        yield offset, min(step, length - offset)
