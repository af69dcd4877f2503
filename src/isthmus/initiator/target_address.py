"""Where a target is: the value of TargetAddress (RFC 7143 §13.8)."""

from dataclasses import dataclass

from isthmus.initiator.errors import InvalidUrl
from isthmus.initiator.url import parse_portal
from isthmus.iscsi.errors import ConnectionViolation

__all__ = ["TargetAddress", "parse_target_address"]


@dataclass(frozen=True, slots=True)
class TargetAddress:
    """One portal of a target: `domainname[:port][,portal group tag]`."""

    host: str
    port: int
    portal_group_tag: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        tag = f",{self.portal_group_tag}" if self.portal_group_tag is not None else ""
        return f"{host}:{self.port}{tag}"


def parse_target_address(text: str) -> TargetAddress:
    """Read a TargetAddress; raises `ConnectionViolation`."""
    portal, comma, tag = text.partition(",")
    if comma and not (tag.isascii() and tag.isdigit() and int(tag) <= 0xFFFF):
        raise ConnectionViolation(f"the portal group tag of TargetAddress={text[:80]} is no number (RFC 7143 §13.8)")
    try:
        host, port = parse_portal(portal)
    except InvalidUrl as error:
        raise ConnectionViolation(f"TargetAddress={text[:80]}: {error} (RFC 7143 §13.8)") from error
    return TargetAddress(host, port, int(tag) if comma else None)
