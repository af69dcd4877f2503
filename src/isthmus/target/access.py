"""What one initiator may do at one portal group, and the seam to whoever decides that."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from isthmus.iscsi.login_policy import Authentication
from isthmus.iscsi.parameters import Keepalive, Offers
from isthmus.iscsi.session import DEFAULT_WINDOW_DEPTH
from isthmus.names import IscsiName
from isthmus.scsi.nexus import LunMapping

__all__ = [
    "DEFAULT_LOGIN_TIMEOUT",
    "AccessRules",
    "InitiatorAccess",
    "Redirection",
    "Route",
    "SessionLimit",
    "Standing",
    "Visitor",
]

DEFAULT_LOGIN_TIMEOUT: Final = 15.0
"""Seconds from the accept to full feature phase (LIO: 15)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a connection comes from, and where it has come in. Addresses have no brackets."""

    address: str
    portal_address: str
    portal_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who asks, and how it has come."""

    name: IscsiName
    route: Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirection:
    """Where logins are sent (RFC 7143 §11.13.5, statuses 0101h and 0102h)."""

    host: str
    """An IP address without brackets, or a DNS name."""
    port: int
    permanent: bool = False

    @property
    def address(self) -> str:
        """As TargetAddress has it (RFC 7143 §13.8)."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimit:
    """How many sessions there may be at once of some initiators in the portal group."""

    maximum: int
    concerns: Callable[[Visitor], bool]
    """Whether a session of that visitor counts."""
    what: str
    """Whose limit it is, for the log."""


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
    redirection: Redirection | None = None
    """It may log in, but elsewhere."""
    session_limits: tuple[SessionLimit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """As what a portal group knows an initiator."""

    dynamic: bool = False
    """Not by name: it lets in everybody."""
    initiator_group: str = ""
    """As a member of this initiator group."""


class AccessRules(Protocol):
    """Decides for one portal group, anew for each login."""

    def of(self, visitor: Visitor) -> InitiatorAccess:
        """What the initiator gets; raises `LoginRefused`."""

    def discoverable(self, visitor: Visitor) -> bool:
        """Whether SendTargets tells this initiator of the group."""

    def admitted(self, visitor: Visitor) -> None:
        """A session of the initiator begins, by what `of` said."""

    def standing(self, visitor: Visitor) -> Standing:
        """As what the initiator is let in, if it is."""
