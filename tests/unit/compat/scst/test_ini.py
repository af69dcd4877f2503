import pytest

from isthmus.compat.importer import ImportSyntaxError
from isthmus.config.model import Backstore, BackstoreKey, Chap, Lun, MappedLun, NodeAcl
from isthmus.names import IscsiName
from tests.support.scst import FILE, imported, only_group

HEAD = "[Target iqn.2026-01.org.example:t]\n"
A = BackstoreKey("fileio", "a.img")
WHOLE = (
    "[DEFAULT]\nMaxConnections 4\nDataDigest None\n\n"
    + HEAD
    + "[LUN 0]\n path=/srv/a.img\n type=fileio\n[Initiator iqn.2026-01.org.example:db]\n"
    " CHAP Username db_server\n CHAP Password db_secret\n"
)


def test_the_whole_of_it() -> None:
    """Settings for every target, LUNs, and the initiators that alone get in, each with its CHAP."""
    found = imported(WHOLE)
    group = only_group(found)
    assert found.findings == ()
    assert found.configuration.backstores == {A: Backstore(key=A, path="/srv/a.img", unit_serial="serial-of-a.img")}
    assert group.parameters["MaxConnections"] == 4
    assert group.luns == (Lun(number=0, backstore=A),)
    assert group.node_acls == (
        NodeAcl(
            name=IscsiName("iqn.2026-01.org.example:db"),
            mapped_luns=(MappedLun(number=0, tpg_lun=0),),
            chap=Chap(userid="db_server", password="db_secret"),
        ),
    )
    assert (group.enable, group.attributes) == (True, {"authentication": 1, "default_cmdsn_depth": 32})


def test_without_initiators_everybody_gets_in() -> None:
    """With the CHAP of the target, if it has some."""
    group = only_group(imported(f"{HEAD}CHAP Username joe\nCHAP Password x\n[LUN 0]\ntype=nullio\nread_only=1\n"))
    assert group.attributes["generate_node_acls"] == group.attributes["authentication"] == 1
    assert group.chap == Chap(userid="joe", password="x")


def test_backstores_are_named_after_their_files() -> None:
    """One for each path; another file of the same name gets a number, and signs that cannot be go."""
    found = imported(
        HEAD + "".join(f"[LUN {n}]\npath={path}\n" for n, path in enumerate(["/a/x", "/b/x", "/a/x", "/c/y z"]))
    )
    assert [lun.backstore.name for lun in only_group(found).luns] == ["x", "x_2", "x", "y_z"]


def test_an_initiator_without_chap_is_told_when_others_have_some() -> None:
    """The target asks all of them."""
    found = imported(f"{WHOLE}[Initiator iqn.2026-01.org.example:i]\n")
    assert str(found.findings[0]).endswith("has no CHAP, but others have: it cannot log in")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[Target x]\n[LUN 0]\npath=/a", "1: [Target] 'x': 'x' is not an iSCSI name"),
        (HEAD + "Colour red", "2: the setting 'colour': there is no such setting here; it is left out"),
        (HEAD + "MaxConnections 9", "2: MaxConnections 9: MaxConnections of a target portal group cannot be '9'"),
        (HEAD + "[LUN 0]\npath=/a\ntype=tape", "2: [LUN 0] is of type tape: there is none; it is left out"),
        (HEAD + "[LUN 0]\npath=/a\nbs=1", "4: the setting 'bs' of [LUN 0]: there is no such setting here"),
        (HEAD + "[Initiator x]", "2: [Initiator] 'x': 'x' is not an iSCSI name"),
        (HEAD + "[Initiator iqn.2026-01.org.example:i]\nx=1", "3: the setting 'x' of [Initiator"),
    ],
)
def test_what_cannot_be_done_is_told(text: str, told: str) -> None:
    """With its line."""
    assert str(imported(text).findings[0]).startswith(f"{FILE}:{told}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[LUN 0]", r"1:1: this \[lun\] belongs to no target"),
        ("[HANDLER vdisk]", "1:1: this is scst.conf of SCST 1: have scstadmin"),
        ("[x]", r"1:1: there is no section \[x\]"),
        (HEAD + HEAD, "2:1: the target iqn.2026-01.org.example:t is there twice"),
        (HEAD + "[LUN 0]\npath=a", r"2:1: \[LUN 0\] has no path that is absolute"),
        (HEAD + "[LUN x]\npath=/a", "2:1: it is not a number"),
        (HEAD + "[LUN 20000]\npath=/a", "2:1: 20000 cannot be a LUN"),
        (HEAD + "[LUN 0]\npath=/a\n" * 2, r"2:1: \[LUN 0\] is there twice"),
        (HEAD + "[LUN 0]\npath=/a\nblocksize=1000", "2:1: block_size of"),
        (HEAD + "[Initiator iqn.2026-01.org.example:i]\n" * 2, "3:1: .* is there twice in one target"),
        (HEAD + "CHAP Username x", "1:1: CHAP is a Username and a Password"),
    ],
)
def test_nonsense_is_an_error_with_its_place(text: str, problem: str) -> None:
    """Of what makes no configuration."""
    with pytest.raises(ImportSyntaxError, match=f"^{FILE}:{problem}"):
        imported(text)
