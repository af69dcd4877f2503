"""Copying between backstores, and within one."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.backstores import copying
from isthmus.backstores.base import Backstore, Capabilities, Extent, Provisioning
from isthmus.backstores.copying import CHUNK, copy_bytes
from isthmus.backstores.fileio import FileBackstore
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.backstores.registry import BackstoreSpec, open_backstore
from isthmus.errors import BackstoreError
from tests.support.disk import Memory, pattern

KIB = 1024
PAGE = 4096


def memory(content: bytes, *, capabilities: Capabilities | None = None) -> Memory:
    """Memory that holds `content`."""
    disk = Memory(len(content), write_back=True, capabilities=capabilities or Capabilities())
    disk.content[:] = content
    return disk


def file(path: Path, content: bytes, *, write_back: bool = True) -> FileBackstore:
    """A file that holds `content`."""
    path.write_bytes(content)
    backstore = open_backstore(BackstoreSpec(kind="fileio", path=str(path), write_back=write_back))
    assert isinstance(backstore, FileBackstore)
    return backstore


def content(backstore: Backstore) -> bytes:
    """All of it."""
    buffer = memoryview(bytearray(backstore.size))
    backstore.read_into(0, buffer)
    return bytes(buffer)


def test_only_the_range_is_written() -> None:
    """The bytes beside the destination stay as they are."""
    source, destination = memory(pattern(KIB)), memory(bytes(KIB))
    assert copy_bytes(source, 100, destination, 300, 200) is None
    assert destination.content == bytes(300) + pattern(KIB)[100:300] + bytes(KIB - 500)


def test_more_than_one_chunk() -> None:
    """A copy that does not fit into the buffer is whole all the same."""
    data = pattern(2 * CHUNK + 512)
    source, destination = memory(data), memory(bytes(len(data)))
    assert copy_bytes(source, 0, destination, 0, len(data)) is None
    assert destination.content == data


@given(offsets=st.tuples(st.integers(0, 64), st.integers(0, 64)), length=st.integers(0, 192), chunk=st.integers(1, 64))
def test_overlap(offsets: tuple[int, int], length: int, chunk: int) -> None:
    """Within one backstore the copy is what the source was before, whichever way the ranges overlap."""
    before = pattern(256)
    disk = memory(before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copying, "CHUNK", chunk)
        assert copy_bytes(disk, offsets[0], disk, offsets[1], length) is None
    source, destination = offsets
    assert disk.content[destination : destination + length] == before[source : source + length]
    assert disk.content[:destination] == before[:destination]
    assert disk.content[destination + length :] == before[destination + length :]


def extents(*lengths: tuple[int, Provisioning]) -> list[Extent]:
    """A map of a backstore."""
    return [Extent(length=length, provisioning=provisioning) for length, provisioning in lengths]


def test_what_the_source_does_not_hold_is_given_back() -> None:
    """A hole becomes a hole, and what a thin destination had there is gone."""
    source = RamdiskBackstore("source", 4 * PAGE)
    source.write(PAGE, (pattern(PAGE),))
    destination = RamdiskBackstore("destination", 4 * PAGE)
    destination.write(0, (b"x" * 4 * PAGE,))
    assert copy_bytes(source, 0, destination, 0, 4 * PAGE) is None
    assert content(destination) == bytes(PAGE) + pattern(PAGE) + bytes(2 * PAGE)
    assert destination.map_status(2 * PAGE, 2 * PAGE) == extents((2 * PAGE, Provisioning.DEALLOCATED))[0]
    assert destination.map_status(PAGE, PAGE) == extents((PAGE, Provisioning.MAPPED))[0]


@pytest.mark.parametrize(
    ("provisioning", "capabilities"),
    [
        (Provisioning.ANCHORED, Capabilities(discard=True, map_status=True)),
        (Provisioning.DEALLOCATED, Capabilities(map_status=True)),
    ],
)
def test_where_nothing_can_be_given_back_zeros_are_written(
    provisioning: Provisioning, capabilities: Capabilities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An anchored run stays room that is there; a destination without discard gets zeros."""
    source = memory(bytes(KIB), capabilities=Capabilities(map_status=True))
    source.extents = extents((512, provisioning), (512, Provisioning.MAPPED))
    source.content[512:] = b"d" * 512
    destination = memory(b"x" * KIB, capabilities=capabilities)
    monkeypatch.setattr(destination, "discard", lambda offset, length: pytest.fail("given back"))
    assert copy_bytes(source, 0, destination, 0, KIB) is None
    assert destination.content == bytes(512) + b"d" * 512


def failing(error: BackstoreError) -> Callable[..., None]:
    """A method that fails."""

    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("method", ["read_into", "map_status"])
def test_a_source_that_fails(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its failure is given, not raised: so it cannot be taken for one of the destination."""
    error = BackstoreError(errno.EIO, "broken")
    source = memory(pattern(KIB))
    monkeypatch.setattr(source, method, failing(error))
    assert copy_bytes(source, 0, memory(bytes(KIB)), 512, 512) is error


def test_a_source_that_fails_under_an_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where source and destination are one, it is told which side failed."""
    error = BackstoreError(errno.EIO, "broken")
    disk = memory(pattern(KIB))
    monkeypatch.setattr(disk, "read_into", failing(error))
    assert copy_bytes(disk, 0, disk, 256, 512) is error


def test_a_destination_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its failure is raised."""
    destination = memory(bytes(KIB))
    monkeypatch.setattr(destination, "write", failing(BackstoreError(errno.ENOSPC, "full")))
    with pytest.raises(BackstoreError, match="full"):
        copy_bytes(memory(pattern(KIB)), 0, destination, 0, KIB)


# -- files -------------------------------------------------------------------------------------------------------------


def test_between_files_the_system_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files of one file system: nothing is read into this process."""
    data = pattern(64 * KIB)
    source, destination = file(tmp_path / "a", data), file(tmp_path / "b", bytes(len(data)))
    monkeypatch.setattr(source, "read_into", failing(BackstoreError(errno.EIO, "it was read")))
    assert copy_bytes(source, 512, destination, 1024, 60 * KIB) is None
    assert (tmp_path / "b").read_bytes() == bytes(1024) + data[512 : 512 + 60 * KIB] + bytes(3 * KIB)


def test_within_a_file_the_system_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of one file that do not overlap are copied inside the system, too."""
    data = pattern(64 * KIB)
    disk = file(tmp_path / "a", data)
    monkeypatch.setattr(disk, "read_into", failing(BackstoreError(errno.EIO, "it was read")))
    assert copy_bytes(disk, 0, disk, 32 * KIB, 32 * KIB) is None
    assert (tmp_path / "a").read_bytes() == data[: 32 * KIB] * 2


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EIO])
def test_what_the_system_cannot_copy_is_read_and_written(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file system, an old kernel, a broken disk: the way through this process finds out what is possible."""
    data = pattern(8 * KIB)
    source, destination = file(tmp_path / "a", data), file(tmp_path / "b", bytes(len(data)))
    monkeypatch.setattr(os, "copy_file_range", failing_call(number))
    assert copy_bytes(source, 0, destination, 0, len(data)) is None
    assert (tmp_path / "b").read_bytes() == data


def failing_call(number: int) -> Callable[..., int]:
    """A system call that fails."""

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def test_no_room_is_the_destinations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full file system is told as such, with the place."""
    source, destination = file(tmp_path / "a", pattern(KIB)), file(tmp_path / "b", bytes(KIB))
    monkeypatch.setattr(os, "copy_file_range", failing_call(errno.EDQUOT))
    with pytest.raises(BackstoreError) as caught:
        copy_bytes(source, 0, destination, 512, 512)
    assert (caught.value.errno, caught.value.offset) == (errno.ENOSPC, 512)


def test_the_system_copies_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that copies less than it was asked to is followed by another one."""
    data = pattern(8 * KIB)
    source, destination = file(tmp_path / "a", data), file(tmp_path / "b", bytes(len(data)))
    real = os.copy_file_range
    monkeypatch.setattr(os, "copy_file_range", lambda a, b, count, *at: real(a, b, min(count, 3000), *at))
    assert copy_bytes(source, 0, destination, 0, len(data)) is None
    assert (tmp_path / "b").read_bytes() == data


def test_a_source_that_has_shrunk(tmp_path: Path) -> None:
    """What is not there any more is a failure of the source, and the size of the destination stays."""
    source, destination = file(tmp_path / "a", pattern(8 * KIB)), file(tmp_path / "b", bytes(8 * KIB))
    os.truncate(tmp_path / "a", KIB)
    failure = copy_bytes(source, 0, destination, 0, 8 * KIB)
    assert failure is not None
    assert failure.errno == errno.EIO
    assert (tmp_path / "b").stat().st_size == 8 * KIB


def test_without_write_back_a_copy_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system has copied is durable before the copy is over, like any other write."""
    source = file(tmp_path / "a", pattern(KIB))
    destination = file(tmp_path / "b", bytes(KIB), write_back=False)
    flushed: list[bool] = []
    monkeypatch.setattr(destination, "flush", lambda: flushed.append(True))
    assert copy_bytes(source, 0, destination, 0, KIB) is None
    assert flushed


def test_a_destination_that_must_not_be_written(tmp_path: Path) -> None:
    """A file that is served read-only is not changed inside the system either."""
    (tmp_path / "b").write_bytes(bytes(KIB))
    destination = open_backstore(BackstoreSpec(kind="fileio", path=str(tmp_path / "b"), read_only=True))
    with pytest.raises(BackstoreError) as caught:
        copy_bytes(file(tmp_path / "a", pattern(KIB)), 0, destination, 0, KIB)
    assert caught.value.errno == errno.EROFS
    assert (tmp_path / "b").read_bytes() == bytes(KIB)
