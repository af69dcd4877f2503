import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given

from isthmus.backstores.block import BlockBackstore
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import BackstoreError, ConfigurationError
from tests.support.backstore_model import Step, check_against_bytearray, contents, open_descriptors, steps
from tests.support.real_storage import ext4, loop_device, tmpfs

SECTOR = 512
MODEL_SIZE = 200 * SECTOR
SIZE = 4 << 20


def spec(
    device: Path, *, block_length: int = SECTOR, read_only: bool = False, write_back: bool = True
) -> BackstoreSpec:
    """How to open the device."""
    return BackstoreSpec(
        kind="block", path=str(device), block_length=block_length, read_only=read_only, write_back=write_back
    )


@pytest.fixture
def sectors(tmp_path: Path) -> Path:
    """The file below the device."""
    path = tmp_path / "sectors.img"
    path.write_bytes(b"x" * SIZE)
    return path


@pytest.fixture
def device(sectors: Path) -> Iterator[Path]:
    """A loop device."""
    with loop_device(sectors) as device:
        yield device


@pytest.fixture
def disk(device: Path) -> Iterator[BlockBackstore]:
    """The device, open for writing."""
    backstore = BlockBackstore.open(spec(device))
    yield backstore
    backstore.close()


@pytest.fixture(scope="module", params=[True, False], ids=["write-back", "write-through"])
def model_disk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockBackstore]:
    """One device for all examples."""
    path = tmp_path_factory.mktemp("model") / "sectors.img"
    path.write_bytes(bytes(MODEL_SIZE))
    with loop_device(path) as device:
        backstore = BlockBackstore.open(spec(device, write_back=request.param))
        yield backstore
        backstore.close()


@given(calls=steps(MODEL_SIZE, alignment=SECTOR))
def test_a_device_keeps_what_a_bytearray_keeps(model_disk: BlockBackstore, calls: list[Step]) -> None:
    """Any sequence of calls leaves the bytes that it leaves in a bytearray."""
    check_against_bytearray(model_disk, calls, alignment=SECTOR)


def test_a_device_is_what_it_says(disk: BlockBackstore, device: Path) -> None:
    """Size and identity; nothing of it is ever in a cache of ours."""
    assert (disk.kind, disk.size, disk.identity) == ("block", SIZE, f"device:{device}")
    assert not disk.never_blocks
    assert not disk.read_if_cached(0, memoryview(bytearray(4096)))


def test_long_transfers_go_through_short_buffers(disk: BlockBackstore) -> None:
    """From buffers of any length and address, which are only together a whole number of sectors."""
    data = os.urandom(SIZE - SECTOR)
    view = memoryview(b"." + data)[1:]
    disk.write(SECTOR, [view[: 3 * SECTOR], view[3 * SECTOR : 2_000_000], view[2_000_000:]])
    assert contents(disk, 0, SIZE) == b"x" * SECTOR + data


def test_nothing_stays_in_the_page_cache(disk: BlockBackstore, sectors: Path) -> None:
    """What is written is in the file below without a flush."""
    disk.write(SECTOR, [b"y" * SECTOR])
    with sectors.open("rb") as file:
        assert file.read(3 * SECTOR) == b"x" * SECTOR + b"y" * SECTOR + b"x" * SECTOR


def test_discarding_gives_the_room_back(disk: BlockBackstore, sectors: Path) -> None:
    """The file below gets a hole, and the device reads as zeros."""
    assert disk.capabilities.discard
    disk.discard(SIZE // 2, SIZE // 4)
    disk.flush()
    assert sectors.stat().st_blocks * 512 <= SIZE * 3 // 4 + 4096
    assert contents(disk, SIZE // 2, SIZE // 4) == bytes(SIZE // 4)
    assert contents(disk, SIZE * 3 // 4, SECTOR) == b"x" * SECTOR


def test_zeroing_keeps_the_room(disk: BlockBackstore, sectors: Path) -> None:
    """The file below stays as long as it was, in blocks too."""
    before = sectors.stat().st_blocks
    disk.write_zeroes(SECTOR, SIZE // 2, durable=True)
    assert contents(disk, SECTOR, SIZE // 2) == bytes(SIZE // 2)
    assert sectors.stat().st_blocks == before


def test_a_device_that_cannot_zero_is_written(disk: BlockBackstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """With zeros, in as many pieces as it takes."""
    monkeypatch.setattr("isthmus.backstores.fallocate._function", lambda *arguments: -1)
    monkeypatch.setattr("ctypes.get_errno", lambda: errno.EOPNOTSUPP)
    disk.discard(SECTOR, 2 << 20)
    assert contents(disk, 0, (2 << 20) + 2 * SECTOR) == b"x" * SECTOR + bytes(2 << 20) + b"x" * SECTOR


def test_access_within_a_sector_is_refused(disk: BlockBackstore) -> None:
    """The block length was checked when it was opened, so nobody asks for it but by mistake."""
    calls: list[Callable[[], object]] = [
        lambda: contents(disk, 1, SECTOR),
        lambda: contents(disk, 0, SECTOR - 1),
        lambda: disk.write(SECTOR, [b"y" * 100]),
        lambda: disk.write_zeroes(0, 100),
    ]
    for call in calls:
        with pytest.raises(BackstoreError) as caught:
            call()
        assert caught.value.errno == errno.EINVAL
    assert contents(disk, 0, SIZE) == b"x" * SIZE


def test_blocks_shorter_than_sectors_are_refused(sectors: Path) -> None:
    """With the block length that would do, and the kind that does without."""
    before = open_descriptors()
    with loop_device(sectors, sector_length=4096) as device:
        with pytest.raises(ConfigurationError) as caught:
            BlockBackstore.open(spec(device))
        assert "block size of 4096" in caught.value.remedy
        assert "fileio" in caught.value.remedy
        BlockBackstore.open(spec(device, block_length=4096)).close()
    assert open_descriptors() == before


def test_a_mounted_device_is_refused(device: Path, tmp_path: Path) -> None:
    """Two who write to one file system destroy it."""
    with ext4(device, tmp_path), pytest.raises(ConfigurationError, match="unmount it"):
        BlockBackstore.open(spec(device))


def test_a_device_in_use_is_refused(disk: BlockBackstore, device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a second writer and to a reader."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    for read_only in (False, True):
        with pytest.raises(ConfigurationError):
            BlockBackstore.open(spec(device, read_only=read_only))


def test_readers_share_a_device(device: Path) -> None:
    """And change nothing."""
    first = BlockBackstore.open(spec(device, read_only=True))
    second = BlockBackstore.open(spec(device, read_only=True))
    assert contents(first, 0, SECTOR) == contents(second, 0, SECTOR)
    with pytest.raises(BackstoreError) as caught:
        first.write(0, [b"y" * SECTOR])
    assert caught.value.errno == errno.EROFS
    first.close()
    second.close()


def test_what_is_no_device_is_refused(sectors: Path, tmp_path: Path) -> None:
    """A file is told where it belongs; what is missing is not made."""
    with pytest.raises(ConfigurationError, match="serve it as fileio"):
        BlockBackstore.open(spec(sectors))
    missing = BackstoreSpec(kind="block", path=str(tmp_path / "missing"), size=SIZE, create=True)
    with pytest.raises(ConfigurationError, match="does not exist"):
        BlockBackstore.open(missing)
    assert not (tmp_path / "missing").exists()


def test_only_as_much_as_there_is_can_be_taken(disk: BlockBackstore) -> None:
    """A device does not grow because somebody wants it to."""
    with pytest.raises(BackstoreError) as caught:
        disk.resize(SIZE + SECTOR)
    assert caught.value.errno == errno.EINVAL
    disk.resize(SIZE // 2)
    assert disk.size == SIZE // 2


def test_real_errors_of_a_device_are_reported(disk: BlockBackstore, sectors: Path) -> None:
    """Sectors that have gone: reading any of them is a medium error, and the others are still there."""
    os.truncate(sectors, SIZE // 2)
    for offset in (SIZE // 2 + SECTOR, SIZE // 2 - SECTOR):
        with pytest.raises(BackstoreError) as caught:
            contents(disk, offset, 2 * SECTOR)
        assert caught.value.errno == errno.EIO
    assert contents(disk, 0, SECTOR) == b"x" * SECTOR


def test_no_room_below_a_device_is_reported(tmp_path: Path) -> None:
    """A thin device whose pool is full: whatever the device calls it, the write does not succeed."""
    with tmpfs(tmp_path, 1 << 20) as directory:
        sectors = directory / "sectors.img"
        sectors.touch()
        os.truncate(sectors, SIZE)
        with loop_device(sectors) as device:
            disk = BlockBackstore.open(spec(device))
            with pytest.raises(BackstoreError) as caught:
                disk.write(0, [b"y" * SIZE])
            assert caught.value.errno in (errno.ENOSPC, errno.EIO)
            assert caught.value.offset is not None
            assert contents(disk, 0, caught.value.offset) == b"y" * caught.value.offset
            disk.close()


def test_buffers_are_used_again(disk: BlockBackstore) -> None:
    """One access after the other needs one buffer."""
    for _ in range(5):
        contents(disk, 0, SECTOR)
        disk.write(0, [b"y" * SECTOR])
    assert len(disk._buffers._idle) == 1
