"""The login of a session that then does nothing."""

from bench.idle_sessions import login_request


def test_login_request() -> None:
    """The header and the text have the lengths that they announce, and each session its own ISID."""
    request = login_request(7, [("InitiatorName", "iqn.2026-01.org.isthmus:idle-7"), ("SessionType", "Normal")])
    length = int.from_bytes(request[5:8], "big")
    assert len(request) == 48 + length + -length % 4
    assert request[:2] == b"\x43\x87"
    assert request[48 : 48 + length] == b"InitiatorName=iqn.2026-01.org.isthmus:idle-7\0SessionType=Normal\0"
    assert request[8:14] != login_request(8, [])[8:14]


def test_later_round() -> None:
    """A round without keys acknowledges the answer to the one before."""
    request = login_request(7, [], 3)
    assert len(request) == 48
    assert request[28:32] == b"\0\0\0\3"
