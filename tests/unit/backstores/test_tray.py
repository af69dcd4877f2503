import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.backstores.registry import BackstoreSpec, open_backstore
from isthmus.backstores.tray import Tray
from isthmus.errors import BackstoreError


def disc(letter: bytes, size: int = 4096) -> RamdiskBackstore:
    """A disc that holds one letter over and over."""
    memory = RamdiskBackstore("disc", size)
    memory.write(0, (letter * size,))
    return memory


def content(tray: Tray, length: int = 4) -> bytes:
    """What is read from its start."""
    buffer = bytearray(length)
    tray.read_into(0, memoryview(buffer))
    cached = bytearray(length)
    assert tray.read_if_cached(0, memoryview(cached))
    assert cached == buffer
    return bytes(buffer)


def test_exchange() -> None:
    """What is in the tray is read, with its size; what was in there is given back."""
    first, second = disc(b"A"), disc(b"B", 8192)
    tray = Tray("drive", first)
    assert (tray.size, content(tray), tray.identity) == (4096, b"AAAA", "tray:drive")
    assert tray.exchange(second) is first
    assert (tray.size, content(tray), tray.identity) == (8192, b"BBBB", "tray:drive")
    assert tray.exchange(None) is second
    assert tray.size == 0


def test_empty() -> None:
    """An empty tray is read in vain."""
    tray = Tray("drive")
    assert tray.size == 0
    assert not tray.read_if_cached(0, memoryview(bytearray(1)))
    tray.prefetch(0, 1)
    tray.follow_size(2048)
    tray.flush()
    with pytest.raises(BackstoreError) as raised:
        tray.read_into(0, memoryview(bytearray(1)))
    assert raised.value.errno == errno.ENOMEDIUM
    tray.close()


def test_nobody_writes() -> None:
    """Not even into what could be written to."""
    tray = Tray("drive", disc(b"A"))
    writes: tuple[Callable[[], None], ...] = (lambda: tray.write(0, (b"x",)), lambda: tray.write_zeroes(0, 1))
    for write in writes:
        with pytest.raises(BackstoreError) as raised:
            write()
        assert raised.value.errno == errno.EROFS
    assert content(tray) == b"AAAA"


def test_a_file_that_grows(tmp_path: Path) -> None:
    """The size is that of the medium, also when somebody changes it."""
    image = tmp_path / "disc.iso"
    image.write_bytes(b"A" * 4096)
    tray = Tray("drive", open_backstore(BackstoreSpec(kind="fileio", path=str(image), read_only=True)))
    tray.prefetch(0, 4096)
    with image.open("ab") as file:
        file.write(b"B" * 4097)
    tray.follow_size(2048)
    assert tray.size == 8192
    tray.close()
    assert tray.medium is None


def test_withdraw() -> None:
    """What is in there goes with it."""
    tray = Tray("drive", disc(b"A"))
    tray.withdraw()
    assert tray.size == 0
