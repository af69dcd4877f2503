import pytest

from isthmus.initiator.target_address import TargetAddress, parse_target_address
from isthmus.iscsi.errors import ConnectionViolation


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1:3261,1", TargetAddress("192.0.2.1", 3261, 1)),
        ("[2001:db8::1]:3260,65535", TargetAddress("2001:db8::1", 3260, 65535)),
        ("disk.example.org", TargetAddress("disk.example.org", 3260)),
    ],
)
def test_reads_an_address(text: str, address: TargetAddress) -> None:
    """Host, port and tag, the last two optional (RFC 7143 §13.8)."""
    assert parse_target_address(text) == address
    assert parse_target_address(str(address)) == address


@pytest.mark.parametrize("text", ["192.0.2.1,x", "192.0.2.1,", "192.0.2.1,65536", "", ":1", "[::1"])
def test_refuses_what_is_none(text: str) -> None:
    """Whatever a target sends instead is a violation."""
    with pytest.raises(ConnectionViolation):
        parse_target_address(text)
