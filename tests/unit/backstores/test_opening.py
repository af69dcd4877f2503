import os
import stat
from pathlib import Path
from typing import Any

import pytest

from isthmus.backstores.fileio import FileBackstore
from isthmus.backstores.opening import opening
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import ConfigurationError
from tests.support.backstore_model import open_descriptors
from tests.support.real_storage import ext4, loop_device, tmpfs

SIZE = 1 << 20


def spec(path: Path, **options: Any) -> BackstoreSpec:
    """How to open `path`."""
    return BackstoreSpec(kind="fileio", path=str(path), **options)


def refusal(path: Path, **options: Any) -> ConfigurationError:
    """Why `path` cannot be opened so; it leaves no descriptor and no file behind."""
    before = open_descriptors(), sorted(path.parent.glob("*"))
    with pytest.raises(ConfigurationError) as caught, opening(spec(path, **options)):
        pass
    assert (open_descriptors(), sorted(path.parent.glob("*"))) == before
    return caught.value


def test_a_new_file_is_sparse_and_private(tmp_path: Path) -> None:
    """It has its size, takes no room, and only its owner reads what initiators will write there."""
    path = tmp_path / "disk.img"
    with opening(spec(path, size=SIZE, create=True)) as storage:
        assert (storage.size, storage.created, storage.is_device) == (SIZE, True, False)
        status = path.stat()
        assert (status.st_size, stat.S_IMODE(status.st_mode)) == (SIZE, 0o600)
        assert status.st_blocks * 512 < SIZE
    storage.close()


def test_a_file_that_exists_is_taken_as_it_is(tmp_path: Path) -> None:
    """With or without the right size, and with leave to create it."""
    path = tmp_path / "disk.img"
    path.write_bytes(b"x" * SIZE)
    for options in ({}, {"size": SIZE}, {"size": SIZE, "create": True}):
        with opening(spec(path, **options)) as storage:
            assert (storage.size, storage.created) == (SIZE, False)
        storage.close()
    assert path.read_bytes() == b"x" * SIZE


def test_a_file_that_does_not_exist_is_not_made_unasked(tmp_path: Path) -> None:
    """Both leave to create and a size are needed; to read nothing is no use."""
    path = tmp_path / "disk.img"
    for options in ({}, {"size": SIZE}, {"create": True}, {"size": SIZE, "create": True, "read_only": True}):
        error = refusal(path, **options)
        assert "does not exist" in error.problem
        assert "size to create it" in error.remedy


@pytest.mark.parametrize("actual", [SIZE - 1, SIZE + 1])
def test_another_size_is_refused(tmp_path: Path, actual: int) -> None:
    """The file stays as it is; the message says both sizes and the way out."""
    path = tmp_path / "disk.img"
    path.write_bytes(b"x" * actual)
    error = refusal(path, size=SIZE, create=True)
    assert f"{actual} bytes long, not {SIZE}" in error.problem
    assert "leave the size out" in error.remedy
    assert path.stat().st_size == actual


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """A disk without a block is none."""
    path = tmp_path / "disk.img"
    path.touch()
    assert "truncate" in refusal(path).remedy


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_that_cannot_be_is_refused(tmp_path: Path, size: int) -> None:
    """Nothing is made."""
    assert "above 0" in refusal(tmp_path / "disk.img", size=size, create=True).remedy


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """It names what to name instead."""
    assert refusal(tmp_path).remedy == "name a file in it"


def test_what_is_no_storage_is_refused(tmp_path: Path) -> None:
    """A FIFO would block, a character device has no size."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, Path("/dev/null")):
        assert "neither a regular file nor a block device" in refusal(path).problem


def test_a_missing_directory_is_not_made(tmp_path: Path) -> None:
    """Who misspells a directory does not want another one."""
    error = refusal(tmp_path / "missing" / "disk.img", size=SIZE, create=True)
    assert "make its directory" in error.remedy


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    """ENOTDIR."""
    (tmp_path / "file").touch()
    assert "not a directory" in refusal(tmp_path / "file" / "disk.img", size=SIZE, create=True).remedy


def test_a_size_that_no_file_system_holds_leaves_nothing(tmp_path: Path) -> None:
    """The file that was begun goes away."""
    assert "smaller size" in refusal(tmp_path / "disk.img", size=1 << 62, create=True).remedy


def test_permissions_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EACCES names its remedy; root is never refused, so the refusal is made up."""
    path = tmp_path / "disk.img"
    path.write_bytes(b"x")

    def refuse(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert "permissions" in refusal(path).remedy


def test_what_fails_later_is_undone_too(tmp_path: Path) -> None:
    """A constructor that fails leaves neither a descriptor nor a new file."""
    path = tmp_path / "disk.img"
    before = open_descriptors()
    with pytest.raises(ConfigurationError), opening(spec(path, size=SIZE, create=True)):
        raise ConfigurationError("no")
    assert not path.exists()
    assert open_descriptors() == before


def test_an_error_of_the_system_later_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the backstore asks of the file that was opened."""

    def refuse(*arguments: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("isthmus.backstores.fileio.OpenFilePool", refuse)
    with pytest.raises(ConfigurationError, match="limit of open files"):
        FileBackstore.open(spec(tmp_path / "disk.img", size=SIZE, create=True))
    assert not list(tmp_path.iterdir())


def test_a_file_replaced_meanwhile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is locked must be what the path leads to: else somebody else may write to it."""
    path = tmp_path / "disk.img"
    path.write_bytes(b"old")

    def replace(*arguments: object, **options: object) -> None:
        path.unlink()
        path.write_bytes(b"new")

    monkeypatch.setattr("isthmus.backstores.opening.lock", replace)
    assert "replaced" in refusal(path).problem


def test_a_new_name_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is flushed: data in a file without a name does not survive a power cut."""
    synced: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with opening(spec(tmp_path / "disk.img", size=SIZE, create=True)) as storage:
        assert synced == [str(tmp_path / "disk.img"), str(tmp_path)]
    storage.close()


def test_no_room_for_a_new_file_is_explained(tmp_path: Path) -> None:
    """A file system without a free inode."""
    with tmpfs(tmp_path, 4096, options="nr_inodes=1") as directory:
        error = refusal(directory / "disk.img", size=SIZE, create=True)
    assert "free some room" in error.remedy


def test_a_relative_path_is_kept_as_it_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may change its directory later."""
    (tmp_path / "disk.img").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    with opening(spec(Path("disk.img"))) as storage:
        assert storage.path == tmp_path / "disk.img"
    storage.close()


def test_a_mounted_device_is_refused_to_writers(tmp_path: Path) -> None:
    """Whatever kind of backstore asks for it; a reader may look at it."""
    sectors = tmp_path / "sectors.img"
    sectors.touch()
    os.truncate(sectors, 4 * SIZE)
    with loop_device(sectors) as device, ext4(device, tmp_path):
        with pytest.raises(ConfigurationError, match="unmount it"), opening(spec(device)):
            pass
        with opening(spec(device, read_only=True)) as storage:
            assert storage.is_device
        storage.close()
