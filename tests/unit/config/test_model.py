import pytest

from isthmus.config.model import (
    AluaGroup,
    Backstore,
    BackstoreKey,
    Chap,
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
        (lambda: Backstore(key=DISK, unit_serial="1", attributes={"block_size": 1024}), "neither 512 nor 4096"),
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
