import pytest

from isthmus.backstores.null import NullBackstore
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import ConfigurationError
from tests.support.backstore_model import contents


def test_whatever_is_written_zeros_are_read() -> None:
    """More of them than the buffer that they come from has."""
    disk = NullBackstore("void", 10 << 20)
    disk.write(0, [b"x" * 4096], durable=True)
    disk.write_zeroes(0, 100)
    disk.discard(0, 100)
    disk.flush()
    assert contents(disk, 0, (2 << 20) + 1) == bytes((2 << 20) + 1)
    buffer = bytearray(b"x" * 4096)
    assert disk.read_if_cached(0, memoryview(buffer))
    assert buffer == bytes(4096)


def test_it_never_blocks_and_has_any_size() -> None:
    """A petabyte is as much nothing as a block."""
    disk = NullBackstore.open(BackstoreSpec(kind="null", path="void", size=1 << 50))
    assert disk.never_blocks
    disk.resize(512)
    assert disk.size == 512
    disk.close()


@pytest.mark.parametrize("size", [None, 0, -512])
def test_a_disk_needs_a_size(size: int | None) -> None:
    """There is nothing to take it from."""
    with pytest.raises(ConfigurationError, match="needs a size"):
        NullBackstore.open(BackstoreSpec(kind="null", size=size))


def test_the_identity_is_the_name() -> None:
    """Two of them differ."""
    assert NullBackstore("a", 512).identity == NullBackstore("a", 1024).identity != NullBackstore("b", 512).identity
