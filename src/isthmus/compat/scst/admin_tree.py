"""A configuration changed by way of the scst.conf that SCST would have for it: how scstadmin's verbs work here.

A verb changes the text's statements. What that changes of the configuration that the text stands for is then changed of
the one that runs, and everything else of it stays, whether SCST has a word for it or not.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import TypeVar

from isthmus.compat.importer import Imported, ImportSyntaxError, Surroundings
from isthmus.compat.scst.device_sections import DeviceNames, handler_sections
from isthmus.compat.scst.group_sections import device_group_sections
from isthmus.compat.scst.layout import Block, layout
from isthmus.compat.scst.reader import read
from isthmus.compat.scst.target_sections import driver_block
from isthmus.config.model import AluaGroup, Backstore, BackstoreKey, Configuration, InitiatorGroup, PortalGroup, Target
from isthmus.errors import ConfigurationError
from isthmus.management.backstore_edits import create_backstore, delete_backstore
from isthmus.management.target_edits import delete_target

__all__ = ["ISCSI", "Tree", "edited"]

ISCSI = "iscsi"
_NAME = "scstadmin"
_Item = TypeVar("_Item")


class Tree:
    """scst.conf as statements."""

    def __init__(self, configuration: Configuration) -> None:
        """What SCST would have for `configuration`. Initiators with a node ACL of their own are not in it."""
        names = DeviceNames(configuration.backstores.values())
        self.handlers = handler_sections(configuration.backstores.values(), names)
        self.driver = driver_block(configuration, names, whole=False)
        self.device_groups = device_group_sections(configuration, names)

    def text(self) -> str:
        """All of it."""
        return layout([*self.handlers, self.driver, *self.device_groups])

    def handler(self, name: str) -> Block:
        """The section of a handler, made if it is not there."""
        for section in self.handlers:
            if section.words[1] == name:
                return section
        self.handlers.append(Block(("HANDLER", name)))
        return self.handlers[-1]

    def handler_of(self, device: str) -> Block:
        """The section that has a device; raises `ConfigurationError` if there is none."""
        for section in self.handlers:
            if section.find("DEVICE", device) is not None:
                return section
        raise ConfigurationError(f"there is no device {device!r}", "-list_device tells those that there are")

    def device(self, name: str) -> Block:
        """A device; raises `ConfigurationError`."""
        return found(self.handler_of(name).find("DEVICE", name))

    def target(self, name: str) -> Block:
        """A target; raises `ConfigurationError`."""
        section = self.driver.find("TARGET", name.lower()) or self.driver.find("TARGET", name)
        if section is None:
            raise ConfigurationError(f"there is no target {name!r}", "-list_target tells those that there are")
        return section


def found(section: Block | None) -> Block:
    """A section that is known to be there."""
    assert section is not None
    return section


def edited(configuration: Configuration, edit: Callable[[Tree], None], *, strict: bool = True) -> Configuration:
    """`configuration` after `edit`; raises `ConfigurationError` for what cannot be or (if `strict`) be honoured."""
    before, tree = Tree(configuration), Tree(configuration)
    edit(tree)
    known = _read(before.text(), configuration)
    wanted = _read(tree.text(), configuration)
    told = {(finding.meaning, finding.instead) for finding in known.findings}
    for finding in wanted.findings:
        if strict and (finding.meaning, finding.instead) not in told:
            raise ConfigurationError(f"{finding.meaning}: {finding.instead}")
    return _transferred(configuration, known.configuration, wanted.configuration)


def _read(text: str, running: Configuration) -> Imported:
    try:
        return read(text, _NAME, _surroundings(running))
    except ImportSyntaxError as error:
        place = f"{error.file}:{error.line}:{error.column}: "
        raise ConfigurationError(error.problem.removeprefix(place), error.remedy) from None


def _surroundings(running: Configuration) -> Surroundings:
    """The device of a pass-through is there, if it runs; whether a new one is, the daemon finds when it opens it."""
    return Surroundings(new_serial=_no_serial, running=running, list_files=lambda path: [path])


def _no_serial(key: BackstoreKey) -> str:
    raise AssertionError(f"SCST makes up the serial number of {key}")


# -- From the text to what runs ----------------------------------------------------------------------------------------


def _transferred(running: Configuration, before: Configuration, after: Configuration) -> Configuration:
    """`running`, with what differs between the other two."""
    gone = [key for key in before.backstores if key not in after.backstores]
    new = [store for key, store in after.backstores.items() if key not in before.backstores]
    result = reduce(create_backstore, new, reduce(delete_backstore, gone, running))
    stores = {
        key: _store(store, before.backstores[key], after.backstores[key])
        if key in before.backstores and key in after.backstores
        else store
        for key, store in result.backstores.items()
    }
    result = reduce(delete_target, [name for name in before.targets if name not in after.targets], result)
    targets = dict(result.targets)
    for name, target in after.targets.items():
        targets[name] = _target(targets[name], before.targets[name], target) if name in before.targets else target
    changed = before.discovery != after.discovery
    discovery = after.discovery if changed else running.discovery
    options = _settings(running.options, before.options, after.options)
    return dataclasses.replace(result, backstores=stores, targets=targets, discovery=discovery, options=options)


def _store(present: Backstore, before: Backstore, after: Backstore) -> Backstore:
    fields = {name: getattr(after, name) for name in _STORE_FIELDS if getattr(before, name) != getattr(after, name)}
    attributes = _settings(present.attributes, before.attributes, after.attributes)
    groups = present.alua_groups
    if before.alua_groups != after.alua_groups:
        known = {group.name: group for group in before.alua_groups}
        real = {group.name: group for group in present.alua_groups}
        unsaid = tuple(group for group in present.alua_groups if group.name not in known)
        groups = (
            *unsaid,
            *(_alua_group(group, real.get(group.name), known.get(group.name)) for group in after.alua_groups),
        )
    return dataclasses.replace(present, **fields, attributes=attributes, alua_groups=groups)


def _alua_group(after: AluaGroup, present: AluaGroup | None, before: AluaGroup | None) -> AluaGroup:
    if present is None or before is None:
        return after
    parameters = _settings(present.parameters, before.parameters, after.parameters)
    return dataclasses.replace(present, alua_group_id=after.alua_group_id, parameters=parameters)


def _target(present: Target, before: Target, after: Target) -> Target:
    if before == after:
        return present
    if not present.portal_groups:
        return dataclasses.replace(present, portal_groups=after.portal_groups)
    group, *others = present.portal_groups
    merged = _group(group, before.portal_groups[0], after.portal_groups[0])
    return dataclasses.replace(present, portal_groups=(merged, *others))


def _group(present: PortalGroup, before: PortalGroup, after: PortalGroup) -> PortalGroup:
    fields = {name: getattr(after, name) for name in _GROUP_FIELDS if getattr(before, name) != getattr(after, name)}
    groups = present.initiator_groups
    if before.initiator_groups != after.initiator_groups:
        groups = tuple(_initiators(group, present, before) for group in after.initiator_groups)
    attributes = _settings(present.attributes, before.attributes, after.attributes)
    if present.attributes.get("authentication") and any(acl.chap.incoming for acl in present.node_acls):
        # They go on proving who they are, even if the last account of the target goes.
        attributes["authentication"] = 1
    return dataclasses.replace(
        present,
        **fields,
        attributes=attributes,
        parameters=_settings(present.parameters, before.parameters, after.parameters),
        luns=_items(present.luns, before.luns, after.luns),
        initiator_groups=groups,
    )


def _initiators(after: InitiatorGroup, present: PortalGroup, before: PortalGroup) -> InitiatorGroup:
    """A group as it is to be, with what the text had no word for."""
    old = next((group for group in before.initiator_groups if group.name == after.name), None)
    real = next((group for group in present.initiator_groups if group.name == after.name), None)
    if old is None or real is None:
        return after
    mapped = _items(real.mapped_luns, old.mapped_luns, after.mapped_luns)
    return dataclasses.replace(real, initiators=after.initiators, mapped_luns=mapped)


def _items(present: Iterable[_Item], before: Iterable[_Item], after: Iterable[_Item]) -> tuple[_Item, ...]:
    """What `present` has beyond `before`, and what is to be."""
    known = list(before)
    return (*(item for item in present if item not in known), *after)


def _settings(
    present: Mapping[str, _Item], before: Mapping[str, _Item], after: Mapping[str, _Item]
) -> dict[str, _Item]:
    differing = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    kept = {name: value for name, value in present.items() if name not in differing}
    return {**kept, **{name: after[name] for name in differing if name in after}}


_STORE_FIELDS = ("path", "size", "write_back", "read_only", "unit_serial")
_GROUP_FIELDS = ("enable", "chap", "portals")
