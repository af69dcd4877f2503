"""`null`: no storage at all. Reads give zeros, writes vanish; what is left is the cost of the protocol."""

from collections.abc import Sequence
from typing import Self

from typing_extensions import Buffer

from isthmus.backstores.base import Backstore, Capabilities
from isthmus.backstores.registry import BackstoreSpec
from isthmus.backstores.transfer import ZEROS
from isthmus.errors import ConfigurationError

__all__ = ["NullBackstore"]


class NullBackstore(Backstore):
    """Zeros. Nothing is ever stored, so every promise about it is kept."""

    kind = "null"
    volatile = True
    never_blocks = True
    capabilities = Capabilities(discard=True)

    def __init__(self, name: str, size: int, *, read_only: bool = False) -> None:
        """`size` bytes of nothing, told from others by `name`."""
        self.size = size
        self.read_only = read_only
        self._name = name

    @classmethod
    def open(cls, spec: BackstoreSpec) -> Self:
        """Raises `ConfigurationError` without a size."""
        if not spec.size or spec.size < 0:
            raise ConfigurationError("a null disk needs a size", "give one above 0")
        return cls(spec.path, spec.size, read_only=spec.read_only)

    @property
    def identity(self) -> str:
        return f"null:{self._name}"

    def read_if_cached(self, offset: int, buffer: memoryview) -> bool:
        self.read_into(offset, buffer)
        return True

    def read_into(self, offset: int, buffer: memoryview) -> None:
        for start in range(0, len(buffer), len(ZEROS)):
            part = buffer[start : start + len(ZEROS)]
            part[:] = ZEROS[: len(part)]

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        """Forget them."""

    def flush(self) -> None:
        """There is nothing to flush."""

    def write_zeroes(self, offset: int, length: int, *, durable: bool = False) -> None:
        """It is all zeros."""

    def resize(self, size: int) -> None:
        self.size = size

    def close(self) -> None:
        """There is nothing to let go of."""
