"""A portal group: the network portals through which one SCSI target port is reached (RFC 7143 §4.4.1)."""

from dataclasses import dataclass, field

__all__ = ["Portal", "PortalGroup"]


@dataclass(frozen=True, slots=True)
class Portal:
    """An address that the target listens on: an IP address without brackets, and a TCP port."""

    address: str
    port: int


@dataclass(slots=True, kw_only=True)
class PortalGroup:
    """Portals under one tag. A session lives in one portal group, its connections may use any of its portals."""

    target_portal_group_tag: int
    relative_target_port_id: int
    portals: list[Portal] = field(default_factory=list)
