"""Who is meant by a list: initiators by the pattern of their names (SCST's), and by the address that they come from (tgt's)."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

__all__ = [
    "EVERY_ADDRESS",
    "AllowedInitiators",
    "canonical_addresses",
    "canonical_host",
    "canonical_pattern",
    "matches",
]

EVERY_ADDRESS: Final = "ALL"
"""tgt's word for every address."""
_LONGEST_PATTERN: Final = 300
"""Characters: a name (RFC 7143 §4.2.7.1), a `!`, and `#ADDRESS`."""
_PATTERN: Final = re.compile(r"!?[^!\s,/]+")
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class AllowedInitiators:
    """The two lists of a portal group, and whether being in one of them will do."""

    addresses: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    any_will_do: bool = False
    """One of the lists has to name the initiator, so that two empty ones let nobody in (tgt). Otherwise each that is
    not empty has to, so that two empty ones let everybody in."""

    def admits(self, initiator_name: str, address: str) -> bool:
        """Whether an initiator of that name may come from that address (without brackets)."""
        if self.any_will_do:
            return self.names(initiator_name, alone=False) or self.covers(address)
        return self.names(initiator_name, alone=True) and (not self.addresses or self.covers(address))

    def names(self, initiator_name: str, *, alone: bool) -> bool:
        """Whether a pattern matches, if there are any but those that exclude, and none of these excludes it.

        `alone`: a list of nothing but exclusions names everybody else, and the empty list everybody.
        """
        wanted = [pattern for pattern in self.patterns if not pattern.startswith("!")]
        excluded = [pattern[1:] for pattern in self.patterns if pattern.startswith("!")]
        named = any(_glob(pattern, initiator_name) for pattern in wanted) if wanted else alone or bool(excluded)
        return named and not any(_glob(pattern, initiator_name) for pattern in excluded)

    def covers(self, address: str) -> bool:
        """Whether one of the networks has that address."""
        found = ip_address(address.partition("%")[0])
        return any(entry == EVERY_ADDRESS or found in _network(entry) for entry in self.addresses)


def matches(patterns: Iterable[str], name: str) -> bool:
    """Whether one of `patterns` matches `name`; one that begins with `!` matches what the rest of it does not (SCST)."""
    return any(
        not _glob(pattern[1:], name) if pattern.startswith("!") else _glob(pattern, name) for pattern in patterns
    )


def canonical_pattern(text: str) -> str:
    """The pattern in the form that names are kept in (RFC 3722); raises `ValueError`."""
    if len(text) > _LONGEST_PATTERN or not _PATTERN.fullmatch(text) or not text.isprintable():
        raise ValueError(
            f"{text!r} is not a pattern of names: write a name, with * and ? for others, perhaps ! before it"
        )
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def canonical_addresses(text: str) -> str:
    """An address, a network (ADDRESS/LENGTH) or ALL in its shortest form; raises `ValueError`."""
    if text.upper() == EVERY_ADDRESS:
        return EVERY_ADDRESS
    address, slash, length = text.partition("/")
    bare = address.removeprefix("[").removesuffix("]")
    try:
        return str(_network(f"{bare}/{length}")) if slash else _address(bare)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an address, a network like 192.0.2.0/24, or ALL: {error}") from None


def canonical_host(text: str) -> str:
    """An IP address in its shortest form without brackets, or a DNS name; raises `ValueError`."""
    bare = text.removeprefix("[").removesuffix("]")
    try:
        return _address(bare)
    except ValueError:
        if not _HOST.fullmatch(bare.lower()):
            raise ValueError(f"{text!r} is neither an IP address nor a host name") from None
        return bare.lower()


def _address(text: str) -> str:
    """In its shortest form, as a peer with that address is known; raises `ValueError`."""
    address = ip_address(_without_zone(text))
    return str(address if address.version == 4 else address.ipv4_mapped or address)


@lru_cache(maxsize=4096)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(_without_zone(text))


def _without_zone(text: str) -> str:
    if "%" in text:
        raise ValueError("leave the zone out: it is this machine's, not the initiator's")
    return text


def _glob(pattern: str, name: str) -> bool:
    return _compiled(pattern).match(name) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Of what fnmatch knows, names need * and ? only. Its expressions have no exponential case.
    return re.compile(translate(pattern.replace("[", "[[]")))
