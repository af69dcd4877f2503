import pytest

from isthmus.target.access import Redirection


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.7", "192.0.2.7:3261"),
        ("2001:db8::7", "[2001:db8::7]:3261"),
        ("san.example", "san.example:3261"),
    ],
)
def test_an_address_as_initiators_read_it(host: str, address: str) -> None:
    """IPv6 in brackets (RFC 7143 §13.8)."""
    assert Redirection(host=host, port=3261).address == address
