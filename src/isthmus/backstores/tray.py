"""A drive's tray: storage with another inside, which can be exchanged, or missing. Nobody writes to it."""

import errno
from collections.abc import Sequence
from typing import NoReturn

from typing_extensions import Buffer

from isthmus.backstores.base import Backstore
from isthmus.errors import BackstoreError

__all__ = ["Tray"]


class Tray(Backstore):
    """What is in it is its own. `exchange` must not be called while something else is done with it."""

    kind = "tray"
    read_only = True

    def __init__(self, name: str, medium: Backstore | None = None) -> None:
        """`name` tells it from other trays, whatever is in it."""
        self._name = name
        self.medium: Backstore | None = None
        self.size = 0
        self.exchange(medium)

    def exchange(self, medium: Backstore | None) -> Backstore | None:
        """Put `medium` in, or nothing; gives what was in there, which is the caller's from now on."""
        before, self.medium = self.medium, medium
        self.size = 0 if medium is None else medium.size
        return before

    @property
    def identity(self) -> str:
        return f"tray:{self._name}"

    def read_if_cached(self, offset: int, buffer: memoryview) -> bool:
        return self.medium is not None and self.medium.read_if_cached(offset, buffer)

    def prefetch(self, offset: int, length: int) -> None:
        if self.medium is not None:
            self.medium.prefetch(offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        if self.medium is None:
            raise BackstoreError(errno.ENOMEDIUM, f"nothing is in {self.identity}")
        self.medium.read_into(offset, buffer)

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        self._refuse()

    def write_zeroes(self, offset: int, length: int, *, durable: bool = False) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise BackstoreError(errno.EROFS, f"{self.identity} is only read from")

    def flush(self) -> None:
        """There is nothing to flush."""

    def follow_size(self, granularity: int) -> None:
        if self.medium is not None:
            self.medium.follow_size(granularity)
            self.size = self.medium.size

    def close(self) -> None:
        medium = self.exchange(None)
        if medium is not None:
            medium.close()

    def withdraw(self) -> None:
        medium = self.exchange(None)
        if medium is not None:
            medium.withdraw()
