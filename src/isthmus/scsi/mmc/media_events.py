"""What has happened to the medium that an initiator has not asked for yet (MMC-6 §6.6, Media class).

A nexus that polls hears of the latest event alone: what the medium was in between concerns nobody any more.
"""

import enum
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.scsi.nexus import Nexus

__all__ = ["MediaEvent", "MediaEvents"]


class MediaEvent(enum.IntEnum):
    """The MEDIA EVENT field."""

    NO_CHANGE = 0
    EJECT_REQUEST = 1
    """Somebody at the drive wants the medium out, and an initiator has locked it in."""
    NEW_MEDIA = 2
    MEDIA_REMOVAL = 3


class MediaEvents:
    """By nexus."""

    def __init__(self) -> None:
        self._latest: dict[Nexus, MediaEvent] = {}

    def tell(self, nexuses: "Iterable[Nexus]", event: MediaEvent) -> None:
        """`event` is the latest for `nexuses`."""
        self._latest.update(dict.fromkeys(nexuses, event))

    def pending(self, nexus: "Nexus") -> bool:
        """Whether there is an event that `nexus` has not heard of."""
        return nexus in self._latest

    def take(self, nexus: "Nexus") -> MediaEvent:
        """The event that `nexus` hears now, and does not hear again."""
        return self._latest.pop(nexus, MediaEvent.NO_CHANGE)

    def forget(self, nexus: "Nexus") -> None:
        """`nexus` is gone."""
        self._latest.pop(nexus, None)
