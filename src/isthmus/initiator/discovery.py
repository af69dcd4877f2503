"""Which targets a portal knows, and where they are (RFC 7143 §4.3, §13.3, §13.8; Appendix C)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.initiator.target_address import TargetAddress, parse_target_address
from isthmus.iscsi.errors import ConnectionViolation
from isthmus.iscsi.text_format import Pair

__all__ = ["DiscoveredTarget", "discover", "parse_targets", "send_targets"]


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
