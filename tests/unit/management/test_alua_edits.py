import dataclasses

import pytest

from isthmus.config.model import AluaGroup, Backstore, BackstoreKey, Configuration, Lun, PortalGroup, Target
from isthmus.errors import ConfigurationError
from isthmus.management.alua_edits import (
    alua_group_of,
    alua_groups_of,
    alua_members,
    create_alua_group,
    delete_alua_group,
    has_alua_groups,
    lun_of,
    set_alua_parameters,
    set_lun_alua_group,
)
from isthmus.management.errors import NotFoundError
from isthmus.management.target_edits import group_of
from isthmus.names import IscsiName

KEY, DEFAULT = BackstoreKey("ramdisk", "r"), "default_tg_pt_gp"
ONE, TWO = IscsiName("iqn.2026-05.com.example:one"), IscsiName("iqn.2026-05.com.example:two")


def two_paths() -> Configuration:
    """A disk behind two targets, with the group `second`."""
    store = Backstore(key=KEY, size=1 << 20, unit_serial="r", alua_groups=(AluaGroup(name="second", alua_group_id=7),))
    group = PortalGroup(tag=1, luns=(Lun(number=3, backstore=KEY),))
    targets = {name: Target(name=name, portal_groups=(group,)) for name in (ONE, TWO)}
    return Configuration(backstores={KEY: store}, targets=targets)


def names(configuration: Configuration) -> list[str]:
    """Of the groups of the disk."""
    return [group.name for group in alua_groups_of(configuration.backstores[KEY])]


def members(configuration: Configuration, name: str) -> list[IscsiName]:
    """The targets of the LUNs in a group."""
    return [target.name for target, _, _ in alua_members(configuration, KEY, name)]


def test_groups_come_and_go() -> None:
    """The default one is first, and stays."""
    created = create_alua_group(two_paths(), KEY, "third", 8)
    assert names(created) == [DEFAULT, "second", "third"]
    assert names(delete_alua_group(created, KEY, "second")) == [DEFAULT, "third"]
    with pytest.raises(ConfigurationError, match="cannot be deleted"):
        delete_alua_group(created, KEY, DEFAULT)


@pytest.mark.parametrize(
    ("name", "number", "complaint"),
    [
        ("second", 8, "of number 7 already"),
        ("third", 7, "second of number 7 already"),
        (DEFAULT, 8, "of number 0 already"),
        ("third", 0, "is the number of default_tg_pt_gp"),
        ("third", 65536, "cannot identify"),
        ("a b", 8, "cannot name"),
        ("a/b", 8, "cannot name"),
        ("", 8, "cannot name"),
    ],
)
def test_groups_that_cannot_be(name: str, number: int, complaint: str) -> None:
    """Each has its own name and number."""
    with pytest.raises(ConfigurationError, match=complaint):
        create_alua_group(two_paths(), KEY, name, number)


def test_a_lun_goes_from_group_to_group() -> None:
    """One path after the other; when the group is deleted, to the default one."""
    moved = set_lun_alua_group(two_paths(), TWO, 1, 3, "second")
    assert (members(moved, DEFAULT), members(moved, "second")) == ([ONE], [TWO])
    deleted = delete_alua_group(moved, KEY, "second")
    assert members(deleted, DEFAULT) == [ONE, TWO]
    assert lun_of(group_of(deleted, TWO, 1), 3).alua_group == DEFAULT
    with pytest.raises(NotFoundError, match="has no ALUA group 'third'"):
        set_lun_alua_group(moved, TWO, 1, 3, "third")
    with pytest.raises(NotFoundError, match="it has lun3"):
        set_lun_alua_group(moved, TWO, 1, 4, "second")


def test_a_lun_whose_group_is_not_there_is_in_the_default_one() -> None:
    """So it runs, too."""
    lun = Lun(number=3, backstore=KEY, alua_group="gone")
    group = PortalGroup(tag=1, luns=(lun,))
    stray = dataclasses.replace(two_paths(), targets={ONE: Target(name=ONE, portal_groups=(group,))})
    assert members(stray, DEFAULT) == [ONE]


def test_parameters() -> None:
    """The others stay; those of a group that was not saved are as it ran."""
    once = set_alua_parameters(two_paths(), KEY, "second", {"preferred": 1})
    twice = set_alua_parameters(once, KEY, "second", {"alua_access_state": "2"})
    store = twice.backstores[KEY]
    assert alua_group_of(store, "second").parameters == {"preferred": 1, "alua_access_state": 2}
    assert len(store.alua_groups) == 1
    default = set_alua_parameters(twice, KEY, DEFAULT, {"alua_access_state": 1}).backstores[KEY]
    assert default.alua_groups[0].parameters == {
        "alua_access_state": 1,
        "nonop_delay_msecs": 0,
        "alua_support_offline": 0,
    }
    again = set_alua_parameters(
        dataclasses.replace(twice, backstores={KEY: default}), KEY, DEFAULT, {"nonop_delay_msecs": 5}
    )
    assert again.backstores[KEY].alua_groups[0].parameters["nonop_delay_msecs"] == 5
    assert len(again.backstores[KEY].alua_groups) == 2
    with pytest.raises(ConfigurationError, match="cannot be 5"):
        set_alua_parameters(two_paths(), KEY, "second", {"alua_access_state": 5})


def test_a_scsi_device_has_its_own() -> None:
    """It answers for itself."""
    key = BackstoreKey("pscsi", "d")
    store = Backstore(key=key, path="/dev/sg0", unit_serial="d")
    assert not has_alua_groups(store)
    assert alua_groups_of(store) == ()
    with pytest.raises(ConfigurationError, match="has its own"):
        create_alua_group(Configuration(backstores={key: store}), key, "second", 7)
