"""SCST's `DEVICE_GROUP { DEVICE … TARGET_GROUP { TARGET … } }` as the ALUA target port groups of backstores."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from isthmus.compat.scst.devices import Device, Devices
from isthmus.compat.scst.grammar import Statement
from isthmus.compat.scst.layout import Block
from isthmus.compat.scst.report import Attribute, Report, Row, apply, attributes, flag, number
from isthmus.config.model import MAX_TAG, AluaGroup
from isthmus.config.settings import Value

__all__ = ["NOTES", "OPTION", "AluaPlaces", "group_block", "read_device_groups"]

STATES: Final[Mapping[str, int]] = {"active": 0, "nonoptimized": 1, "standby": 2, "unavailable": 3, "offline": 14}
"""SCST's words for the states of SPC-5 §6.36."""
OPTION: Final = "scst_device_group:"
"""With the name of a device behind it, the option of the configuration that keeps the name of its device group."""
_WORDS: Final = {number: word for word, number in STATES.items()}
NOTES: Final = "scst_device_groups"
"""The option that keeps the text of sections that say more than backstores and LUNs can hold."""
OTHER_PORTS: Final = "other_ports"
IMPLICIT: Final = 1
BOTH: Final = 3
"""The values of alua_access_type."""


@dataclass(slots=True)
class AluaPlaces:
    """In which group each device is at each target."""

    places: dict[tuple[str, str], str] = field(default_factory=dict)
    options: dict[str, Value] = field(default_factory=dict)
    """The names of device groups, where they are not those of their devices."""
    sections: list[Block] = field(default_factory=list)
    """The sections as they are meant, each group with its number."""

    def group_of(self, device: str, target: str) -> str:
        """The group's name; empty: none."""
        return self.places.get((device, target), "")


@dataclass(slots=True)
class _Draft:
    """A target group while its attributes are read."""

    alua_group_id: int = 0
    parameters: dict[str, Value] = field(default_factory=dict)
    other_ports: list[int] = field(default_factory=list)
    port: int = 0
    """Of the target whose attributes are read."""


def read_device_groups(
    sections: Iterable[Statement], devices: Devices, targets: frozenset[str], report: Report
) -> AluaPlaces:
    """Put the groups into `devices`. `targets` are the names of the iSCSI targets of the file."""
    places, grouped = AluaPlaces(), set[str]()
    for section in sections:
        name = report.operand(section, 1, "its name")
        report.no_more(section, 2)
        for found in attributes(section, frozenset({"DEVICE", "TARGET_GROUP"}), report):
            apply(found, {}, None, f"DEVICE_GROUP {name}", report)
        if any(known.words[1] == name.text for known in places.sections):
            raise report.error(name.position, f"the device group {name} is there twice", "put them into one")
        block = Block(("DEVICE_GROUP", name.text))
        members = _members(section, devices, grouped, report)
        block.inner += [Block(("DEVICE", device)) for device in members]
        numbers = _Numbers(section)
        groups = [
            _read_group(inner, members, targets, places, block, numbers, report)
            for inner in section.find("TARGET_GROUP")
        ]
        _check_ids(section, groups, report)
        places.sections.append(block)
        places.options |= {f"{OPTION}{device}": name.text for device in members if device != name.text}
        for device in members:
            devices.served[device] = _with_groups(devices.served[device], groups)
    return places


def _members(section: Statement, devices: Devices, grouped: set[str], report: Report) -> list[str]:
    """The devices of a device group that are served; each is in one device group only."""
    found = []
    for statement in section.find("DEVICE"):
        word = report.operand(statement, 1, "which device")
        report.no_more(statement, 2)
        if word.text not in devices:
            raise report.error(word.position, f"there is no device {word.text!r}", "a HANDLER section has to have it")
        if word.text in grouped:
            raise report.error(word.position, f"the device {word.text!r} is in a device group already", "remove one")
        grouped.add(word.text)
        if word.text in devices.served:
            found.append(word.text)
    return found


class _Numbers:
    """Numbers for the target groups of a device group that have none: SCST gives them all 0."""

    def __init__(self, section: Statement) -> None:
        words = [inner.words for group in section.find("TARGET_GROUP") for inner in group.find("group_id")]
        self._taken = {found[1].text for found in words if len(found) > 1}

    def free(self) -> int:
        """One that no other has."""
        number = next(number for number in range(1, MAX_TAG + 2) if str(number) not in self._taken)
        self._taken.add(str(number))
        return number


def _read_group(
    statement: Statement,
    members: Iterable[str],
    targets: frozenset[str],
    places: AluaPlaces,
    section: Block,
    numbers: _Numbers,
    report: Report,
) -> AluaGroup:
    name = report.operand(statement, 1, "its name")
    report.no_more(statement, 2)
    draft = _Draft()
    for found in attributes(statement, frozenset({"TARGET"}), report):
        _apply(found, draft, f"TARGET_GROUP {name}", report)
    if not draft.alua_group_id:
        draft.alua_group_id = numbers.free()
        report.say(
            statement.position, f"TARGET_GROUP {name} has no group_id", f"it gets {draft.alua_group_id}, which is free"
        )
    with report.at(statement.position):
        group = AluaGroup(name=name.text, alua_group_id=draft.alua_group_id, parameters=draft.parameters)
    block = group_block(group)
    section.inner.append(block)
    for target in statement.find("TARGET"):
        block.inner.append(_place(target, name.text, members, targets, places, draft, report))
    ports = ",".join(str(port) for port in dict.fromkeys(draft.other_ports))
    return dataclasses.replace(group, parameters={**group.parameters, OTHER_PORTS: ports}) if ports else group


def group_block(group: AluaGroup) -> Block:
    """The section of a target group, without its targets."""
    block = Block(("TARGET_GROUP", group.name))
    block.add("group_id", group.alua_group_id)
    block.add("state", _WORDS.get(int(group.parameters.get("alua_access_state", 0)), "unavailable"))
    if group.parameters.get("preferred"):
        block.add("preferred", 1)
    return block


def _apply(found: Attribute, draft: _Draft, owner: str, report: Report) -> None:
    if found.name == "state" and found.value == "transitioning":
        draft.parameters["alua_access_state"] = STATES["unavailable"]
        report.say(
            found.position, f"state transitioning of {owner}", "a group cannot begin in transition: it is unavailable"
        )
    else:
        apply(found, _ROWS, draft, owner, report)


def _place(
    statement: Statement,
    group: str,
    members: Iterable[str],
    targets: frozenset[str],
    places: AluaPlaces,
    draft: _Draft,
    report: Report,
) -> Block:
    """Note that the members are in `group` at a target, which may be another server's."""
    target = report.operand(statement, 1, "which target")
    report.no_more(statement, 2)
    block, draft.port = Block(("TARGET", target.text)), 0
    for found in attributes(statement, frozenset(), report):
        apply(found, _TARGET_ROWS, draft, f"TARGET {target}", report)
    if target.text not in targets:
        if draft.port:
            block.add("rel_tgt_id", draft.port)
            draft.other_ports.append(draft.port)
        else:
            report.say(
                statement.position,
                f"TARGET {target} is no iSCSI target of this file, and has no rel_tgt_id",
                "initiators are not told of its ports",
            )
        return block
    for device in members:
        if places.places.setdefault((device, target.text), group) != group:
            raise report.error(
                target.position, f"the target {target.text} is in two target groups of one device group", "remove one"
            )
    return block


def _check_ids(section: Statement, groups: Iterable[AluaGroup], report: Report) -> None:
    names, numbers = set[str](), set[int]()
    for statement, group in zip(section.find("TARGET_GROUP"), groups, strict=True):
        if group.name in names or group.alua_group_id in numbers:
            raise report.error(
                statement.position, f"TARGET_GROUP {group.name} has the name or group_id of another", "each has its own"
            )
        names.add(group.name)
        numbers.add(group.alua_group_id)


def _with_groups(device: Device, groups: Iterable[AluaGroup]) -> Device:
    access_type = BOTH if device.explicit_alua else IMPLICIT
    made = tuple(
        dataclasses.replace(group, parameters={**group.parameters, "alua_access_type": access_type}) for group in groups
    )
    return dataclasses.replace(device, store=dataclasses.replace(device.store, alua_groups=made))


# -- Attributes --------------------------------------------------------------------------------------------------------


def _group_id(draft: _Draft, value: str) -> None:
    draft.alua_group_id = number(value)


def _port(draft: _Draft, value: str) -> None:
    draft.port = number(value)
    if draft.port > MAX_TAG:
        raise ValueError(f"it is not from 1 to {MAX_TAG}")


def _preferred(draft: _Draft, value: str) -> None:
    draft.parameters["preferred"] = int(flag(value))


def _state(draft: _Draft, value: str) -> None:
    if value not in STATES:
        raise ValueError(f"it is none of {', '.join(STATES)}")
    draft.parameters["alua_access_state"] = STATES[value]


_ROWS: Final[Mapping[str, Row[_Draft]]] = {
    "group_id": Row(take=_group_id),
    "preferred": Row(take=_preferred),
    "state": Row(take=_state),
}
_TARGET_ROWS: Final[Mapping[str, Row[_Draft]]] = {"rel_tgt_id": Row(take=_port)}
"""A target of this file has a rel_tgt_id of its own, which counts with SCST, too."""
