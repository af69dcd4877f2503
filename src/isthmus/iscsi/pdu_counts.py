"""How many PDUs a connection in full feature phase has had, found out rather than counted: each status has its StatSN."""

from dataclasses import dataclass
from typing import Final

__all__ = ["PduCounts"]

_MASK: Final = 0xFFFF_FFFF


@dataclass(slots=True, kw_only=True)
class PduCounts:
    """What StatSN does not tell by itself."""

    first_stat_sn: int
    """Of the first status behind the login."""
    other_statuses: int = 0
    """Answers with a StatSN that are of no SCSI command: NOP-In, Text, Logout and task management responses, Reject."""
    reads_in_one: int = 0
    """Reads that one Data-In PDU answered, status and all, on the short way."""
    data_in: int = 0
    """Data-In PDUs of all other reads."""
    statuses_in_data_in: int = 0
    """Those of them that brought the status of their command."""
    data_out: int = 0

    def commands(self, stat_sn: int) -> int:
        """SCSI commands that were answered; `stat_sn` is the next StatSN. As many as 32 bits can count."""
        return (stat_sn - self.first_stat_sn - self.other_statuses) & _MASK

    def responses(self, stat_sn: int) -> int:
        """SCSI Response PDUs: a status may come with the last Data-In, too (RFC 7143 §11.7)."""
        return (self.commands(stat_sn) - self.reads_in_one - self.statuses_in_data_in) & _MASK

    @property
    def all_data_in(self) -> int:
        """Every Data-In PDU."""
        return self.reads_in_one + self.data_in
