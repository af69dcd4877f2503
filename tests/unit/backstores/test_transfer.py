import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.backstores.transfer import as_bytes, inner_range, read_fully, total_length, write_fully, write_zeros


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty file."""
    path = tmp_path / "file"
    path.touch()
    return path


def write(path: Path, offset: int, *buffers: bytes) -> None:
    """Open, write, close."""
    descriptor = os.open(path, os.O_RDWR)
    write_fully(descriptor, as_bytes(buffers), offset, 0, path)
    os.close(descriptor)


def test_more_buffers_than_one_call_takes_are_written(path: Path) -> None:
    """IOV_MAX is 1024 on Linux; PDUs bring as many buffers as they like."""
    buffers = [bytes([index % 251]) * (index % 3 + 1) for index in range(3000)]
    write(path, 5, *buffers)
    assert path.read_bytes() == bytes(5) + b"".join(buffers)


@pytest.mark.parametrize("most", [1, 7, 10, 11])
def test_short_writes_are_continued(path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """What the system did not take at first is written next, at its place."""
    pwritev = os.pwritev

    def short(descriptor: int, buffers: list[memoryview], offset: int, flags: int) -> int:
        return pwritev(descriptor, [b"".join(buffers)[:most]], offset, flags)

    monkeypatch.setattr(os, "pwritev", short)
    write(path, 3, b"0123456789", b"", b"abc", b"defghijk")
    assert path.read_bytes() == bytes(3) + b"0123456789abcdefghijk"


def test_a_write_that_makes_no_progress_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather an error than a loop without end."""
    monkeypatch.setattr(os, "pwritev", lambda *arguments: 0)
    with pytest.raises(Exception, match="Input/output error"):
        write(path, 3, b"0123456789")


def test_short_reads_are_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system did not give at first is read next; the end of the file ends it."""
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda descriptor, buffers, offset: preadv(descriptor, [buffers[0][:7]], offset))
    path.write_bytes(bytes(range(100)))
    descriptor = os.open(path, os.O_RDONLY)
    buffer = bytearray(50)
    assert read_fully(descriptor, memoryview(buffer), 10, path) == 50
    assert buffer == bytes(range(10, 60))
    assert read_fully(descriptor, memoryview(buffer), 90, path) == 10
    os.close(descriptor)


@pytest.mark.parametrize("length", [0, 1, 1 << 20, (1 << 20) + 1])
def test_zeros_of_any_length_are_written(path: Path, length: int) -> None:
    """From a buffer that is shorter."""
    path.write_bytes(b"x" * (length + 10))
    descriptor = os.open(path, os.O_RDWR)
    write_zeros(descriptor, 4, length, path)
    os.close(descriptor)
    assert path.read_bytes() == b"xxxx" + bytes(length) + b"xxxxxx"


def test_buffers_of_any_shape_count_in_bytes() -> None:
    """A memoryview of words is as long as its bytes; empty buffers are left out."""
    words = memoryview(bytes(range(8))).cast("I")
    views = as_bytes([words, b"", bytearray(b"xyz")])
    assert [bytes(view) for view in views] == [bytes(range(8)), b"xyz"]
    assert total_length(views) == 11


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 16))
def test_a_range_is_rounded_inwards(offset: int, length: int, granularity: int) -> None:
    """The inner range holds each whole granule within the range and nothing else."""
    start, end = inner_range(offset, length, granularity)
    granules = {n for n in range(0, 250, granularity) if offset <= n and n + granularity <= offset + length}
    assert set(range(start, end, granularity)) == granules
    assert offset <= start <= end <= offset + length
