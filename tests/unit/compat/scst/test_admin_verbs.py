import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from isthmus.compat.scst.admin_request import Request
from isthmus.compat.scst.admin_tree import Tree, edited
from isthmus.compat.scst.admin_verbs import EDITS
from isthmus.config.model import Backstore, Configuration
from isthmus.errors import ConfigurationError
from tests.support.scst import imported

NAME = "iqn.2026-01.org.example:t"
RUNNING = imported(
    f"""HANDLER vdisk_nullio {{
    DEVICE a
    DEVICE b
}}
TARGET_DRIVER iscsi {{
    enabled 1
    IncomingUser "joe x"
    TARGET {NAME} {{
        enabled 1
        IncomingUser "joe secret"
        LUN 0 a
        GROUP g {{
            LUN 0 b
            INITIATOR iqn.x
        }}
        GROUP h
    }}
}}
DEVICE_GROUP a {{
    DEVICE a
    TARGET_GROUP tg {{
        group_id 1
        TARGET {NAME}
    }}
}}
"""
).configuration
TARGET = {"driver": "iscsi", "target": NAME}
GROUP = {**TARGET, "group": "g"}


def after(
    verb: str, operand: str = "", words: Mapping[str, str] = MappingProxyType({}), *, force: bool = False
) -> list[str]:
    """The statements of scst.conf after a verb, beyond those before, with a `-` before what has gone."""
    request = Request(verb=verb, operand=operand, words=words, force=force)
    result = edited(RUNNING, lambda tree: EDITS[verb](tree, request), strict=request.is_strict)
    return difference(RUNNING, result)


def difference(before: Configuration, after: Configuration) -> list[str]:
    """The lines of the second that the first has not, and the other way round."""
    old, new = ([line.strip() for line in Tree(one).text().splitlines()] for one in (before, after))
    return [f"-{line}" for line in old if line not in new] + [line for line in new if line not in old]


@pytest.mark.parametrize(
    ("verb", "operand", "words", "changes"),
    [
        ("open_dev", "c", {"handler": "vdisk_nullio", "attributes": "size=512,read_only"}, ["DEVICE c {", "size 512"]),
        ("set_dev_attr", "a", {"attributes": "prod_id=X,removable=1"}, ["prod_id X", "removable 1"]),
        ("resync_dev", "a", {}, []),
        ("add_target", f"{NAME}2", {"driver": "iscsi"}, [f"TARGET {NAME}2 {{", "enabled 0"]),
        ("disable_target", NAME, {"driver": "iscsi"}, ["enabled 0"]),
        ("enable_target", NAME, {"driver": "iscsi"}, []),
        ("set_tgt_attr", NAME, {"driver": "iscsi", "attributes": "MaxSessions=3"}, ["MaxSessions 3"]),
        ("add_tgt_attr", NAME, {"driver": "iscsi", "attributes": "IncomingUser=ann y"}, ['IncomingUser "ann y"']),
        ("rem_tgt_attr", NAME, {"driver": "iscsi", "attributes": "IncomingUser=joe"}, ['-IncomingUser "joe secret"']),
        ("add_drv_attr", "iscsi", {"attributes": "IncomingUser=ann y"}, ['IncomingUser "ann y"']),
        ("rem_drv_attr", "iscsi", {"attributes": "IncomingUser=joe x"}, ['-IncomingUser "joe x"']),
        ("set_drv_attr", "iscsi", {"attributes": "enabled=1"}, []),
        ("add_group", "new", TARGET, ["GROUP new"]),
        ("rem_group", "h", TARGET, ["-GROUP h"]),
        ("add_init", "iqn.y*", GROUP, ["INITIATOR iqn.y*"]),
        ("rem_init", "iqn.x", GROUP, ["-INITIATOR iqn.x"]),
        ("clear_inits", "", GROUP, ["-INITIATOR iqn.x"]),
        ("move_init", "iqn.x", {**GROUP, "to": "h"}, ["-GROUP h", "GROUP h {"]),
        ("add_lun", "1", {**TARGET, "device": "b"}, ["LUN 1 b"]),
        ("add_lun", "1", {**GROUP, "device": "a", "attributes": "read_only=1"}, ["LUN 1 a {", "read_only 1"]),
        ("rem_lun", "0", GROUP, ["-LUN 0 b"]),
        ("replace_lun", "0", {**GROUP, "device": "a"}, ["-LUN 0 b"]),
        ("clear_luns", "", TARGET, ["-LUN 0 a"]),
        ("set_lun_attr", "0", {**GROUP, "attributes": "read_only=1"}, ["-LUN 0 b", "LUN 0 b {", "read_only 1"]),
        (
            "set_tgrp_attr",
            "tg",
            {"dev_group": "a", "attributes": "state=nonoptimized"},
            ["-state active", "state nonoptimized"],
        ),
    ],
)
def test_each_verb_changes_what_it_says(verb: str, operand: str, words: dict[str, str], changes: list[str]) -> None:
    """As scst.conf has it afterwards; the closing braces do not count."""
    told = [line for line in after(verb, operand, words) if line not in {"-}", "}", "-enabled 1"}]
    assert [line for line in changes if line not in told] == []
    if not changes:
        assert told == []


def test_a_target_goes_with_all_that_it_has() -> None:
    """Its devices stay."""
    assert f"-TARGET {NAME} {{" in after("rem_target", NAME, {"driver": "iscsi"})


def test_a_device_in_use_goes_by_force_only() -> None:
    """With its LUNs."""
    with pytest.raises(ConfigurationError, match="the device b is LUN 0 of GROUP g: give -force"):
        after("close_dev", "b")
    assert "-LUN 0 b" in after("close_dev", "b", force=True)


@pytest.mark.parametrize(
    ("verb", "operand", "words", "problem"),
    [
        ("open_dev", "a", {"handler": "vdisk_nullio"}, "there is a device 'a' already"),
        ("open_dev", "c", {}, "-open_dev lacks -handler"),
        ("open_dev", "c", {"handler": "dev_disk_perf"}, "no disks that do not read and write"),
        ("add_target", "x", {"driver": "iscsi"}, "'x' is not an iSCSI name"),
        ("add_target", NAME, {"driver": "iscsi"}, "is there twice"),
        ("add_target", "x", {"driver": "ib_srpt"}, "there is no driver 'ib_srpt': there is iscsi"),
        ("add_drv_attr", "ib_srpt", {"attributes": "x=1"}, "there is no driver 'ib_srpt'"),
        ("set_drv_attr", "iscsi", {"attributes": "enabled=0"}, "the driver cannot be disabled as a whole"),
        ("rem_tgt_attr", NAME, {"driver": "iscsi", "attributes": "IncomingUser=eve"}, "no IncomingUser of that value"),
        ("add_init", "iqn.x", GROUP, "the group g has iqn.x already"),
        ("rem_init", "iqn.z", GROUP, "the group g has no initiator 'iqn.z'"),
        ("rem_group", "z", TARGET, f"{NAME} has no group 'z'"),
        ("add_lun", "0", {**GROUP, "device": "a"}, "LUN 0 is there twice"),
        ("add_lun", "x", {**GROUP, "device": "a"}, "'x' is not the number of a LUN"),
        ("rem_lun", "9", GROUP, "GROUP g has no LUN 9: it has 0"),
        (
            "set_tgrp_attr",
            "tg",
            {"dev_group": "b", "attributes": "state=active"},
            "there is no device group 'b'",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(verb: str, operand: str, words: dict[str, str], problem: str) -> None:
    """Before anything is changed."""
    with pytest.raises(ConfigurationError) as caught:
        after(verb, operand, words)
    assert problem in str(caught.value)


def test_a_target_group_changes_for_all_devices_of_its_device_group() -> None:
    """As failover scripts do it; what else is set of the group stays."""
    text = f"""HANDLER vdisk_nullio {{
        DEVICE a
        DEVICE b
    }}
    TARGET_DRIVER iscsi {{
        TARGET {NAME} {{
            LUN 0 a
        }}
    }}
    DEVICE_GROUP dg {{
        DEVICE a
        DEVICE b
        TARGET_GROUP local {{
            group_id 1
            TARGET {NAME}
        }}
    }}
    """
    running = imported(text).configuration
    slow = {key: with_delay(store) for key, store in running.backstores.items()}
    running = dataclasses.replace(running, backstores=slow)
    words = {"dev_group": "dg", "attributes": "state=standby"}
    request = Request(verb="set_tgrp_attr", operand="local", words=words)
    result = edited(running, lambda tree: EDITS["set_tgrp_attr"](tree, request))
    for store in result.backstores.values():
        (group,) = store.alua_groups
        assert group.parameters == {"alua_access_state": 2, "alua_access_type": 1, "trans_delay_msecs": 50}


def with_delay(store: Backstore) -> Backstore:
    """With a parameter of its groups that SCST does not have."""
    groups = tuple(
        dataclasses.replace(group, parameters={**group.parameters, "trans_delay_msecs": 50})
        for group in store.alua_groups
    )
    return dataclasses.replace(store, alua_groups=groups)
