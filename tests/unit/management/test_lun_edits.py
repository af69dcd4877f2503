from collections.abc import Callable

import pytest

from isthmus.config.model import Backstore, BackstoreKey, Configuration, NodeAcl
from isthmus.errors import ConfigurationError
from isthmus.management import lun_edits as edits
from isthmus.management.backstore_edits import create_backstore
from isthmus.management.target_edits import create_target, group_of
from isthmus.names import IscsiName

NAME = IscsiName("iqn.2026-05.com.example:storage01")
DB = IscsiName("iqn.2026-05.com.example:db-server")
DISKS = [BackstoreKey("ramdisk", f"ram{number}") for number in range(4)]


@pytest.fixture
def configuration() -> Configuration:
    """A target, four disks, two of them LUNs."""
    configuration = create_target(Configuration(), NAME)
    for disk in DISKS:
        configuration = create_backstore(configuration, Backstore(key=disk, size=1 << 20, unit_serial=disk.name))
    for disk in DISKS[:2]:
        configuration = edits.add_lun(configuration, NAME, 1, disk)
    return configuration


def luns(configuration: Configuration) -> list[tuple[int, str]]:
    """The LUNs of the portal group."""
    return [(lun.number, lun.backstore.name) for lun in group_of(configuration, NAME, 1).luns]


def mapped(configuration: Configuration) -> list[tuple[int, int, bool]]:
    """The mapped LUNs of the one node ACL."""
    (acl,) = group_of(configuration, NAME, 1).node_acls
    return [(entry.number, entry.tpg_lun, entry.write_protect) for entry in acl.mapped_luns]


def test_luns_take_the_lowest_free_number(configuration: Configuration) -> None:
    """A gap is filled; a number that is given is taken."""
    configuration = edits.remove_lun(configuration, NAME, 1, 0)
    configuration = edits.add_lun(configuration, NAME, 1, DISKS[2])
    configuration = edits.add_lun(configuration, NAME, 1, DISKS[3], number=7)
    assert luns(configuration) == [(0, "ram2"), (1, "ram1"), (7, "ram3")]


def test_a_new_acl_maps_what_there_is(configuration: Configuration) -> None:
    """Every LUN under its own number, unless it is asked not to."""
    assert mapped(edits.add_acl(configuration, NAME, 1, DB)) == [(0, 0, False), (1, 1, False)]
    assert mapped(edits.add_acl(configuration, NAME, 1, DB, add_mapped_luns=False)) == []


def test_a_new_lun_is_mapped_for_every_acl(configuration: Configuration) -> None:
    """Under its own number, or another where that is taken; or not at all."""
    configuration = edits.add_acl(configuration, NAME, 1, DB, add_mapped_luns=False)
    configuration = edits.add_mapped_lun(configuration, NAME, 1, DB, 0, number=2)
    configuration = edits.add_lun(configuration, NAME, 1, DISKS[2])
    assert mapped(configuration) == [(0, 2, False), (2, 0, False)]
    configuration = edits.add_lun(configuration, NAME, 1, DISKS[3], add_mapped_luns=False)
    assert mapped(configuration) == [(0, 2, False), (2, 0, False)]


def test_a_mapped_lun_has_its_own_number_and_protection(configuration: Configuration) -> None:
    """What one initiator sees need not be what another sees."""
    configuration = edits.add_acl(configuration, NAME, 1, DB, add_mapped_luns=False)
    configuration = edits.add_mapped_lun(configuration, NAME, 1, DB, 1, number=9, write_protect=True)
    assert mapped(configuration) == [(9, 1, True)]
    assert mapped(edits.remove_mapped_lun(configuration, NAME, 1, DB, 9)) == []


def test_a_lun_takes_its_mappings_with_it(configuration: Configuration) -> None:
    """No node ACL is left with a LUN that is not there."""
    configuration = edits.remove_lun(edits.add_acl(configuration, NAME, 1, DB), NAME, 1, 0)
    assert (luns(configuration), mapped(configuration)) == ([(1, "ram1")], [(1, 1, False)])
    configuration.check()


def test_acls_have_attributes_credentials_and_a_tag(configuration: Configuration) -> None:
    """Each is set by itself; removing the ACL leaves nothing."""
    changed = edits.add_acl(configuration, NAME, 1, DB)
    changed = edits.set_acl_attributes(changed, NAME, 1, DB, {"nopin_timeout": "5"})
    changed = edits.set_acl_chap(changed, NAME, 1, DB, {"userid": "db", "password": "secretsecret"})
    changed = edits.set_acl_tag(changed, NAME, 1, DB, "databases")
    acl: NodeAcl = group_of(changed, NAME, 1).node_acls[0]
    assert (acl.attributes, acl.chap.userid, acl.tag) == ({"nopin_timeout": 5}, "db", "databases")
    assert edits.remove_acl(changed, NAME, 1, DB) == configuration


WRONG: list[tuple[Callable[[Configuration], Configuration], str]] = [
    (lambda c: edits.add_lun(c, NAME, 1, BackstoreKey("fileio", "x")), "there is no /backstores/fileio/x"),
    (lambda c: edits.add_lun(c, NAME, 1, DISKS[0]), "is LUN 0 of tpg1 already"),
    (lambda c: edits.add_lun(c, NAME, 1, DISKS[2], number=1), "LUN 1 is taken"),
    (lambda c: edits.add_lun(c, NAME, 1, DISKS[2], number=20000), "cannot be a LUN"),
    (lambda c: edits.remove_lun(c, NAME, 1, 9), "tpg1 has no lun9"),
    (lambda c: edits.remove_acl(c, NAME, 1, DB), "has no node ACL"),
    (lambda c: edits.add_acl(edits.add_acl(c, NAME, 1, DB), NAME, 1, DB), "already"),
    (lambda c: edits.add_mapped_lun(edits.add_acl(c, NAME, 1, DB), NAME, 1, DB, 0), "mapped LUN 0 is taken"),
    (lambda c: edits.add_mapped_lun(edits.add_acl(c, NAME, 1, DB), NAME, 1, DB, 9), "maps LUN 9, which"),
    (lambda c: edits.remove_mapped_lun(edits.add_acl(c, NAME, 1, DB), NAME, 1, DB, 9), "has no mapped_lun9"),
    (lambda c: edits.set_acl_attributes(edits.add_acl(c, NAME, 1, DB), NAME, 1, DB, {"x": 1}), "has no setting"),
]


@pytest.mark.parametrize(("edit", "complaint"), WRONG)
def test_what_cannot_be_done_is_refused(
    configuration: Configuration, edit: Callable[[Configuration], Configuration], complaint: str
) -> None:
    """One error that names the thing, and nothing is changed."""
    with pytest.raises(ConfigurationError, match=complaint):
        edit(configuration)
