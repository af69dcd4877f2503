import re

import pytest

from isthmus.names import IscsiName
from tests.support.typed_target import TPG, acl, group, with_a_target
from tests.support.typist import Typist

DB = IscsiName("iqn.2026-05.com.example:db")
OTHER = IscsiName("iqn.2026-05.com.example:other")
ACL = f"{TPG}/acls/{DB}"


@pytest.fixture
def typist(typist: Typist) -> Typist:
    """A shell on a daemon with a target and two memory disks, one of them LUN 0."""
    return with_a_target(typist)


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
    assert f"databases .. [({DB}), 1-way auth" in re.sub(r"\.{3,}", "..", typist.types(f"{TPG}/acls ls"))
    assert (acl(typist).attributes, acl(typist).tag) == ({"nopin_timeout": 5}, "databases")
    typist.types(f"{TPG}/acls untag databases")
    assert acl(typist).tag == ""
    typist.types(f"{TPG}/acls delete {DB}")
    assert group(typist).node_acls == ()


def test_a_tag_stands_for_several_initiators(typist: Typist) -> None:
    """Who joins takes the settings; what is set by the tag is set for each; who leaves keeps all of it."""
    typist.types(f"{TPG}/acls create {DB} false\n{TPG}/acls create {OTHER} false\n{ACL} create 5 0")
    typist.types(f"{ACL} set attribute nopin_timeout=5\n{TPG}/acls tag {DB} hosts\n{TPG}/acls tag {OTHER} hosts")
    assert "(group of 2), Mapped LUNs: 1" in typist.types(f"{TPG}/acls/hosts status")
    typist.types(f"{TPG}/acls/hosts set auth userid=u password=geheimgeheim1\n{TPG}/acls/hosts create 6 0 1")
    typist.types(f"{TPG}/acls/hosts set attribute dataout_timeout=7\n{TPG}/acls/hosts delete 5")
    assert f"wwns:\n{DB}\n{OTHER}" in typist.types(f"{TPG}/acls/{OTHER} info")
    typist.types(f"{TPG}/acls untag hosts")
    for one in group(typist).node_acls:
        assert (one.tag, one.chap.password, [lun.number for lun in one.mapped_luns]) == ("", "geheimgeheim1", [6])
        assert one.attributes == {"nopin_timeout": 5, "dataout_timeout": 7}


def test_who_joins_gets_the_secret_unseen(typist: Typist) -> None:
    """The daemon gives it: the shell has never seen it. What is used goes by force only."""
    typist.types(f"{TPG}/acls create {DB} false\n{TPG}/acls create {OTHER}")
    typist.types(f"{ACL} set auth userid=u password=geheimgeheim1\n{TPG}/acls tag {DB} hosts")
    typist.daemon.holders = (OTHER,)
    assert f"in use by {OTHER}" in typist.fails(f"{TPG}/acls tag {OTHER} hosts")
    said = typist.types(f"{TPG}/acls tag {OTHER} hosts true\n{TPG}/acls/hosts get auth\n{TPG}/acls ls")
    assert "geheim" not in said
    assert "(group of 2)" in said
    assert [(one.chap.password, one.mapped_luns) for one in group(typist).node_acls] == [("geheimgeheim1", ())] * 2


def test_completion(typist: Typist) -> None:
    """Initiators, tags, and what can be mapped, from their first letters."""
    typist.types(f"{TPG}/acls create {DB}")
    root = typist.shell._root
    assert root.get_node(f"{TPG}/acls").ui_complete_delete({}, "iqn", "wwn") == [f"{DB} "]
    assert root.get_node(f"{TPG}/acls").ui_complete_tag({}, "iqn", "wwn_or_tag") == [f"{DB} "]
    assert root.get_node(ACL).ui_complete_create({}, "lun", "tpg_lun_or_backstore") == ["lun0 "]
    assert root.get_node(ACL).ui_complete_delete({}, "", "mapped_lun") == ["0 "]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (f"{TPG}/acls create nonsense", "is not an iSCSI name"),
        (f"{TPG}/acls delete {DB}", "has no node ACL"),
        (f"{TPG}/acls tag {DB} a.b", "'.' not permitted"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(typist: Typist, line: str, complaint: str) -> None:
    """And nothing is changed."""
    assert complaint in typist.fails(line)
