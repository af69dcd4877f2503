"""The ALUA target port groups of backstores as SCST's `DEVICE_GROUP` sections."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from isthmus.compat.scst.alua import NOTES, OPTION, group_block
from isthmus.compat.scst.device_sections import DeviceNames
from isthmus.compat.scst.grammar import is_writable
from isthmus.compat.scst.group_notes import with_notes
from isthmus.compat.scst.layout import Block
from isthmus.config.model import AluaGroup, Backstore, BackstoreKey, Configuration

__all__ = ["device_group_sections", "held_sections"]

_ALWAYS_THERE: Final = "default_tg_pt_gp"


def device_group_sections(configuration: Configuration, names: DeviceNames) -> list[Block]:
    """The sections, with what is noted of them beside backstores and LUNs."""
    sections = held_sections(configuration, names)
    notes = str(configuration.options.get(NOTES, ""))
    return with_notes(sections, notes, configuration, names) if notes else sections


def held_sections(configuration: Configuration, names: DeviceNames) -> list[Block]:
    """What backstores and LUNs hold. Devices that came in one section are in one again if they have the same groups."""
    members = _members(configuration)
    together: dict[str, list[_Device]] = defaultdict(list)
    for store in sorted(configuration.backstores.values(), key=lambda store: store.key):
        name = names.of(store.key)
        if name is not None and _groups(store):
            label = str(configuration.options.get(f"{OPTION}{name}", name))
            together[label].append(_Device(name, _target_groups(store, members)))
    return [section for label, devices in together.items() for section in _sections(label, devices)]


@dataclass(frozen=True, slots=True)
class _Device:
    """A device, and the sections of its target groups without their targets, each with these."""

    name: str
    groups: list[tuple[Block, list[str]]]


def _sections(label: str, devices: list[_Device]) -> Iterator[Block]:
    """One for all of `devices`, or one for each if they do not go together."""
    groups = [[group for group, _ in device.groups] for device in devices]
    places = {(target, group.words) for device in devices for group, targets in device.groups for target in targets}
    if any(known != groups[0] for known in groups) or len({target for target, _ in places}) < len(places):
        for device in devices:
            yield _section(device.name, [device], device.groups)
        return
    merged = [
        (group, list(dict.fromkeys(target for device in devices for target in device.groups[index][1])))
        for index, group in enumerate(groups[0])
    ]
    yield _section(label, devices, merged)


def _section(name: str, devices: list[_Device], groups: list[tuple[Block, list[str]]]) -> Block:
    section = Block(("DEVICE_GROUP", name))
    for device in devices:
        section.add("DEVICE", device.name)
    for group, targets in groups:
        section.inner.append(group)
        for target in targets:
            group.add("TARGET", target)
    return section


def _target_groups(
    store: Backstore, members: Mapping[tuple[BackstoreKey, str], list[str]]
) -> list[tuple[Block, list[str]]]:
    return [(group_block(group), members.get((store.key, group.name), [])) for group in _groups(store)]


def _members(configuration: Configuration) -> dict[tuple[BackstoreKey, str], list[str]]:
    """The targets that each group of a backstore has."""
    found: dict[tuple[BackstoreKey, str], list[str]] = defaultdict(list)
    for target, _, lun in configuration.luns():
        if target.name not in found[lun.backstore, lun.alua_group]:
            found[lun.backstore, lun.alua_group].append(target.name)
    return found


def _groups(store: Backstore) -> list[AluaGroup]:
    """The groups that are worth a word: not the one that is always there, as long as it is as it always is."""
    return [
        group
        for group in store.alua_groups
        if is_writable(group.name) and (group.name != _ALWAYS_THERE or group.parameters)
    ]
