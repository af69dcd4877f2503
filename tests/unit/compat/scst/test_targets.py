import pytest

from isthmus.compat.importer import ImportSyntaxError
from isthmus.config.model import BackstoreKey, Chap, InitiatorGroup, Lun, MappedLun, Portal
from tests.support.scst import FILE, imported, only_group, surroundings

NAME = "iqn.2026-01.org.example:t"
DEVICES = "HANDLER vdisk_nullio {\nDEVICE a\nDEVICE b\nDEVICE no {\ndummy 1\n}\n}\n"
A, B = BackstoreKey("null", "a"), BackstoreKey("null", "b")


def file(target: str, driver: str = "enabled 1") -> str:
    """A file with a target, whose section begins at line 9."""
    return f"{DEVICES}TARGET_DRIVER iscsi {{ \nTARGET {NAME} {{\n{target}\n}}\n{driver}\n}}\n"


@pytest.mark.parametrize(
    ("driver", "target", "enabled"),
    [
        ("enabled 1", "enabled 1", True),
        ("", "enabled 1", False),
        ("enabled 1", "", False),
        ("enabled 0", "enabled 1", False),
    ],
)
def test_driver_and_target_must_both_be_enabled(driver: str, target: str, enabled: bool) -> None:
    """As with SCST, neither is by itself."""
    assert only_group(imported(file(target, driver))).enable is enabled


def test_an_account_closes_the_target() -> None:
    """Without one nobody is asked."""
    group = only_group(imported(file('IncomingUser "joe 12charsecret"\nOutgoingUser "t secret12char"')))
    assert group.attributes["authentication"] == 1
    assert group.chap == Chap(userid="joe", password="12charsecret", mutual_userid="t", mutual_password="secret12char")
    assert only_group(imported(file(""))).attributes.get("authentication", 0) == 0


def test_accounts_of_the_driver_are_for_discovery() -> None:
    """With them, it is asked for CHAP."""
    found = imported(file("", 'IncomingUser "joe 12charsecret"')).configuration.discovery
    assert (found.enable, found.chap) == (True, Chap(userid="joe", password="12charsecret"))


def test_luns_and_groups() -> None:
    """The target's own are for everybody else; read_only is of one LUN."""
    group = only_group(
        imported(
            file(
                "LUN 0 a\nGROUP db {\nLUN 0 a {\nread_only 1\n}\n"
                "INITIATOR iqn.2026-01.org.example:db*\nINITIATOR !iqn.*\nINITIATOR !iqn.*\n}"
            )
        )
    )
    assert group.luns == (Lun(number=0, backstore=A),)
    assert group.initiator_groups == (
        InitiatorGroup(
            name="db",
            initiators=("iqn.2026-01.org.example:db*", "!iqn.*"),
            mapped_luns=(MappedLun(number=0, tpg_lun=0, write_protect=True),),
        ),
    )
    assert group.attributes["generate_node_acls"] == 1


def test_the_lun_of_a_device_that_is_left_out_is_left_out() -> None:
    """And told, where it stands."""
    found = imported(file("LUN 0 a\nLUN 1 no"))
    assert [lun.number for lun in only_group(found).luns] == [0]
    assert str(found.findings[-1]) == f"{FILE}:11: LUN 1 is the device no, which is left out: there is no such LUN"


def test_a_group_without_luns_shuts_its_initiators_out() -> None:
    """A group without initiators shuts out nobody."""
    for section, shut in (("GROUP out {\nINITIATOR iqn.x\n}", 1), ("GROUP empty {\n}", None)):
        found = imported(file(section))
        assert only_group(found).attributes.get("login_needs_luns") == shut
        assert len(found.findings) == 1


def test_allowed_portals_are_portals() -> None:
    """Addresses as they are, patterns as this machine's addresses; an address that comes later is not one of them."""
    assert only_group(imported(file("allowed_portal 192.0.2.1"))).portals == (Portal("192.0.2.1"),)
    machine = surroundings(
        texts={"/proc/net/fib_trie": "|-- 10.1.1.1\n /32 host LOCAL\n|-- 10.2.1.1\n /32 host LOCAL\n"}
    )
    found = imported(file("enabled 1\nallowed_portal 10.1.*"), machine)
    assert only_group(found).portals == (Portal("10.1.1.1"),)
    assert str(found.findings[-1]).endswith(
        "is a pattern: it stands for the addresses that this machine has now: 10.1.1.1"
    )


def test_a_target_at_no_portal_is_disabled() -> None:
    """To have it at every portal would open it."""
    found = imported(file("enabled 1\nallowed_portal !*"))
    assert not only_group(found).enable
    assert str(found.findings[-1]).endswith("none, so it is disabled")


def test_a_name_that_cannot_be_is_told() -> None:
    """SCST takes any name; initiators do not."""
    found = imported("TARGET_DRIVER iscsi {\nTARGET my_target {\n}\n}")
    assert found.configuration.targets == {}
    assert str(found.findings[0]).startswith(f"{FILE}:2: TARGET my_target: 'my_target' is not an iSCSI name")


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("LUN x a", r":10:5: 'x' is not the number of a LUN"),
        ("LUN 16384 a", r":10:5: '16384' is not the number of a LUN"),
        ("LUN 0", r":10:1: LUN does not say its device"),
        ("LUN 0 c", r":10:7: there is no device 'c'"),
        ("LUN 0 a\nLUN 0 b", r":11:1: LUN 0 is there twice"),
        ("LUN 0 a {\nread_only yes\n}", r":11:1: read_only yes of LUN 0: it is neither 0 nor 1"),
        ("GROUP g {\n}\nGROUP g {\n}", r":12:7: the group g is there twice"),
        ("GROUP a/b {\n}", r":10:7: 'a/b' cannot name an initiator group"),
        ('GROUP g {\nINITIATOR "a b"\n}', r":11:11: 'a b' is not a pattern"),
        ("allowed_portal host", r":10:1: 'host' is not an IP address"),
        (f"rel_tgt_id 5\n}}\nTARGET {NAME}2 {{\nrel_tgt_id 5", r":12:1: TARGET iqn\S+ has the rel_tgt_id of another"),
        (f"}}\nTARGET {NAME} {{", r":11:8: the target iqn\S+ is there twice"),
    ],
)
def test_nonsense_is_an_error_with_its_place(target: str, problem: str) -> None:
    """What SCST would refuse, too."""
    with pytest.raises(ImportSyntaxError, match=f"^{FILE}{problem}"):
        imported(file(target))
