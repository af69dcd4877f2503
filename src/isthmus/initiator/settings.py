"""What a login is told: where to, as whom, and what to offer."""

import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from isthmus.iscsi.chap import ChapCredentials
from isthmus.iscsi.opcodes import ISCSI_PORT
from isthmus.iscsi.parameters import CRC32C, NONE, Offers
from isthmus.iscsi.text_format import Pair
from isthmus.names import IscsiName, Isid

__all__ = ["LoginSettings", "default_initiator_name", "digest_offer", "random_isid"]


DEFAULT_OFFERS: Final = Offers()
_ISID_RANDOM: Final = 0b10 << 46
"""The T field of an ISID whose B and C fields are random (RFC 7143 §11.12.5)."""


def default_initiator_name() -> IscsiName:
    """The same at each run, and different from machine to machine: it ends in the host's name."""
    host = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.")
    return IscsiName(f"iqn.2026-01.org.isthmus:initiator:{host or 'localhost'}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginSettings:
    """Everything that the logins of one session have in common."""

    host: str
    port: int = ISCSI_PORT
    target_name: str | None = None
    """None: a discovery session."""
    initiator_name: str = field(default_factory=default_initiator_name)
    initiator_alias: str = ""
    credentials: ChapCredentials | None = None
    """What CHAP takes; None offers no authentication."""
    offers: Offers = DEFAULT_OFFERS
    overrides: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    """Login keys to send with other values than they would have, None to leave one out: for tests of a target."""
    extra_keys: tuple[Pair, ...] = ()
    """More login keys, likewise."""
    timeout: float = 15.0
    """Seconds that one login may take, the TCP connection included."""


def digest_offer(wanted: bool | None) -> tuple[str, ...]:
    """The list to offer for a digest: only CRC32C, only None, or (not decided here) None first."""
    if wanted is None:
        return (NONE, CRC32C)
    return (CRC32C,) if wanted else (NONE,)


def random_isid() -> Isid:
    """An initiator session ID that no other process has, in all likelihood."""
    return Isid(_ISID_RANDOM | secrets.randbits(24) << 16)
