from collections.abc import Callable

import pytest

from isthmus.config.model import Configuration, Portal
from isthmus.errors import ConfigurationError
from isthmus.management import target_edits as edits
from isthmus.names import IscsiName

NAME = IscsiName("iqn.2026-05.com.example:storage01")


@pytest.fixture
def configuration() -> Configuration:
    """One target as `create` makes it."""
    return edits.create_target(Configuration(), NAME)


def portals(configuration: Configuration, tag: int = 1) -> list[str]:
    """The portals of a group, as text."""
    return [str(portal) for portal in edits.group_of(configuration, NAME, tag).portals]


def test_a_new_target_is_as_targetcli_makes_it(configuration: Configuration) -> None:
    """Portal group 1, enabled, on every address, without authentication."""
    group = edits.group_of(configuration, NAME, 1)
    assert (group.enable, group.attributes, portals(configuration)) == (True, {}, ["[::]:3260"])


def test_the_default_portal_gives_way_to_the_first_that_is_named(configuration: Configuration) -> None:
    """So `portals/ create 0.0.0.0 3260` works as it stands in every guide."""
    configuration = edits.add_portal(configuration, NAME, 1, Portal("0.0.0.0", 3260))
    assert portals(configuration) == ["0.0.0.0:3260"]
    configuration = edits.add_portal(configuration, NAME, 1, Portal("2001:db8::1", 3260))
    assert portals(configuration) == ["0.0.0.0:3260", "[2001:db8::1]:3260"]


def test_the_default_portal_can_be_named(configuration: Configuration) -> None:
    """Asking for what is there already is no error."""
    assert portals(edits.add_portal(configuration, NAME, 1, Portal("::0", 3260))) == ["[::]:3260"]


def test_removing_a_portal(configuration: Configuration) -> None:
    """Any spelling of its address names it."""
    configuration = edits.add_portal(configuration, NAME, 1, Portal("2001:db8::1"))
    assert portals(edits.remove_portal(configuration, NAME, 1, "[2001:DB8::1]", 3260)) == []


def test_portal_groups_take_the_lowest_free_tag(configuration: Configuration) -> None:
    """Tags given and tags chosen do not collide."""
    configuration = edits.create_portal_group(configuration, NAME, 3)
    configuration = edits.create_portal_group(configuration, NAME)
    assert [group.tag for group in edits.target_of(configuration, NAME).portal_groups] == [1, 2, 3]
    configuration = edits.delete_portal_group(configuration, NAME, 1)
    assert [group.tag for group in edits.target_of(configuration, NAME).portal_groups] == [2, 3]


def test_two_groups_cannot_share_a_portal(configuration: Configuration) -> None:
    """A connection would not show which of them it is for."""
    configuration = edits.add_portal(configuration, NAME, 1, Portal("192.0.2.1"))
    configuration = edits.create_portal_group(configuration, NAME, 2)
    for portal in (Portal("192.0.2.1"), Portal("0.0.0.0")):
        with pytest.raises(ConfigurationError, match="tpg1 of"):
            edits.add_portal(configuration, NAME, 2, portal)
    assert portals(edits.add_portal(configuration, NAME, 2, Portal("192.0.2.2")), 2) == ["192.0.2.2:3260"]


def test_two_targets_share_a_portal(configuration: Configuration) -> None:
    """The login says which of them is meant."""
    other = IscsiName("iqn.2026-05.com.example:storage02")
    configuration = edits.create_target(configuration, other)
    configuration = edits.add_portal(configuration, NAME, 1, Portal("192.0.2.1"))
    configuration = edits.add_portal(configuration, other, 1, Portal("192.0.2.1"))
    assert edits.group_of(configuration, other, 1).portals == (Portal("192.0.2.1"),)


def test_enabling_twice_is_enabling_once(configuration: Configuration) -> None:
    """Both directions can be repeated."""
    off = edits.set_group_enabled(configuration, NAME, 1, enabled=False)
    assert edits.set_group_enabled(off, NAME, 1, enabled=False) == off
    assert edits.set_group_enabled(off, NAME, 1, enabled=True) == configuration


def test_attributes_and_parameters_are_kept_as_they_are_meant(configuration: Configuration) -> None:
    """Words become values, and what is set back to its default is as if never set."""
    changed = edits.set_group_attributes(configuration, NAME, 1, {"generate_node_acls": "yes"})
    changed = edits.set_group_parameters(changed, NAME, 1, {"MaxConnections": "4"})
    group = edits.group_of(changed, NAME, 1)
    assert (group.attributes, group.parameters) == ({"generate_node_acls": 1}, {"MaxConnections": 4})
    back = edits.set_group_attributes(changed, NAME, 1, {"generate_node_acls": 0})
    assert edits.set_group_parameters(back, NAME, 1, {"MaxConnections": 1}) == configuration


def test_credentials_are_set_and_cleared(configuration: Configuration) -> None:
    """As with LIO, NULL clears a text and the others stay."""
    changed = edits.set_group_chap(configuration, NAME, 1, {"userid": "db", "password": "secretsecret"})
    changed = edits.set_group_chap(changed, NAME, 1, {"password": "NULL"})
    chap = edits.group_of(changed, NAME, 1).chap
    assert (chap.userid, chap.password) == ("db", "")


def test_discovery_authentication(configuration: Configuration) -> None:
    """On or off, and its credentials, each by itself."""
    changed = edits.set_discovery_authentication(configuration, {"userid": "anyone", "password": "x"})
    changed = edits.set_discovery_authentication(changed, {}, enable=True)
    assert (changed.discovery.enable, changed.discovery.chap.userid) == (True, "anyone")


def test_deleting_a_target_leaves_the_others(configuration: Configuration) -> None:
    """Nothing else changes."""
    other = IscsiName("iqn.2026-05.com.example:storage02")
    both = edits.create_target(configuration, other)
    assert edits.delete_target(both, other) == configuration


WRONG: list[tuple[Callable[[Configuration], Configuration], str]] = [
    (lambda c: edits.create_target(c, NAME), "already"),
    (lambda c: edits.delete_target(c, IscsiName("iqn.2026-05.com.example:none")), "there is no target"),
    (lambda c: edits.create_portal_group(c, NAME, 1), "has a tpg1 already"),
    (lambda c: edits.delete_portal_group(c, NAME, 9), "has no tpg9"),
    (lambda c: edits.remove_portal(c, NAME, 1, "192.0.2.9", 3260), "has no portal 192.0.2.9:3260"),
    (lambda c: edits.set_group_attributes(c, NAME, 1, {"login_timeout": 99}), "not from 5 to 30"),
    (lambda c: edits.set_group_parameters(c, NAME, 1, {"Colour": "red"}), "has no setting 'Colour'"),
    (lambda c: edits.set_group_chap(c, NAME, 1, {"secret": "x"}), "has no secret"),
]


@pytest.mark.parametrize(("edit", "complaint"), WRONG)
def test_what_cannot_be_done_is_refused(
    configuration: Configuration, edit: Callable[[Configuration], Configuration], complaint: str
) -> None:
    """One error that names the thing, and nothing is changed."""
    with pytest.raises(ConfigurationError, match=complaint):
        edit(configuration)
