import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from isthmus.backstores import fileio
from isthmus.backstores.base import Extent, Provisioning, Space
from isthmus.backstores.fileio import FileBackstore
from isthmus.backstores.operations import MapStatus, Write, WriteRepeated, WriteZeroes
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import BackstoreError
from tests.support.backstore_model import Step, check_against_bytearray, contents, steps
from tests.support.real_storage import ext4, loop_device, tmpfs

SIZE = 1 << 20
MODEL_SIZE = 70_001
"""Not a whole number of anything."""


@contextmanager
def open_file(
    path: Path, *, size: int = SIZE, write_back: bool = True, read_only: bool = False
) -> Iterator[FileBackstore]:
    """Open or make a file, and close it whatever happens to it."""
    spec = BackstoreSpec(
        kind="fileio", path=str(path), size=size, create=not read_only, write_back=write_back, read_only=read_only
    )
    backstore = FileBackstore.open(spec)
    try:
        yield backstore
    finally:
        with suppress(BackstoreError):
            backstore.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FileBackstore]:
    """A new file, with write-back."""
    with open_file(tmp_path / "disk.img") as backstore:
        yield backstore


@pytest.fixture(scope="module", params=[True, False], ids=["write-back", "write-through"])
def model_disk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileBackstore]:
    """One file for all examples."""
    path = tmp_path_factory.mktemp("model") / "disk.img"
    with open_file(path, size=MODEL_SIZE, write_back=request.param) as backstore:
        yield backstore


def read_cached(backstore: FileBackstore, offset: int, length: int) -> bytes | None:
    """What `read_if_cached` gives, None for nothing."""
    buffer = bytearray(length)
    return bytes(buffer) if backstore.read_if_cached(offset, memoryview(buffer)) else None


@given(calls=steps(MODEL_SIZE))
def test_a_file_keeps_what_a_bytearray_keeps(model_disk: FileBackstore, calls: list[Step]) -> None:
    """Any sequence of calls leaves the bytes that it leaves in a bytearray."""
    check_against_bytearray(model_disk, calls)


def test_what_is_cached_is_read_at_once(disk: FileBackstore) -> None:
    """Bytes just written are in the page cache."""
    disk.write(4096, [b"abcd" * 1024])
    if read_cached(disk, 4096, 4096) is None:
        pytest.skip("the file system of the temporary directory has no RWF_NOWAIT")
    assert read_cached(disk, 4096, 4096) == b"abcd" * 1024


def test_what_is_not_cached_is_left_to_a_read_that_blocks(disk: FileBackstore) -> None:
    """A page that has left the cache is not waited for, and is read by `read_into`."""
    disk.write(4096, [b"abcd" * 1024])
    disk.flush()
    os.posix_fadvise(disk._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    assert read_cached(disk, 4096, 4096) is None
    assert contents(disk, 4096, 4096) == b"abcd" * 1024


def test_a_read_that_is_cached_in_part_is_not_answered(disk: FileBackstore) -> None:
    """All of the bytes or none."""
    disk.write(0, [b"b" * SIZE])
    disk.flush()
    os.posix_fadvise(disk._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    disk.write(0, [b"a" * 4096])
    assert read_cached(disk, 0, SIZE) is None


def test_a_system_without_nonblocking_reads_is_asked_once(disk: FileBackstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """EOPNOTSUPP is remembered, for this is the hottest call of the server."""
    calls = []

    def preadv(*arguments: object) -> int:
        calls.append(arguments)
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "preadv", preadv)
    assert read_cached(disk, 0, 4096) is None
    assert read_cached(disk, 0, 4096) is None
    assert len(calls) == 1


def test_an_error_while_looking_in_the_cache_is_left_to_the_read_that_blocks(
    disk: FileBackstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inline path never raises."""

    def preadv(*arguments: object) -> int:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "preadv", preadv)
    assert read_cached(disk, 0, 4096) is None
    with pytest.raises(BackstoreError) as caught:
        contents(disk, 8192, 4096)
    assert (caught.value.errno, caught.value.offset) == (errno.EIO, 8192)


def test_prefetching_asks_the_system(disk: FileBackstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a hint: an error is left to the read that follows."""
    asked: list[tuple[int, ...]] = []

    def advise(*arguments: int) -> None:
        asked.append(arguments)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "posix_fadvise", advise)
    disk.prefetch(4096, 8192)
    assert [arguments[1:] for arguments in asked] == [(4096, 8192, os.POSIX_FADV_WILLNEED)]


def test_discarding_gives_the_room_back(disk: FileBackstore) -> None:
    """A hole takes no blocks, and its edges within a block read as zeros."""
    disk.write(0, [b"x" * SIZE])
    disk.flush()
    before = disk.path.stat().st_blocks
    disk.discard(100, SIZE - 200)
    disk.flush()
    assert disk.capabilities.discard
    assert disk.path.stat().st_blocks < before // 8
    assert contents(disk, 0, SIZE) == b"x" * 100 + bytes(SIZE - 200) + b"x" * 100


def test_a_file_system_that_cannot_punch_gets_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is offered to initiators, and a discard zeroes nevertheless."""
    monkeypatch.setattr("isthmus.backstores.fallocate._function", lambda *arguments: -1)
    monkeypatch.setattr("ctypes.get_errno", lambda: errno.EOPNOTSUPP)
    with open_file(tmp_path / "disk.img") as disk:
        assert not disk.capabilities.discard
        disk.write(0, [b"x" * SIZE])
        disk.discard(100, SIZE - 200)
        assert contents(disk, 0, SIZE) == b"x" * 100 + bytes(SIZE - 200) + b"x" * 100


def test_zeroing_keeps_the_room(disk: FileBackstore) -> None:
    """Zeroed blocks stay allocated, and count as mapped."""
    disk.write_zeroes(0, SIZE)
    disk.flush()
    assert disk.path.stat().st_blocks * 512 >= SIZE
    assert disk.map_status(0, SIZE) == Extent(length=SIZE, provisioning=Provisioning.MAPPED)


def test_the_map_tells_data_from_holes(disk: FileBackstore) -> None:
    """A new file is one hole; what is written is mapped, what is discarded is not."""
    assert disk.map_status(512, 4096) == Extent(length=4096, provisioning=Provisioning.DEALLOCATED)
    disk.write(128 << 10, [b"x" * (256 << 10)])
    disk.discard(192 << 10, 64 << 10)
    disk.write_zeroes(512 << 10, 64 << 10)
    disk.flush()
    extents = MapStatus(0, SIZE, 99).run(disk)
    mapped = {Provisioning.MAPPED: "mapped", Provisioning.DEALLOCATED: "hole"}
    assert [(mapped[extent.provisioning], extent.length >> 10) for extent in extents] == [
        ("hole", 128),
        ("mapped", 64),
        ("hole", 64),
        ("mapped", 128),
        ("hole", 128),
        ("mapped", 64),
        ("hole", 448),
    ]


def test_a_file_system_without_holes_maps_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SEEK_HOLE is not known, no block is said to be deallocated."""
    lseek = os.lseek

    def without_holes(descriptor: int, offset: int, whence: int) -> int:
        if whence in (os.SEEK_DATA, os.SEEK_HOLE):
            raise OSError(errno.EINVAL, "invalid")
        return lseek(descriptor, offset, whence)

    monkeypatch.setattr(os, "lseek", without_holes)
    with open_file(tmp_path / "disk.img") as disk:
        assert not disk.capabilities.map_status
        assert disk.map_status(0, SIZE) == Extent(length=SIZE, provisioning=Provisioning.MAPPED)


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize(
    "operation", [Write(0, (b"b" * SIZE,), SIZE), WriteRepeated(0, SIZE, b"b"), WriteZeroes(0, SIZE)]
)
def test_a_write_that_finds_no_room_changes_no_byte(
    operation: Write | WriteRepeated | WriteZeroes, durable: bool, tmp_path: Path
) -> None:
    """Neither where there was data nor where there was still room; and room that comes back is used."""
    with tmpfs(tmp_path, 64 << 10) as directory, open_file(directory / "disk.img") as disk:
        disk.write(0, [b"a" * (32 << 10)])
        with pytest.raises(BackstoreError) as caught:
            replace(operation, durable=durable).run(disk)
        assert caught.value.errno == errno.ENOSPC
        assert contents(disk, 0, SIZE) == b"a" * (32 << 10) + bytes(SIZE - (32 << 10))
        disk.discard(0, 32 << 10)
        disk.write(512 << 10, [b"b" * 4096], durable=True)
        assert contents(disk, 512 << 10, 4096) == b"b" * 4096


def test_memory_file_systems_serve_every_read(tmp_path: Path) -> None:
    """tmpfs, which has no RWF_NOWAIT in older systems, behaves like any other."""
    with tmpfs(tmp_path, 4 << 20) as directory, open_file(directory / "disk.img") as disk:
        disk.write(0, [b"abcd"])
        assert read_cached(disk, 0, 4) in (None, b"abcd")
        assert contents(disk, 0, 4) == b"abcd"
        assert disk.capabilities.discard


@pytest.mark.parametrize("durable", [False, True])
def test_a_limit_of_the_file_size_is_no_room(tmp_path: Path, durable: bool) -> None:
    """EFBIG means the same to an initiator as ENOSPC."""
    with open_file(tmp_path / "disk.img") as disk:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, hard))
        try:
            with pytest.raises(BackstoreError) as caught:
                disk.write((64 << 10) - 4096, [b"a" * 8192], durable=durable)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (caught.value.errno, caught.value.offset) == (errno.ENOSPC, 64 << 10)
        disk.write(0, [b"b"])


def test_a_real_medium_error_is_reported(tmp_path: Path) -> None:
    """A file on a disk whose sectors have gone reads with EIO."""
    sectors = tmp_path / "sectors.img"
    sectors.touch()
    os.truncate(sectors, 16 << 20)
    with (
        loop_device(sectors) as device,
        ext4(device, tmp_path) as directory,
        open_file(directory / "disk.img", size=8 << 20) as disk,
    ):
        disk.write(0, [b"x" * (8 << 20)], durable=True)
        os.posix_fadvise(disk._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.truncate(sectors, 1 << 20)
        with pytest.raises(BackstoreError) as caught:
            contents(disk, 4 << 20, 4096)
        assert (caught.value.errno, caught.value.offset) == (errno.EIO, 4 << 20)
        os.truncate(sectors, 16 << 20)


def test_a_real_failure_to_write_back_is_not_forgotten(tmp_path: Path) -> None:
    """Acknowledged writes that never reach the disk: every later flush and write says so, though fsync no longer does."""
    with tmpfs(tmp_path, 4 << 20) as memory:
        sectors = memory / "sectors.img"
        sectors.touch()
        os.truncate(sectors, 16 << 20)
        with (
            loop_device(sectors) as device,
            ext4(device, tmp_path) as directory,
            open_file(directory / "disk.img", size=8 << 20) as disk,
        ):
            for offset in range(0, 8 << 20, 4096):  # a block at a time, so that no room is reserved first
                disk.write(offset, [b"x" * 4096])
            for _ in range(2):
                with pytest.raises(BackstoreError) as caught:
                    disk.flush()
                assert caught.value.errno == errno.EIO
            with suppress(OSError):  # the system has forgotten the data, if not what it knows of the file
                os.fdatasync(disk._storage.side_descriptor)
            with pytest.raises(BackstoreError):
                disk.write(0, [b"y"])
            with pytest.raises(BackstoreError):
                disk.close()


def test_a_device_can_be_served_through_the_page_cache(tmp_path: Path) -> None:
    """A loop device: its own size, its own sector length as alignment, discards that free the file below."""
    sectors = tmp_path / "sectors.img"
    sectors.write_bytes(b"x" * SIZE)
    with loop_device(sectors, sector_length=4096) as device:
        disk = FileBackstore.open(BackstoreSpec(kind="fileio", path=str(device)))
        assert (disk.size, disk.identity) == (SIZE, f"device:{device}")
        assert disk.capabilities.physical_block_length >= 4096
        assert not disk.capabilities.map_status
        disk.discard(512, SIZE - 1024)
        assert contents(disk, 0, SIZE) == b"x" * 512 + bytes(SIZE - 1024) + b"x" * 512
        disk.flush()
        assert sectors.stat().st_blocks * 512 < SIZE
        disk.close()


def test_a_file_served_read_only_is_as_thin_as_before(tmp_path: Path) -> None:
    """What it can do is said of the storage, not of who may use it; and asking leaves no trace on it."""
    (tmp_path / "disk.img").write_bytes(bytes(SIZE))
    with open_file(tmp_path / "disk.img") as disk:
        capabilities = disk.capabilities
    before = (tmp_path / "disk.img").stat()
    with open_file(tmp_path / "disk.img", read_only=True) as disk:
        assert disk.capabilities == capabilities
        assert disk.capabilities.discard
        assert disk.capabilities.map_status
        after = (tmp_path / "disk.img").stat()
        assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)
        with pytest.raises(BackstoreError) as caught:
            disk.discard(0, 4096)
        assert caught.value.errno == errno.EROFS
        assert contents(disk, 0, 10) == bytes(10)


def test_anchored_bytes_read_as_zeros_and_keep_their_room(tmp_path: Path) -> None:
    """So a write there finds room on a file system that has none left."""
    with tmpfs(tmp_path, 64 << 10) as directory, open_file(directory / "disk.img") as disk:
        assert disk.capabilities.anchor
        disk.write(0, [b"a" * (64 << 10)])
        disk.anchor(0, 32 << 10)
        assert contents(disk, 0, 64 << 10) == bytes(32 << 10) + b"a" * (32 << 10)
        with pytest.raises(BackstoreError):
            disk.write(64 << 10, [b"b" * 4096])
        disk.write(0, [b"b" * (32 << 10)])
        assert contents(disk, 0, 32 << 10) == b"b" * (32 << 10)


def test_space_is_what_the_file_takes_and_its_file_system_has_left(tmp_path: Path) -> None:
    """Both follow what is written and given back."""
    with tmpfs(tmp_path, 1 << 20) as directory, open_file(directory / "disk.img", size=8 << 20) as disk:
        assert disk.space() == Space(used=0, available=1 << 20)
        disk.write(4 << 20, [b"a" * (256 << 10)])
        assert disk.space() == Space(used=256 << 10, available=768 << 10)
        disk.discard(4 << 20, 256 << 10)
        assert disk.space() == Space(used=0, available=1 << 20)


def test_space_of_a_device_is_not_known(tmp_path: Path) -> None:
    """It does not tell what it takes of whatever is below it."""
    sectors = tmp_path / "sectors.img"
    sectors.write_bytes(bytes(SIZE))
    with loop_device(sectors) as device:
        disk = FileBackstore.open(BackstoreSpec(kind="fileio", path=str(device)))
        assert disk.space() is None
        disk.close()


def test_a_late_read_does_not_reach_another_file(tmp_path: Path) -> None:
    """After `close` its descriptor may be somebody else's: nothing is read from that."""
    with open_file(tmp_path / "disk.img") as disk:
        disk.close()
        assert read_cached(disk, 0, 10) is None
        with pytest.raises(BackstoreError):
            contents(disk, 0, 10)


def test_room_is_tried_once_for_a_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of files on it do not each get a block that is taken and given back."""
    tried = []

    def can_reserve(*_: object) -> bool:
        tried.append(1)
        return True

    monkeypatch.setattr(fileio, "can_reserve", can_reserve)
    monkeypatch.setattr(fileio, "_RESERVING", set())
    for name in ("a.img", "b.img", "c.img"):
        with open_file(tmp_path / name) as disk:
            assert disk.capabilities.anchor
    assert len(tried) == (1 if os.statvfs(tmp_path).f_fsid else 3)
