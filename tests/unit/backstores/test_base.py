from collections.abc import Sequence

import pytest
from typing_extensions import Buffer

from isthmus.backstores.base import Backstore, Capabilities, Extent, Provisioning


class Least(Backstore):
    """Only what every backstore must bring."""

    def __init__(self) -> None:
        self.size = 4096
        self.calls: list[object] = []

    @property
    def identity(self) -> str:
        return "least"

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.calls.append("read_into")

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        self.calls.append("write")

    def flush(self) -> None:
        self.calls.append("flush")

    def write_zeroes(self, offset: int, length: int, *, durable: bool = False) -> None:
        self.calls.append(("write_zeroes", offset, length, durable))

    def close(self) -> None:
        self.calls.append("close")


def test_what_is_not_said_is_not_offered() -> None:
    """No discard, no map, no cache, not read-only, and every call may block."""
    backstore = Least()
    assert backstore.capabilities == Capabilities()
    assert not any((backstore.capabilities.discard, backstore.capabilities.map_status))
    assert not any((backstore.read_only, backstore.write_back, backstore.never_blocks))
    assert not backstore.read_if_cached(0, memoryview(bytearray(512)))


def test_the_defaults_are_true_for_any_storage() -> None:
    """A discard zeroes, everything is mapped, a withdrawal closes, and there is no other size, nor a known space."""
    backstore = Least()
    backstore.discard(512, 1024)
    backstore.anchor(0, 512)
    backstore.reserve(0, 512)
    backstore.follow_size(512)
    backstore.withdraw()
    assert backstore.calls == [("write_zeroes", 512, 1024, False), ("write_zeroes", 0, 512, False), "close"]
    assert backstore.space() is None
    assert backstore.map_status(0, 4096) == Extent(length=4096, provisioning=Provisioning.MAPPED)
    with pytest.raises(NotImplementedError):
        backstore.resize(8192)
