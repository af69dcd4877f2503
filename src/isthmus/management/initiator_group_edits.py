"""Use cases on initiator groups (SCST's `ini_groups`), as functions from one configuration to the next."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from isthmus.config.access_lists import canonical_pattern
from isthmus.config.model import Configuration, InitiatorGroup, PortalGroup
from isthmus.config.settings import INITIATOR_GROUP_ATTRIBUTES, Value
from isthmus.errors import ConfigurationError
from isthmus.management.errors import NotFoundError, some_of
from isthmus.management.mapped_luns import with_mapped_lun, without_mapped_lun
from isthmus.management.target_edits import edit_group
from isthmus.names import IscsiName

__all__ = [
    "add_group_lun",
    "add_initiator_group",
    "add_initiators",
    "initiator_group_of",
    "move_initiator",
    "remove_group_lun",
    "remove_initiator_group",
    "remove_initiators",
    "set_initiator_group_attributes",
    "set_initiators",
]


def initiator_group_of(portal_group: PortalGroup, name: str) -> InitiatorGroup:
    """The initiator group of that name; raises `NotFoundError` with those that there are."""
    for group in portal_group.initiator_groups:
        if group.name == name:
            return group
    there = some_of(group.name for group in portal_group.initiator_groups)
    raise NotFoundError(f"tpg{portal_group.tag} has no initiator group {name!r}", f"it has {there}")


def add_initiator_group(
    configuration: Configuration, target: IscsiName, tag: int, name: str, initiators: Iterable[str] = ()
) -> Configuration:
    """One more initiator group, after the others, with these patterns and no LUN yet."""

    def edit(group: PortalGroup) -> PortalGroup:
        if any(known.name == name for known in group.initiator_groups):
            raise ConfigurationError(f"tpg{tag} has an initiator group {name!r} already", "choose another name")
        created = InitiatorGroup(name=name, initiators=tuple(initiators))
        return dataclasses.replace(group, initiator_groups=(*group.initiator_groups, created))

    return edit_group(configuration, target, tag, edit)


def remove_initiator_group(configuration: Configuration, target: IscsiName, tag: int, name: str) -> Configuration:
    """Without that group; its initiators are asked about anew."""

    def edit(group: PortalGroup) -> PortalGroup:
        gone = initiator_group_of(group, name)
        left = tuple(known for known in group.initiator_groups if known is not gone)
        return dataclasses.replace(group, initiator_groups=left)

    return edit_group(configuration, target, tag, edit)


def add_initiators(
    configuration: Configuration, target: IscsiName, tag: int, name: str, patterns: Iterable[str]
) -> Configuration:
    """With these patterns, too. Raises `ConfigurationError` for one that is there already."""
    more = tuple(patterns)
    return _edit(
        configuration,
        target,
        tag,
        name,
        lambda group: dataclasses.replace(group, initiators=(*group.initiators, *more)),
    )


def remove_initiators(
    configuration: Configuration, target: IscsiName, tag: int, name: str, patterns: Iterable[str]
) -> Configuration:
    """Without these patterns."""
    gone = [_canonical(pattern) for pattern in patterns]

    def edit(group: InitiatorGroup) -> InitiatorGroup:
        for pattern in gone:
            if pattern not in group.initiators:
                there = some_of(group.initiators)
                raise NotFoundError(f"initiator group {name} has no pattern {pattern}", f"it has {there}")
        left = tuple(pattern for pattern in group.initiators if pattern not in gone)
        return dataclasses.replace(group, initiators=left)

    return _edit(configuration, target, tag, name, edit)


def set_initiators(
    configuration: Configuration, target: IscsiName, tag: int, name: str, patterns: Iterable[str]
) -> Configuration:
    """With these patterns and no others."""
    all_of_them = tuple(patterns)
    return _edit(configuration, target, tag, name, lambda group: dataclasses.replace(group, initiators=all_of_them))


def move_initiator(
    configuration: Configuration, target: IscsiName, tag: int, name: str, pattern: str, destination: str
) -> Configuration:
    """With that pattern in another group."""
    without = remove_initiators(configuration, target, tag, name, [pattern])
    return add_initiators(without, target, tag, destination, [pattern])


def set_initiator_group_attributes(
    configuration: Configuration, target: IscsiName, tag: int, name: str, values: Mapping[str, Value]
) -> Configuration:
    """With these attributes; the others stay."""
    parsed = {key: INITIATOR_GROUP_ATTRIBUTES.parse(key, value) for key, value in values.items()}
    return _edit(
        configuration,
        target,
        tag,
        name,
        lambda group: dataclasses.replace(group, attributes={**group.attributes, **parsed}),
    )


def add_group_lun(
    configuration: Configuration,
    target: IscsiName,
    tag: int,
    name: str,
    tpg_lun: int,
    *,
    number: int | None = None,
    write_protect: bool = False,
) -> Configuration:
    """That LUN for the initiators of that group, under its own number or another."""
    return _edit(
        configuration,
        target,
        tag,
        name,
        lambda group: dataclasses.replace(
            group,
            mapped_luns=with_mapped_lun(group.mapped_luns, tpg_lun, number=number, write_protect=write_protect),
        ),
    )


def remove_group_lun(
    configuration: Configuration, target: IscsiName, tag: int, name: str, number: int
) -> Configuration:
    """Without that LUN for the initiators of that group."""
    owner = f"initiator group {name}"
    return _edit(
        configuration,
        target,
        tag,
        name,
        lambda group: dataclasses.replace(group, mapped_luns=without_mapped_lun(group.mapped_luns, number, owner)),
    )


def _canonical(pattern: str) -> str:
    try:
        return canonical_pattern(pattern)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _edit(
    configuration: Configuration,
    target: IscsiName,
    tag: int,
    name: str,
    edit: Callable[[InitiatorGroup], InitiatorGroup],
) -> Configuration:
    def edit_in_group(group: PortalGroup) -> PortalGroup:
        present = initiator_group_of(group, name)
        edited = edit(present)
        groups = tuple(edited if known is present else known for known in group.initiator_groups)
        return dataclasses.replace(group, initiator_groups=groups)

    return edit_group(configuration, target, tag, edit_in_group)
