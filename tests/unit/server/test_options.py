from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName
from isthmus.server.options import ChapCredential, FileUnit, MemoryUnit, Portal, Secret, ServeOptions

NAME = IscsiName("iqn.2026-01.org.example:disk")
OPTIONS = ServeOptions(units=(MemoryUnit(size=1 << 20),), target_name=NAME, portals=(Portal("127.0.0.1"),))
ALICE = ChapCredential(user="alice", secret=Secret(b"correct horse battery"))
TARGET = ChapCredential(user="target", secret=Secret(b"staple staple staple"))


def test_a_secret_does_not_show_itself() -> None:
    """Neither the secret nor anything that holds it prints it."""
    options = replace(OPTIONS, chap=ALICE, mutual_chap=TARGET)
    shown = f"{ALICE.secret} {ALICE.secret!r} {ALICE} {options!r} {options.chap}"
    assert "horse" not in shown
    assert "staple" not in shown
    assert "hidden" in shown


def test_a_secret_is_revealed_on_purpose() -> None:
    """Only `reveal` gives the bytes."""
    assert ALICE.secret.reveal() == b"correct horse battery"
    assert len(ALICE.secret) == 21


def test_secrets_are_equal_by_their_bytes() -> None:
    """Two secrets with the same bytes are equal and hash alike; a secret never equals its bytes."""
    assert Secret(b"a") == Secret(b"a")
    assert hash(Secret(b"a")) == hash(Secret(b"a"))
    assert Secret(b"a") != Secret(b"b")
    assert Secret(b"a") != b"a"


@pytest.mark.parametrize(
    ("portal", "text", "url"),
    [
        (Portal("192.0.2.1"), "192.0.2.1:3260", f"iscsi://192.0.2.1:3260/{NAME}/0"),
        (Portal("::1", 3261), "[::1]:3261", f"iscsi://[::1]:3261/{NAME}/0"),
        (Portal("0.0.0.0", 3260), "0.0.0.0:3260", f"iscsi://127.0.0.1:3260/{NAME}/0"),
        (Portal("::", 5000), "[::]:5000", f"iscsi://127.0.0.1:5000/{NAME}/0"),
    ],
)
def test_a_portal_as_text_and_in_a_url(portal: Portal, text: str, url: str) -> None:
    """TargetAddress has the address as it is; a URL has one that can be connected to."""
    assert str(portal) == text
    assert portal.url(NAME, 0) == url


def test_families_and_wildcards() -> None:
    """A portal tells its address family and whether it stands for every address."""
    assert Portal("::").is_ipv6
    assert Portal("::").is_wildcard
    assert Portal("0.0.0.0").is_wildcard
    assert not Portal("127.0.0.1").is_ipv6
    assert not Portal("127.0.0.1").is_wildcard


@pytest.mark.parametrize(
    ("address", "port"), [("", 3260), ("host", 3260), ("1.2.3", 3260), ("::1", 65536), ("::1", -1)]
)
def test_a_portal_is_checked_when_it_is_made(address: str, port: int) -> None:
    """No portal exists that could not be listened on."""
    with pytest.raises(ConfigurationError):
        Portal(address, port)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"units": ()}, "--ram SIZE"),
        ({"portals": ()}, "--portal"),
        ({"block_length": 520}, "use 512 or 4096"),
        ({"physical_block_length": 1024}, "use 512 or 4096"),
        ({"block_length": 4096, "physical_block_length": 512}, "at least as long"),
        ({"max_connections": 0}, "use 1 to 8"),
        ({"max_connections": 9}, "use 1 to 8"),
        ({"mutual_chap": TARGET}, "add --chap-user"),
        ({"chap": ALICE, "mutual_chap": replace(TARGET, secret=ALICE.secret)}, "choose different ones"),
    ],
)
def test_contradictions_are_refused(change: dict[str, Any], remedy: str) -> None:
    """Options that cannot be served are never made."""
    with pytest.raises(ConfigurationError, match=remedy):
        replace(OPTIONS, **change)


def test_options_do_not_change() -> None:
    """Whoever holds the options holds what the operator asked for."""
    with pytest.raises(FrozenInstanceError):
        OPTIONS.read_only = True  # type: ignore[misc]


def test_units_keep_their_order() -> None:
    """The order of the units is the order of their LUNs."""
    units = (FileUnit(path=Path("b")), FileUnit(path=Path("a"), size=512), MemoryUnit(size=512))
    assert replace(OPTIONS, units=units).units == units
