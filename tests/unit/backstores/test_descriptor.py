import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from isthmus.backstores.descriptor import DescriptorBackstore
from isthmus.backstores.fileio import FileBackstore
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import BackstoreError
from tests.support.backstore_model import contents, open_descriptors

SIZE = 1 << 20
CHANGES: dict[str, Callable[[DescriptorBackstore, int], None]] = {
    "write": lambda disk, offset: disk.write(offset, [b"x" * 4096]),
    "durable write": lambda disk, offset: disk.write(offset, [b"x" * 4096], durable=True),
    "discard": lambda disk, offset: disk.discard(offset, 4096),
    "write zeroes": lambda disk, offset: disk.write_zeroes(offset, 4096),
}
every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())


def open_file(path: Path, **options: Any) -> FileBackstore:
    """As a server does."""
    return FileBackstore.open(BackstoreSpec(kind="fileio", path=str(path), **options))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file full of data."""
    path = tmp_path / "disk.img"
    path.write_bytes(b"a" * SIZE)
    return path


@pytest.fixture
def disk(path: Path) -> Iterator[FileBackstore]:
    """The file, open with write-back."""
    backstore = open_file(path)
    yield backstore
    with suppress(BackstoreError):
        backstore.close()


class Calls:
    """Stands in for a system call: notes the arguments, and fails as long as it is told to."""

    def __init__(self, real: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.arguments: list[Sequence[Any]] = []
        self.error: int = 0
        self.only_with_flags = False
        self._real = real
        monkeypatch.setattr(os, real.__name__, self)

    def __call__(self, *arguments: Any) -> Any:
        self.arguments.append(arguments)
        if self.error and (not self.only_with_flags or arguments[3]):
            raise OSError(self.error, os.strerror(self.error))
        return self._real(*arguments)


def test_a_write_with_write_back_waits_for_nothing(disk: FileBackstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a flag nor a flush."""
    pwritev, fdatasync = Calls(os.pwritev, monkeypatch), Calls(os.fdatasync, monkeypatch)
    disk.write(0, [b"x"])
    assert [arguments[3] for arguments in pwritev.arguments] == [0]
    assert not fdatasync.arguments


@pytest.mark.parametrize("write_back", [True, False])
def test_a_durable_write_is_synchronous(path: Path, monkeypatch: pytest.MonkeyPatch, write_back: bool) -> None:
    """FUA, and every write without write-back, goes out with RWF_DSYNC."""
    disk = open_file(path, write_back=write_back)
    pwritev = Calls(os.pwritev, monkeypatch)
    disk.write(0, [b"x"], durable=write_back)
    assert [arguments[3] for arguments in pwritev.arguments] == [os.RWF_DSYNC]
    assert disk.write_back is write_back
    disk.close()


def test_a_system_without_synchronous_writes_flushes(disk: FileBackstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where RWF_DSYNC is not known, fdatasync follows the write."""
    pwritev, fdatasync = Calls(os.pwritev, monkeypatch), Calls(os.fdatasync, monkeypatch)
    pwritev.error, pwritev.only_with_flags = errno.EOPNOTSUPP, True
    disk.write(10, [b"x"], durable=True)
    assert contents(disk, 10, 1) == b"x"
    assert len(fdatasync.arguments) == 1


@pytest.mark.parametrize("name", ["discard", "write zeroes"])
def test_without_write_back_every_change_is_flushed(path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Discards and zeroing are as durable as writes."""
    disk = open_file(path, write_back=False)
    fdatasync = Calls(os.fdatasync, monkeypatch)
    CHANGES[name](disk, 0)
    assert len(fdatasync.arguments) == 1
    disk.close()


def test_durable_zeros_are_flushed(disk: FileBackstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """WRITE SAME with FUA is as durable as WRITE with FUA."""
    fdatasync = Calls(os.fdatasync, monkeypatch)
    disk.write_zeroes(0, 4096)
    assert not fdatasync.arguments
    disk.write_zeroes(0, 4096, durable=True)
    assert len(fdatasync.arguments) == 1


def test_a_failed_flush_stands(disk: FileBackstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """After lost writes no flush and no change succeeds, though the system would let them; reads go on."""
    fdatasync = Calls(os.fdatasync, monkeypatch)
    fdatasync.error = errno.EIO
    with pytest.raises(BackstoreError):
        disk.flush()
    fdatasync.error = 0
    for call in (disk.flush, *(lambda change=change: change(disk, 0) for change in CHANGES.values())):
        with pytest.raises(BackstoreError) as caught:
            call()
        assert caught.value.errno == errno.EIO
    assert contents(disk, 0, SIZE) == b"a" * SIZE


def test_a_failed_durable_write_stands(disk: FileBackstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may have told it of another write's loss, and it tells only once."""
    pwritev = Calls(os.pwritev, monkeypatch)
    pwritev.error = errno.EIO
    with pytest.raises(BackstoreError) as caught:
        disk.write(8192, [b"x"], durable=True)
    assert (caught.value.errno, caught.value.offset) == (errno.EIO, 8192)
    pwritev.error = 0
    with pytest.raises(BackstoreError):
        disk.flush()


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_refused_write_costs_only_itself(
    disk: FileBackstore, monkeypatch: pytest.MonkeyPatch, number: int, durable: bool
) -> None:
    """No room: the write fails where it stopped, and the next one is tried."""
    pwritev = Calls(os.pwritev, monkeypatch)
    pwritev.error = number
    with pytest.raises(BackstoreError) as caught:
        disk.write(8192, [b"x"], durable=durable)
    assert (caught.value.errno, caught.value.offset) == (errno.ENOSPC, 8192)
    pwritev.error = 0
    disk.write(8192, [b"x"], durable=durable)
    disk.flush()


def test_a_write_that_the_cache_did_not_take_costs_only_itself(
    disk: FileBackstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO for a write that promised nothing: its initiator knows, and nothing else is lost."""
    pwritev = Calls(os.pwritev, monkeypatch)
    pwritev.error = errno.EIO
    with pytest.raises(BackstoreError) as caught:
        disk.write(8192, [b"x"])
    assert (caught.value.errno, caught.value.offset) == (errno.EIO, 8192)
    pwritev.error = 0
    disk.flush()


def test_a_read_beyond_a_new_end_fails(disk: FileBackstore, path: Path) -> None:
    """A file that has shrunk gives no zeros for what it lost: EIO, at the first missing byte."""
    os.truncate(path, 10_000)
    assert contents(disk, 0, 10_000) == b"a" * 10_000
    for offset, missing in ((8192, 10_000), (SIZE // 2, SIZE // 2)):
        with pytest.raises(BackstoreError) as caught:
            contents(disk, offset, 4096)
        assert (caught.value.errno, caught.value.offset) == (errno.EIO, missing)


@every_change
@pytest.mark.parametrize("offset", [8192, SIZE // 2])
def test_a_change_beyond_a_new_end_changes_nothing(
    disk: FileBackstore, path: Path, change: Callable[[DescriptorBackstore, int], None], offset: int
) -> None:
    """It would make the file long again, with zeros where data was."""
    os.truncate(path, 10_000)
    with pytest.raises(BackstoreError) as caught:
        change(disk, offset)
    assert (caught.value.errno, caught.value.offset) == (errno.EIO, max(offset, 10_000))
    assert path.read_bytes() == b"a" * 10_000


def test_a_map_beyond_a_new_end_fails(disk: FileBackstore, path: Path) -> None:
    """What is missing is neither data nor a hole."""
    os.truncate(path, 10_000)
    with pytest.raises(BackstoreError) as caught:
        disk.map_status(8192, 4096)
    assert caught.value.errno == errno.EIO


def test_a_file_that_is_long_again_is_served_again(disk: FileBackstore, path: Path) -> None:
    """Shrinking leaves no state behind."""
    os.truncate(path, 10_000)
    os.truncate(path, SIZE)
    disk.write(20_000, [b"b"], durable=True)
    assert contents(disk, 20_000, 1) == b"b"


@pytest.mark.parametrize("replaced", [False, True])
def test_a_deleted_file_promises_nothing(disk: FileBackstore, path: Path, replaced: bool) -> None:
    """After a restart nobody would find the data: flushes and durable writes fail, reads go on."""
    path.unlink()
    if replaced:
        path.write_bytes(bytes(SIZE))
    disk.write(0, [b"b"])
    for call in (
        disk.flush,
        lambda: disk.write(0, [b"c"], durable=True),
        lambda: disk.write_zeroes(0, 1, durable=True),
    ):
        with pytest.raises(BackstoreError) as caught:
            call()
        assert caught.value.errno == errno.ENODEV
    assert contents(disk, 1, 3) == b"aaa"


def test_a_renamed_file_is_still_the_file(disk: FileBackstore, path: Path) -> None:
    """Only what has no name any more is gone."""
    path.rename(path.with_name("elsewhere.img"))
    disk.write(0, [b"b"], durable=True)
    disk.flush()


@every_change
def test_what_is_served_read_only_does_not_change(
    path: Path, change: Callable[[DescriptorBackstore, int], None]
) -> None:
    """EROFS for every change; a flush has nothing to do."""
    disk = open_file(path, read_only=True)
    with pytest.raises(BackstoreError) as caught:
        change(disk, 0)
    assert caught.value.errno == errno.EROFS
    with pytest.raises(BackstoreError) as caught:
        disk.resize(2 * SIZE)
    assert caught.value.errno == errno.EROFS
    disk.flush()
    assert not disk.write_back
    assert contents(disk, 0, SIZE) == b"a" * SIZE
    disk.close()


def test_a_file_grows_and_shrinks(disk: FileBackstore, path: Path) -> None:
    """New bytes are zeros, lost ones are lost."""
    disk.resize(SIZE + 4096)
    assert (disk.size, path.stat().st_size) == (SIZE + 4096, SIZE + 4096)
    assert contents(disk, SIZE - 1, 4097) == b"a" + bytes(4096)
    disk.resize(4096)
    disk.resize(8192)
    assert contents(disk, 0, 8192) == b"a" * 4096 + bytes(4096)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(("outside", "size"), [(2 * SIZE + 100, 2 * SIZE), (8192, 8192), (8191, 4096)])
def test_a_size_that_somebody_else_has_made(path: Path, read_only: bool, outside: int, size: int) -> None:
    """It is taken over in whole multiples, and the file is left as it is."""
    disk = open_file(path, read_only=read_only)
    os.truncate(path, outside)
    disk.follow_size(4096)
    assert (disk.size, path.stat().st_size) == (size, outside)
    expected = b"a" * min(size, SIZE) + bytes(max(size - SIZE, 0))
    assert contents(disk, 0, size) == expected
    if not read_only:
        disk.write(size - 8192 if size > 4096 else 0, [b"b" * 4096])
    disk.close()


def test_a_file_that_is_too_short_for_anything(disk: FileBackstore, path: Path) -> None:
    """The disk stays as long as it was: what is missing is an error, not a new size."""
    os.truncate(path, 4095)
    with pytest.raises(BackstoreError) as caught:
        disk.follow_size(4096)
    assert (caught.value.errno, disk.size) == (errno.EIO, SIZE)


def test_a_size_that_cannot_be_is_refused(disk: FileBackstore) -> None:
    """Nothing, and more than a file can hold."""
    for size, number in ((0, errno.EINVAL), (-1, errno.EINVAL), (1 << 62, errno.ENOSPC)):
        with pytest.raises(BackstoreError) as caught:
            disk.resize(size)
        assert caught.value.errno == number
    assert disk.size == SIZE


def test_the_identity_is_where_the_file_is(disk: FileBackstore, path: Path, tmp_path: Path) -> None:
    """The same through another name and after a restore from a backup; another for another file."""
    seen = disk.identity
    disk.close()
    path.unlink()
    path.write_bytes(b"restored")
    link = tmp_path / "link.img"
    link.symlink_to(path)
    other = tmp_path / "other.img"
    other.write_bytes(b"other")
    for name, same in ((path, True), (link, True), (other, False)):
        backstore = open_file(name)
        assert (backstore.identity == seen) is same
        backstore.close()


def test_closing_flushes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was acknowledged is durable when the server ends; closing again does nothing."""
    disk = open_file(path)
    fdatasync = Calls(os.fdatasync, monkeypatch)
    disk.write(0, [b"x"])
    disk.close()
    disk.close()
    assert len(fdatasync.arguments) == 1


def test_closing_lets_go_even_if_the_flush_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure is reported, and no descriptor stays open."""
    before = open_descriptors()
    disk = open_file(path)
    disk.write(0, [b"x"], durable=True)
    Calls(os.fdatasync, monkeypatch).error = errno.EIO
    with pytest.raises(BackstoreError):
        disk.close()
    assert open_descriptors() == before


def test_withdrawing_leaves_nothing_behind(tmp_path: Path) -> None:
    """A file that opening made goes away, and no descriptor stays open."""
    before = open_descriptors()
    disk = open_file(tmp_path / "new.img", size=SIZE, create=True)
    assert disk.created
    disk.withdraw()
    assert not list(tmp_path.iterdir())
    assert open_descriptors() == before


def test_withdrawing_keeps_a_file_that_was_there(disk: FileBackstore, path: Path) -> None:
    """Only what opening made is undone."""
    assert not disk.created
    disk.withdraw()
    assert path.read_bytes() == b"a" * SIZE
