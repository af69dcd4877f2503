"""What one initiator may do at one portal group, and the seam to whoever decides that."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from isthmus.iscsi.login_policy import Authentication
from isthmus.iscsi.parameters import Keepalive, Offers
from isthmus.iscsi.session import DEFAULT_WINDOW_DEPTH
from isthmus.names import IscsiName
from isthmus.scsi.nexus import LunMapping

__all__ = ["DEFAULT_LOGIN_TIMEOUT", "AccessRules", "InitiatorAccess"]

DEFAULT_LOGIN_TIMEOUT: Final = 15.0
"""Seconds from the accept to full feature phase (LIO: 15)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitiatorAccess:
    """What an initiator that may log in gets."""

    authentication: Authentication = field(default_factory=Authentication)
    offers: Offers = field(default_factory=Offers)
    mappings: dict[int, LunMapping] = field(default_factory=dict)
    """By LUN."""
    max_xmit_data_segment_length: int = 0xFF_FFFF
    """Bytes: nothing longer is sent."""
    command_window: int = DEFAULT_WINDOW_DEPTH
    login_timeout: float = DEFAULT_LOGIN_TIMEOUT
    keepalive: Keepalive = field(default_factory=Keepalive)
    alias: str = ""
    """What the target calls itself; empty: what the target node says."""
    dynamic: bool = False
    """It is let in without being known by name."""


class AccessRules(Protocol):
    """Decides for one portal group, anew for each login."""

    def of(self, initiator_name: IscsiName) -> InitiatorAccess:
        """What the initiator gets; raises `LoginRefused`."""

    def discoverable(self, initiator_name: IscsiName) -> bool:
        """Whether SendTargets tells this initiator of the group."""

    def is_dynamic(self, initiator_name: IscsiName) -> bool:
        """Whether the initiator is not known by name, and let in nevertheless if the group lets in such."""
