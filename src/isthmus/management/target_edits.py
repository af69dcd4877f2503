"""Use cases on targets, portal groups and portals, as functions from one configuration to the next (LIO's `/iscsi`)."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from isthmus.config.model import Chap, Configuration, DiscoveryAuthentication, Portal, PortalGroup, Target
from isthmus.config.settings import TPG_ATTRIBUTES, TPG_PARAMETERS, Value
from isthmus.errors import ConfigurationError
from isthmus.management.errors import NotFoundError, some_of
from isthmus.names import IscsiName

__all__ = [
    "DEFAULT_PORTAL",
    "add_portal",
    "change_portal",
    "create_portal_group",
    "create_target",
    "delete_portal_group",
    "delete_target",
    "edit_group",
    "group_of",
    "remove_portal",
    "set_discovery_authentication",
    "set_group_attributes",
    "set_group_chap",
    "set_group_enabled",
    "set_group_parameters",
    "target_of",
]

_CREDENTIALS: Final = {"userid", "password", "mutual_userid", "mutual_password"}
DEFAULT_PORTAL: Final = Portal("::", 3260)
"""Every address, both families; gives way to the first portal that is named (targetcli-fb#191: it used to collide)."""


def target_of(configuration: Configuration, name: IscsiName) -> Target:
    """The target of that name; raises `ConfigurationError` with those that there are."""
    try:
        return configuration.targets[name]
    except KeyError:
        there = some_of(sorted(configuration.targets))
        raise NotFoundError(f"there is no target {name}", f"there is {there}") from None


def group_of(configuration: Configuration, name: IscsiName, tag: int) -> PortalGroup:
    """The portal group with that tag; raises `ConfigurationError` with those that the target has."""
    target = target_of(configuration, name)
    for group in target.portal_groups:
        if group.tag == tag:
            return group
    there = some_of(f"tpg{group.tag}" for group in target.portal_groups)
    raise NotFoundError(f"{name} has no tpg{tag}", f"it has {there}")


def create_target(
    configuration: Configuration,
    name: IscsiName,
    *,
    default_portal: Portal | None = DEFAULT_PORTAL,
    enabled: bool = True,
) -> Configuration:
    """One more target, with portal group 1, without authentication, as targetcli makes it."""
    if name in configuration.targets:
        raise ConfigurationError(f"there is a target {name} already", "choose another name")
    portals = (default_portal,) if default_portal else ()
    return _with(configuration, Target(name=name, portal_groups=(PortalGroup(tag=1, enable=enabled, portals=portals),)))


def delete_target(configuration: Configuration, name: IscsiName) -> Configuration:
    """Without the target and all in it; its backstores stay."""
    target_of(configuration, name)
    left = {known: target for known, target in configuration.targets.items() if known != name}
    return dataclasses.replace(configuration, targets=left)


def create_portal_group(
    configuration: Configuration, name: IscsiName, tag: int | None = None, *, enabled: bool = True
) -> Configuration:
    """One more portal group, with the lowest free tag unless one is given."""
    target = target_of(configuration, name)
    taken = {group.tag for group in target.portal_groups}
    if tag is None:
        tag = next(number for number in range(1, 0x10000) if number not in taken)
    if tag in taken:
        raise ConfigurationError(f"{name} has a tpg{tag} already", "choose another tag")
    groups = sorted((*target.portal_groups, PortalGroup(tag=tag, enable=enabled)), key=lambda group: group.tag)
    return _with(configuration, dataclasses.replace(target, portal_groups=tuple(groups)))


def delete_portal_group(configuration: Configuration, name: IscsiName, tag: int) -> Configuration:
    """Without the portal group and all in it."""
    gone = group_of(configuration, name, tag)
    target = target_of(configuration, name)
    left = tuple(group for group in target.portal_groups if group is not gone)
    return _with(configuration, dataclasses.replace(target, portal_groups=left))


def edit_group(
    configuration: Configuration, name: IscsiName, tag: int, edit: Callable[[PortalGroup], PortalGroup]
) -> Configuration:
    """With what `edit` makes of one portal group."""
    present = group_of(configuration, name, tag)
    target = target_of(configuration, name)
    edited = edit(present)
    groups = tuple(edited if group is present else group for group in target.portal_groups)
    return _with(configuration, dataclasses.replace(target, portal_groups=groups))


def add_portal(configuration: Configuration, name: IscsiName, tag: int, portal: Portal) -> Configuration:
    """With one more portal; the default portal gives way to it.

    Raises `ConfigurationError` if another portal group of the target has it: a connection must show which group it is for.
    """
    for group in target_of(configuration, name).portal_groups:
        if any((known.address, known.port) == (portal.address, portal.port) for known in group.portals):
            if group.tag == tag and group.portals == (portal,) == (DEFAULT_PORTAL,):
                return configuration
            raise ConfigurationError(f"tpg{group.tag} of {name} listens on {portal} already", "choose another port")
        if group.tag != tag and any(_overlap(known, portal) for known in group.portals if known != DEFAULT_PORTAL):
            raise ConfigurationError(
                f"tpg{group.tag} of {name} listens on every address with port {portal.port}",
                "give each group addresses of its own",
            )

    def edit(group: PortalGroup) -> PortalGroup:
        others = tuple(known for known in group.portals if known != DEFAULT_PORTAL)
        return dataclasses.replace(group, portals=(*others, portal))

    return edit_group(configuration, name, tag, edit)


def _overlap(one: Portal, other: Portal) -> bool:
    wildcards = {"::", "0.0.0.0"}  # noqa: S104  compared with, not bound to
    return one.port == other.port and bool({one.address, other.address} & wildcards)


def remove_portal(configuration: Configuration, name: IscsiName, tag: int, address: str, port: int) -> Configuration:
    """Without that portal."""
    gone = Portal(address, port)

    def edit(group: PortalGroup) -> PortalGroup:
        left = tuple(known for known in group.portals if (known.address, known.port) != (gone.address, gone.port))
        if len(left) == len(group.portals):
            there = some_of(map(str, group.portals))
            raise NotFoundError(f"tpg{tag} has no portal {gone}", f"it has {there}")
        return dataclasses.replace(group, portals=left)

    return edit_group(configuration, name, tag, edit)


def change_portal(
    configuration: Configuration, name: IscsiName, tag: int, portal: Portal, changed: Portal
) -> Configuration:
    """With another in place of a portal: one of the same address that has `iser` or `offload` otherwise."""

    def edit(group: PortalGroup) -> PortalGroup:
        portals = tuple(changed if known == portal else known for known in group.portals)
        return dataclasses.replace(group, portals=portals)

    return edit_group(configuration, name, tag, edit)


def set_group_enabled(configuration: Configuration, name: IscsiName, tag: int, *, enabled: bool) -> Configuration:
    """Enabled or disabled; either twice is the same as once."""
    return edit_group(configuration, name, tag, lambda group: dataclasses.replace(group, enable=enabled))


def set_group_attributes(
    configuration: Configuration, name: IscsiName, tag: int, values: Mapping[str, Value]
) -> Configuration:
    """With these attributes; the others stay."""
    parsed = {key: TPG_ATTRIBUTES.parse_change(key, value) for key, value in values.items()}
    return edit_group(
        configuration, name, tag, lambda group: dataclasses.replace(group, attributes={**group.attributes, **parsed})
    )


def set_group_parameters(
    configuration: Configuration, name: IscsiName, tag: int, values: Mapping[str, Value]
) -> Configuration:
    """With these parameters; the others stay."""
    parsed = {key: TPG_PARAMETERS.parse_change(key, value) for key, value in values.items()}
    return edit_group(
        configuration, name, tag, lambda group: dataclasses.replace(group, parameters={**group.parameters, **parsed})
    )


def set_group_chap(configuration: Configuration, name: IscsiName, tag: int, values: Mapping[str, str]) -> Configuration:
    """With these CHAP names and secrets (`userid`, `password`, `mutual_userid`, `mutual_password`)."""
    return edit_group(
        configuration,
        name,
        tag,
        lambda group: dataclasses.replace(group, chap=with_credentials(group.chap, values)),
    )


def set_discovery_authentication(
    configuration: Configuration, values: Mapping[str, str], *, enable: bool | None = None
) -> Configuration:
    """With these names and secrets, and discovery authentication on or off if that is given."""
    present = configuration.discovery
    discovery = DiscoveryAuthentication(
        enable=present.enable if enable is None else enable, chap=with_credentials(present.chap, values)
    )
    return dataclasses.replace(configuration, discovery=discovery)


def with_credentials(chap: Chap, values: Mapping[str, str]) -> Chap:
    """`chap` with some of its texts changed; as with LIO, NULL clears one."""
    unknown = values.keys() - _CREDENTIALS
    if unknown:
        raise ConfigurationError(
            f"authentication has no {', '.join(sorted(unknown))}",
            "it has userid, password, mutual_userid and mutual_password",
        )
    texts: dict[str, Any] = {key: "" if value == "NULL" else value for key, value in values.items()}
    return dataclasses.replace(chap, **texts)


def _with(configuration: Configuration, target: Target) -> Configuration:
    return dataclasses.replace(configuration, targets={**configuration.targets, target.name: target})
