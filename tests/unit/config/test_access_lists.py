import pytest

from isthmus.config.access_lists import (
    AllowedInitiators,
    canonical_addresses,
    canonical_host,
    canonical_pattern,
    matches,
)

DB = "iqn.2026-01.org.example:db1"
WEB = "iqn.2026-01.org.example:web1"
DATABASES = "iqn.2026-01.org.example:db*"


@pytest.mark.parametrize(
    ("pattern", "name", "is_one"),
    [
        (DATABASES, DB, True),
        (DATABASES, WEB, False),
        (f"!{DATABASES}", WEB, True),
        (f"!{DATABASES}", DB, False),
        ("iqn.2026-01.org.example:db?", DB, True),
        ("iqn.2026-01.org.example:db?", "iqn.2026-01.org.example:db", False),
        ("*", WEB, True),
        ("iqn.2026-01.org.example", DB, False),
        ("iqn.2026-01.org.example:db[12]", DB, False),
        (DB, DB, True),
        (f"{DB}#192.0.2.*", f"{DB}#192.0.2.7", True),
    ],
)
def test_patterns_match_as_with_scst(pattern: str, name: str, is_one: bool) -> None:
    """The whole name, with * and ? and nothing else; ! turns the answer around."""
    assert matches([pattern], name) is is_one


def test_one_pattern_of_a_group_is_enough() -> None:
    """As with SCST, each counts by itself."""
    assert matches([DATABASES, "*:web1"], WEB)
    assert not matches([], DB)


def test_a_pattern_never_takes_long() -> None:
    """Many stars on a long name that does not match."""
    assert not matches(["*a" * 100 + "b"], "a" * 223)


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (AllowedInitiators(), (True, True)),
        (AllowedInitiators(addresses=("192.0.2.0/24",)), (True, False)),
        (AllowedInitiators(addresses=("2001:db8::1",)), (False, True)),
        (AllowedInitiators(addresses=("ALL",)), (True, True)),
        (AllowedInitiators(patterns=(DATABASES,)), (True, False)),
        (AllowedInitiators(patterns=(f"!{DATABASES}",)), (False, True)),
        (AllowedInitiators(patterns=("*", f"!{DATABASES}")), (False, True)),
        (AllowedInitiators(addresses=("192.0.2.0/24",), patterns=("*:web1",)), (False, False)),
        (AllowedInitiators(addresses=("192.0.2.0/24",), patterns=(DATABASES,)), (True, False)),
    ],
)
def test_each_list_that_is_not_empty_has_to_name_the_initiator(
    allowed: AllowedInitiators, expected: tuple[bool, bool]
) -> None:
    """The databases come by IPv4, the web servers by IPv6."""
    assert (allowed.admits(DB, "192.0.2.7"), allowed.admits(WEB, "2001:db8::1")) == expected


@pytest.mark.parametrize(
    ("addresses", "patterns", "expected"),
    [
        ((), (), (False, False)),
        (("ALL",), (), (True, True)),
        (("192.0.2.7",), (), (True, False)),
        ((), (WEB,), (False, True)),
        (("192.0.2.0/28",), (WEB,), (True, True)),
        (("198.51.100.0/24",), ("iqn.2026-01.org.example:nobody",), (False, False)),
    ],
)
def test_as_with_tgt_one_of_the_lists_will_do(
    addresses: tuple[str, ...], patterns: tuple[str, ...], expected: tuple[bool, bool]
) -> None:
    """And who gives neither lets nobody in."""
    allowed = AllowedInitiators(addresses=addresses, patterns=patterns, any_will_do=True)
    assert (allowed.admits(DB, "192.0.2.7"), allowed.admits(WEB, "2001:db8::1")) == expected


def test_an_address_may_have_a_zone() -> None:
    """Link-local addresses come with their interface."""
    assert AllowedInitiators(addresses=("fe80::/10",)).admits(DB, "fe80::1%eth0")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("all", "ALL"),
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("[2001:db8::]/32", "2001:db8::/32"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_addresses_have_one_spelling(text: str, kept: str) -> None:
    """Whatever people and tgt write."""
    assert canonical_addresses(text) == kept


@pytest.mark.parametrize(
    "text", ["", "host", "192.0.2.7/24", "192.0.2.0/33", "192.0.2", "2001:db8::/129", "fe80::1%eth0", "fe80::%eth0/64"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Names, and networks whose host bits are not zero: which addresses are meant would be a guess."""
    with pytest.raises(ValueError, match="is not an address"):
        canonical_addresses(text)


@pytest.mark.parametrize(("text", "kept"), [("IQN.2026-01.Org.Example:DB*", DATABASES), ("!*:WEB?", "!*:web?")])
def test_patterns_are_kept_as_names_are(text: str, kept: str) -> None:
    """In lower case (RFC 3722)."""
    assert canonical_pattern(text) == kept


@pytest.mark.parametrize("text", ["", "!", "a b", "a,b", "a!b", "!!a", "a" * 301, "a\x00"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    """Nothing that a name could not hold but the three signs."""
    with pytest.raises(ValueError, match="is not a pattern"):
        canonical_pattern(text)


@pytest.mark.parametrize(
    ("text", "kept"), [("192.0.2.7", "192.0.2.7"), ("[2001:DB8::1]", "2001:db8::1"), ("San-2.Example", "san-2.example")]
)
def test_hosts(text: str, kept: str) -> None:
    """An address or a DNS name."""
    assert canonical_host(text) == kept


@pytest.mark.parametrize("text", ["", "-a", "a..b", "a b", "a:3260", "a" * 64, "host,1", "fe80::1%eth0"])
def test_what_is_no_host_is_refused(text: str) -> None:
    """Above all what would end the TargetAddress early."""
    with pytest.raises(ValueError, match="neither an IP address nor a host name"):
        canonical_host(text)
