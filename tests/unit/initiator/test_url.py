import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.initiator.errors import InvalidUrl
from isthmus.initiator.url import IscsiUrl, parse_portal, parse_url

TARGET = "iqn.2025-01.org.example:disk"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"iscsi://h/{TARGET}/0", IscsiUrl(host="h", target=TARGET, lun=0)),
        (f"iscsi://h:13260/{TARGET}/12", IscsiUrl(host="h", port=13260, target=TARGET, lun=12)),
        (f"iscsi://[::1]/{TARGET}/0", IscsiUrl(host="::1", target=TARGET, lun=0)),
        (f"iscsi://[fe80::1]:3261/{TARGET}/0", IscsiUrl(host="fe80::1", port=3261, target=TARGET, lun=0)),
        (f"iscsi://u@h/{TARGET}/0", IscsiUrl(host="h", user="u", target=TARGET, lun=0)),
        (f"iscsi://u%s@h/{TARGET}/0", IscsiUrl(host="h", user="u", secret="s", target=TARGET, lun=0)),
        (f"iscsi://u:s@h/{TARGET}/0", IscsiUrl(host="h", user="u", secret="s", target=TARGET, lun=0)),
        (f"iscsi://u:v%s/w@h/{TARGET}/0", IscsiUrl(host="h", user="u:v", secret="s/w", target=TARGET, lun=0)),
        ("iscsi://h", IscsiUrl(host="h")),
        ("iscsi://h/", IscsiUrl(host="h")),
        (f"iscsi://h/{TARGET}", IscsiUrl(host="h", target=TARGET)),
        ("iscsi://h/iqn.2025-01.org.example%3Adisk/0", IscsiUrl(host="h", target=TARGET, lun=0)),
        (
            f"iscsi://h/{TARGET}/0?header_digest=crc32c&data_digest=none",
            IscsiUrl(host="h", target=TARGET, lun=0, header_digest=True, data_digest=False),
        ),
        (
            f"iscsi://h/{TARGET}/0?target_user=t&target_password=p",
            IscsiUrl(host="h", target=TARGET, lun=0, mutual_user="t", mutual_secret="p"),
        ),
    ],
)
def test_reads_what_libiscsi_reads(text: str, expected: IscsiUrl) -> None:
    """Each form that libiscsi takes gives its parts."""
    assert parse_url(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("http://h/x/0", "begins with iscsi://"),
        (f"iscsi://@h/{TARGET}/0", "no user"),
        (f"iscsi:///{TARGET}/0", "no host"),
        (f"iscsi://h:0/{TARGET}/0", "port"),
        (f"iscsi://h:65536/{TARGET}/0", "port"),
        (f"iscsi://h:x/{TARGET}/0", "port"),
        (f"iscsi://::1/{TARGET}/0", "brackets"),
        (f"iscsi://[::1/{TARGET}/0", "brackets"),
        (f"iscsi://[::1]x/{TARGET}/0", "brackets"),
        ("iscsi://h/disk/0", "not an iSCSI name"),
        ("iscsi://h//0", "no target"),
        (f"iscsi://h/{TARGET}/-1", "LUN"),
        (f"iscsi://h/{TARGET}/16384", "LUN"),
        (f"iscsi://h/{TARGET}/x", "LUN"),
        (f"iscsi://h/{TARGET}/0?auth=md5", "auth"),
        (f"iscsi://h/{TARGET}/0?data_digest=md5", "data_digest"),
    ],
)
def test_names_what_is_wrong(text: str, complaint: str) -> None:
    """A URL that cannot be is refused with the part that is wrong."""
    with pytest.raises(InvalidUrl, match=complaint):
        parse_url(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever stands behind the scheme, nothing but `InvalidUrl` comes of it."""
    with contextlib.suppress(InvalidUrl):
        assert parse_url(f"iscsi://{text}").host


def test_hides_its_secrets() -> None:
    """A secret does not show in the repr, and is noticed."""
    url = parse_url(f"iscsi://u%hush@h/{TARGET}/0?target_user=t&target_password=quiet")
    assert "hush" not in repr(url)
    assert "quiet" not in repr(url)
    assert url.holds_secret
    assert not parse_url(f"iscsi://u@h/{TARGET}/0").holds_secret


@pytest.mark.parametrize("portal", ["192.0.2.1:3260", "[2001:db8::1]:3261", "disk.example.org:860"])
def test_a_portal_prints_as_it_reads(portal: str) -> None:
    """HOST:PORT survives the round trip."""
    assert parse_url(f"iscsi://{portal}").portal == portal


def test_a_portal_has_the_system_port_by_default() -> None:
    """Without a port it is 3260."""
    assert parse_portal("h") == ("h", 3260)
