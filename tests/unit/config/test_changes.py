"""Each change does to the value what it says, and no more. That a plan of them leads where it should is with `diff`."""

import dataclasses

import pytest

from isthmus.config.changes import (
    Change,
    ChangeMedium,
    CreateBackstore,
    CreateTarget,
    DeleteBackstore,
    DeleteTarget,
    ResizeBackstore,
    SetAccounts,
    SetAluaGroups,
    SetBackstoreAttributes,
    SetDiscoveryAuthentication,
    SetOptions,
    chap_text,
    settings_text,
)
from isthmus.config.model import (
    Account,
    AluaGroup,
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    DiscoveryAuthentication,
    PortalGroup,
    Target,
)
from isthmus.config.settings import BACKSTORE_ATTRIBUTES
from isthmus.names import IscsiName

DISK = BackstoreKey("fileio", "disk01")
OTHER = BackstoreKey("ramdisk", "scratch")
ONE = IscsiName("iqn.2026-01.org.example:one")
TWO = IscsiName("iqn.2026-01.org.example:two")
STORE = Backstore(key=DISK, path="/srv/disk01", size=4096, unit_serial="1")
SCRATCH = Backstore(key=OTHER, size=512, unit_serial="2")
BEFORE = Configuration(
    backstores={DISK: STORE, OTHER: SCRATCH},
    targets={ONE: Target(name=ONE, portal_groups=(PortalGroup(tag=1),))},
)


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (ResizeBackstore(key=DISK, old_size=4096, size=8192), dataclasses.replace(STORE, size=8192)),
        (ChangeMedium(key=DISK, old="/srv/disk01", path="/srv/b"), dataclasses.replace(STORE, path="/srv/b")),
        (
            SetBackstoreAttributes(key=DISK, old={}, attributes={"emulate_caw": 0}),
            dataclasses.replace(STORE, attributes={"emulate_caw": 0}),
        ),
        (
            SetAluaGroups(key=DISK, groups=(AluaGroup(name="near", alua_group_id=1),)),
            dataclasses.replace(STORE, alua_groups=(AluaGroup(name="near", alua_group_id=1),)),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_backstore_changes_in_one_way_only(change: Change, after: Backstore) -> None:
    """The rest of it, and every other, stays as it was."""
    expected = dataclasses.replace(BEFORE, backstores={DISK: after, OTHER: SCRATCH})
    assert change.apply(BEFORE) == expected


def test_a_change_leaves_the_value_it_starts_from_alone() -> None:
    """A plan that is given up has changed nothing."""
    copy = dataclasses.replace(BEFORE, backstores=dict(BEFORE.backstores), targets=dict(BEFORE.targets))
    for change in (CreateTarget(name=TWO), DeleteTarget(name=ONE), DeleteBackstore(key=OTHER)):
        assert change.apply(BEFORE) != BEFORE
    assert copy == BEFORE


def test_backstores_come_and_go() -> None:
    """The one named, and no other."""
    without = DeleteBackstore(key=OTHER).apply(BEFORE)
    assert without.backstores == {DISK: STORE}
    assert CreateBackstore(key=OTHER, backstore=SCRATCH).apply(without) == BEFORE


def test_a_target_comes_empty_and_goes_with_all_in_it() -> None:
    """Its portal groups come later, one by one."""
    with_two = CreateTarget(name=TWO).apply(BEFORE)
    assert with_two.targets == {**BEFORE.targets, TWO: Target(name=TWO)}
    assert DeleteTarget(name=ONE).apply(with_two).targets == {TWO: Target(name=TWO)}


def test_discovery_authentication_is_replaced() -> None:
    """As a whole; nothing else is touched."""
    discovery = DiscoveryAuthentication(enable=True, chap=Chap(userid="scout", password="geheimgeheim"))
    after = SetDiscoveryAuthentication(old=BEFORE.discovery, discovery=discovery).apply(BEFORE)
    assert after == dataclasses.replace(BEFORE, discovery=discovery)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (CreateBackstore(key=DISK, backstore=STORE), "+ /backstores/fileio/disk01 of 4096 bytes in /srv/disk01"),
        (
            CreateBackstore(key=DISK, backstore=dataclasses.replace(STORE, size=None, path="")),
            "+ /backstores/fileio/disk01",
        ),
        (DeleteBackstore(key=OTHER), "- /backstores/ramdisk/scratch"),
        (ChangeMedium(key=DISK, old="", path="/srv/b"), "~ /backstores/fileio/disk01 medium: none -> /srv/b"),
        (
            ResizeBackstore(key=DISK, old_size=None, size=8192),
            "~ /backstores/fileio/disk01 size: as it is -> 8192 bytes",
        ),
        (
            SetBackstoreAttributes(key=DISK, old={"emulate_caw": 0}, attributes={}),
            "~ /backstores/fileio/disk01 attribute emulate_caw: 0 -> 1",
        ),
        (
            SetAluaGroups(
                key=DISK, groups=(AluaGroup(name="a", alua_group_id=1), AluaGroup(name="b", alua_group_id=2))
            ),
            "~ /backstores/fileio/disk01 ALUA groups: a, b",
        ),
        (SetAluaGroups(key=DISK, groups=()), "~ /backstores/fileio/disk01 ALUA groups: none of its own"),
        (CreateTarget(name=ONE), f"+ /iscsi/{ONE}"),
        (DeleteTarget(name=ONE), f"- /iscsi/{ONE}"),
        (
            SetDiscoveryAuthentication(
                old=DiscoveryAuthentication(), discovery=DiscoveryAuthentication(enable=True, chap=Chap(userid="scout"))
            ),
            "~ /iscsi discovery authentication on: userid: '' -> 'scout'",
        ),
        (
            SetDiscoveryAuthentication(
                old=DiscoveryAuthentication(enable=True), discovery=DiscoveryAuthentication(enable=False)
            ),
            "~ /iscsi discovery authentication off: as before",
        ),
    ],
)
def test_how_a_change_reads(change: Change, line: str) -> None:
    """What an operator sees before saying yes."""
    assert str(change) == line


def test_settings_are_told_with_their_defaults() -> None:
    """A value that only becomes explicit has not changed."""
    caw = BACKSTORE_ATTRIBUTES["emulate_caw"].default
    assert settings_text(BACKSTORE_ATTRIBUTES, {}, {"emulate_caw": caw}) == ""
    assert settings_text(BACKSTORE_ATTRIBUTES, {"emulate_caw": 0}, {}) == f"emulate_caw: 0 -> {caw}"


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (Chap(password="one of twelve"), Chap(password="two of twelve"), "password changed"),
        (Chap(password="one of twelve"), Chap(), "password cleared"),
        (Chap(), Chap(mutual_password="one of twelve"), "mutual_password changed"),
        (
            Chap(userid="a", mutual_userid="b"),
            Chap(userid="c", mutual_userid=""),
            "userid: 'a' -> 'c', mutual_userid: 'b' -> ''",
        ),
        (Chap(userid="a", password="one of twelve"), Chap(userid="a", password="one of twelve"), "as before"),
    ],
)
def test_of_a_secret_only_its_change_is_told(old: Chap, new: Chap, text: str) -> None:
    """Names are shown, secrets are not."""
    assert chap_text(old, new) == text


def test_what_is_kept_for_other_commands() -> None:
    """Accounts and options: what comes, goes and changes is told, and no secret."""
    old, new = (Account("a", "one"), Account("b", "two")), (Account("b", "three"), Account("c", "four"))
    change = SetAccounts(old=old, accounts=new)
    assert change.apply(BEFORE).accounts == new
    assert str(change) == "~ /iscsi accounts: +'c', -'a', 'b' password changed"
    everywhere = SetOptions(target=None, old={"x": 1}, options={"x": 2, "y": "z"})
    assert everywhere.apply(BEFORE).options == {"x": 2, "y": "z"}
    assert str(everywhere) == "~ /iscsi option x: 1 -> 2, y: unset -> z"
    of_lines = SetOptions(target=None, old={"x": "a {\n\tb\n}\n"}, options={"x": " c  d"})
    assert str(of_lines) == "~ /iscsi option x: a { b } ->  c  d"
    of_one = SetOptions(target=ONE, old={}, options={"x": 2})
    assert of_one.apply(BEFORE).targets[ONE].options == {"x": 2}
    assert str(of_one) == f"~ /iscsi/{ONE} option x: unset -> 2"


def test_further_users_are_told_of() -> None:
    """Without their secrets."""
    old, new = Chap(userid="a", password="one"), Chap(userid="a", password="one", others=(Account("b", "two"),))
    assert chap_text(old, new) == "other users: +'b'"
