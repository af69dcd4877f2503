import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from isthmus.backstores.base import Provisioning
from isthmus.backstores.extents import first_extent
from isthmus.backstores.fallocate import FallocateMode, fallocate

BLOCK = 64 << 10
"""Bytes; a whole number of blocks of any file system."""


@pytest.fixture
def descriptor(tmp_path: Path) -> int:
    """A file with data in block 1, room reserved for block 3, and holes: 8 blocks."""
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(descriptor, 8 * BLOCK)
    os.pwrite(descriptor, b"x" * BLOCK, BLOCK)
    fallocate(descriptor, FallocateMode.ZERO_RANGE | FallocateMode.KEEP_SIZE, 3 * BLOCK, BLOCK)
    os.fsync(descriptor)
    return descriptor


def layout(descriptor: int) -> str:
    """A letter for each block: Mapped, Deallocated."""
    text = ""
    while len(text) < 8:
        extent = first_extent(descriptor, len(text) * BLOCK, (8 - len(text)) * BLOCK)
        text += extent.provisioning.name[0] * (extent.length // BLOCK)
    return text


def test_data_and_reserved_room_are_mapped(descriptor: int) -> None:
    """And nothing else."""
    assert layout(descriptor) == "DMDMDDDD"
    os.close(descriptor)


def test_a_part_of_an_extent_is_cut_to_the_question(descriptor: int) -> None:
    """From the middle of one to the middle of it."""
    for block, provisioning in ((1, Provisioning.MAPPED), (3, Provisioning.MAPPED), (5, Provisioning.DEALLOCATED)):
        extent = first_extent(descriptor, block * BLOCK + 512, 1024)
        assert (extent.length, extent.provisioning) == (1024, provisioning)
    os.close(descriptor)


def test_without_fiemap_reserved_room_is_a_hole(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which it may be called: it reads as zeros."""

    def unsupported(*arguments: Any) -> bytes:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(fcntl, "ioctl", unsupported)
    assert layout(descriptor) == "DMDDDDDD"
    os.close(descriptor)


def test_an_error_is_not_taken_for_a_hole(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is told that blocks are deallocated does not read them."""

    def broken(*arguments: Any) -> bytes:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "ioctl", broken)
    with pytest.raises(OSError, match="broken"):
        layout(descriptor)
    os.close(descriptor)


def test_a_write_between_the_questions_is_noticed(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """First a hole, then data in the same place: the answer is never empty."""
    lseek = os.lseek
    answers = iter((0,))

    def seek(descriptor: int, offset: int, whence: int) -> int:
        if whence == os.SEEK_HOLE:
            return next(answers, None) or lseek(descriptor, offset, whence)
        return lseek(descriptor, offset, whence)

    os.pwrite(descriptor, b"x" * BLOCK, 0)
    monkeypatch.setattr(os, "lseek", seek)
    extent = first_extent(descriptor, 0, 8 * BLOCK)
    assert (extent.length, extent.provisioning) == (2 * BLOCK, Provisioning.MAPPED)
    os.close(descriptor)
