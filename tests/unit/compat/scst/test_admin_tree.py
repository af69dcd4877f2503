import dataclasses

import pytest

from isthmus.compat.scst.admin_tree import Tree, edited
from isthmus.config.model import (
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    InitiatorGroup,
    Lun,
    MappedLun,
    NodeAcl,
    PortalGroup,
    Target,
)
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName

A, B, RAM = BackstoreKey("fileio", "a"), BackstoreKey("fileio", "b"), BackstoreKey("ramdisk", "r")
NAME = IscsiName("iqn.2026-01.org.example:t")
INITIATOR = IscsiName("iqn.2026-01.org.example:i")


def configuration() -> Configuration:
    """A target of which scst.conf could not say all: a memory disk, a node ACL, limits, a second portal group."""
    stores = [
        Backstore(key=A, path="/a", unit_serial="1", attributes={"limit_iops": 5}),
        Backstore(key=B, path="/b", unit_serial="2"),
        Backstore(key=RAM, size=1 << 20, unit_serial="3"),
    ]
    group = PortalGroup(
        tag=1,
        attributes={"allowed_addresses": "192.0.2.0/24"},
        parameters={"MaxConnections": 4},
        luns=(Lun(number=7, backstore=A), Lun(number=8, backstore=RAM)),
        node_acls=(NodeAcl(name=INITIATOR, mapped_luns=(MappedLun(number=0, tpg_lun=8),)),),
        initiator_groups=(
            InitiatorGroup(
                name="g",
                initiators=("iqn.x",),
                mapped_luns=(MappedLun(number=0, tpg_lun=7), MappedLun(number=1, tpg_lun=8)),
                attributes={"max_sessions": 2},
            ),
        ),
    )
    target = Target(name=NAME, portal_groups=(group, PortalGroup(tag=2)))
    return Configuration(backstores={store.key: store for store in stores}, targets={NAME: target})


def group_of(configuration: Configuration) -> PortalGroup:
    """The first portal group."""
    return configuration.targets[NAME].portal_groups[0]


def test_an_edit_of_nothing_changes_nothing() -> None:
    """Whatever scst.conf has no word for."""
    assert edited(configuration(), lambda tree: None) == configuration()


def test_only_what_is_edited_changes() -> None:
    """Of the same target and of the same disk."""
    present = configuration()

    def edit(tree: Tree) -> None:
        tree.target(NAME).set("QueuedCommands", "128")
        tree.device("a").set("removable", "1")

    result = edited(present, edit)
    old, new = group_of(present), group_of(result)
    assert new == dataclasses.replace(old, attributes={**old.attributes, "default_cmdsn_depth": 128})
    assert result.backstores[A].attributes == {"limit_iops": 5, "removable": 1}
    assert {**result.backstores, A: present.backstores[A]} == present.backstores


def test_luns_of_a_group_keep_their_numbers() -> None:
    """Those that are there, and those that scst.conf has no device for."""

    def edit(tree: Tree) -> None:
        group = tree.target(NAME).find("GROUP", "g")
        assert group is not None
        group.add("LUN", 5, "b").add("read_only", 1)
        group.add("INITIATOR", "iqn.y")

    result = group_of(edited(configuration(), edit))
    assert [(lun.number, lun.backstore) for lun in result.luns] == [(5, B), (7, A), (8, RAM)]
    (group,) = result.initiator_groups
    assert group.initiators == ("iqn.x", "iqn.y")
    assert group.attributes == {"max_sessions": 2}
    assert [(mapped.number, mapped.tpg_lun, mapped.write_protect) for mapped in group.mapped_luns] == [
        (0, 7, False),
        (1, 8, False),
        (5, 5, True),
    ]


def test_targets_devices_and_accounts_come_and_go() -> None:
    """With the names that SCST gives them."""

    def edit(tree: Tree) -> None:
        tree.handler("vdisk_nullio").add("DEVICE", "n")
        tree.handler_of("b").inner.remove(tree.device("b"))
        tree.driver.inner.remove(tree.target(NAME))
        tree.driver.add("TARGET", "iqn.2026-01.org.example:new").add("enabled", 1)
        tree.driver.add("IncomingUser", "joe secret")

    result = edited(configuration(), edit)
    assert set(result.backstores) == {A, RAM, BackstoreKey("null", "n")}
    assert [(name, target.portal_groups[0].enable) for name, target in result.targets.items()] == [
        ("iqn.2026-01.org.example:new", True)
    ]
    assert result.discovery.chap == Chap(userid="joe", password="secret")


def test_what_scst_has_no_word_for_closes_nothing_and_opens_nothing() -> None:
    """A target with a secret for one initiator alone is enabled as it is, and can be disabled; the secret stays asked for."""
    acl = NodeAcl(name=INITIATOR, chap=Chap(userid="i", password="own"))
    group = PortalGroup(
        tag=1, attributes={"authentication": 1}, chap=Chap(userid="joe", password="x"), node_acls=(acl,)
    )
    present = Configuration(targets={NAME: Target(name=NAME, portal_groups=(group,))})
    assert Tree(present).target(NAME).find("enabled", "1") is not None
    disabled = edited(present, lambda tree: tree.target(NAME).set("enabled", "0"))
    assert group_of(disabled) == dataclasses.replace(group, enable=False)

    def remove_account(tree: Tree) -> None:
        target = tree.target(NAME)
        target.inner = [inner for inner in target.inner if inner.name != "IncomingUser"]

    assert group_of(edited(present, remove_account)) == dataclasses.replace(group, chap=Chap())


def test_what_cannot_be_honoured_is_refused() -> None:
    """Nobody asked for something else; what was there before is nobody's question."""

    def edit(tree: Tree) -> None:
        tree.target(NAME).add("black_hole", 1)

    with pytest.raises(ConfigurationError, match=f"^black_hole 1 of TARGET {NAME}: commands are answered$"):
        edited(configuration(), edit)
    assert edited(configuration(), edit, strict=False) == configuration()


def test_an_error_names_no_place_in_a_text_that_nobody_has() -> None:
    """What is wrong is enough."""
    with pytest.raises(ConfigurationError, match=r"^enabled x of TARGET .*: it is neither 0 nor 1$"):
        edited(configuration(), lambda tree: tree.target(NAME).set("enabled", "x"))


def test_what_is_not_there_cannot_be_found() -> None:
    """The error says how to see what is."""
    tree = Tree(configuration())
    with pytest.raises(ConfigurationError, match="no target 'x': -list_target"):
        tree.target("x")
    with pytest.raises(ConfigurationError, match="no device 'r': -list_device"):
        tree.device("r")
