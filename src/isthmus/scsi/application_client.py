"""What application clients leave in the unit for each other: the Application Client log page (SPC-5 §7.3.4)."""

from typing import Final

__all__ = ["PARAMETER_LENGTH", "ApplicationClientLog"]

_GENERAL_USE: Final = 64
"""Parameters 0000h to 003Fh; there are at least so many."""
PARAMETER_LENGTH: Final = 252
"""Bytes of each."""


class ApplicationClientLog:
    """The parameters, by their codes; they do not outlive the process."""

    def __init__(self) -> None:
        self.parameters: list[bytes] = []
        self.clear()

    def clear(self) -> None:
        """Back to how they were before anybody wrote."""
        self.parameters[:] = [bytes(PARAMETER_LENGTH)] * _GENERAL_USE
