"""Parsed commands: what a CDB says, as values. The concrete classes stand in `spc/` and `sbc/` beside their handlers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from isthmus.scsi.opcodes import AccessClass, ReservationClass

__all__ = ["Command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The base of every parsed command."""

    length_is_the_initiators: ClassVar[bool] = False
    """Whether nobody can read off the CDB how much data goes with it: it is as much as the initiator says."""

    @property
    def data_out_length(self) -> int:
        """Bytes of data-out that the command asks for."""
        return 0

    @property
    def data_in_length(self) -> int:
        """Bytes of blocks that the command reads into memory, all of them at once; little things do not count."""
        return 0

    def expecting(self, data_in_length: int) -> "Command":
        """The same, of an initiator that wants so many bytes; asked of those whose length is the initiator's."""
        del data_in_length
        return self

    @property
    def reservation_class(self) -> "ReservationClass | None":
        """What somebody else's reservation does to this command, where its fields decide that; None: see its row."""
        return None

    @property
    def access_class(self) -> "AccessClass | None":
        """In which asymmetric access states this command runs, where its fields decide that; None: see its row."""
        return None
