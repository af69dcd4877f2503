"""Parsed commands: what a CDB says, as values. The concrete classes stand in `spc/` and `sbc/` beside their handlers."""

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The base of every parsed command."""

    data_out_length: ClassVar[int] = 0
    """Bytes of data-out that the command asks for; a class whose length varies makes this a property."""
