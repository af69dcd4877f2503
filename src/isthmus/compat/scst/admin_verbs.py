"""What scstadmin's verbs change of scst.conf, by their names."""

from collections.abc import Iterator, Mapping
from typing import Final

from isthmus.compat.scst.admin_groups import GROUP_EDITS
from isthmus.compat.scst.admin_request import Edit, Request, add_all, remove_all, set_all, split_attributes
from isthmus.compat.scst.admin_tree import ISCSI, Tree
from isthmus.compat.scst.layout import Block
from isthmus.errors import ConfigurationError

__all__ = ["EDITS", "UNAVAILABLE"]


# -- Devices -----------------------------------------------------------------------------------------------------------


def _open_device(tree: Tree, request: Request) -> None:
    handler = request.word("handler")
    if any(section.find("DEVICE", request.operand) for section in tree.handlers):
        raise ConfigurationError(f"there is a device {request.operand!r} already", "choose another name")
    device = tree.handler(handler).add("DEVICE", request.operand)
    for name, value in split_attributes(request.words.get("attributes", "")):
        device.add(name, value)


def _close_device(tree: Tree, request: Request) -> None:
    section = tree.handler_of(request.operand)
    used = [(owner, lun) for owner in _owners(tree) for lun in owner.all("LUN") if lun.words[2] == request.operand]
    if used and not request.force:
        raise ConfigurationError(
            f"the device {request.operand} is LUN {used[0][1].words[1]} of {' '.join(used[0][0].words)}", "give -force"
        )
    for owner, lun in used:
        owner.inner.remove(lun)
    section.inner.remove(tree.device(request.operand))
    for group in tree.device_groups:
        group.inner = [inner for inner in group.inner if inner.words != ("DEVICE", request.operand)]


def _set_device(tree: Tree, request: Request) -> None:
    set_all(tree.device(request.operand), request)


def _resync_device(tree: Tree, request: Request) -> None:
    """The daemon looks at sizes by itself."""
    tree.device(request.operand)


# -- Targets and the driver --------------------------------------------------------------------------------------------


def _add_target(tree: Tree, request: Request) -> None:
    request.check_driver()
    tree.driver.add("TARGET", request.operand)


def _remove_target(tree: Tree, request: Request) -> None:
    request.check_driver()
    tree.driver.inner.remove(tree.target(request.operand))


def _enable_target(tree: Tree, request: Request) -> None:
    request.check_driver()
    tree.target(request.operand).set("enabled", "1")


def _disable_target(tree: Tree, request: Request) -> None:
    request.check_driver()
    tree.target(request.operand).set("enabled", "0")


def _set_target(tree: Tree, request: Request) -> None:
    request.check_driver()
    set_all(tree.target(request.operand), request)


def _add_to_target(tree: Tree, request: Request) -> None:
    request.check_driver()
    add_all(tree.target(request.operand), request)


def _remove_from_target(tree: Tree, request: Request) -> None:
    request.check_driver()
    remove_all(tree.target(request.operand), request)


def _set_driver(tree: Tree, request: Request) -> None:
    _check_is_driver(request)
    if ("enabled", "0") in request.attributes:
        raise ConfigurationError("the driver cannot be disabled as a whole", "-disable_target does it for one target")
    set_all(tree.driver, request)


def _add_to_driver(tree: Tree, request: Request) -> None:
    _check_is_driver(request)
    add_all(tree.driver, request)


def _remove_from_driver(tree: Tree, request: Request) -> None:
    _check_is_driver(request)
    remove_all(tree.driver, request)


def _check_is_driver(request: Request) -> None:
    if request.operand != ISCSI:
        raise ConfigurationError(f"there is no driver {request.operand!r}", f"there is {ISCSI}")


# -- Groups and initiators ---------------------------------------------------------------------------------------------


def _add_group(tree: Tree, request: Request) -> None:
    _target_of(tree, request).add("GROUP", request.operand)


def _remove_group(tree: Tree, request: Request) -> None:
    target = _target_of(tree, request)
    target.inner.remove(_group_of(target, request.operand))


def _add_initiator(tree: Tree, request: Request) -> None:
    group = _group_of(_target_of(tree, request), request.word("group"))
    if group.find("INITIATOR", request.operand):
        raise ConfigurationError(f"the group {group.words[1]} has {request.operand} already", "it is there once")
    group.add("INITIATOR", request.operand)


def _remove_initiator(tree: Tree, request: Request) -> None:
    group = _group_of(_target_of(tree, request), request.word("group"))
    group.inner.remove(_initiator_of(group, request.operand))


def _move_initiator(tree: Tree, request: Request) -> None:
    target = _target_of(tree, request)
    group, other = _group_of(target, request.word("group")), _group_of(target, request.word("to"))
    initiator = _initiator_of(group, request.operand)
    group.inner.remove(initiator)
    other.inner.append(initiator)


def _clear_initiators(tree: Tree, request: Request) -> None:
    group = _group_of(_target_of(tree, request), request.word("group"))
    group.inner = [inner for inner in group.inner if inner.name != "INITIATOR"]


def _target_of(tree: Tree, request: Request) -> Block:
    request.check_driver()
    return tree.target(request.word("target"))


def _group_of(target: Block, name: str) -> Block:
    group = target.find("GROUP", name)
    if group is None:
        raise ConfigurationError(f"{target.words[1]} has no group {name!r}", "-list_group tells those that it has")
    return group


def _initiator_of(group: Block, name: str) -> Block:
    initiator = group.find("INITIATOR", name) or group.find("INITIATOR", name.lower())
    if initiator is None:
        raise ConfigurationError(f"the group {group.words[1]} has no initiator {name!r}", "-list_group tells those")
    return initiator


# -- LUNs --------------------------------------------------------------------------------------------------------------


def _add_lun(tree: Tree, request: Request) -> None:
    owner = _owner(tree, request)
    tree.device(request.word("device"))
    lun = owner.add("LUN", request.operand, request.word("device"))
    for name, value in split_attributes(request.words.get("attributes", "")):
        lun.add(name, value)


def _remove_lun(tree: Tree, request: Request) -> None:
    owner = _owner(tree, request)
    owner.inner.remove(_lun_of(owner, request.operand))


def _replace_lun(tree: Tree, request: Request) -> None:
    owner = _owner(tree, request)
    present = owner.find("LUN", request.operand)
    if present is not None:
        owner.inner.remove(present)
    _add_lun(tree, request)


def _clear_luns(tree: Tree, request: Request) -> None:
    owner = _owner(tree, request)
    owner.inner = [inner for inner in owner.inner if inner.name != "LUN"]


def _set_lun(tree: Tree, request: Request) -> None:
    set_all(_lun_of(_owner(tree, request), request.operand), request)


def _owner(tree: Tree, request: Request) -> Block:
    """Whose LUNs are meant: the group's, or the target's own."""
    target = _target_of(tree, request)
    return _group_of(target, request.words["group"]) if request.words.get("group") else target


def _lun_of(owner: Block, number: str) -> Block:
    lun = owner.find("LUN", number)
    if lun is None:
        there = ", ".join(known.words[1] for known in owner.all("LUN")) or "none"
        raise ConfigurationError(f"{' '.join(owner.words)} has no LUN {number}", f"it has {there}")
    return lun


def _owners(tree: Tree) -> Iterator[Block]:
    """Everything that has LUNs."""
    for target in tree.driver.all("TARGET"):
        yield target
        yield from target.all("GROUP")


EDITS: Final[Mapping[str, Edit]] = {
    **GROUP_EDITS,
    "open_dev": _open_device,
    "close_dev": _close_device,
    "resync_dev": _resync_device,
    "set_dev_attr": _set_device,
    "add_target": _add_target,
    "rem_target": _remove_target,
    "enable_target": _enable_target,
    "disable_target": _disable_target,
    "set_tgt_attr": _set_target,
    "add_tgt_attr": _add_to_target,
    "rem_tgt_attr": _remove_from_target,
    "set_drv_attr": _set_driver,
    "add_drv_attr": _add_to_driver,
    "rem_drv_attr": _remove_from_driver,
    "add_group": _add_group,
    "rem_group": _remove_group,
    "add_init": _add_initiator,
    "rem_init": _remove_initiator,
    "move_init": _move_initiator,
    "clear_inits": _clear_initiators,
    "add_lun": _add_lun,
    "rem_lun": _remove_lun,
    "replace_lun": _replace_lun,
    "clear_luns": _clear_luns,
    "set_lun_attr": _set_lun,
}
"""The verbs that change something."""

UNAVAILABLE: Final[Mapping[str, str]] = {
    "set_dgrp_attr": "a device group has no settings",
    "set_scst_attr": "SCST's core has no settings here",
    "set_hnd_attr": "handlers have no settings here",
    "set_grp_attr": "groups have no settings of SCST here; isthmus shell knows max_sessions",
    "set_init_attr": "initiators of a group have no settings",
    "issue_lip": "there is no Fibre Channel here",
}
"""The verbs without a meaning here, with the line that says so."""
