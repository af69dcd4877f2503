"""The buffers of a logical unit that READ BUFFER and WRITE BUFFER reach (SPC-5 §6.20, §6.50).

There is one data buffer, number 0, and an echo buffer for each nexus: initiators test their way to the unit with them.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from isthmus.scsi.nexus import Nexus

__all__ = ["DATA_CAPACITY", "ECHO_CAPACITY", "Buffers"]

DATA_CAPACITY: Final = 64 << 10
"""Bytes."""
ECHO_CAPACITY: Final = 4096
"""Bytes; the field has 13 bits."""


class Buffers:
    """The buffers of one logical unit."""

    def __init__(self) -> None:
        self.data = bytearray()
        """What was written to the data buffer; it is 0 from there to its capacity."""
        self._echoes: dict[Nexus, bytes] = {}

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` into the data buffer, where there is room for it."""
        self.data.extend(bytes(max(0, offset + len(data) - len(self.data))))
        self.data[offset : offset + len(data)] = data

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes of the data buffer."""
        end = min(offset + length, DATA_CAPACITY)
        return bytes(self.data[offset:end]).ljust(end - offset, b"\0")

    def keep_echo(self, nexus: "Nexus", data: bytes) -> None:
        """Keep what `nexus` has sent to be echoed."""
        self._echoes[nexus] = data

    def echo(self, nexus: "Nexus") -> bytes | None:
        """What `nexus` has sent last; None if nothing."""
        return self._echoes.get(nexus)

    def forget(self, nexus: "Nexus") -> None:
        """The nexus is gone."""
        self._echoes.pop(nexus, None)

    def clear(self) -> None:
        """Back to how they were after power on."""
        self.data.clear()
        self._echoes.clear()
