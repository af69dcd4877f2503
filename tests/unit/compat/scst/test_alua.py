import pytest

from isthmus.compat.importer import ImportSyntaxError
from isthmus.config.model import AluaGroup, BackstoreKey
from tests.support.scst import FILE, imported, only_group

NAME = "iqn.2026-01.org.example:t"
HEAD = (
    "HANDLER vdisk_nullio {\nDEVICE a\nDEVICE b {\nexpl_alua 1\n}\nDEVICE no {\ndummy 1\n}\n}\n"
    f"TARGET_DRIVER iscsi {{\nTARGET {NAME} {{\nLUN 0 a\nLUN 1 b\n}}\n}}\n"
)
"""15 lines."""


def groups(name: str, section: str) -> tuple[AluaGroup, ...]:
    """The groups of a device."""
    return imported(HEAD + section).configuration.backstores[BackstoreKey("null", name)].alua_groups


def test_target_groups_are_port_groups() -> None:
    """Implicit access only, unless the device says expl_alua."""
    section = "DEVICE_GROUP d {\nDEVICE a\nDEVICE b\nDEVICE no\nTARGET_GROUP g {\ngroup_id 7\nstate nonoptimized\npreferred 1\n}\n}"
    parameters = {"alua_access_state": 1, "preferred": 1, "alua_access_type": 1}
    assert groups("a", section) == (AluaGroup(name="g", alua_group_id=7, parameters=parameters),)
    assert groups("b", section) == (
        AluaGroup(name="g", alua_group_id=7, parameters={**parameters, "alua_access_type": 3}),
    )


def test_luns_are_in_the_group_of_their_target() -> None:
    """Those of the devices of the device group."""
    group = only_group(
        imported(f"{HEAD}DEVICE_GROUP d {{\nDEVICE a\nTARGET_GROUP g {{\ngroup_id 7\nTARGET {NAME}\n}}\n}}")
    )
    assert [lun.alua_group for lun in group.luns] == ["g", "default_tg_pt_gp"]


def test_ports_of_another_server_are_told() -> None:
    """By the rel_tgt_id that the file gives them; that of a target here is its own affair."""
    section = (
        "DEVICE_GROUP d {\nDEVICE a\nTARGET_GROUP g {\ngroup_id 7\n"
        f"TARGET {NAME} {{\nrel_tgt_id 5\n}}\nTARGET far {{\nrel_tgt_id 6\n}}\nTARGET farther {{\nrel_tgt_id 7\n}}\n}}\n}}"
    )
    assert groups("a", section) == (
        AluaGroup(name="g", alua_group_id=7, parameters={"alua_access_type": 1, "other_ports": "6,7"}),
    )


def test_a_group_without_a_number_gets_one() -> None:
    """SCST gives all of them 0, which stands for the ports in no group here."""
    section = "DEVICE_GROUP d {\nDEVICE a\nTARGET_GROUP g\nTARGET_GROUP h {\ngroup_id 1\n}\n}"
    assert [(group.name, group.alua_group_id) for group in groups("a", section)] == [("g", 2), ("h", 1)]
    assert (imported(HEAD + section).findings[1].line, imported(HEAD + section).findings[1].instead) == (
        18,
        "it gets 2, which is free",
    )


def test_what_cannot_be_honoured_is_told() -> None:
    """A port of another machine without a number, and a group that begins in transition."""
    found = imported(
        f"{HEAD}DEVICE_GROUP d {{\nDEVICE a\nTARGET_GROUP g {{\ngroup_id 7\nstate transitioning\n"
        f"TARGET {NAME} {{\nrel_tgt_id 5\n}}\nTARGET elsewhere\n}}\n}}"
    )
    assert [(finding.line, finding.instead) for finding in found.findings[1:]] == [
        (20, "a group cannot begin in transition: it is unavailable"),
        (24, "initiators are not told of its ports"),
    ]


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("DEVICE x", ":17:8: there is no device 'x'"),
        ("DEVICE a\nDEVICE a", ":18:8: the device 'a' is in a device group already"),
        ("}\nDEVICE_GROUP d {", ":18:14: the device group d is there twice"),
        ("TARGET_GROUP g {\ngroup_id 70000\n}", ":17:1: 70000 cannot identify a port group"),
        ("TARGET_GROUP g {\nstate on\n}", ":18:1: state on of TARGET_GROUP g: it is none of active"),
        (
            "TARGET_GROUP g {\ngroup_id 1\n}\nTARGET_GROUP h {\ngroup_id 1\n}",
            ":20:1: TARGET_GROUP h has the name or group_id of another",
        ),
        (
            f"DEVICE a\nTARGET_GROUP g {{\ngroup_id 1\nTARGET {NAME}\n}}\nTARGET_GROUP h {{\ngroup_id 2\nTARGET {NAME}\n}}",
            ":24:8: the target iqn.2026-01.org.example:t is in two target groups",
        ),
    ],
)
def test_nonsense_is_an_error_with_its_place(section: str, problem: str) -> None:
    """What SCST would refuse, too."""
    with pytest.raises(ImportSyntaxError, match=f"^{FILE}{problem}"):
        imported(f"{HEAD}DEVICE_GROUP d {{\n{section}\n}}")
