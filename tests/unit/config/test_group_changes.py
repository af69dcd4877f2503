"""Each change of a portal group does to the value what it says, and no more."""

import dataclasses

import pytest

from isthmus.config.group_changes import (
    AddLun,
    AddPortal,
    ChangeLun,
    CreatePortalGroup,
    DeletePortalGroup,
    DisableGroup,
    EnableGroup,
    GroupChange,
    RemoveLun,
    RemovePortal,
    SetGroupAttributes,
    SetGroupChap,
    SetGroupParameters,
    SetInitiatorGroups,
)
from isthmus.config.model import (
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    InitiatorGroup,
    Lun,
    MappedLun,
    Portal,
    PortalGroup,
    Target,
)
from isthmus.names import IscsiName

DISK = BackstoreKey("ramdisk", "disk01")
ONE = IscsiName("iqn.2026-01.org.example:one")
TWO = IscsiName("iqn.2026-01.org.example:two")
LUN, OTHER_LUN = Lun(number=0, backstore=DISK), Lun(number=7, backstore=DISK)
PORTAL, OTHER_PORTAL = Portal("127.0.0.1"), Portal("::1", 3261)
GROUP = PortalGroup(tag=1, portals=(PORTAL,), luns=(LUN,), chap=Chap(userid="a"))
NEIGHBOUR = PortalGroup(tag=2, portals=(Portal("::1", 3262),), luns=(LUN,), enable=False)
WHERE = f"/iscsi/{ONE}/tpg1"
CHAP = Chap(userid="b", password="geheimgeheim")
WEB = InitiatorGroup(name="web", initiators=("*:web*",), mapped_luns=(MappedLun(number=3, tpg_lun=0),))
DB = InitiatorGroup(name="db", initiators=("*:db",), attributes={"max_sessions": 2})


def with_group(*groups: PortalGroup) -> Configuration:
    """One target with these groups, and another that must never change."""
    other = Target(name=TWO, portal_groups=(GROUP,))
    return Configuration(
        backstores={DISK: Backstore(key=DISK, size=512, unit_serial="1")},
        targets={ONE: Target(name=ONE, portal_groups=groups), TWO: other},
    )


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (DisableGroup(target=ONE, tag=1), dataclasses.replace(GROUP, enable=False)),
        (AddPortal(target=ONE, tag=1, portal=OTHER_PORTAL), dataclasses.replace(GROUP, portals=(PORTAL, OTHER_PORTAL))),
        (RemovePortal(target=ONE, tag=1, portal=PORTAL), dataclasses.replace(GROUP, portals=())),
        (AddLun(target=ONE, tag=1, lun=OTHER_LUN), dataclasses.replace(GROUP, luns=(LUN, OTHER_LUN))),
        (RemoveLun(target=ONE, tag=1, lun=LUN), dataclasses.replace(GROUP, luns=())),
        (
            ChangeLun(target=ONE, tag=1, lun=dataclasses.replace(LUN, alias="root")),
            dataclasses.replace(GROUP, luns=(dataclasses.replace(LUN, alias="root"),)),
        ),
        (
            SetGroupAttributes(target=ONE, tag=1, old={}, attributes={"authentication": 1}),
            dataclasses.replace(GROUP, attributes={"authentication": 1}),
        ),
        (
            SetGroupParameters(target=ONE, tag=1, old={}, parameters={"MaxOutstandingR2T": 4}),
            dataclasses.replace(GROUP, parameters={"MaxOutstandingR2T": 4}),
        ),
        (SetGroupChap(target=ONE, tag=1, old=GROUP.chap, chap=CHAP), dataclasses.replace(GROUP, chap=CHAP)),
        (
            SetInitiatorGroups(target=ONE, tag=1, old=(), groups=(WEB, DB)),
            dataclasses.replace(GROUP, initiator_groups=(WEB, DB)),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_group_changes_in_one_way_only(change: GroupChange, after: PortalGroup) -> None:
    """Its neighbours, and the group with its tag in another target, stay as they were."""
    assert change.apply(with_group(GROUP, NEIGHBOUR)) == with_group(after, NEIGHBOUR)


def test_a_new_group_lets_nobody_in() -> None:
    """Until it is complete: enabling it is a step of its own."""
    created = CreatePortalGroup(target=ONE, tag=2).apply(with_group(GROUP))
    assert created == with_group(GROUP, PortalGroup(tag=2, enable=False))
    enabled = EnableGroup(target=ONE, tag=2).apply(created)
    assert enabled == with_group(GROUP, PortalGroup(tag=2, enable=True))


def test_a_group_goes_alone() -> None:
    """Its target and the other groups stay."""
    assert DeletePortalGroup(target=ONE, tag=1).apply(with_group(GROUP, NEIGHBOUR)) == with_group(NEIGHBOUR)
    assert DeletePortalGroup(target=ONE, tag=2).apply(with_group(GROUP, NEIGHBOUR)) == with_group(GROUP)


def test_a_lun_is_taken_away_by_its_number() -> None:
    """Another LUN on the same backstore stays."""
    both = dataclasses.replace(GROUP, luns=(LUN, OTHER_LUN))
    after = RemoveLun(target=ONE, tag=1, lun=LUN).apply(with_group(both))
    assert after == with_group(dataclasses.replace(GROUP, luns=(OTHER_LUN,)))


def test_portals_of_one_address_are_told_apart_by_the_port() -> None:
    """Only the one named is given up."""
    second = Portal("127.0.0.1", 3261)
    both = dataclasses.replace(GROUP, portals=(PORTAL, second))
    after = RemovePortal(target=ONE, tag=1, portal=PORTAL).apply(with_group(both))
    assert after == with_group(dataclasses.replace(GROUP, portals=(second,)))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (CreatePortalGroup(target=ONE, tag=1), f"+ {WHERE}"),
        (DeletePortalGroup(target=ONE, tag=1), f"- {WHERE}"),
        (EnableGroup(target=ONE, tag=1), f"~ {WHERE} enabled"),
        (DisableGroup(target=ONE, tag=1), f"~ {WHERE} disabled"),
        (
            SetGroupAttributes(target=ONE, tag=1, old={"authentication": 1}, attributes={}),
            f"~ {WHERE} attribute authentication: 1 -> 0",
        ),
        (
            SetGroupParameters(target=ONE, tag=1, old={}, parameters={"MaxOutstandingR2T": 4}),
            f"~ {WHERE} parameter MaxOutstandingR2T: 1 -> 4",
        ),
        (
            SetGroupChap(target=ONE, tag=1, old=GROUP.chap, chap=CHAP),
            f"~ {WHERE} auth userid: 'a' -> 'b', password changed",
        ),
        (AddPortal(target=ONE, tag=1, portal=OTHER_PORTAL), f"+ {WHERE}/portals/[::1]:3261"),
        (RemovePortal(target=ONE, tag=1, portal=PORTAL), f"- {WHERE}/portals/127.0.0.1:3260"),
        (AddLun(target=ONE, tag=1, lun=OTHER_LUN), f"+ {WHERE}/luns/lun7 /backstores/ramdisk/disk01"),
        (RemoveLun(target=ONE, tag=1, lun=LUN), f"- {WHERE}/luns/lun0 /backstores/ramdisk/disk01"),
        (
            ChangeLun(target=ONE, tag=1, lun=dataclasses.replace(LUN, alias="root", alua_group="near")),
            f"~ {WHERE}/luns/lun0 ALUA group near, alias 'root'",
        ),
        (
            SetInitiatorGroups(target=ONE, tag=1, old=(WEB,), groups=(DB,)),
            f"~ {WHERE}/initiator_groups - web; + db (*:db, max_sessions=2)",
        ),
        (
            SetInitiatorGroups(target=ONE, tag=1, old=(dataclasses.replace(WEB, initiators=()),), groups=(WEB,)),
            f"~ {WHERE}/initiator_groups ~ web (*:web*, mapped_lun3 lun0 writable)",
        ),
        (
            SetInitiatorGroups(target=ONE, tag=1, old=(WEB, DB), groups=(DB, WEB)),
            f"~ {WHERE}/initiator_groups in the order db, web",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_how_a_change_reads(change: GroupChange, line: str) -> None:
    """With the path that the shell would use."""
    assert str(change) == line
