"""The command window as the initiator sees it: who gets the next CmdSN, and when (RFC 7143 §4.2.2.1).

Numbers are handed out by calling a function that sends at once. Between taking a CmdSN and putting its PDU on the
connection nothing else can run, so the commands of a connection leave in increasing order, as §4.2.2.1 demands.
"""

from collections import deque
from collections.abc import Callable

from isthmus.names import SerialNumber

__all__ = ["CommandWindow", "SendNumbered"]

SendNumbered = Callable[[SerialNumber], None]
"""Sends a request under this CmdSN."""


class CommandWindow:
    """One for each session. `cmd_sn` is the number that the next request that is not immediate gets."""

    def __init__(self, cmd_sn: int) -> None:
        self.cmd_sn = SerialNumber(cmd_sn)
        self.exp_cmd_sn = self.cmd_sn
        self.max_cmd_sn = SerialNumber(cmd_sn - 1)
        """Closed until the target has said how far it goes."""
        self._waiting: deque[SendNumbered] = deque()

    @property
    def is_open(self) -> bool:
        """Whether the target takes another command now."""
        return self.cmd_sn <= self.max_cmd_sn

    @property
    def waiting(self) -> int:
        """How many requests wait for the window to open."""
        return len(self._waiting)

    def submit(self, send: SendNumbered) -> None:
        """Call `send` with its CmdSN: now if the window is open, else in its turn when it opens."""
        self._waiting.append(send)
        self._advance()

    def withdraw(self, send: SendNumbered) -> bool:
        """Forget a request that has not been sent; False if it has been, or never was submitted."""
        try:
            self._waiting.remove(send)
        except ValueError:
            return False
        return True

    def update(self, *, exp_cmd_sn: int, max_cmd_sn: int) -> None:
        """Take over the numbers of a PDU from the target, unless they are older than those known."""
        newest, expected = SerialNumber(max_cmd_sn), SerialNumber(exp_cmd_sn)
        if newest < expected + -1:
            return
        self.exp_cmd_sn = max(self.exp_cmd_sn, expected)
        if newest > self.max_cmd_sn:
            self.max_cmd_sn = newest
            self._advance()

    def _advance(self) -> None:
        while self._waiting and self.is_open:
            send = self._waiting.popleft()
            cmd_sn = self.cmd_sn
            self.cmd_sn = cmd_sn + 1
            send(cmd_sn)
