"""Sequence numbers of a session and its connections (RFC 7143 §4.2.2).

The counters are plain integers because the engine touches them for every command; equality and `(n + 1) & MASK` are all
that it needs. Whatever must know which of two numbers comes first goes through `CommandWindow.arrival`.
"""

import enum
from typing import Final

from isthmus.names import SerialNumber

__all__ = ["SEQUENCE_MASK", "Arrival", "CommandWindow"]

SEQUENCE_MASK: Final = 0xFFFF_FFFF


class Arrival(enum.Enum):
    """What the CmdSN of a non-immediate request says of it (RFC 7143 §4.2.2.1)."""

    NEXT = "the one expected: deliver it"
    EARLY = "in the window, but others come first: keep it"
    IGNORED = "outside the window: ignore it silently"


class CommandWindow:
    """ExpCmdSN and MaxCmdSN of a session.

    Receiving a command moves ExpCmdSN on, ending one moves MaxCmdSN on: so the window never shrinks, as §4.2.2.1 asks,
    and never are more than `depth` commands in progress.
    """

    __slots__ = ("depth", "exp_cmd_sn", "max_cmd_sn")

    def __init__(self, exp_cmd_sn: int, depth: int) -> None:
        """`depth` is how many non-immediate commands may be in progress at once."""
        self.depth = depth
        self.exp_cmd_sn = exp_cmd_sn & SEQUENCE_MASK
        self.max_cmd_sn = (exp_cmd_sn + depth - 1) & SEQUENCE_MASK

    def arrival(self, cmd_sn: int) -> Arrival:
        """Where `cmd_sn` stands in the window."""
        if cmd_sn == self.exp_cmd_sn:
            # A closed window (MaxCmdSN = ExpCmdSN - 1) holds no number at all, not even the next.
            closed = self.max_cmd_sn == (self.exp_cmd_sn - 1) & SEQUENCE_MASK
            return Arrival.IGNORED if closed else Arrival.NEXT
        number = SerialNumber(cmd_sn)
        if number < self.exp_cmd_sn or number > self.max_cmd_sn:
            return Arrival.IGNORED
        return Arrival.EARLY

    def received(self) -> None:
        """The command expected next is here."""
        self.exp_cmd_sn = (self.exp_cmd_sn + 1) & SEQUENCE_MASK

    def ended(self) -> None:
        """A non-immediate command has ended: there is room for one more."""
        self.max_cmd_sn = (self.max_cmd_sn + 1) & SEQUENCE_MASK
