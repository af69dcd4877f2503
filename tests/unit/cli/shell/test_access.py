from pathlib import Path

import pytest

from isthmus.config.model import NodeAcl, PortalGroup
from isthmus.management.target_edits import group_of
from isthmus.names import IscsiName
from tests.support.typist import Typist

NAME = IscsiName("iqn.2026-05.com.example:a")
TPG = f"/iscsi/{NAME}/tpg1"
DB = IscsiName("iqn.2026-05.com.example:db")
ACL = f"{TPG}/acls/{DB}"


@pytest.fixture
def typist(typist: Typist) -> Typist:
    """A shell on a daemon with a target and two memory disks, one of them LUN 0."""
    typist.types(
        f"iscsi/ create {NAME}\n/backstores/ramdisk create r0 1M\n/backstores/ramdisk create r1 1M\n"
        f"{TPG}/luns create /backstores/ramdisk/r0\n"
    )
    return typist


def group(typist: Typist) -> PortalGroup:
    """The portal group of the daemon's configuration."""
    return group_of(typist.daemon.running, NAME, 1)


def acl(typist: Typist) -> NodeAcl:
    """Its one node ACL."""
    (only,) = group(typist).node_acls
    return only


def test_portals(typist: Typist) -> None:
    """The default gives way; any spelling deletes."""
    said = typist.types(f"{TPG}/portals create 192.0.2.1\n{TPG}/portals create 2001:db8::1 3261")
    assert "Using default IP port 3260" in said
    assert [str(portal) for portal in group(typist).portals] == ["192.0.2.1:3260", "[2001:db8::1]:3261"]
    node = typist.shell._root.get_node(f"{TPG}/portals")
    assert node.ui_complete_delete({}, "192", "ip_address") == ["192.0.2.1 "]
    assert node.ui_complete_delete({"ip_address": "2001:db8::1"}, "", "ip_port") == ["3261 "]
    typist.types(f"{TPG}/portals delete [2001:db8::1] 3261")
    assert "Portals: 1" in typist.types(f"{TPG}/portals status")


def test_a_bracketed_portal_is_a_place(typist: Typist) -> None:
    """IPv6 portals can be named from scripts (configshell-fb#34)."""
    typist.types(f"{TPG}/portals create 2001:db8::1 3261")
    assert "OK" in typist.types(f"{TPG}/portals/[2001:db8::1]:3261 status")


def test_luns_are_numbered_and_mapped(typist: Typist) -> None:
    """A new LUN is mapped for who is there, unless it is asked not to."""
    typist.types(f"{TPG}/acls create {DB}")
    said = typist.types(f"{TPG}/luns create /backstores/ramdisk/r1 lun7")
    assert f"Created LUN 7->7 mapping in node ACL {DB}" in said
    assert [mapped.number for mapped in acl(typist).mapped_luns] == [0, 7]
    typist.types(f"{TPG}/luns delete lun7")
    typist.types(f"{TPG}/luns create /backstores/ramdisk/r1 7 false")
    assert [mapped.number for mapped in acl(typist).mapped_luns] == [0]
    assert "ramdisk/r1 (default_tg_pt_gp)" in typist.types(f"{TPG}/luns ls")


def test_a_file_becomes_a_storage_object_first(typist: Typist, tmp_path: Path) -> None:
    """As with targetcli, a path will do; a second time it is the same object."""
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(4096))
    assert "Created storage object" in typist.types(f"{TPG}/luns create {image}")
    assert "Created storage object" not in typist.types(f"/iscsi/{NAME} create\n/iscsi/{NAME}/tpg2/luns create {image}")


def test_mapped_luns_have_their_own_number_and_mode(typist: Typist) -> None:
    """By LUN or by storage object, which becomes a LUN first."""
    typist.types(f"{TPG}/acls create {DB} add_mapped_luns=false")
    typist.types(f"{ACL} create 5 0 write_protect=true")
    assert "Created LUN 1." in typist.types(f"{ACL} create 6 /backstores/ramdisk/r1")
    assert [(m.number, m.tpg_lun, m.write_protect) for m in acl(typist).mapped_luns] == [(5, 0, True), (6, 1, False)]
    shown = typist.types(f"{ACL} ls")
    assert "lun0 ramdisk/r0 (ro)" in shown
    assert "lun1 ramdisk/r1 (rw)" in shown
    typist.types(f"{ACL} delete mapped_lun5")
    assert [mapped.number for mapped in acl(typist).mapped_luns] == [6]


def test_acls_have_credentials_attributes_and_a_tag(typist: Typist) -> None:
    """The secret never shows; the tag names the ACL as well."""
    typist.types(f"{TPG} set attribute authentication=1\n{TPG}/acls create {DB}")
    said = typist.types(f"{ACL} set auth userid=db password=geheimgeheim1\n{ACL} get auth\n{ACL} info")
    assert "geheim" not in said
    assert "1-way auth, Mapped LUNs: 1" in typist.types(f"{ACL} status")
    typist.types(f"{ACL} set attribute nopin_timeout=5\n{TPG}/acls tag {DB} databases")
    assert (acl(typist).attributes, acl(typist).tag) == ({"nopin_timeout": 5}, "databases")
    typist.types(f"{TPG}/acls untag databases")
    assert acl(typist).tag == ""
    typist.types(f"{TPG}/acls delete {DB}")
    assert group(typist).node_acls == ()


def test_completion(typist: Typist) -> None:
    """LUNs and initiators from their first letters."""
    typist.types(f"{TPG}/acls create {DB}")
    root = typist.shell._root
    assert root.get_node(f"{TPG}/luns").ui_complete_delete({}, "l", "lun") == ["lun0 "]
    assert root.get_node(f"{TPG}/acls").ui_complete_delete({}, "iqn", "wwn") == [f"{DB} "]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (f"{TPG}/portals create localhost", "is not an IP address"),
        (f"{TPG}/portals create 192.0.2.1 http", "is not a number"),
        (f"{TPG}/portals delete 192.0.2.9 3260", "has no portal"),
        (f"{TPG}/luns create /backstores/ramdisk/none", "there is no /backstores/ramdisk/none"),
        (f"{TPG}/luns create /nowhere/at/all", "storage object or path not valid"),
        (f"{TPG}/luns create /backstores/ramdisk/r0", "is LUN 0 of tpg1 already"),
        (f"{TPG}/luns create /backstores/ramdisk/r1 lun0", "LUN 0 is taken"),
        (f"{TPG}/luns delete 9", "has no lun9"),
        (f"{TPG}/acls create nonsense", "is not an iSCSI name"),
        (f"{TPG}/acls delete {DB}", "has no node ACL"),
        (f"{TPG}/acls tag {DB} a.b", "'.' not permitted"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(typist: Typist, line: str, complaint: str) -> None:
    """And nothing is changed."""
    assert complaint in typist.fails(line)
