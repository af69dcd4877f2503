import pytest

from isthmus.target.portal_group import Portal, PortalGroup


@pytest.mark.parametrize(
    ("portal", "address", "closeness"),
    [
        ("192.0.2.1", "192.0.2.1", 3),
        ("192.0.2.1", "192.0.2.2", 0),
        ("0.0.0.0", "192.0.2.1", 2),
        ("0.0.0.0", "2001:db8::1", 0),
        ("::", "2001:db8::1", 2),
        ("::", "192.0.2.1", 1),
        ("2001:db8::1", "2001:db8::2", 0),
    ],
)
def test_how_closely_a_portal_names_an_address(portal: str, address: str, closeness: int) -> None:
    """By itself, as any address of its family, as any at all (`::` listens on IPv4 too), or not."""
    assert Portal(portal, 3260).covers(address) == closeness


def test_a_new_group_is_open_to_what_its_target_says() -> None:
    """No portals yet, and no rules of its own."""
    group = PortalGroup(target_portal_group_tag=1, relative_target_port_id=2)
    assert (group.portals, group.access) == ([], None)
