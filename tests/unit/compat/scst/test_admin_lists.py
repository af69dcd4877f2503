import dataclasses

import pytest

from isthmus.compat.scst.admin_lists import LISTS, session_lines
from isthmus.compat.scst.admin_request import Request
from isthmus.compat.scst.admin_tree import Tree
from isthmus.errors import ConfigurationError
from tests.support.scst import imported
from tests.support.session_views import SESSION as ANY_SESSION

NAME = "iqn.2026-01.org.example:t"
TREE = Tree(
    imported(
        f"""HANDLER vdisk_nullio {{
    DEVICE a
    DEVICE b
}}
TARGET_DRIVER iscsi {{
    enabled 1
    TARGET {NAME} {{
        enabled 1
        IncomingUser "joe secret"
        LUN 0 a
        LUN 1 b {{
            read_only 1
        }}
        GROUP g {{
            LUN 0 b
            INITIATOR iqn.x*
        }}
        GROUP none
    }}
}}
DEVICE_GROUP a {{
    DEVICE a
    TARGET_GROUP tg {{
        group_id 1
        state standby
        TARGET {NAME}
        TARGET far {{
            rel_tgt_id 7
        }}
    }}
}}
"""
    ).configuration
)
SESSION = dataclasses.replace(ANY_SESSION, target_name=NAME, chap_user="joe", luns=(0, 7))


def printed(verb: str, operand: str = "", **words: str) -> list[str]:
    """What a verb prints."""
    return list(LISTS[verb](TREE, Request(verb=verb, operand=operand, words=words)))


@pytest.mark.parametrize(
    ("verb", "operand", "words", "lines"),
    [
        (
            "list_handler",
            "",
            {},
            ["\tHandler", "\t-------------", "\tvcdrom", "\tvdisk_blockio", "\tvdisk_fileio", "\tvdisk_nullio"],
        ),
        (
            "list_handler",
            "vdisk_nullio",
            {},
            ["\tHandler          Device", "\t-----------------------", "\tvdisk_nullio    a", "\t                b"],
        ),
        ("list_handler", "dev_user", {}, ["No such handler 'dev_user' found."]),
        ("list_driver", "", {}, ["\tDriver", "\t------", "\tiscsi"]),
        ("list_driver", "iscsi", {}, ["\tDriver Target", "\t" + "-" * 32, f"\tiscsi  {NAME}"]),
        ("list_target", "", {}, ["\tDriver Target", "\t" + "-" * 32, f"\tiscsi  {NAME}"]),
        ("list_dgrp", "", {}, ["\tDevice Group", "\t------------", "\ta"]),
        (
            "list_dgrp",
            "a",
            {},
            ["\tDevices", "\t-------", "\ta", "", "\tTarget Groups", "\t-------------", "\ttg"],
        ),
        ("list_tgrp", "", {"dev_group": "a"}, ["\tTarget Groups", "\t-------------", "\ttg"]),
        ("list_tgrp", "tg", {"dev_group": "a"}, ["\tTargets", "\t" + "-" * 25, f"\t{NAME}", "\tfar"]),
    ],
)
def test_lists(verb: str, operand: str, words: dict[str, str], lines: list[str]) -> None:
    """In the layout of scstadmin, which scripts read."""
    assert printed(verb, operand, **words) == lines


def test_a_target_is_listed_with_its_groups() -> None:
    """LUNs and initiators."""
    assert (
        printed("list_target", NAME, driver="iscsi")
        == printed("list_group")
        == [
            *("Driver: iscsi", f"Target: {NAME}", ""),
            *("Assigned LUNs:", "", "\tLUN  Device", "\t------", "\t0    a", "\t1    b", ""),
            *("Group: g", "", "Assigned LUNs:", "", "\tLUN  Device", "\t------", "\t0    b", ""),
            *("Assigned Initiators:", "", "\tInitiator", "\t---------", "\tiqn.x*", "", ""),
            *("Group: none", "", "Group 'none' has no associated LUNs or initiators.", "", ""),
        ]
    )
    assert printed("list_group", "g", driver="iscsi", target=NAME)[0] == "Assigned LUNs:"
    assert printed("list_group", "none", target=NAME)[-3:] == printed("list_group")[-3:]


@pytest.mark.parametrize(
    ("verb", "operand", "words", "rows"),
    [
        ("list_tgt_attr", NAME, {"driver": "iscsi"}, [("IncomingUser", "joe secret"), ("enabled", "1")]),
        ("list_drv_attr", "iscsi", {}, [("enabled", "1")]),
        ("list_dev_attr", "a", {}, [("size", "2748779069440")]),
        ("list_device", "a", {}, [("size", "2748779069440")]),
        ("list_lun_attr", "1", {"driver": "iscsi", "target": NAME, "group": ""}, [("read_only", "1")]),
        ("list_tgrp_attr", "tg", {"dev_group": "a"}, [("group_id", "1"), ("state", "standby")]),
        ("list_ttgt_attr", "far", {"dev_group": "a", "tgt_group": "tg"}, [("rel_tgt_id", "7")]),
        ("list_ttgt_attr", NAME, {"dev_group": "a", "tgt_group": "tg"}, []),
        ("list_scst_attr", "", {}, []),
    ],
)
def test_attributes(verb: str, operand: str, words: dict[str, str], rows: list[tuple[str, str]]) -> None:
    """Each with its value."""
    found = printed(verb, operand, **words)
    assert found[0].split() == ["Attribute", "Value", "Writable", "KEY"]
    told = [line.strip() for line in found[2:]]
    assert len(told) == len(rows) or told == ["(none)"]
    for (name, value), line in zip(rows, told, strict=False):
        assert line.split("     ")[0].strip() == name
        assert value in line


@pytest.mark.parametrize(
    ("verb", "operand", "words", "problem"),
    [
        ("list_driver", "ib_srpt", {}, "there is no driver 'ib_srpt': there is iscsi"),
        ("list_group", "z", {"driver": "iscsi", "target": NAME}, "has no group 'z'"),
        ("list_lun_attr", "9", {"driver": "iscsi", "target": NAME}, "there is no LUN 9 there"),
        ("list_device", "z", {}, "there is no device 'z'"),
        ("list_tgrp", "", {"dev_group": "z"}, "there is no device group 'z'"),
        ("list_ttgt_attr", "z", {"dev_group": "a", "tgt_group": "tg"}, "the target group 'tg' has no target 'z'"),
        ("list_ttgt_attr", "far", {"dev_group": "a"}, "-list_ttgt_attr lacks -tgt_group"),
        ("list_tgrp", "z", {"dev_group": "a"}, "the device group 'a' has no target group 'z'"),
    ],
)
def test_what_is_not_there_is_an_error(verb: str, operand: str, words: dict[str, str], problem: str) -> None:
    """In one line."""
    with pytest.raises(ConfigurationError) as caught:
        printed(verb, operand, **words)
    assert problem in str(caught.value)


def test_sessions() -> None:
    """Each target, with those who are logged in to it."""
    lines = list(session_lines([NAME, "iqn.2026-01.org.example:z"], [SESSION]))
    assert lines[:3] == [f"Driver/Target: iscsi/{NAME}", "", f"\tSession: {SESSION.initiator_name}"]
    assert lines[-4:] == ["Driver/Target: iscsi/iqn.2026-01.org.example:z", "", "\t(no sessions)", ""]
    rows = dict(line.split()[:2] for line in lines if line.endswith("No"))
    assert (rows["sid"], rows["ip"], rows["MaxBurstLength"]) == ("3", "192.0.2.7:50000", "262144")
