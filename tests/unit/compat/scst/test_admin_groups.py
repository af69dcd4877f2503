from collections.abc import Mapping
from functools import reduce
from types import MappingProxyType

import pytest

from isthmus.compat.scst.admin_groups import GROUP_EDITS
from isthmus.compat.scst.admin_request import Request
from isthmus.compat.scst.admin_tree import Tree, edited
from isthmus.compat.scst.admin_verbs import EDITS
from isthmus.compat.scst.layout import layout
from isthmus.config.model import AluaGroup, BackstoreKey, Configuration
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName
from tests.support.scst import imported

NAME = "iqn.2026-01.org.example:t"
ELSEWHERE = "iqn.2026-01.org.example:other-node"
RUNNING = imported(
    f"HANDLER vdisk_nullio {{\nDEVICE a\nDEVICE b\n}}\nTARGET_DRIVER iscsi {{\nenabled 1\n"
    f"TARGET {NAME} {{\nLUN 0 a\n}}\n}}\n"
).configuration
Step = tuple[str, str, Mapping[str, str]]
NOTHING: Mapping[str, str] = MappingProxyType({})
DG = {"dev_group": "dg"}
LOCAL = {**DG, "tgt_group": "local"}
REMOTE = {**DG, "tgt_group": "remote"}
STEPS: list[Step] = [
    ("add_dgrp", "dg", NOTHING),
    ("add_tgrp", "local", DG),
    ("set_tgrp_attr", "local", {**DG, "attributes": "group_id=7"}),
    ("add_tgrp_tgt", NAME, LOCAL),
    ("add_dgrp_dev", "a", DG),
    ("add_tgrp", "remote", DG),
    ("add_tgrp_tgt", ELSEWHERE, REMOTE),
    ("set_ttgt_attr", ELSEWHERE, {**REMOTE, "attributes": "rel_tgt_id=9"}),
    ("set_tgrp_attr", "remote", {**DG, "attributes": "state=standby"}),
]
"""As the steps of SCST's guides to a pair of servers, with the device coming late."""


def step(configuration: Configuration, verb: Step) -> Configuration:
    """One call of scstadmin."""
    name, operand, words = verb
    request = Request(verb=name, operand=operand, words=words)
    return edited(configuration, lambda tree: GROUP_EDITS[name](tree, request), strict=request.is_strict)


def after(*steps: Step) -> Configuration:
    """What the verbs make of what runs."""
    return reduce(step, steps, RUNNING)


def sections(configuration: Configuration) -> list[str]:
    """The lines of the device groups, as scstadmin sees them."""
    return [line.strip() for line in layout(Tree(configuration).device_groups).splitlines() if line.strip()]


def test_a_pair_of_servers_is_set_up_step_by_step() -> None:
    """Each step stays until the next finds it, and the units tell of the other server's port in the end."""
    done = after(*STEPS)
    (store,) = (store for key, store in done.backstores.items() if key.name == "a")
    assert store.alua_groups == (
        AluaGroup(name="local", alua_group_id=7, parameters={"alua_access_type": 1}),
        AluaGroup(
            name="remote",
            alua_group_id=1,
            parameters={"alua_access_type": 1, "alua_access_state": 2, "other_ports": "9"},
        ),
    )
    (group,) = done.targets[IscsiName(NAME)].portal_groups
    assert [lun.alua_group for lun in group.luns] == ["local"]
    assert sections(done) == [
        *("DEVICE_GROUP dg {", "DEVICE a"),
        *("TARGET_GROUP local {", "group_id 7", "state active", f"TARGET {NAME}", "}"),
        *("TARGET_GROUP remote {", "group_id 1", "state standby", f"TARGET {ELSEWHERE} {{", "rel_tgt_id 9", "}"),
        *("}", "}"),
    ]


@pytest.mark.parametrize("count", range(len(STEPS) + 1))
def test_what_is_made_goes_again(count: int) -> None:
    """After any of the steps the device group can be removed, and nothing of it stays."""
    done = after(*STEPS[:count])
    assert bool(sections(done)) is (count > 0)
    if count:
        assert step(done, ("rem_dgrp", "dg", NOTHING)) == RUNNING


@pytest.mark.parametrize(
    ("verb", "left"),
    [
        (("rem_tgrp_tgt", NAME, LOCAL), ["group_id 7", "state active", "}"]),
        (("rem_tgrp", "remote", DG), ["group_id 7", "state active", f"TARGET {NAME}", "}", "}"]),
    ],
)
def test_parts_of_a_group_go_by_themselves(verb: Step, left: list[str]) -> None:
    """The rest stays."""
    told = sections(after(*STEPS, verb))
    assert told[: 3 + len(left)] == ["DEVICE_GROUP dg {", "DEVICE a", "TARGET_GROUP local {", *left]


def test_a_device_leaves_its_group_and_goes_to_another() -> None:
    """What it leaves stays as it was, for the next."""
    moved = after(*STEPS, ("rem_dgrp_dev", "a", DG), ("add_dgrp", "empty", NOTHING), ("add_dgrp_dev", "b", DG))
    stores = {key.name: store for key, store in moved.backstores.items()}
    assert not stores["a"].alua_groups
    assert [group.name for group in stores["b"].alua_groups] == ["local", "remote"]
    assert [line for line in sections(moved) if line.startswith("DEVICE")] == [
        "DEVICE_GROUP dg {",
        "DEVICE b",
        "DEVICE_GROUP empty",
    ]
    assert f"TARGET {NAME}" in sections(moved)


def test_a_lun_that_comes_later_is_in_the_group_of_its_target() -> None:
    """As SCST knows the group of a target, whatever LUNs it has."""
    done = after(
        ("add_dgrp", "dg", NOTHING),
        ("add_dgrp_dev", "b", DG),
        ("add_tgrp", "local", DG),
        ("add_tgrp_tgt", NAME, LOCAL),
    )
    words = {"driver": "iscsi", "target": NAME, "device": "b"}
    later = edited(done, lambda tree: EDITS["add_lun"](tree, Request(verb="add_lun", operand="1", words=words)))
    (group,) = later.targets[IscsiName(NAME)].portal_groups
    assert {lun.backstore: lun.alua_group for lun in group.luns} == {
        BackstoreKey("null", "a"): "default_tg_pt_gp",
        BackstoreKey("null", "b"): "local",
    }


@pytest.mark.parametrize(
    ("verb", "problem"),
    [
        (("add_dgrp", "dg", NOTHING), "there is a device group 'dg' already"),
        (("rem_dgrp", "x", NOTHING), "there is no device group 'x'"),
        (("add_dgrp_dev", "c", DG), "there is no device 'c'"),
        (("add_dgrp_dev", "a", DG), "the device a is in the device group dg already"),
        (("add_dgrp_dev", "a", NOTHING), "-add_dgrp_dev lacks -dev_group"),
        (("rem_dgrp_dev", "b", DG), "the device group 'dg' has no device 'b'"),
        (("add_tgrp", "local", DG), "the device group 'dg' has a target group 'local' already"),
        (("rem_tgrp", "x", DG), "the device group 'dg' has no target group 'x'"),
        (("add_tgrp_tgt", NAME, REMOTE), f"the target {NAME} is in the target group local already"),
        (("rem_tgrp_tgt", "x", LOCAL), "the target group 'local' has no target 'x'"),
        (("set_tgrp_attr", "local", {**DG, "attributes": "group_id=1"}), "has the name or group_id of another"),
        (("set_tgrp_attr", "local", {**DG, "attributes": "state=on"}), "it is none of active"),
        (("set_ttgt_attr", ELSEWHERE, {**REMOTE, "attributes": "rel_tgt_id=65536"}), "it is not from 1 to 65535"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(verb: Step, problem: str) -> None:
    """Before anything is changed."""
    with pytest.raises(ConfigurationError) as caught:
        after(*STEPS, verb)
    assert problem in str(caught.value)
