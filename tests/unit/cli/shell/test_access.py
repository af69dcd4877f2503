import dataclasses
from pathlib import Path

import pytest

from isthmus.config.model import Portal
from isthmus.management.target_edits import edit_group
from isthmus.management.views import PortalView
from isthmus.names import IscsiName
from tests.support.typed_target import NAME, TPG, acl, group, with_a_target
from tests.support.typist import Typist

DB = IscsiName("iqn.2026-05.com.example:db")


@pytest.fixture
def typist(typist: Typist) -> Typist:
    """A shell on a daemon with a target and two memory disks, one of them LUN 0."""
    return with_a_target(typist)


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


def test_completion(typist: Typist) -> None:
    """LUNs and storage objects from their first letters."""
    root = typist.shell._root
    assert root.get_node(f"{TPG}/luns").ui_complete_delete({}, "l", "lun") == ["lun0 "]
    assert root.get_node(f"{TPG}/luns").ui_complete_create({}, "/backstores/ramdisk/r1", "storage_object") == [
        "/backstores/ramdisk/r1 "
    ]


def test_a_lun_is_in_an_alua_group(typist: Typist) -> None:
    """By its own parameter; one that there is not is refused."""
    typist.types("/backstores/ramdisk/r0/alua create second 7")
    lun = f"{TPG}/luns/lun0"
    assert "is now 'second'" in typist.types(f"{lun} set alua alua_tg_pt_gp_name=second")
    assert group(typist).luns[0].alua_group == "second"
    assert "alua_tg_pt_gp_name=second" in typist.types(f"{lun} get alua alua_tg_pt_gp_name")
    assert "ramdisk/r0 (second)" in typist.types(f"{lun} status")
    assert "alua_tg_pt_gp_name: second" in typist.types(f"{lun} info")
    assert "it has default_tg_pt_gp" in typist.fails(f"{lun} set alua alua_tg_pt_gp_name=third")


def test_a_portal_that_does_not_listen_says_so(typist: Typist) -> None:
    """With the reason."""
    typist.types(f"{TPG}/portals create 192.0.2.1")
    view = PortalView(target_name=NAME, target_portal_group_tag=1, portal="192.0.2.1:3260", listening=True)
    typist.daemon.known_portals = (view,)
    assert "OK" in typist.types(f"{TPG}/portals/192.0.2.1:3260 status")
    typist.daemon.known_portals = (dataclasses.replace(view, listening=False, problem="no such address"),)
    assert "does not listen: no such address" in typist.types(f"{TPG}/portals/192.0.2.1:3260 status")


def test_a_portal_is_plain_tcp(typist: Typist) -> None:
    """ISER and offload can be turned off, as they are, and what a file of LIO said of them is forgotten."""
    portal = Portal("192.0.2.1", iser=True, offload=True)
    typist.types(f"{TPG}/portals create 192.0.2.1")
    typist.daemon.running = edit_group(
        typist.daemon.running, NAME, 1, lambda group: dataclasses.replace(group, portals=(portal,))
    )
    typist.daemon.revision += 1
    assert "iSER enable now: False" in typist.types(f"refresh\n{TPG}/portals/192.0.2.1:3260 enable_iser false")
    assert group(typist).portals == (Portal("192.0.2.1", offload=True),)
    assert "there is no offload here" in typist.fails(f"{TPG}/portals/192.0.2.1:3260 enable_offload true")
    typist.types(f"{TPG}/portals/192.0.2.1:3260 enable_offload false")
    assert "iser: False" in typist.types(f"{TPG}/portals/192.0.2.1:3260 info")
    assert group(typist).portals == (Portal("192.0.2.1"),)


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
    ],
)
def test_what_cannot_be_is_said_in_one_line(typist: Typist, line: str, complaint: str) -> None:
    """And nothing is changed."""
    assert complaint in typist.fails(line)
