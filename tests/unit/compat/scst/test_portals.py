import pytest

from isthmus.compat.scst.portals import allowed_addresses, is_pattern, local_addresses
from isthmus.errors import ConfigurationError

TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     +-- 10.170.0.0/16 2 0 2
        |-- 10.170.0.0
           /16 link UNICAST
        |-- 10.170.77.2
           /32 host LOCAL
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
Local:
        |-- 10.170.77.2
           /32 host LOCAL
"""
INET6 = """fe80000000000000e0d1f8fffe000001 02 40 20 80     eth0
20010db8000000000000000000000001 02 40 00 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
"""
LOCAL = ["10.170.77.2", "10.170.75.2", "192.0.2.1", "2001:db8::1"]


def test_the_kernels_tables_have_the_addresses() -> None:
    """Once each; none that is good for one link or for this machine only."""
    texts = {"/proc/net/fib_trie": TRIE, "/proc/net/if_inet6": INET6}
    assert local_addresses(texts.__getitem__) == ["10.170.77.2", "2001:db8::1"]


def test_tables_that_cannot_be_read_have_none() -> None:
    """A machine without IPv6 has no such table."""

    def read(path: str) -> str:
        raise ConfigurationError(f"{path} cannot be read")

    assert local_addresses(read) == []


@pytest.mark.parametrize(
    ("text", "expected"), [("10.0.0.1", False), ("10.*", True), ("10.0.0.?", True), ("!10.0.0.1", True)]
)
def test_patterns_are_told_from_addresses(text: str, expected: bool) -> None:
    """By the three signs."""
    assert is_pattern(text) is expected


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["10.170.77.2"], ["10.170.77.2"]),
        (["198.51.100.1"], ["198.51.100.1"]),
        (["10.170.7?.2"], LOCAL[:2]),
        (["10.170.7?.2", "192.0.2.1"], ["192.0.2.1", *LOCAL[:2]]),
        (["!10.*"], LOCAL[2:]),
        (["10.*", "!10.170.77.*"], LOCAL[1:2]),
        (["!10.170.77.2", "!2001:*"], LOCAL[1:3]),
        (["!*"], []),
    ],
)
def test_a_portal_must_match_one_pattern_and_all_that_exclude(patterns: list[str], expected: list[str]) -> None:
    """Addresses are portals whether this machine has them or not; the rest is chosen among those that it has."""
    assert allowed_addresses(patterns, LOCAL) == expected
