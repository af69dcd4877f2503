import errno
import mmap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from isthmus.backstores.base import Extent, Provisioning
from isthmus.backstores.operations import MapStatus
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import BackstoreError, ConfigurationError
from tests.support.backstore_model import Step, check_against_bytearray, contents, steps

PAGE = mmap.PAGESIZE
MODEL_SIZE = 70_001


def resident_pages() -> int:
    """Of this process (proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])


def layout(disk: RamdiskBackstore) -> list[tuple[str, int]]:
    """The whole map, in pages."""
    return [
        (extent.provisioning.name.lower(), extent.length // PAGE) for extent in MapStatus(0, disk.size, 99).run(disk)
    ]


@given(calls=steps(MODEL_SIZE))
def test_memory_keeps_what_a_bytearray_keeps(calls: list[Step]) -> None:
    """Any sequence of calls leaves the bytes that it leaves in a bytearray."""
    disk = RamdiskBackstore("model", MODEL_SIZE)
    check_against_bytearray(disk, calls)
    disk.close()


def test_only_what_is_written_takes_room() -> None:
    """Neither making a disk nor reading it does, and discarding gives the room back."""
    disk = RamdiskBackstore("large", 1 << 30)
    before = resident_pages()
    assert contents(disk, 1 << 29, 1 << 20) == bytes(1 << 20)
    written = 64 << 20
    disk.write(1 << 28, [b"x" * (1 << 20)] * 64)
    assert resident_pages() - before > 0.9 * written / PAGE
    disk.discard(1 << 28, written)
    assert resident_pages() - before < 0.3 * written / PAGE
    disk.close()


def test_the_map_follows_writes_zeros_and_discards() -> None:
    """Written pages are mapped, zeroed ones too; a discard frees whole pages only."""
    disk = RamdiskBackstore("map", 16 * PAGE)
    assert layout(disk) == [("deallocated", 16)]
    disk.write(2 * PAGE + 5, [b"x" * 10, b"y" * (4 * PAGE)])
    disk.write_zeroes(10 * PAGE, 2 * PAGE)
    assert layout(disk) == [("deallocated", 2), ("mapped", 5), ("deallocated", 3), ("mapped", 2), ("deallocated", 4)]
    disk.discard(3 * PAGE + 1, 2 * PAGE)
    assert layout(disk)[:4] == [("deallocated", 2), ("mapped", 2), ("deallocated", 1), ("mapped", 2)]


def test_an_extent_ends_where_the_question_ends() -> None:
    """Also in the middle of a page."""
    disk = RamdiskBackstore("map", 16 * PAGE)
    assert disk.map_status(PAGE + 7, 9) == Extent(length=9, provisioning=Provisioning.DEALLOCATED)
    disk.write(PAGE, [b"x"])
    assert disk.map_status(7, 4 * PAGE) == Extent(length=PAGE - 7, provisioning=Provisioning.DEALLOCATED)
    assert disk.map_status(PAGE + 7, 9) == Extent(length=9, provisioning=Provisioning.MAPPED)


def test_a_disk_that_shrank_and_grew_has_zeros() -> None:
    """What was lost does not come back, not even within a page."""
    disk = RamdiskBackstore("sizes", 4 * PAGE)
    disk.write(0, [b"x" * (4 * PAGE)])
    disk.resize(PAGE + 100)
    assert disk.size == PAGE + 100
    disk.resize(8 * PAGE)
    assert contents(disk, 0, 8 * PAGE) == b"x" * (PAGE + 100) + bytes(7 * PAGE - 100)
    assert layout(disk) == [("mapped", 2), ("deallocated", 6)]
    disk.write(7 * PAGE, [b"y" * PAGE])
    assert contents(disk, 7 * PAGE, 1) == b"y"


def test_a_size_that_memory_cannot_hold_is_refused() -> None:
    """When it is made, and when it grows; it stays what it was."""
    with pytest.raises(ConfigurationError, match="make it smaller"):
        RamdiskBackstore.open(BackstoreSpec(kind="ramdisk", size=1 << 60))
    disk = RamdiskBackstore("sizes", PAGE)
    disk.write(0, [b"abc"])
    for size, number in ((1 << 60, errno.ENOSPC), (0, errno.EINVAL)):
        with pytest.raises(BackstoreError) as caught:
            disk.resize(size)
        assert caught.value.errno == number
    assert (disk.size, contents(disk, 0, 3)) == (PAGE, b"abc")


@pytest.mark.parametrize("size", [None, 0, -512])
def test_a_disk_needs_a_size(size: int | None) -> None:
    """There is nothing to take it from."""
    with pytest.raises(ConfigurationError, match="needs a size"):
        RamdiskBackstore.open(BackstoreSpec(kind="ramdisk", size=size))


def test_what_is_served_read_only_does_not_change() -> None:
    """EROFS for every change."""
    disk = RamdiskBackstore("fixed", PAGE, read_only=True)
    changes: list[Callable[[], None]] = [
        lambda: disk.write(0, [b"x"]),
        lambda: disk.discard(0, 10),
        lambda: disk.write_zeroes(0, 10),
    ]
    for change in changes:
        with pytest.raises(BackstoreError) as caught:
            change()
        assert caught.value.errno == errno.EROFS


def test_the_identity_is_the_name() -> None:
    """The contents are lost at the end; who the disk is, is not."""
    names = [RamdiskBackstore.open(BackstoreSpec(kind="ramdisk", path=name, size=512)).identity for name in "aab"]
    assert names[0] == names[1] != names[2]
