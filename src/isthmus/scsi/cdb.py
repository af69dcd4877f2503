"""Parsed commands: what a CDB says, as values. The concrete classes stand in `spc/` and `sbc/` beside their handlers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.scsi.opcodes import AccessClass, ReservationClass

__all__ = ["Command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The base of every parsed command."""

    @property
    def data_out_length(self) -> int:
        """Bytes of data-out that the command asks for."""
        return 0

    @property
    def reservation_class(self) -> "ReservationClass | None":
        """What somebody else's reservation does to this command, where its fields decide that; None: see its row."""
        return None

    @property
    def access_class(self) -> "AccessClass | None":
        """In which asymmetric access states this command runs, where its fields decide that; None: see its row."""
        return None
