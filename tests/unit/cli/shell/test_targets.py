import re

import pytest

from isthmus.cli.shell.targets import generated_name
from isthmus.config.model import PortalGroup
from isthmus.management.target_edits import group_of
from isthmus.names import IscsiName
from tests.support.typist import Typist

NAME = IscsiName("iqn.2026-05.com.example:a")
TPG = f"/iscsi/{NAME}/tpg1"


@pytest.fixture
def typist(typist: Typist) -> Typist:
    """A shell on a daemon with one target."""
    typist.types(f"iscsi/ create {NAME}")
    return typist


def group(typist: Typist, tag: int = 1) -> PortalGroup:
    """A portal group of the daemon's configuration."""
    return group_of(typist.daemon.running, NAME, tag)


def test_a_name_is_made_up_if_none_is_given(typist: Typist) -> None:
    """In LIO's form, a new one each time."""
    assert re.fullmatch(r"iqn\.2003-01\.org\.linux-iscsi\.[a-z0-9-]+\.[a-z0-9]+:sn\.[0-9a-f]{12}", generated_name())
    typist.types("iscsi/ create\niscsi/ create")
    assert len(typist.daemon.running.targets) == 3


def test_portal_groups_come_and_go(typist: Typist) -> None:
    """With a tag or without; only the first gets the default portal."""
    said = typist.types(f"/iscsi/{NAME} create\n/iscsi/{NAME} create tpg5")
    assert "Created TPG 2." in said
    assert "Created TPG 5." in said
    assert (group(typist, 2).portals, group(typist, 5).portals) == ((), ())
    typist.types(f"/iscsi/{NAME} delete tpg2")
    assert "TPGs: 2" in typist.types(f"/iscsi/{NAME} status")


def test_parameters_attributes_and_credentials(typist: Typist) -> None:
    """Each group sets its own; a secret is taken and never shown again."""
    typist.types(f"{TPG} set parameter MaxConnections=4 HeaderDigest=CRC32C")
    typist.types(f"{TPG} set attribute authentication=1 generate_node_acls=1")
    said = typist.types(f"{TPG} set auth userid=db password=geheimgeheim1")
    assert "geheim" not in said
    assert group(typist).chap.password == "geheimgeheim1"
    assert "geheim" not in typist.types(f"{TPG} get auth\nls\n{TPG} status")
    assert "tpg-auth, 1-way auth" in typist.types(f"{TPG} status")
    assert dict(group(typist).parameters) == {"MaxConnections": 4, "HeaderDigest": "CRC32C"}


def test_enable_and_disable(typist: Typist) -> None:
    """Each can be repeated."""
    assert "has been disabled" in typist.types(f"{TPG} disable")
    assert "already disabled" in typist.types(f"{TPG} disable")
    assert "disabled" in typist.types(f"{TPG} status")
    assert "has been enabled" in typist.types(f"{TPG} enable")
    assert "already enabled" in typist.types(f"{TPG} enable")


def test_discovery_authentication(typist: Typist) -> None:
    """Its own group at the fabric."""
    typist.types("/iscsi set discovery_auth userid=anyone password=discoverdiscover enable=true")
    discovery = typist.daemon.running.discovery
    assert (discovery.enable, discovery.chap.userid) == (True, "anyone")
    assert "1-way disc auth" in typist.types("/iscsi status")
    assert "enable=true" in typist.types("/iscsi get discovery_auth enable")


def test_the_default_portal_is_a_preference(typist: Typist) -> None:
    """Off, a target is made without one."""
    typist.types("set global auto_add_default_portal=false\niscsi/ create iqn.2026-05.com.example:b")
    assert group_of(typist.daemon.running, IscsiName("iqn.2026-05.com.example:b"), 1).portals == ()


def test_the_place_survives_a_change_and_moves_up_when_it_is_gone(typist: Typist) -> None:
    """One stays where one is; a deleted place gives way to the one above."""
    typist.types(f"cd {TPG}\nset attribute authentication=1")
    assert typist.shell._current_node.path == TPG
    typist.types(f"/iscsi delete {NAME}")
    assert typist.shell._current_node.path == "/iscsi"


def test_completion_and_info(typist: Typist) -> None:
    """A target from its first letters; what the fabric is."""
    assert typist.shell._root.get_node("/iscsi").ui_complete_delete({}, "iqn.2026", "wwn") == [f"{NAME} "]
    assert "iqn, naa, eui" in typist.types("/iscsi info")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (f"iscsi/ create {NAME}", "already"),
        ("iscsi/ create iqn.nonsense", "is not an iSCSI name"),
        ("iscsi/ delete iqn.2026-05.com.example:none", "there is no target"),
        (f"/iscsi/{NAME} create 1", "has a tpg1 already"),
        (f"/iscsi/{NAME} create first", "is not a number"),
        (f"/iscsi/{NAME} delete 9", "has no tpg9"),
        (f"{TPG} set attribute login_timeout=99", "not from 5 to 30"),
        (f"{TPG} set attribute invented=1", "Unknown parameter"),
        (f"{TPG} set parameter ErrorRecoveryLevel=2", "read-only"),
        (f"{TPG} set parameter HeaderDigest=MD5", "not one of"),
        ("/iscsi set discovery_auth enable=perhaps", "is not true|false"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(typist: Typist, line: str, complaint: str) -> None:
    """And nothing is changed."""
    assert complaint in typist.fails(line)


def test_new_portal_groups_are_enabled_by_preference(typist: Typist) -> None:
    """Off, nobody gets in before the operator says so."""
    typist.types(f"set global auto_enable_tpgt=false\n/iscsi/{NAME} create 2\niscsi/ create iqn.2026-05.com.example:b")
    assert not group(typist, 2).enable
    assert not group_of(typist.daemon.running, IscsiName("iqn.2026-05.com.example:b"), 1).enable


def test_info_and_version(typist: Typist) -> None:
    """What targetcli tells of each place."""
    assert f"fabric: iscsi\nwwn: {NAME}" in typist.types(f"/iscsi/{NAME} info")
    said = typist.types(f"{TPG} set auth userid=db password=geheimgeheim1\n{TPG} info\n/iscsi version")
    assert "chap_userid: db" in said
    assert "geheim" not in said
    assert "Target fabric module iscsi" in said
    assert typist.shell._root.get_node(f"/iscsi/{NAME}").ui_complete_delete({}, "", "tag") == ["1 "]
