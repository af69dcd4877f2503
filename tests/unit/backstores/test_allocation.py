import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from isthmus.backstores import allocation as module
from isthmus.backstores.allocation import Allocation, can_reserve
from isthmus.backstores.base import Provisioning
from isthmus.backstores.extents import first_extent
from isthmus.backstores.fallocate import FallocateMode, fallocate
from isthmus.errors import BackstoreError

BLOCK = 4096
PART = 64 << 10
SIZE = 8 * PART


@dataclass
class File:
    """A sparse file, with what is asked of the system for it."""

    path: Path
    descriptor: int
    reserved: list[tuple[int, int]] = field(default_factory=list)
    fails_with: int = 0

    def fallocate(self, descriptor: int, mode: FallocateMode, offset: int, length: int) -> None:
        """Notes who reserves what."""
        assert mode == FallocateMode.KEEP_SIZE
        self.reserved.append((offset, length))
        if self.fails_with:
            raise OSError(self.fails_with, os.strerror(self.fails_with))
        fallocate(descriptor, mode, offset, length)

    def write(self, offset: int, length: int) -> None:
        """Data, written past the object under test."""
        os.pwrite(self.descriptor, b"x" * length, offset)

    def allocation(self, size: int = SIZE) -> Allocation:
        """What is under test."""
        return Allocation(self.descriptor, self.descriptor, self.path, size=size, block_length=BLOCK)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[File]:
    """All hole."""
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.truncate(descriptor, SIZE)
    file = File(tmp_path / "file", descriptor)
    monkeypatch.setattr(module, "fallocate", file.fallocate)
    yield file
    os.close(descriptor)


@pytest.mark.parametrize(("offset", "length"), [(0, 0), (0, BLOCK), (PART + 512, 512), (2 * BLOCK - 512, 512)])
def test_within_a_block_nothing_has_to_be_reserved(file: File, offset: int, length: int) -> None:
    """Such a write happens or does not."""
    file.allocation().take(offset, length)
    assert file.reserved == []


@pytest.mark.parametrize(("offset", "length"), [(BLOCK - 512, 1024), (0, 2 * BLOCK), (PART - BLOCK, PART)])
def test_a_longer_write_into_a_hole_takes_its_room_first(file: File, offset: int, length: int) -> None:
    """Exactly what it is going to write."""
    file.allocation().take(offset, length)
    assert file.reserved == [(offset, length)]
    assert os.fstat(file.descriptor).st_blocks > 0
    assert os.pread(file.descriptor, SIZE, 0) == bytes(SIZE)


def test_where_there_is_data_no_room_is_taken(file: File) -> None:
    """And that is looked up once: a part that is data stays data, until it is given back."""
    file.write(PART, PART)
    allocation = file.allocation()
    allocation.take(PART, 2 * BLOCK)
    os.close(file.descriptor)  # from here on no question to the system succeeds
    allocation.take(PART + BLOCK, PART - BLOCK)
    assert file.reserved == []
    file.descriptor = os.open(file.path, os.O_RDWR)


def test_what_was_given_back_is_asked_for_again(file: File) -> None:
    """All of a part is unknown when some of it becomes a hole."""
    file.write(0, 2 * PART)
    allocation = file.allocation()
    allocation.take(0, 2 * PART)
    fallocate(file.descriptor, FallocateMode.PUNCH_HOLE | FallocateMode.KEEP_SIZE, PART, BLOCK)
    allocation.given_back(PART, BLOCK)
    allocation.take(0, PART)
    assert file.reserved == []
    allocation.take(PART, 2 * BLOCK)
    assert file.reserved == [(PART, 2 * BLOCK)]


def test_a_hole_that_is_made_while_it_looks_is_not_remembered_as_data(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer of the system may be older than the hole."""
    file.write(0, SIZE)
    allocation = file.allocation()
    seek = os.lseek

    def seek_and_punch(descriptor: int, offset: int, whence: int) -> int:
        found = seek(descriptor, offset, whence)
        fallocate(file.descriptor, FallocateMode.PUNCH_HOLE | FallocateMode.KEEP_SIZE, 0, PART)
        allocation.given_back(0, PART)
        return found

    monkeypatch.setattr(os, "lseek", seek_and_punch)
    allocation.take(0, 2 * BLOCK)
    monkeypatch.undo()
    monkeypatch.setattr(module, "fallocate", file.fallocate)
    allocation.take(0, 2 * BLOCK)
    assert file.reserved == [(0, 2 * BLOCK)]


def test_the_last_part_may_be_short(file: File) -> None:
    """It is data throughout if it is so up to the end."""
    os.truncate(file.descriptor, SIZE - 512)
    file.write(SIZE - PART, PART - 512)
    allocation = file.allocation(SIZE - 512)
    allocation.take(SIZE - PART, PART - 512)
    assert file.reserved == []


def test_a_new_size(file: File) -> None:
    """Nothing is known of the file then, as far as it goes."""
    allocation = file.allocation(PART)
    file.write(0, PART)
    allocation.take(0, PART)
    allocation.resized(SIZE)
    allocation.take(SIZE - 2 * BLOCK, 2 * BLOCK)
    assert file.reserved == [(SIZE - 2 * BLOCK, 2 * BLOCK)]


def test_a_large_file_has_a_map_of_bounded_length(file: File) -> None:
    """The parts are longer instead."""
    size = 1 << 45
    allocation = file.allocation(size)
    assert len(allocation._map) <= 1 << 20
    file.fails_with = errno.EOPNOTSUPP
    allocation.take(size - 2 * BLOCK, 2 * BLOCK)
    assert file.reserved == [(size - 2 * BLOCK, 2 * BLOCK)]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room(file: File, number: int) -> None:
    """ENOSPC, before anything is written; the next write asks again."""
    file.fails_with = number
    allocation = file.allocation()
    for _ in range(2):
        with pytest.raises(BackstoreError) as caught:
            allocation.take(0, PART)
        assert (caught.value.errno, caught.value.offset) == (errno.ENOSPC, 0)
    assert len(file.reserved) == 2


def test_a_file_system_that_cannot_reserve_is_asked_once(file: File) -> None:
    """It cannot promise anything: the write goes on."""
    file.fails_with = errno.EOPNOTSUPP
    allocation = file.allocation()
    allocation.take(0, PART)
    allocation.take(0, PART)
    assert len(file.reserved) == 1


def test_trying_whether_room_can_be_reserved_leaves_things_as_they_were(tmp_path: Path) -> None:
    """A hole is a hole again, data stay, and room that was reserved already stays so too."""
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.truncate(descriptor, SIZE)
    assert can_reserve(descriptor, descriptor, SIZE, BLOCK)
    assert first_extent(descriptor, 0, SIZE).provisioning is Provisioning.DEALLOCATED
    fallocate(descriptor, FallocateMode.KEEP_SIZE, 0, BLOCK)
    assert can_reserve(descriptor, descriptor, SIZE, BLOCK)
    assert first_extent(descriptor, 0, SIZE).length == BLOCK
    os.pwrite(descriptor, b"x" * BLOCK, 0)
    assert can_reserve(descriptor, descriptor, SIZE, BLOCK)
    assert os.pread(descriptor, BLOCK, 0) == b"x" * BLOCK
    os.close(descriptor)


@pytest.mark.parametrize(("number", "can"), [(errno.EOPNOTSUPP, False), (errno.ENOSYS, False), (errno.ENOSPC, True)])
def test_what_a_failed_trial_says(file: File, number: int, can: bool) -> None:
    """A file system that is full can reserve all the same."""
    file.fails_with = number
    assert can_reserve(file.descriptor, file.descriptor, SIZE, BLOCK) is can
