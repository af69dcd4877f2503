"""What scstadmin's -list verbs print, line by line, in its own layout."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from isthmus.compat.scst.admin_groups import device_group, target_group, target_of
from isthmus.compat.scst.admin_request import Request
from isthmus.compat.scst.admin_tree import ISCSI, Tree
from isthmus.compat.scst.layout import Block
from isthmus.errors import ConfigurationError
from isthmus.management.views import SessionView

__all__ = ["LISTS", "Listing", "session_lines"]

HANDLERS: Final = ("vcdrom", "vdisk_blockio", "vdisk_fileio", "vdisk_nullio")
_SECTIONS: Final = frozenset({"TARGET", "LUN", "GROUP", "INITIATOR", "DEVICE", "TARGET_GROUP"})
_NOTHING: Final = "\t(none)"

Listing = Callable[[Tree, Request], Iterator[str]]


def _column(title: str, names: Iterable[str]) -> Iterator[str]:
    """One column with its title."""
    known = list(names)
    yield f"\t{title}"
    yield "\t" + "-" * max(map(len, [title, *known]))
    yield from (f"\t{name}" for name in known)


def _two_columns(
    titles: tuple[str, str], rows: Sequence[tuple[str, Sequence[str]]], gap: int, row_gap: int
) -> Iterator[str]:
    """Owners and what each has; the owner stands beside the first of it only.

    scstadmin has fewer blanks in the rows than in the head of some tables.
    """
    left = max(map(len, [titles[0], *(owner for owner, _ in rows)]))
    right = max(map(len, [titles[1], *(item for _, items in rows for item in items)]))
    yield f"\t{titles[0]:{left}}{' ' * gap}{titles[1]:{right}}".rstrip()
    yield "\t" + "-" * (left + gap + right)
    for owner, items in rows:
        for index, item in enumerate(items):
            yield f"\t{owner if not index else '':{left}}{' ' * row_gap}{item}"


def _attributes(owner: Block) -> Iterator[str]:
    """The attributes in a section: all of them are such as scst.conf keeps."""
    rows = [(inner.name, inner.words[1]) for inner in owner.inner if inner.name not in _SECTIONS]
    yield from _attribute_table(rows)


def _attribute_table(rows: Sequence[tuple[str, str]], *, key: str = "Yes") -> Iterator[str]:
    name_width = max(map(len, ["Attribute", *(name for name, _ in rows)]))
    value_width = max(map(len, ["Value", *(value for _, value in rows)]))
    yield f"\t{'Attribute':{name_width}}     {'Value':{value_width}}     Writable      KEY"
    yield "\t" + "-" * (name_width + value_width + 27)
    for name, value in sorted(rows):
        yield f"\t{name:{name_width}}     {value or '<not set>':{value_width}}     {key:9}     {key}"
    if not rows:
        yield _NOTHING


# -- Devices -----------------------------------------------------------------------------------------------------------


def _handlers(tree: Tree, request: Request) -> Iterator[str]:
    if not request.operand:
        yield from _column("Handler", HANDLERS)
    elif request.operand in HANDLERS:
        yield from _devices_of(tree, [request.operand])
    else:
        yield f"No such handler '{request.operand}' found."


def _devices(tree: Tree, request: Request) -> Iterator[str]:
    yield from _attributes(tree.device(request.operand)) if request.operand else _devices_of(tree, HANDLERS)


def _devices_of(tree: Tree, handlers: Iterable[str]) -> Iterator[str]:
    names = {section.words[1]: [device.words[1] for device in section.all("DEVICE")] for section in tree.handlers}
    yield from _two_columns(
        ("Handler", "Device"), [(name, sorted(names.get(name, ())) or ["-"]) for name in handlers], 5, 4
    )


# -- Targets -----------------------------------------------------------------------------------------------------------


def _drivers(tree: Tree, request: Request) -> Iterator[str]:
    if request.operand:
        _check_driver(request.operand)
        yield from _targets_of(tree)
    else:
        yield from _column("Driver", [ISCSI])


def _targets(tree: Tree, request: Request) -> Iterator[str]:
    if request.words.get("driver"):
        _check_driver(request.words["driver"])
    if request.operand and request.words.get("driver"):
        yield from _groups_of(tree.target(request.operand), "")
    else:
        yield from _targets_of(tree)


def _targets_of(tree: Tree) -> Iterator[str]:
    yield from _two_columns(
        ("Driver", "Target"), [(ISCSI, [target.words[1] for target in tree.driver.all("TARGET")])], 1, 1
    )


def _groups(tree: Tree, request: Request) -> Iterator[str]:
    words = request.words
    if words.get("driver"):
        _check_driver(words["driver"])
    targets = [tree.target(words["target"])] if words.get("target") else tree.driver.all("TARGET")
    if request.operand and words.get("driver") and words.get("target"):
        group = targets[0].find("GROUP", request.operand)
        if group is None:
            raise ConfigurationError(
                f"{targets[0].words[1]} has no group {request.operand!r}", "-list_group tells them"
            )
        yield from _members(group)
        return
    for target in targets:
        yield from _groups_of(target, request.operand)


def _groups_of(target: Block, wanted: str) -> Iterator[str]:
    """A target with its LUNs, and its groups with theirs."""
    yield from (f"Driver: {ISCSI}", f"Target: {target.words[1]}", "")
    yield from _members(target)
    yield ""
    for group in target.all("GROUP"):
        if wanted in {"", group.words[1]}:
            yield from (f"Group: {group.words[1]}", "")
            yield from _members(group)
            yield from ("", "")


def _members(owner: Block) -> Iterator[str]:
    """The LUNs of a target or group, and a group's initiators."""
    luns, is_group = owner.all("LUN"), owner.name == "GROUP"
    initiators = [initiator.words[1] for initiator in owner.all("INITIATOR")]
    if not luns and not initiators:
        yield (
            f"Group '{owner.words[1]}' has no associated LUNs or initiators."
            if is_group
            else f"Driver/target '{ISCSI}/{owner.words[1]}' has no associated LUNs."
        )
        return
    yield from ("Assigned LUNs:", "")
    if luns:
        width = max(len(lun.words[2]) for lun in luns)
        yield "\tLUN  Device"
        yield "\t" + "-" * (width + 5)
        yield from (f"\t{lun.words[1]:4} {lun.words[2]}" for lun in luns)
    else:
        yield _NOTHING
    if is_group:
        yield from ("", "Assigned Initiators:", "")
        yield from _column("Initiator", initiators) if initiators else (_NOTHING,)


def _check_driver(name: str) -> None:
    if name != ISCSI:
        raise ConfigurationError(f"there is no driver {name!r}", f"there is {ISCSI}")


# -- Attributes --------------------------------------------------------------------------------------------------------


def _driver_attributes(tree: Tree, request: Request) -> Iterator[str]:
    _check_driver(request.operand)
    yield from _attributes(tree.driver)


def _target_attributes(tree: Tree, request: Request) -> Iterator[str]:
    request.check_driver()
    yield from _attributes(tree.target(request.operand))


def _lun_attributes(tree: Tree, request: Request) -> Iterator[str]:
    request.check_driver()
    target = tree.target(request.word("target"))
    owner = target.find("GROUP", request.words["group"]) if request.words.get("group") else target
    lun = None if owner is None else owner.find("LUN", request.operand)
    if lun is None:
        raise ConfigurationError(f"there is no LUN {request.operand} there", "-list_group tells those that there are")
    yield from _attributes(lun)


def _no_attributes(_tree: Tree, _request: Request) -> Iterator[str]:
    """Of what has no settings here."""
    yield from _attribute_table(())


# -- ALUA --------------------------------------------------------------------------------------------------------------


def _device_groups(tree: Tree, request: Request) -> Iterator[str]:
    if not request.operand:
        yield from _column("Device Group", [group.words[1] for group in tree.device_groups])
        return
    group = device_group(tree, request.operand)
    yield from _column("Devices", [device.words[1] for device in group.all("DEVICE")])
    yield ""
    yield from _column("Target Groups", [inner.words[1] for inner in group.all("TARGET_GROUP")])


def _target_groups(tree: Tree, request: Request) -> Iterator[str]:
    if request.operand:
        yield from _column(
            "Targets", [target.words[1] for target in target_group(tree, request, request.operand).all("TARGET")]
        )
    else:
        groups = device_group(tree, request.word("dev_group")).all("TARGET_GROUP")
        yield from _column("Target Groups", [inner.words[1] for inner in groups])


def _target_group_attributes(tree: Tree, request: Request) -> Iterator[str]:
    yield from _attributes(target_group(tree, request, request.operand))


def _target_attributes_in_group(tree: Tree, request: Request) -> Iterator[str]:
    yield from _attributes(target_of(target_group(tree, request, request.word("tgt_group")), request.operand))


LISTS: Final[Mapping[str, Listing]] = {
    "list_handler": _handlers,
    "list_device": _devices,
    "list_dev_attr": _devices,
    "list_driver": _drivers,
    "list_target": _targets,
    "list_group": _groups,
    "list_drv_attr": _driver_attributes,
    "list_tgt_attr": _target_attributes,
    "list_lun_attr": _lun_attributes,
    "list_dgrp": _device_groups,
    "list_tgrp": _target_groups,
    "list_tgrp_attr": _target_group_attributes,
    "list_ttgt_attr": _target_attributes_in_group,
    **dict.fromkeys(
        ("list_scst_attr", "list_hnd_attr", "list_grp_attr", "list_init_attr", "list_dgrp_attr"),
        _no_attributes,
    ),
}
"""The verbs that look at the configuration."""


def session_lines(targets: Iterable[str], sessions: Sequence[SessionView]) -> Iterator[str]:
    """What -list_sessions prints: every target, and who is logged in to it."""
    for target in targets:
        yield from (f"Driver/Target: {ISCSI}/{target}", "")
        mine = [session for session in sessions if session.target_name == target]
        for session in mine:
            yield from (f"\tSession: {session.initiator_name}", "")
            rows = [
                ("initiator_name", session.initiator_name),
                ("sid", str(session.tsih)),
                ("active_commands", str(session.commands_in_progress)),
                ("read_cmd_count", str(session.read_commands)),
                ("write_cmd_count", str(session.write_commands)),
                *(("ip", connection.peer) for connection in session.connections),
                *((name, str(value)) for name, value in session.parameters.items()),
                *((f"LUN {lun}", "") for lun in session.luns),
            ]
            yield from _attribute_table(rows, key="No")
            yield ""
        if not mine:
            yield from ("\t(no sessions)", "")
