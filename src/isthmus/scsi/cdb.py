"""Parsed commands: what a CDB says, as values. The concrete classes stand in `spc/` and `sbc/` beside their handlers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from isthmus.scsi.opcodes import ReservationClass

__all__ = ["Command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The base of every parsed command."""

    data_out_length: ClassVar[int] = 0
    """Bytes of data-out that the command asks for; a class whose length varies makes this a property."""

    @property
    def reservation_class(self) -> "ReservationClass | None":
        """What somebody else's reservation does to this command, where its fields decide that; None: see its row."""
        return None
