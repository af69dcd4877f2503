"""SCST's `DEVICE_GROUP { DEVICE … TARGET_GROUP { TARGET … } }` as the ALUA target port groups of backstores."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from isthmus.compat.scst.devices import Device, Devices
from isthmus.compat.scst.grammar import Statement
from isthmus.compat.scst.report import Attribute, Report, Row, apply, attributes, flag, number
from isthmus.config.model import AluaGroup
from isthmus.config.settings import Value

__all__ = ["OPTION", "STATES", "AluaPlaces", "read_device_groups"]

STATES: Final[Mapping[str, int]] = {"active": 0, "nonoptimized": 1, "standby": 2, "unavailable": 3, "offline": 14}
"""SCST's words for the states of SPC-5 §6.36."""
OPTION: Final = "scst_device_group:"
"""With the name of a device behind it, the option of the configuration that keeps the name of its device group."""
IMPLICIT: Final = 1
BOTH: Final = 3
"""The values of alua_access_type."""


@dataclass(slots=True)
class AluaPlaces:
    """In which group each device is at each target."""

    places: dict[tuple[str, str], str] = field(default_factory=dict)
    options: dict[str, Value] = field(default_factory=dict)
    """The names of device groups, where they are not those of their devices."""

    def group_of(self, device: str, target: str) -> str:
        """The group's name; empty: none."""
        return self.places.get((device, target), "")


@dataclass(slots=True)
class _Draft:
    """A target group while its attributes are read."""

    alua_group_id: int | None = None
    parameters: dict[str, Value] = field(default_factory=dict)


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
        members = _members(section, devices, grouped, report)
        groups = [_read_group(inner, members, targets, places, report) for inner in section.find("TARGET_GROUP")]
        _check_ids(section, groups, report)
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


def _read_group(
    statement: Statement, members: Iterable[str], targets: frozenset[str], places: AluaPlaces, report: Report
) -> AluaGroup:
    name = report.operand(statement, 1, "its name")
    report.no_more(statement, 2)
    draft = _Draft()
    for found in attributes(statement, frozenset({"TARGET"}), report):
        _apply(found, draft, f"TARGET_GROUP {name}", report)
    for target in statement.find("TARGET"):
        _place(target, name.text, members, targets, places, report)
    if draft.alua_group_id is None:
        raise report.error(statement.position, f"TARGET_GROUP {name} has no group_id", "give it one from 1 to 65535")
    with report.at(statement.position):
        return AluaGroup(name=name.text, alua_group_id=draft.alua_group_id, parameters=draft.parameters)


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
    report: Report,
) -> None:
    """Note that the members are in `group` at a target."""
    target = report.operand(statement, 1, "which target")
    report.no_more(statement, 2)
    for found in attributes(statement, frozenset(), report):
        apply(found, _TARGET_ROWS, None, f"TARGET {target}", report)
    if target.text not in targets:
        report.say(
            statement.position,
            f"TARGET {target} is no iSCSI target of this file",
            "initiators are not told of its ports",
        )
        return
    for device in members:
        if places.places.setdefault((device, target.text), group) != group:
            raise report.error(
                target.position, f"the target {target} is in two target groups of one device group", "remove one"
            )


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
_TARGET_ROWS: Final[Mapping[str, Row[None]]] = {"rel_tgt_id": Row(instead="target ports are numbered here")}
