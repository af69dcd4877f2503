"""Use cases on LUNs, node ACLs and mapped LUNs, as functions from one configuration to the next."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from functools import partial

from isthmus.config.model import BackstoreKey, Configuration, Lun, MappedLun, NodeAcl, PortalGroup
from isthmus.config.settings import ACL_ATTRIBUTES, Value
from isthmus.errors import ConfigurationError
from isthmus.management.errors import NotFoundError, some_of
from isthmus.management.mapped_luns import chosen_number, with_mapped_lun, without_mapped_lun, without_mappings_of
from isthmus.management.target_edits import edit_group, with_credentials
from isthmus.names import IscsiName

__all__ = [
    "add_acl",
    "add_lun",
    "add_mapped_lun",
    "remove_acl",
    "remove_lun",
    "remove_mapped_lun",
    "set_acl_attributes",
    "set_acl_chap",
    "set_acl_tag",
    "without_luns",
]


def add_lun(
    configuration: Configuration,
    name: IscsiName,
    tag: int,
    backstore: BackstoreKey,
    *,
    number: int | None = None,
    add_mapped_luns: bool = True,
) -> Configuration:
    """The backstore as one more LUN: the lowest free number unless one is given, mapped for every node ACL if asked."""
    if backstore not in configuration.backstores:
        there = some_of(str(known) for known in sorted(configuration.backstores))
        raise ConfigurationError(f"there is no {backstore}", f"there is {there}")

    def edit(group: PortalGroup) -> PortalGroup:
        for lun in group.luns:
            if lun.backstore == backstore:
                raise ConfigurationError(f"{backstore} is LUN {lun.number} of tpg{tag} already", "one LUN is enough")
        chosen = chosen_number("LUN", number, {lun.number for lun in group.luns})
        group = dataclasses.replace(group, luns=_sorted_luns((*group.luns, Lun(number=chosen, backstore=backstore))))
        return _mapped_for_all(group, chosen) if add_mapped_luns else group

    return edit_group(configuration, name, tag, edit)


def remove_lun(configuration: Configuration, name: IscsiName, tag: int, number: int) -> Configuration:
    """Without that LUN and what maps it."""

    def edit(group: PortalGroup) -> PortalGroup:
        if all(lun.number != number for lun in group.luns):
            there = some_of(f"lun{lun.number}" for lun in group.luns)
            raise NotFoundError(f"tpg{tag} has no lun{number}", f"it has {there}")
        return _group_without(group, {number})

    return edit_group(configuration, name, tag, edit)


def without_luns(configuration: Configuration, goes: Callable[[Lun], bool]) -> Configuration:
    """Without the LUNs for which `goes` says so, in every target."""
    for target in list(configuration.targets.values()):
        for group in target.portal_groups:
            going = {lun.number for lun in group.luns if goes(lun)}
            if going:
                edit = partial(_group_without, numbers=going)
                configuration = edit_group(configuration, target.name, group.tag, edit)
    return configuration


def add_acl(
    configuration: Configuration, name: IscsiName, tag: int, initiator: IscsiName, *, add_mapped_luns: bool = True
) -> Configuration:
    """One more initiator that may log in, with every LUN of the group mapped if asked."""

    def edit(group: PortalGroup) -> PortalGroup:
        if any(acl.name == initiator for acl in group.node_acls):
            raise ConfigurationError(f"tpg{tag} has a node ACL for {initiator} already", "change that one")
        acl = NodeAcl(name=initiator)
        if add_mapped_luns:
            mapped = tuple(MappedLun(number=lun.number, tpg_lun=lun.number) for lun in group.luns)
            acl = dataclasses.replace(acl, mapped_luns=mapped)
        return dataclasses.replace(group, node_acls=(*group.node_acls, acl))

    return edit_group(configuration, name, tag, edit)


def remove_acl(configuration: Configuration, name: IscsiName, tag: int, initiator: IscsiName) -> Configuration:
    """Without that initiator's node ACL."""

    def edit(group: PortalGroup) -> PortalGroup:
        gone = _acl_of(group, initiator)
        return dataclasses.replace(group, node_acls=tuple(acl for acl in group.node_acls if acl is not gone))

    return edit_group(configuration, name, tag, edit)


def set_acl_attributes(
    configuration: Configuration, name: IscsiName, tag: int, initiator: IscsiName, values: Mapping[str, Value]
) -> Configuration:
    """With these attributes; the others stay."""
    parsed = {key: ACL_ATTRIBUTES.parse_change(key, value) for key, value in values.items()}
    return _edit_acl(
        configuration,
        name,
        tag,
        initiator,
        lambda acl: dataclasses.replace(acl, attributes={**acl.attributes, **parsed}),
    )


def set_acl_chap(
    configuration: Configuration, name: IscsiName, tag: int, initiator: IscsiName, values: Mapping[str, str]
) -> Configuration:
    """With these CHAP names and secrets."""
    return _edit_acl(
        configuration,
        name,
        tag,
        initiator,
        lambda acl: dataclasses.replace(acl, chap=with_credentials(acl.chap, values)),
    )


def set_acl_tag(
    configuration: Configuration, name: IscsiName, tag: int, initiator: IscsiName, label: str
) -> Configuration:
    """With that label, or none if it is empty (targetcli's `tag` and `untag`)."""
    return _edit_acl(configuration, name, tag, initiator, lambda acl: dataclasses.replace(acl, tag=label))


def add_mapped_lun(
    configuration: Configuration,
    name: IscsiName,
    tag: int,
    initiator: IscsiName,
    tpg_lun: int,
    *,
    number: int | None = None,
    write_protect: bool = False,
) -> Configuration:
    """That LUN for that initiator, under its own number or another."""
    return _edit_acl(
        configuration,
        name,
        tag,
        initiator,
        lambda acl: dataclasses.replace(
            acl,
            mapped_luns=with_mapped_lun(acl.mapped_luns, tpg_lun, number=number, write_protect=write_protect),
        ),
    )


def remove_mapped_lun(
    configuration: Configuration, name: IscsiName, tag: int, initiator: IscsiName, number: int
) -> Configuration:
    """Without that LUN for that initiator."""
    return _edit_acl(
        configuration,
        name,
        tag,
        initiator,
        lambda acl: dataclasses.replace(acl, mapped_luns=without_mapped_lun(acl.mapped_luns, number, str(initiator))),
    )


def _edit_acl(
    configuration: Configuration,
    name: IscsiName,
    tag: int,
    initiator: IscsiName,
    edit: Callable[[NodeAcl], NodeAcl],
) -> Configuration:
    def edit_in_group(group: PortalGroup) -> PortalGroup:
        present = _acl_of(group, initiator)
        edited = edit(present)
        acls = tuple(edited if acl is present else acl for acl in group.node_acls)
        return dataclasses.replace(group, node_acls=acls)

    return edit_group(configuration, name, tag, edit_in_group)


def _acl_of(group: PortalGroup, initiator: IscsiName) -> NodeAcl:
    for acl in group.node_acls:
        if acl.name == initiator:
            return acl
    there = some_of(acl.name for acl in group.node_acls)
    raise NotFoundError(f"tpg{group.tag} has no node ACL for {initiator}", f"it has {there}")


def _mapped_for_all(group: PortalGroup, number: int) -> PortalGroup:
    """Every node ACL gets the LUN under its own number, or the lowest free one if that is taken there."""
    acls = []
    for acl in group.node_acls:
        taken = {mapped.number for mapped in acl.mapped_luns}
        chosen = number if number not in taken else chosen_number("mapped LUN", None, taken)
        mapped_luns = with_mapped_lun(acl.mapped_luns, number, number=chosen)
        acls.append(dataclasses.replace(acl, mapped_luns=mapped_luns))
    return dataclasses.replace(group, node_acls=tuple(acls))


def _group_without(group: PortalGroup, numbers: Collection[int]) -> PortalGroup:
    acls = tuple(
        dataclasses.replace(acl, mapped_luns=without_mappings_of(acl.mapped_luns, numbers)) for acl in group.node_acls
    )
    initiator_groups = tuple(
        dataclasses.replace(initiators, mapped_luns=without_mappings_of(initiators.mapped_luns, numbers))
        for initiators in group.initiator_groups
    )
    luns = tuple(lun for lun in group.luns if lun.number not in numbers)
    return dataclasses.replace(group, luns=luns, node_acls=acls, initiator_groups=initiator_groups)


def _sorted_luns(luns: tuple[Lun, ...]) -> tuple[Lun, ...]:
    return tuple(sorted(luns, key=lambda lun: lun.number))
