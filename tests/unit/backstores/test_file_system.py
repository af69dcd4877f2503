import os
from pathlib import Path

import pytest

from isthmus.backstores import file_system
from isthmus.backstores.file_system import punches_holes, room_of
from tests.support.real_storage import tmpfs


def test_a_memory_file_system_is_known_to_punch_holes(tmp_path: Path) -> None:
    """Told from the open file alone, which was opened for reading."""
    with tmpfs(tmp_path, 1 << 20) as directory:
        (directory / "file").write_bytes(b"x")
        descriptor = os.open(directory / "file", os.O_RDONLY)
        assert punches_holes(descriptor)
        os.close(descriptor)


def test_a_file_system_without_files_to_punch() -> None:
    """proc(5) is on no list."""
    descriptor = os.open("/proc/self/status", os.O_RDONLY)
    assert not punches_holes(descriptor)
    os.close(descriptor)


def test_errors_are_the_systems() -> None:
    """EBADF has its own class."""
    with pytest.raises(OSError, match="Bad file descriptor"):
        punches_holes(-1)


def test_every_number_is_one() -> None:
    """The magic numbers have 32 bits."""
    assert all(0 < magic < 1 << 32 for magic in file_system._PUNCH_HOLES)


def test_room(tmp_path: Path) -> None:
    """Holes take none, data take whole blocks, and what is left is the file system's."""
    with tmpfs(tmp_path, 1 << 20) as directory:
        descriptor = os.open(directory / "file", os.O_RDWR | os.O_CREAT)
        os.truncate(descriptor, 1 << 30)
        os.pwrite(descriptor, b"x", 1 << 29)
        page = os.sysconf("SC_PAGESIZE")
        assert room_of(descriptor) == (page, (1 << 20) - page)
        os.close(descriptor)
