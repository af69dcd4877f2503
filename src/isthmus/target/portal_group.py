"""A portal group: the network portals through which one SCSI target port is reached (RFC 7143 §4.4.1)."""

from dataclasses import dataclass, field
from ipaddress import ip_address

from isthmus.target.access import AccessRules

__all__ = ["Portal", "PortalGroup"]


@dataclass(frozen=True, slots=True)
class Portal:
    """An address that the target listens on: an IP address without brackets, and a TCP port."""

    address: str
    port: int

    def covers(self, address: str) -> int:
        """How closely this portal names `address`, which connections came in on: 0 not at all, 3 by itself."""
        if self.address == address:
            return 3
        own, local = ip_address(self.address), ip_address(address)
        if not own.is_unspecified or own.version < local.version:
            return 0
        return 2 if own.version == local.version else 1


@dataclass(slots=True, kw_only=True)
class PortalGroup:
    """Portals under one tag. A session lives in one portal group, its connections may use any of its portals."""

    target_portal_group_tag: int
    relative_target_port_id: int
    portals: list[Portal] = field(default_factory=list)
    """Those that listen."""
    access: AccessRules | None = None
    """Who may do what here; None: everybody what the target node says."""
