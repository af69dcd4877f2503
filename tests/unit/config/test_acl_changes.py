"""Each change of a node ACL does to the value what it says, and no more."""

import dataclasses

import pytest

from isthmus.config.acl_changes import (
    AclChange,
    AddAcl,
    AddMappedLun,
    ChangeMappedLun,
    RemoveAcl,
    RemoveMappedLun,
    SetAclAttributes,
    SetAclChap,
    SetAclTag,
)
from isthmus.config.model import (
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    Lun,
    MappedLun,
    NodeAcl,
    PortalGroup,
    Target,
)
from isthmus.names import IscsiName

DISK = BackstoreKey("ramdisk", "disk01")
ONE = IscsiName("iqn.2026-01.org.example:one")
HOST = IscsiName("iqn.2026-01.org.example:host")
OTHER = IscsiName("iqn.2026-01.org.example:other")
MAPPED, SECOND = MappedLun(number=0, tpg_lun=0), MappedLun(number=5, tpg_lun=0, write_protect=True)
ACL = NodeAcl(name=HOST, mapped_luns=(MAPPED,), tag="rack 1", chap=Chap(userid="a"))
CHAP = Chap(userid="a", password="geheimgeheim")
WHERE = f"/iscsi/{ONE}/tpg1/acls/{HOST}"


def with_acls(*acls: NodeAcl) -> Configuration:
    """A group with these ACLs, and another in the same target, where the host may log in too."""
    luns = (Lun(number=0, backstore=DISK),)
    groups = (PortalGroup(tag=1, luns=luns, node_acls=acls), PortalGroup(tag=2, luns=luns, node_acls=(ACL,)))
    return Configuration(
        backstores={DISK: Backstore(key=DISK, size=512, unit_serial="1")},
        targets={ONE: Target(name=ONE, portal_groups=groups)},
    )


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (
            SetAclAttributes(target=ONE, tag=1, initiator=HOST, old={}, attributes={"dataout_timeout": 7}),
            dataclasses.replace(ACL, attributes={"dataout_timeout": 7}),
        ),
        (SetAclTag(target=ONE, tag=1, initiator=HOST, text="rack 2"), dataclasses.replace(ACL, tag="rack 2")),
        (
            SetAclChap(target=ONE, tag=1, initiator=HOST, old=ACL.chap, chap=CHAP),
            dataclasses.replace(ACL, chap=CHAP),
        ),
        (
            AddMappedLun(target=ONE, tag=1, initiator=HOST, mapped=SECOND),
            dataclasses.replace(ACL, mapped_luns=(MAPPED, SECOND)),
        ),
        (
            RemoveMappedLun(target=ONE, tag=1, initiator=HOST, mapped=MAPPED),
            dataclasses.replace(ACL, mapped_luns=()),
        ),
        (
            ChangeMappedLun(target=ONE, tag=1, initiator=HOST, mapped=dataclasses.replace(MAPPED, write_protect=True)),
            dataclasses.replace(ACL, mapped_luns=(dataclasses.replace(MAPPED, write_protect=True),)),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_acl_changes_in_one_way_only(change: AclChange, after: NodeAcl) -> None:
    """Another initiator's, and the same initiator's in another portal group, stay as they were."""
    neighbour = dataclasses.replace(ACL, name=OTHER)
    assert change.apply(with_acls(ACL, neighbour)) == with_acls(after, neighbour)


def test_acls_come_and_go() -> None:
    """That of the initiator named, and no other; in the one portal group only."""
    neighbour = NodeAcl(name=OTHER)
    come = AddAcl(target=ONE, tag=1, initiator=HOST, acl=ACL)
    assert come.apply(with_acls(neighbour)) == with_acls(ACL, neighbour)
    gone = RemoveAcl(target=ONE, tag=1, initiator=HOST)
    assert gone.apply(with_acls(ACL, neighbour)) == with_acls(neighbour)


def test_a_mapped_lun_is_taken_away_by_its_own_number() -> None:
    """Another one on the same LUN of the group stays."""
    both = dataclasses.replace(ACL, mapped_luns=(MAPPED, SECOND))
    change = RemoveMappedLun(target=ONE, tag=1, initiator=HOST, mapped=MAPPED)
    assert change.apply(with_acls(both)) == with_acls(dataclasses.replace(ACL, mapped_luns=(SECOND,)))


def test_only_the_mapped_lun_of_the_number_changes() -> None:
    """Whoever may write to one LUN may not for that write to the next."""
    both = dataclasses.replace(ACL, mapped_luns=(MAPPED, SECOND))
    writable = dataclasses.replace(SECOND, write_protect=False)
    change = ChangeMappedLun(target=ONE, tag=1, initiator=HOST, mapped=writable)
    assert change.apply(with_acls(both)) == with_acls(dataclasses.replace(ACL, mapped_luns=(MAPPED, writable)))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (AddAcl(target=ONE, tag=1, initiator=HOST, acl=ACL), f"+ {WHERE}"),
        (RemoveAcl(target=ONE, tag=1, initiator=HOST), f"- {WHERE}"),
        (
            SetAclAttributes(target=ONE, tag=1, initiator=HOST, old={"dataout_timeout": 7}, attributes={}),
            f"~ {WHERE} attribute dataout_timeout: 7 -> 3",
        ),
        (SetAclTag(target=ONE, tag=1, initiator=HOST, text="rack 2"), f"~ {WHERE} tag: 'rack 2'"),
        (
            SetAclChap(target=ONE, tag=1, initiator=HOST, old=CHAP, chap=Chap(userid="a")),
            f"~ {WHERE} auth password cleared",
        ),
        (
            AddMappedLun(target=ONE, tag=1, initiator=HOST, mapped=SECOND),
            f"+ {WHERE}/mapped_lun5 lun0 read-only",
        ),
        (
            RemoveMappedLun(target=ONE, tag=1, initiator=HOST, mapped=MAPPED),
            f"- {WHERE}/mapped_lun0 lun0 writable",
        ),
        (
            ChangeMappedLun(target=ONE, tag=1, initiator=HOST, mapped=SECOND),
            f"~ {WHERE}/mapped_lun5 lun0 read-only",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_how_a_change_reads(change: AclChange, line: str) -> None:
    """With the path of the ACL, and whether the initiator may write."""
    assert str(change) == line
