"""scstadmin's verbs for ALUA: device groups, their devices and target groups, and the targets in these."""

from collections.abc import Mapping
from typing import Final

from isthmus.compat.scst.admin_request import Edit, Request, set_all
from isthmus.compat.scst.admin_tree import Tree
from isthmus.compat.scst.layout import Block
from isthmus.config.model import MAX_TAG
from isthmus.errors import ConfigurationError

__all__ = ["GROUP_EDITS", "device_group", "target_group", "target_of"]


def device_group(tree: Tree, name: str) -> Block:
    """A device group; raises `ConfigurationError`."""
    for group in tree.device_groups:
        if group.words[1] == name:
            return group
    raise ConfigurationError(f"there is no device group {name!r}", "-list_dgrp tells those that there are")


def target_group(tree: Tree, request: Request, name: str) -> Block:
    """A target group of the device group that -dev_group names; raises `ConfigurationError`."""
    section = device_group(tree, request.word("dev_group"))
    group = section.find("TARGET_GROUP", name)
    if group is None:
        raise ConfigurationError(
            f"the device group {section.words[1]!r} has no target group {name!r}", "-list_tgrp tells those that it has"
        )
    return group


def target_of(group: Block, name: str) -> Block:
    """A target in a target group; raises `ConfigurationError`."""
    target = group.find("TARGET", name) or group.find("TARGET", name.lower())
    if target is None:
        raise ConfigurationError(
            f"the target group {group.words[1]!r} has no target {name!r}", "-list_tgrp tells those that it has"
        )
    return target


def _add_device_group(tree: Tree, request: Request) -> None:
    if any(group.words[1] == request.operand for group in tree.device_groups):
        raise ConfigurationError(f"there is a device group {request.operand!r} already", "choose another name")
    tree.device_groups.append(Block(("DEVICE_GROUP", request.operand)))


def _remove_device_group(tree: Tree, request: Request) -> None:
    tree.device_groups.remove(device_group(tree, request.operand))


def _add_device(tree: Tree, request: Request) -> None:
    section = device_group(tree, request.word("dev_group"))
    tree.device(request.operand)
    for group in tree.device_groups:
        if group.find("DEVICE", request.operand) is not None:
            raise ConfigurationError(
                f"the device {request.operand} is in the device group {group.words[1]} already", "-rem_dgrp_dev first"
            )
    section.add("DEVICE", request.operand)


def _remove_device(tree: Tree, request: Request) -> None:
    section = device_group(tree, request.word("dev_group"))
    device = section.find("DEVICE", request.operand)
    if device is None:
        raise ConfigurationError(
            f"the device group {section.words[1]!r} has no device {request.operand!r}", "-list_dgrp tells those"
        )
    section.inner.remove(device)


def _add_target_group(tree: Tree, request: Request) -> None:
    section = device_group(tree, request.word("dev_group"))
    if section.find("TARGET_GROUP", request.operand) is not None:
        raise ConfigurationError(
            f"the device group {section.words[1]!r} has a target group {request.operand!r} already", "choose another"
        )
    numbers = {inner.words[1] for group in section.all("TARGET_GROUP") for inner in group.all("group_id")}
    number = next(str(number) for number in range(1, MAX_TAG + 2) if str(number) not in numbers)
    section.add("TARGET_GROUP", request.operand).add("group_id", number)


def _remove_target_group(tree: Tree, request: Request) -> None:
    section = device_group(tree, request.word("dev_group"))
    section.inner.remove(target_group(tree, request, request.operand))


def _set_target_group(tree: Tree, request: Request) -> None:
    set_all(target_group(tree, request, request.operand), request)


def _add_target(tree: Tree, request: Request) -> None:
    group = target_group(tree, request, request.word("tgt_group"))
    for other in device_group(tree, request.word("dev_group")).all("TARGET_GROUP"):
        if other.find("TARGET", request.operand) is not None:
            raise ConfigurationError(
                f"the target {request.operand} is in the target group {other.words[1]} already", "-rem_tgrp_tgt first"
            )
    group.add("TARGET", request.operand)


def _remove_target(tree: Tree, request: Request) -> None:
    group = target_group(tree, request, request.word("tgt_group"))
    group.inner.remove(target_of(group, request.operand))


def _set_target(tree: Tree, request: Request) -> None:
    set_all(target_of(target_group(tree, request, request.word("tgt_group")), request.operand), request)


GROUP_EDITS: Final[Mapping[str, Edit]] = {
    "add_dgrp": _add_device_group,
    "rem_dgrp": _remove_device_group,
    "add_dgrp_dev": _add_device,
    "rem_dgrp_dev": _remove_device,
    "add_tgrp": _add_target_group,
    "rem_tgrp": _remove_target_group,
    "set_tgrp_attr": _set_target_group,
    "add_tgrp_tgt": _add_target,
    "rem_tgrp_tgt": _remove_target,
    "set_ttgt_attr": _set_target,
}
"""The verbs."""
