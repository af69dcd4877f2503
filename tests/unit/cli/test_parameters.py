import click
import pytest

from isthmus.cli.parameters import ISCSI_NAME, PORTAL, SIZE, parse_attribute, parse_digests, parse_portal
from isthmus.errors import ConfigurationError
from isthmus.server.options import DigestMethod, Portal


@pytest.mark.parametrize(
    ("text", "portal"),
    [
        ("192.0.2.1", Portal("192.0.2.1", 3260)),
        ("192.0.2.1:3261", Portal("192.0.2.1", 3261)),
        ("127.0.0.1:0", Portal("127.0.0.1", 0)),
        ("[::1]", Portal("::1", 3260)),
        ("[2001:db8::1]:860", Portal("2001:db8::1", 860)),
        ("[fe80::1%eth0]:3260", Portal("fe80::1%eth0", 3260)),
    ],
)
def test_portals(text: str, portal: Portal) -> None:
    """A portal is an address, in brackets if it is of IPv6, and perhaps a port."""
    assert parse_portal(text) == portal


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("::1", r"in brackets, as in \[::1\]"),
        ("2001:db8::1", "in brackets"),
        ("[::1", r"\[ADDRESS\]:PORT"),
        ("[::1]3260", r"\[ADDRESS\]:PORT"),
        ("[]", "is not an IP address"),
        ("", "is not an IP address"),
        ("localhost", "is an IPv4 address or an IPv6 address"),
        ("192.0.2.256", "is not an IP address"),
        ("192.0.2.1:", "0 for any free one"),
        ("192.0.2.1:http", "0 for any free one"),
        ("192.0.2.1:65536", "0 for any free one"),
        ("192.0.2.1:-1", "0 for any free one"),
        ("[::1]:", "0 for any free one"),
    ],
)
def test_other_portals_are_refused(text: str, remedy: str) -> None:
    """What is not a portal is refused, with the form that it must have."""
    with pytest.raises(ConfigurationError, match=remedy):
        parse_portal(text)


@pytest.mark.parametrize(
    ("text", "methods"),
    [
        ("None", (DigestMethod.NONE,)),
        ("CRC32C", (DigestMethod.CRC32C,)),
        ("crc32c", (DigestMethod.CRC32C,)),
        ("CRC32C,None", (DigestMethod.CRC32C, DigestMethod.NONE)),
        ("None, CRC32C", (DigestMethod.NONE, DigestMethod.CRC32C)),
    ],
)
def test_digests_keep_their_order(text: str, methods: tuple[DigestMethod, ...]) -> None:
    """Digest methods are listed by preference and spelled in any case."""
    assert parse_digests(text) == methods


@pytest.mark.parametrize("text", ["", "md5", "CRC32C,", "None,None", "CRC32C None"])
def test_other_digests_are_refused(text: str) -> None:
    """An unknown, empty or repeated method is refused."""
    with pytest.raises(ConfigurationError, match="use None, CRC32C, or both"):
        parse_digests(text)


def test_a_refusal_becomes_the_options() -> None:
    """The command line reports a value's `ConfigurationError` as that option's, in full."""
    with pytest.raises(click.BadParameter, match=r"'10X' is not a size.*like 10G"):
        SIZE.convert("10X", None, None)
    with pytest.raises(click.BadParameter, match=r"iqn\.YYYY-MM"):
        ISCSI_NAME.convert("disk1", None, None)


def test_values_that_are_read_already_stay() -> None:
    """A value may pass twice, as the command line library does with defaults."""
    assert SIZE.convert("4k", None, None) == SIZE.convert(4096, None, None)
    assert PORTAL.convert(str(Portal("::1")), None, None) == Portal("::1")


def test_attributes() -> None:
    """An attribute comes as the table keeps it."""
    assert parse_attribute("emulate_caw=off") == ("emulate_caw", 0)
    assert parse_attribute("max_write_same_len=0x10") == ("max_write_same_len", 16)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("emulate_caw", "write NAME=VALUE"),
        ("block_size=4096", "use --block-size"),
        ("emulate=1", "it has .*emulate_caw"),
        ("emulate_caw=2", "neither 1 nor 0"),
        ("pi_prot_type=1", "can only be 0 here"),
    ],
)
def test_no_attributes(text: str, remedy: str) -> None:
    """A wrong name, a wrong value, and what an option of its own is for."""
    with pytest.raises(ConfigurationError, match=remedy):
        parse_attribute(text)
