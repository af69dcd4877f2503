import pytest

from isthmus.config.access_lists import AllowedInitiators
from isthmus.config.model import (
    Account,
    AluaGroup,
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    InitiatorGroup,
    Lun,
    MappedLun,
    NodeAcl,
    Portal,
    PortalGroup,
    Target,
    secret_bytes,
)
from isthmus.config.setting_kinds import Value
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName

DISK = BackstoreKey("fileio", "disk01")
TARGET = IscsiName("iqn.2026-01.org.example:target")
INITIATOR = IscsiName("iqn.2026-01.org.example:initiator")


def test_a_backstore_key_is_the_path_that_the_shell_shows() -> None:
    """It reads and writes the same."""
    assert str(DISK) == "/backstores/fileio/disk01"
    assert BackstoreKey.parse("/backstores/fileio/disk01") == DISK


@pytest.mark.parametrize("path", ["/backstores/fileio", "/iscsi/x/y", "", "/backstores/fileio/a/b"])
def test_other_paths_are_no_backstores(path: str) -> None:
    """The error shows what a path looks like."""
    with pytest.raises(ConfigurationError, match="like /backstores/"):
        BackstoreKey.parse(path)


def test_settings_at_their_default_are_left_out() -> None:
    """So two configurations that mean the same are equal."""
    assert PortalGroup(tag=1, attributes={"authentication": "0"}) == PortalGroup(tag=1)
    assert PortalGroup(tag=1, attributes={"authentication": 1}) != PortalGroup(tag=1)


def test_a_portal_has_one_spelling() -> None:
    """Brackets and long IPv6 forms are the same portal."""
    assert Portal("[2001:DB8:0::1]") == Portal("2001:db8::1", 3260)
    assert str(Portal("::1", 3261)) == "[::1]:3261"


def test_initiator_groups_are_asked_in_the_order_that_they_have() -> None:
    """Unlike node ACLs, of which at most one is meant; patterns are kept as names are."""
    groups = (InitiatorGroup(name="z", initiators=("IQN.*",)), InitiatorGroup(name="a"))
    group = PortalGroup(tag=1, initiator_groups=groups)
    assert [known.name for known in group.initiator_groups] == ["z", "a"]
    assert group.initiator_groups[0].initiators == ("iqn.*",)


def test_whom_a_portal_group_allows() -> None:
    """Everybody, unless an attribute says otherwise."""
    assert PortalGroup(tag=1).allowed == AllowedInitiators()
    attributes = {"allowed_addresses": "192.0.2.7, ::1", "allowed_initiators": "!*:a", "allowed_match": "any"}
    assert PortalGroup(tag=1, attributes=attributes).allowed == AllowedInitiators(
        addresses=("192.0.2.7", "::1"), patterns=("!*:a",), any_will_do=True
    )


def test_secrets_do_not_show() -> None:
    """A repr, which may reach a log, has the names only."""
    chap = Chap(userid="user", password="geheimgeheim", mutual_userid="target", mutual_password="auchgeheim123")
    assert "geheim" not in repr(NodeAcl(name=INITIATOR, chap=chap))


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: BackstoreKey("fileio", "a/b"), "cannot name a backstore"),
        (lambda: Portal("localhost"), "is not an IP address"),
        (lambda: Portal("::1", 70000), "not a TCP port"),
        (lambda: Lun(number=16384, backstore=DISK), "cannot be a LUN"),
        (lambda: PortalGroup(tag=0), "cannot be the tag"),
        (lambda: AluaGroup(name="x", alua_group_id=70000), "cannot identify"),
        (lambda: Chap(password="x" * 256), "longer than 255 bytes"),
        (lambda: Backstore(key=DISK, unit_serial="1", attributes={"block_size": 1024}), "not one of 512, 2048, 4096"),
        (lambda: Backstore(key=DISK, unit_serial="x" * 253), "cannot be a serial number"),
        (lambda: Backstore(key=DISK, unit_serial="\udcff"), "cannot be a serial number"),
        (lambda: Backstore(key=DISK, unit_serial="1", size=-1), "cannot have that many bytes"),
        (lambda: Backstore(key=DISK, unit_serial="1", size=1 << 63), "cannot have that many bytes"),
        (lambda: Backstore(key=DISK, unit_serial="1", path="/a\0b"), "has a NUL in it"),
        (lambda: PortalGroup(tag=1, portals=(Portal("::1"), Portal("[::1]"))), "is there twice"),
        (lambda: PortalGroup(tag=1, luns=(Lun(number=1, backstore=DISK),) * 2), "LUN 1 is there twice"),
        (lambda: NodeAcl(name=INITIATOR, mapped_luns=(MappedLun(number=1, tpg_lun=0),) * 2), "is there twice"),
        (
            lambda: PortalGroup(
                tag=1, node_acls=(NodeAcl(name=INITIATOR, mapped_luns=(MappedLun(number=0, tpg_lun=5),)),)
            ),
            "maps LUN 5, which the portal group does not have",
        ),
        (lambda: Target(name=TARGET, portal_groups=(PortalGroup(tag=1), PortalGroup(tag=1))), "is there twice"),
        (
            lambda: Target(
                name=TARGET,
                portal_groups=tuple(PortalGroup(tag=tag, portals=(Portal("::1"),)) for tag in (1, 2)),
            ),
            r"portal \[::1\]:3260 is there twice",
        ),
        (lambda: InitiatorGroup(name="a b"), "cannot name an initiator group"),
        (lambda: InitiatorGroup(name="g", initiators=("a b",)), "initiator group g: 'a b' is not a pattern"),
        (lambda: InitiatorGroup(name="g", initiators=("*", "*")), "is there twice"),
        (lambda: InitiatorGroup(name="g", mapped_luns=(MappedLun(number=1, tpg_lun=0),) * 2), "is there twice"),
        (lambda: PortalGroup(tag=1, initiator_groups=(InitiatorGroup(name="g"),) * 2), "is there twice"),
        (
            lambda: PortalGroup(
                tag=1, initiator_groups=(InitiatorGroup(name="g", mapped_luns=(MappedLun(number=1, tpg_lun=3),)),)
            ),
            "g maps LUN 3, which the portal group does not have",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, complaint: str) -> None:  # type: ignore[no-untyped-def]
    """Each value refuses what is wrong in itself."""
    with pytest.raises(ConfigurationError, match=complaint):
        make()


def test_check_finds_a_lun_without_its_backstore() -> None:
    """Only the whole knows what backstores there are."""
    group = PortalGroup(tag=1, luns=(Lun(number=0, backstore=DISK),))
    configuration = Configuration(targets={TARGET: Target(name=TARGET, portal_groups=(group,))})
    with pytest.raises(ConfigurationError, match="which there is not"):
        configuration.check()


def test_check_finds_two_disks_of_one_serial_number() -> None:
    """Initiators would take them for one disk."""
    other = BackstoreKey("fileio", "disk02")
    stores = {key: Backstore(key=key, unit_serial="same") for key in (DISK, other)}
    with pytest.raises(ConfigurationError, match="serial number same is there twice"):
        Configuration(backstores=stores).check()


def test_check_finds_two_target_ports_of_one_number() -> None:
    """Disks know their ports, and who is registered there, by that alone; a number of ours (0) is no such number."""
    group = PortalGroup(tag=1, attributes={"relative_target_port_id": 7})
    other = Target(name=IscsiName(f"{TARGET}2"), portal_groups=(group,))
    with pytest.raises(ConfigurationError, match="relative target port identifier 7 is there twice"):
        Configuration(targets={TARGET: Target(name=TARGET, portal_groups=(group,)), other.name: other}).check()
    Configuration(targets={TARGET: Target(name=TARGET, portal_groups=(PortalGroup(tag=1),)), other.name: other}).check()


def test_a_user_is_there_once() -> None:
    """And has a name and a secret."""
    with pytest.raises(ConfigurationError, match="CHAP user alice is there twice"):
        Chap(userid="alice", password="one", others=(Account("alice", "two"),))
    with pytest.raises(ConfigurationError, match="lacks its name or its password"):
        Account("alice", "")
    assert Chap(userid="a", password="1", others=(Account("b", "2"),)).incoming == (
        Account("a", "1"),
        Account("b", "2"),
    )
    assert Chap(userid="a").incoming == ()


def test_half_a_character_is_no_secret() -> None:
    """A byte that is no UTF-8 is; one that never was a byte is not."""
    assert secret_bytes("\udcff") == b"\xff"
    with pytest.raises(ConfigurationError, match="half a character"):
        Chap(userid="a", password="\ud800")


def test_what_is_shared_with_a_valid_configuration_is_not_checked_again() -> None:
    """And what is not shared is."""
    key = BackstoreKey("ramdisk", "a")
    group = PortalGroup(tag=1, luns=(Lun(number=0, backstore=key),))
    name = IscsiName("iqn.2026-01.com.example:a")
    targets = {name: Target(name=name, portal_groups=(group,))}
    valid = Configuration(backstores={}, targets=targets)
    Configuration(backstores=valid.backstores, targets=targets).check(valid)
    with pytest.raises(ConfigurationError, match="which there is not"):
        Configuration(backstores={}, targets=targets).check(valid)
    with pytest.raises(ConfigurationError, match="which there is not"):
        Configuration(backstores=valid.backstores, targets={name: Target(name=name, portal_groups=(group,))}).check(
            valid
        )


def drive(kind: str = "fileio", **attributes: Value) -> Backstore:
    """A drive with a disc of 4096 bytes, as somebody says."""
    key = BackstoreKey(kind, "cd0")
    return Backstore(
        key=key, path="/srv/a.iso", size=4096, unit_serial="1", attributes={"device_type": "cd", **attributes}
    )


def test_a_drive() -> None:
    """It has blocks of 2048 bytes, no cache, and no size of its own."""
    store = drive()
    assert (store.is_drive, store.size, store.attribute("block_size")) == (True, None, 2048)
    assert store.attribute("emulate_write_cache") == 0
    assert drive(block_size=2048) == store


@pytest.mark.parametrize(
    ("kind", "attributes", "complaint"),
    [
        ("fileio", {"block_size": 512}, "have no 512 bytes"),
        ("fileio", {"encrypt": 1}, "cannot be encrypted"),
        ("ramdisk", {}, "cannot be a drive"),
        ("fileio", {"device_type": "disk", "block_size": 2048}, "have no 2048 bytes"),
    ],
)
def test_what_is_no_drive(kind: str, attributes: dict[str, Value], complaint: str) -> None:
    """A disk has other blocks; memory, and what is encrypted, is no disc."""
    with pytest.raises(ConfigurationError, match=complaint):
        drive(kind, **attributes)
