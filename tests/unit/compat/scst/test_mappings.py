from isthmus.compat.scst.mappings import EVERYBODY, GroupMembers, LunOf, access
from isthmus.config.model import BackstoreKey, InitiatorGroup, Lun, MappedLun

A, B = BackstoreKey("fileio", "a"), BackstoreKey("fileio", "b")


def test_luns_of_the_target_are_for_everybody() -> None:
    """Demo mode, as LIO calls it, with their protection."""
    found = access([LunOf(0, A, False), LunOf(3, B, False)], [])
    assert found.luns == (Lun(number=0, backstore=A), Lun(number=3, backstore=B))
    assert found.attributes == {"generate_node_acls": 1, "demo_mode_write_protect": 0}
    assert access([LunOf(0, A, True)], []).attributes["demo_mode_write_protect"] == 1


def test_without_luns_of_the_target_the_groups_are_all_who_get_in() -> None:
    """An initiator that sees nothing cannot log in with SCST."""
    found = access([], [GroupMembers("g", ("iqn.x*",), (LunOf(0, A, True),))])
    mapped = MappedLun(number=0, tpg_lun=0, write_protect=True)
    assert found.groups == (InitiatorGroup(name="g", initiators=("iqn.x*",), mapped_luns=(mapped,)),)
    assert found.attributes == {"demo_mode_discovery": 0}


def test_groups_number_their_luns_by_themselves() -> None:
    """The portal group finds other numbers for them, and everybody else sees only the target's own."""
    found = access(
        [LunOf(0, A, False)], [GroupMembers("default", ("iqn.x",), (LunOf(0, B, False), LunOf(1, A, False)))]
    )
    assert found.luns == (Lun(number=0, backstore=A), Lun(number=1, backstore=B))
    group, rest = found.groups
    assert group.mapped_luns == (MappedLun(number=0, tpg_lun=1), MappedLun(number=1, tpg_lun=0))
    assert rest == InitiatorGroup(
        name="default_", initiators=(EVERYBODY,), mapped_luns=(MappedLun(number=0, tpg_lun=0),)
    )
    assert found.attributes == {}


def test_mixed_protection_takes_a_group_for_everybody() -> None:
    """Demo mode protects all or none."""
    found = access([LunOf(0, A, False), LunOf(1, B, True)], [])
    (rest,) = found.groups
    assert (rest.name, [mapped.write_protect for mapped in rest.mapped_luns]) == ("default", [False, True])


def test_a_lun_keeps_its_alua_group() -> None:
    """At the portal group, where it counts."""
    found = access([LunOf(0, A, False, "tg1")], [])
    assert found.luns == (Lun(number=0, backstore=A, alua_group="tg1"),)


def test_a_group_with_the_targets_luns_leaves_demo_mode() -> None:
    """It shows everybody else just the target's own."""
    found = access([LunOf(0, A, False)], [GroupMembers("g", ("iqn.x",), (LunOf(5, A, True),))])
    assert found.attributes["generate_node_acls"] == 1
    assert [group.name for group in found.groups] == ["g"]
