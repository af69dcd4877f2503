"""Copies that begin and end within blocks."""

import errno
from collections.abc import Sequence

import pytest
from typing_extensions import Buffer

from isthmus.backstores.operations import SourceFailure
from isthmus.backstores.partial_blocks import CopyPartialBlocks, whole_blocks
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.errors import BackstoreError

PATTERN = bytes(range(256)) * 16


class Strict(RamdiskBackstore):
    """Storage that knows nothing smaller than its blocks."""

    def __init__(self, block_length: int) -> None:
        super().__init__("strict", len(PATTERN))
        self.block_length = block_length
        super().write(0, (PATTERN,))

    def read_into(self, offset: int, buffer: memoryview) -> None:
        assert offset % self.block_length == len(buffer) % self.block_length == 0
        super().read_into(offset, buffer)

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        (buffer,) = buffers
        assert offset % self.block_length == memoryview(buffer).nbytes % self.block_length == 0
        super().write(offset, (buffer,), durable=durable)


def copy(source: Strict, source_offset: int, destination: Strict, offset: int, length: int) -> CopyPartialBlocks:
    """What copies so many bytes."""
    return CopyPartialBlocks(
        source=source,
        source_offset=source_offset,
        source_block_length=source.block_length,
        offset=offset,
        block_length=destination.block_length,
        length=length,
    )


@pytest.mark.parametrize(
    ("offset", "length", "extent"), [(0, 512, (0, 512)), (1, 511, (0, 512)), (1, 512, (0, 1024)), (600, 1, (512, 512))]
)
def test_whole_blocks(offset: int, length: int, extent: tuple[int, int]) -> None:
    """All blocks of which a byte is in the range, and no others."""
    assert whole_blocks(offset, length, 512) == extent


@pytest.mark.parametrize(
    ("source_offset", "offset", "length"), [(3, 700, 5), (1000, 0, 1500), (512, 513, 1), (0, 0, 4096)]
)
def test_the_other_bytes_of_blocks_stay(source_offset: int, offset: int, length: int) -> None:
    """And storage is read and written in whole blocks, of either length."""
    source, destination = Strict(512), Strict(1024)
    operation = copy(source, source_offset, destination, offset, length)
    assert operation.run(destination) is None
    found = memoryview(bytearray(len(PATTERN)))
    destination.read_into(0, found)
    wanted = PATTERN[:offset] + PATTERN[source_offset : source_offset + length] + PATTERN[offset + length :]
    assert bytes(found) == wanted
    assert operation.exclusive
    assert operation.extent == whole_blocks(offset, length, 1024)


def test_within_one_backstore() -> None:
    """The copy is what was there before."""
    disk = Strict(512)
    assert copy(disk, 100, disk, 101, 2000).run(disk) is None
    found = memoryview(bytearray(len(PATTERN)))
    disk.read_into(0, found)
    assert bytes(found) == PATTERN[:101] + PATTERN[100:2100] + PATTERN[2101:]


def test_a_source_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told apart from a destination that does, and nothing is written."""
    source, destination = Strict(512), Strict(512)
    error = BackstoreError(errno.EIO, "the disk is broken")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(source, "read_into", fail)
    assert copy(source, 0, destination, 1, 10).run(destination) == SourceFailure(error)
    monkeypatch.setattr(destination, "read_into", fail)
    with pytest.raises(BackstoreError):
        copy(Strict(512), 0, destination, 1, 10).run(destination)
