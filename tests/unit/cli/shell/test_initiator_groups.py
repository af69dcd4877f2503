import pytest

from isthmus.config.model import InitiatorGroup
from isthmus.management.target_edits import group_of
from isthmus.names import IscsiName
from tests.support.typist import Typist

NAME = IscsiName("iqn.2026-05.com.example:a")
GROUPS = f"/iscsi/{NAME}/tpg1/initiator_groups"


@pytest.fixture
def typist(typist: Typist) -> Typist:
    """A shell on a daemon with a target and one LUN."""
    typist.types(
        f"iscsi/ create {NAME}\n/backstores/ramdisk create r0 1M\n"
        f"/iscsi/{NAME}/tpg1/luns create /backstores/ramdisk/r0\n"
    )
    return typist


def groups(typist: Typist) -> tuple[InitiatorGroup, ...]:
    """The initiator groups of the daemon's configuration."""
    return group_of(typist.daemon.running, NAME, 1).initiator_groups


def test_a_group_from_its_birth_to_its_end(typist: Typist) -> None:
    """Patterns, mapped LUNs and attributes, and where they show."""
    said = typist.types(f"{GROUPS} create web iqn.2026-05.com.example:web*,!iqn.2026-05.com.example:web?test")
    assert "Created initiator group web." in said
    typist.types(f"{GROUPS}/web create 3 lun0 write_protect=true\n{GROUPS}/web set attribute max_sessions=2")
    (web,) = groups(typist)
    assert web.initiators == ("iqn.2026-05.com.example:web*", "!iqn.2026-05.com.example:web?test")
    assert [(lun.number, lun.tpg_lun, lun.write_protect) for lun in web.mapped_luns] == [(3, 0, True)]
    assert web.attributes == {"max_sessions": 2}
    shown = typist.types(f"{GROUPS} ls")
    assert "Initiator Groups: 1" in shown
    assert "lun0 (ro)" in shown
    assert "max_sessions=2" in typist.types(f"{GROUPS}/web get attribute max_sessions")
    typist.types(f"{GROUPS}/web delete mapped_lun3\n{GROUPS} delete web")
    assert groups(typist) == ()


def test_patterns_come_go_and_move(typist: Typist) -> None:
    """To another group in one step."""
    typist.types(f"{GROUPS} create web iqn.a*\n{GROUPS} create db\n{GROUPS}/web add iqn.b*,iqn.c*")
    typist.types(f"{GROUPS}/web remove iqn.a*\n{GROUPS}/web move iqn.c* db")
    assert [group.initiators for group in groups(typist)] == [("iqn.b*",), ("iqn.c*",)]


def test_an_attribute_of_the_portal_group_is_cleared(typist: Typist) -> None:
    """By setting it to nothing."""
    group = GROUPS.removesuffix("/initiator_groups")
    for value in ("192.0.2.0/24,2001:db8::/32,ALL", ""):
        typist.types(f"{group} set attribute allowed_addresses={value}")
        attributes = group_of(typist.daemon.running, NAME, 1).attributes
        assert attributes.get("allowed_addresses", "") == value


def test_completion(typist: Typist) -> None:
    """Groups from their first letters."""
    typist.types(f"{GROUPS} create web")
    assert typist.shell._root.get_node(GROUPS).ui_complete_delete({}, "w", "name") == ["web "]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (f"{GROUPS} create a/b", "cannot name an initiator group"),
        (f"{GROUPS} create web", "has an initiator group 'web' already"),
        (f"{GROUPS} delete nobody", "has no initiator group 'nobody'"),
        (f"{GROUPS}/web add a!b", "is not a pattern of names"),
        (f"{GROUPS}/web remove iqn.z*", "has no pattern iqn.z*"),
        (f"{GROUPS}/web create 0 7", "maps LUN 7"),
        (f"{GROUPS}/web delete 0", "has no mapped_lun0"),
        (f"{GROUPS}/web set attribute max_sessions=many", "max_sessions"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(typist: Typist, line: str, complaint: str) -> None:
    """And nothing is changed."""
    typist.types(f"{GROUPS} create web")
    assert complaint in typist.fails(line)
    assert [group.name for group in groups(typist)] == ["web"]
