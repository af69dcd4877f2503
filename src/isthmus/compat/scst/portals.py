"""Where a target is to be reached: SCST's `allowed_portal`, a list of patterns, as portals with addresses."""

import re
from collections.abc import Callable, Collection, Iterable
from ipaddress import IPv6Address, ip_address
from typing import Final

from isthmus.config.access_lists import matches
from isthmus.errors import ConfigurationError

__all__ = ["allowed_addresses", "is_pattern", "local_addresses"]

_IPV4_ROUTES: Final = "/proc/net/fib_trie"
_IPV6_ADDRESSES: Final = "/proc/net/if_inet6"
_LOCAL: Final = re.compile(r"\|-- ([0-9.]+)\n\s*/32 host LOCAL")


def is_pattern(text: str) -> bool:
    """Whether it stands for more than the one address that it looks like."""
    return any(character in text for character in "*?!")


def local_addresses(read_text: Callable[[str], str]) -> list[str]:
    """The addresses of this machine that others can reach, as the kernel's tables have them now."""
    found = _LOCAL.findall(_text(read_text, _IPV4_ROUTES))
    for line in _text(read_text, _IPV6_ADDRESSES).splitlines():
        digits = line.partition(" ")[0]
        if re.fullmatch("[0-9a-f]{32}", digits):
            found.append(str(IPv6Address(int(digits, 16))))
    return [address for address in dict.fromkeys(found) if not _is_of_one_link(address)]


def allowed_addresses(patterns: Collection[str], local: Iterable[str]) -> list[str]:
    """The addresses that `patterns` stand for: those that are addresses themselves, and the `local` ones that match.

    One must match, if there are any but those that begin with `!`; and each of these has to agree.
    """
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    excluding = [pattern for pattern in patterns if pattern.startswith("!")]
    named = [pattern for pattern in wanted if not is_pattern(pattern)]
    matching = [address for address in local if not wanted or matches(wanted, address)]
    found = dict.fromkeys([*named, *matching] if len(named) < len(wanted) or not wanted else named)
    return [address for address in found if all(matches([pattern], address) for pattern in excluding)]


def _is_of_one_link(address: str) -> bool:
    found = ip_address(address)
    return found.is_loopback or found.is_link_local


def _text(read_text: Callable[[str], str], path: str) -> str:
    try:
        return read_text(path)
    except ConfigurationError:
        return ""
