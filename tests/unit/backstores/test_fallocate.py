import errno
import os
from pathlib import Path

import pytest

from isthmus.backstores import fallocate as module
from isthmus.backstores.fallocate import FallocateMode, fallocate, is_unsupported


@pytest.fixture
def descriptor(tmp_path: Path) -> int:
    """An open file of 64 KiB of data."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 65536)
    return os.open(path, os.O_RDWR)


def test_a_hole_is_punched_and_a_range_zeroed(descriptor: int) -> None:
    """Both read as zeros, and the file keeps its size, also where the range goes beyond."""
    fallocate(descriptor, FallocateMode.PUNCH_HOLE | FallocateMode.KEEP_SIZE, 100, 4000)
    fallocate(descriptor, FallocateMode.ZERO_RANGE | FallocateMode.KEEP_SIZE, 60000, 10000)
    expected = b"x" * 100 + bytes(4000) + b"x" * 55900 + bytes(5536)
    assert os.pread(descriptor, 100_000, 0) == expected
    os.close(descriptor)


def test_errors_are_the_systems(descriptor: int) -> None:
    """EBADF, EINVAL: with their own classes, like those of the os module."""
    with pytest.raises(OSError, match="Bad file descriptor"):
        fallocate(-1, FallocateMode.KEEP_SIZE, 0, 1)
    with pytest.raises(OSError, match="Invalid argument"):
        fallocate(descriptor, FallocateMode.KEEP_SIZE, 0, 0)
    os.close(descriptor)


def test_an_interrupted_call_is_repeated(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal is no failure."""
    results = iter((-1, -1, 0))
    monkeypatch.setattr(module, "_function", lambda *arguments: next(results))
    monkeypatch.setattr("ctypes.get_errno", lambda: errno.EINTR)
    fallocate(descriptor, FallocateMode.KEEP_SIZE, 0, 1)
    assert next(results, None) is None
    os.close(descriptor)


def test_offsets_have_64_bits(descriptor: int) -> None:
    """A disk of terabytes is punched at its end."""
    os.ftruncate(descriptor, 1 << 41)
    fallocate(descriptor, FallocateMode.PUNCH_HOLE | FallocateMode.KEEP_SIZE, 1 << 40, 1 << 40)
    os.close(descriptor)


def test_unsupported_is_told_from_failed() -> None:
    """Only the former is worth another way."""
    assert is_unsupported(OSError(errno.EOPNOTSUPP, ""))
    assert not is_unsupported(OSError(errno.EIO, ""))
