import pytest

from isthmus.target.portal_group import Portal


@pytest.mark.parametrize(
    ("portal", "address", "closeness"),
    [
        ("192.0.2.1", "192.0.2.1", 3),
        ("192.0.2.1", "192.0.2.2", 0),
        ("0.0.0.0", "192.0.2.1", 2),
        ("0.0.0.0", "2001:db8::1", 0),
        ("::", "2001:db8::1", 2),
        ("::", "192.0.2.1", 1),
        ("2001:db8::1", "2001:db8::1", 3),
        ("2001:db8::1", "192.0.2.1", 0),
    ],
)
def test_how_closely_a_portal_names_an_address(portal: str, address: str, closeness: int) -> None:
    """Itself before every address of its family before every address at all."""
    assert Portal(portal, 3260).covers(address) == closeness
