"""SendTargets: which targets there are, and at which portals (RFC 7143 §13.3, §13.4, §13.8, Appendix C)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from isthmus.errors import ConfigurationError
from isthmus.iscsi.keys import REJECT
from isthmus.iscsi.text_format import Pair
from isthmus.names import IscsiName

__all__ = ["ALL", "Directory", "PortalAddress", "TargetRecord", "send_targets"]

ALL: Final = "All"
"""The value of SendTargets that asks for every target (RFC 7143, Appendix C)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalAddress:
    """A portal that an initiator can connect to, in the portal group of this tag."""

    host: str
    """An IPv4 or IPv6 address without brackets, or a domain name. Not a wildcard: nobody can connect to that."""
    port: int
    target_portal_group_tag: int

    def __str__(self) -> str:
        """The value of TargetAddress. A zone index is left out: it means something on its own host only."""
        host = self.host.partition("%")[0]
        return f"{f'[{host}]' if ':' in host else host}:{self.port},{self.target_portal_group_tag}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRecord:
    """One target and its portals. Without portals, it is at the address that the question came to."""

    name: IscsiName
    portals: tuple[PortalAddress, ...] = ()


class Directory(Protocol):
    """What one initiator may know of, asked on one connection."""

    def targets(self) -> Iterable[TargetRecord]:
        """The targets that this initiator may see, in the order to list them in.

        Portals that listen on a wildcard address are listed under the address that this connection came in on.
        """


def send_targets(value: str, directory: Directory, session_target: IscsiName | None) -> list[Pair]:
    """The answer to SendTargets=`value` in a session with `session_target`; None: a discovery session.

    A normal session learns of its own target only. All is for discovery sessions (Appendix C); elsewhere it is answered like
    the empty value, since some initiators ask so, and no more is told by it.
    """
    if session_target is not None and value in {"", ALL}:
        wanted: IscsiName | None = session_target
    elif value == ALL:
        wanted = None
    elif value == "":
        return []
    else:
        try:
            wanted = IscsiName(value)
        except ConfigurationError:
            return [("SendTargets", REJECT)]
    return [
        pair
        for record in directory.targets()
        if wanted in {None, record.name} and session_target in {None, record.name}
        for pair in _record(record)
    ]


def _record(record: TargetRecord) -> list[Pair]:
    return [("TargetName", record.name), *(("TargetAddress", str(portal)) for portal in record.portals)]
