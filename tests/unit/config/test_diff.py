"""Plans are judged by doing them on the value: each change knows its own effect."""

import dataclasses
from functools import reduce

from hypothesis import assume, given
from hypothesis import strategies as st

from isthmus.config.acl_changes import AclChange, AddMappedLun, RemoveMappedLun
from isthmus.config.changes import (
    BackstoreChange,
    Change,
    ChangeMedium,
    CreateBackstore,
    CreateTarget,
    DeleteBackstore,
    DeleteTarget,
)
from isthmus.config.diff import diff
from isthmus.config.group_changes import AddLun, AddPortal, EnableGroup, GroupChange, RemoveLun, RemovePortal
from isthmus.config.model import (
    Backstore,
    BackstoreKey,
    Configuration,
    Lun,
    MappedLun,
    NodeAcl,
    Portal,
    PortalGroup,
    Target,
)
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName
from tests.support.configurations import configurations

DISK = BackstoreKey("fileio", "disk01")
ONE = IscsiName("iqn.2026-01.org.example:one")
TWO = IscsiName("iqn.2026-01.org.example:two")
HOST = IscsiName("iqn.2026-01.org.example:host")


def is_valid(configuration: Configuration) -> bool:
    """Whether the whole can be."""
    try:
        configuration.check()
    except ConfigurationError:
        return False
    return True


@st.composite
def relatives(draw: st.DrawFn) -> tuple[Configuration, Configuration]:
    """Two configurations that have much in common."""
    one, other = draw(configurations()), draw(configurations())
    stores = {**one.backstores, **{key: store for key, store in other.backstores.items() if draw(st.booleans())}}
    targets = {**one.targets, **{name: target for name, target in other.targets.items() if draw(st.booleans())}}
    mixed = Configuration(backstores=stores, targets=targets, discovery=draw(st.sampled_from([one, other])).discovery)
    assume(is_valid(mixed))
    return one, mixed


PAIRS = relatives() | st.tuples(configurations(), configurations())


@given(PAIRS)
def test_the_changes_lead_from_one_to_the_other(pair: tuple[Configuration, Configuration]) -> None:
    """Done in order they give the new configuration, and back again."""
    one, other = pair
    assert reduce(lambda present, change: change.apply(present), diff(one, other), one) == other
    assert reduce(lambda present, change: change.apply(present), diff(other, one), other) == one


@given(PAIRS)
def test_each_step_leaves_a_valid_configuration(pair: tuple[Configuration, Configuration]) -> None:
    """Nothing ever stands on what is not there."""
    present, new = pair
    for change in diff(present, new):
        present = change.apply(present)
        present.check()


@given(configurations())
def test_what_is_equal_does_not_differ(configuration: Configuration) -> None:
    """Also if it is another object."""
    copy = dataclasses.replace(
        configuration,
        backstores={key: dataclasses.replace(store) for key, store in configuration.backstores.items()},
        targets={name: dataclasses.replace(target) for name, target in configuration.targets.items()},
    )
    assert diff(configuration, configuration) == diff(configuration, copy) == ()


@given(PAIRS)
def test_no_change_touches_a_target_that_stays_as_it_is(pair: tuple[Configuration, Configuration]) -> None:
    """Unless the storage under it becomes another."""
    old, new = pair
    changes = diff(old, new)
    moved = {change.key for change in changes if isinstance(change, DeleteBackstore)}
    for name, target in new.targets.items():
        stands_on = {lun.backstore for group in target.portal_groups for lun in group.luns}
        if old.targets.get(name) == target and not stands_on & moved:
            assert not [change for change in changes if target_of(change) == name]


@given(PAIRS)
def test_a_plan_shows_no_secret(pair: tuple[Configuration, Configuration]) -> None:
    """Only that one has changed."""
    old, new = (with_password(configuration, "geheimgeheim") for configuration in pair)
    lines = "\n".join(map(str, (*diff(old, new), *diff(Configuration(), new), *diff(old, Configuration()))))
    assert "geheim" not in lines


def with_password(configuration: Configuration, password: str) -> Configuration:
    """With that secret in every portal group."""
    targets = {
        name: dataclasses.replace(
            target,
            portal_groups=tuple(
                dataclasses.replace(group, chap=dataclasses.replace(group.chap, password=password))
                for group in target.portal_groups
            ),
        )
        for name, target in configuration.targets.items()
    }
    return dataclasses.replace(configuration, targets=targets)


def target_of(change: Change) -> IscsiName | None:
    """Which target a change concerns."""
    if isinstance(change, CreateTarget | DeleteTarget):
        return change.name
    return change.target if isinstance(change, GroupChange) else None


def disk(*, path: str = "/srv/disk01", serial: str = "1") -> Backstore:
    """A backstore."""
    return Backstore(key=DISK, path=path, unit_serial=serial)


def target(name: IscsiName, *portals: Portal, luns: tuple[Lun, ...] = (), acls: tuple[NodeAcl, ...] = ()) -> Target:
    """A target with one portal group."""
    return Target(name=name, portal_groups=(PortalGroup(tag=1, portals=portals, luns=luns, node_acls=acls),))


def configuration(*targets: Target, store: Backstore | None = None) -> Configuration:
    """These targets over one backstore."""
    store = store or disk()
    return Configuration(backstores={store.key: store}, targets={target.name: target for target in targets})


def test_a_portal_is_given_up_before_it_is_taken() -> None:
    """Two targets that swap their portals never want the same one."""
    old = configuration(target(ONE, Portal("127.0.0.1")), target(TWO, Portal("127.0.0.2")))
    new = configuration(target(ONE, Portal("127.0.0.2")), target(TWO, Portal("127.0.0.1")))
    kinds = [type(change) for change in diff(old, new)]
    assert kinds == [RemovePortal, RemovePortal, AddPortal, AddPortal]


def test_a_new_group_is_enabled_when_it_is_complete() -> None:
    """The last step of all lets initiators in."""
    changes = diff(configuration(), configuration(target(ONE, Portal("::"), luns=(Lun(number=0, backstore=DISK),))))
    assert isinstance(changes[-1], EnableGroup)


def test_storage_that_becomes_another_is_taken_from_under_its_luns_first() -> None:
    """What stands on it goes before it and comes after it."""
    acl = NodeAcl(name=HOST, mapped_luns=(MappedLun(number=3, tpg_lun=0),))
    exported = target(ONE, luns=(Lun(number=0, backstore=DISK),), acls=(acl,))
    old, new = configuration(exported), configuration(exported, store=disk(path="/srv/other"))
    assert [type(change) for change in diff(old, new)] == [
        RemoveMappedLun,
        RemoveLun,
        DeleteBackstore,
        CreateBackstore,
        AddLun,
        AddMappedLun,
    ]


def test_attributes_change_while_the_disk_is_in_use() -> None:
    """But for the block size, which initiators know from the start."""
    live = dataclasses.replace(disk(), attributes={"emulate_caw": 0}, size=4096)
    other = dataclasses.replace(disk(), attributes={"block_size": 4096})
    exported = target(ONE, luns=(Lun(number=0, backstore=DISK),))
    assert all(
        isinstance(change, BackstoreChange) and not isinstance(change, DeleteBackstore)
        for change in diff(configuration(exported), configuration(exported, store=live))
    )
    assert RemoveLun in {type(change) for change in diff(configuration(exported), configuration(exported, store=other))}


def test_a_plan_reads_like_a_diff() -> None:
    """What comes, what goes and what changes, with old and new values."""
    old = configuration(target(ONE, Portal("::")))
    group = PortalGroup(tag=1, portals=(Portal("127.0.0.1"),), attributes={"authentication": 1})
    new = configuration(Target(name=ONE, portal_groups=(group,)))
    assert [str(change) for change in diff(old, new)] == [
        f"- /iscsi/{ONE}/tpg1/portals/[::]:3260",
        f"~ /iscsi/{ONE}/tpg1 attribute authentication: 0 -> 1",
        f"+ /iscsi/{ONE}/tpg1/portals/127.0.0.1:3260",
    ]


def test_the_acl_of_a_change_is_named() -> None:
    """With the whole path that the shell would use."""
    new = configuration(target(ONE, acls=(NodeAcl(name=HOST),)))
    changes = [change for change in diff(configuration(target(ONE)), new) if isinstance(change, AclChange)]
    assert [str(change) for change in changes] == [f"+ /iscsi/{ONE}/tpg1/acls/{HOST}"]


def test_another_medium_is_the_same_drive() -> None:
    """What is in a drive changes while it is used; the path of a disk makes another disk of it."""
    for attributes, changes in (({"device_type": "cd"}, [ChangeMedium]), ({}, [DeleteBackstore, CreateBackstore])):
        store = Backstore(key=DISK, path="/srv/a", unit_serial="1", attributes=attributes)
        before = Configuration(backstores={DISK: store})
        after = Configuration(backstores={DISK: dataclasses.replace(store, path="/srv/b")})
        plan = diff(before, after)
        assert [type(change) for change in plan] == changes
        assert reduce(lambda present, change: change.apply(present), plan, before) == after


def test_another_type_is_another_device() -> None:
    """Initiators cannot be told that their disk is a drive now."""
    store = Backstore(key=DISK, path="/srv/a", unit_serial="1")
    drive = dataclasses.replace(store, attributes={"device_type": "cd"})
    plan = diff(Configuration(backstores={DISK: store}), Configuration(backstores={DISK: drive}))
    assert [type(change) for change in plan] == [DeleteBackstore, CreateBackstore]
