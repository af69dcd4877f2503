"""Which targets a portal knows, and where they are (RFC 7143 §4.3, §13.3, §13.8; Appendix C)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from isthmus.initiator.errors import InvalidUrl
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.initiator.url import parse_portal
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.text_format import Pair

__all__ = ["DiscoveredTarget", "TargetAddress", "discover", "parse_target_address", "parse_targets", "send_targets"]


@dataclass(frozen=True, slots=True)
class TargetAddress:
    """One portal of a target: `domainname[:port][,portal group tag]` (RFC 7143 §13.8)."""

    host: str
    port: int
    portal_group_tag: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        tag = f",{self.portal_group_tag}" if self.portal_group_tag is not None else ""
        return f"{host}:{self.port}{tag}"


@dataclass(frozen=True, slots=True)
class DiscoveredTarget:
    """A target and its portals; none means the address that was asked (Appendix C)."""

    name: str
    addresses: tuple[TargetAddress, ...]


async def discover(settings: LoginSettings, *, targets: str = "All") -> list[DiscoveredTarget]:
    """Ask in a discovery session. `targets` is All, or the name of one target. Errors: as `Session.login`."""
    async with await Session.login(replace(settings, target_name=None)) as session:
        return await send_targets(session, targets)


async def send_targets(session: Session, targets: str = "All") -> list[DiscoveredTarget]:
    """Ask in any session; in a normal one `targets` may be empty for its own target (RFC 7143 §13.3, Appendix C)."""
    return parse_targets(await session.text([("SendTargets", targets)]))


def parse_targets(pairs: Sequence[Pair]) -> list[DiscoveredTarget]:
    """The records of a SendTargets answer; raises `ConnectionViolation`."""
    found: dict[str, list[TargetAddress]] = {}
    name: str | None = None
    for key, value in pairs:
        if key == "TargetName":
            name = value
            found.setdefault(name, [])
        elif key == "TargetAddress" and name is not None:
            found[name].append(parse_target_address(value))
        else:
            raise ConnectionViolation(f"{key}={value[:40]} has no place in a SendTargets answer (RFC 7143 Appendix C)")
    return [DiscoveredTarget(name, tuple(addresses)) for name, addresses in found.items()]


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
