from collections.abc import Iterable

import pytest

from isthmus.iscsi.discovery import PortalAddress, TargetRecord, send_targets
from isthmus.names import IscsiName

ONE = IscsiName("iqn.2001-04.com.example:one")
TWO = IscsiName("iqn.2001-04.com.example:two")


class TwoTargets:
    """A directory of two targets, one of them with two portals."""

    def targets(self) -> Iterable[TargetRecord]:
        portals = (
            PortalAddress(host="192.0.2.1", port=3260, target_portal_group_tag=1),
            PortalAddress(host="2001:db8::1", port=3261, target_portal_group_tag=2),
        )
        return [TargetRecord(name=ONE, portals=portals), TargetRecord(name=TWO)]


RECORD_ONE = [
    ("TargetName", ONE),
    ("TargetAddress", "192.0.2.1:3260,1"),
    ("TargetAddress", "[2001:db8::1]:3261,2"),
]
RECORD_TWO = [("TargetName", TWO)]


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("All", RECORD_ONE + RECORD_TWO),
        (str(ONE), RECORD_ONE),
        (str(TWO).upper(), RECORD_TWO),
        ("iqn.2001-04.com.example:three", []),
        ("", []),
        ("all", [("SendTargets", "Reject")]),
        ("Alle", [("SendTargets", "Reject")]),
    ],
)
def test_a_discovery_session_learns_what_its_initiator_may_see(value: str, answer: list[tuple[str, str]]) -> None:
    """All targets, one of them, none; what is no name is rejected (RFC 7143, Appendix C)."""
    assert send_targets(value, TwoTargets(), None) == answer


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("", RECORD_ONE),
        (str(ONE), RECORD_ONE),
        ("All", RECORD_ONE),
        (str(TWO), []),
        ("A", [("SendTargets", "Reject")]),
    ],
)
def test_a_normal_session_learns_of_its_own_target_only(value: str, answer: list[tuple[str, str]]) -> None:
    """Whatever it asks for."""
    assert send_targets(value, TwoTargets(), ONE) == answer


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1:3260,1"),
        ("::1", "[::1]:3260,1"),
        ("fe80::1%eth0", "[fe80::1]:3260,1"),
        ("disk.example.com", "disk.example.com:3260,1"),
    ],
)
def test_an_address_as_the_rfc_writes_it(host: str, address: str) -> None:
    """IPv6 in brackets, without the zone index that means nothing elsewhere (RFC 7143 §13.8)."""
    assert str(PortalAddress(host=host, port=3260, target_portal_group_tag=1)) == address
