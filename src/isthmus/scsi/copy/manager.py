"""The copy manager of a logical unit (SPC-4 §5.17.2): the copies that it does, and the tokens that it has made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.scsi.copy.copy_operations import CopyOperations
from isthmus.scsi.copy.rod_tokens import RodTokens

if TYPE_CHECKING:
    from isthmus.scsi.nexus import Nexus

__all__ = ["CopyManager", "CopyServices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyServices:
    """What a copy manager needs of the world."""

    randomness: Callable[[int], bytes]
    """As many unpredictable bytes as it is asked for, from the system's CSPRNG."""
    clock: Callable[[], float]
    """Seconds that only go up."""


class CopyManager:
    """A unit that has one can copy, and be copied from and to; one that has none takes no part in copies at all."""

    def __init__(self, services: CopyServices, tokens_changed: Callable[[], None] = lambda: None) -> None:
        """`tokens_changed` is called when there is the first valid token, or the last one has ended."""
        self.services = services
        self.operations = CopyOperations()
        self.tokens = RodTokens(services, tokens_changed)

    def nexus_lost(self, nexus: "Nexus") -> None:
        """Its copies end, though they need not (SPC-4 §5.17.5): nobody says any more which units it may touch.

        Tokens stay: they may have been handed on.
        """
        self.operations.nexus_lost(nexus)

    def reset(self) -> None:
        """Every copy ends. Tokens stay: what they stand for has not changed."""
        self.operations.reset()
