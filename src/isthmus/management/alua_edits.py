"""Use cases on ALUA target port groups, as functions from one configuration to the next (LIO's `alua` of a backstore)."""

import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from isthmus.config.model import (
    DEFAULT_ALUA_GROUP,
    AluaGroup,
    Backstore,
    BackstoreKey,
    Configuration,
    Lun,
    PortalGroup,
    Target,
)
from isthmus.config.settings import ALUA_GROUP_PARAMETERS, Value
from isthmus.errors import ConfigurationError
from isthmus.management.backstore_edits import backstore_of
from isthmus.management.errors import NotFoundError, some_of
from isthmus.management.target_edits import edit_group
from isthmus.names import IscsiName

__all__ = [
    "alua_group_of",
    "alua_groups_of",
    "alua_members",
    "create_alua_group",
    "delete_alua_group",
    "has_alua_groups",
    "lun_of",
    "set_alua_parameters",
    "set_lun_alua_group",
]

_PSCSI: Final = "pscsi"
_UNSAVED: Final[Mapping[str, Value]] = MappingProxyType({"nonop_delay_msecs": 0, "alua_support_offline": 0})
"""How the default group runs while nothing is saved of it: see `scsi.alua.AluaPortGroup`."""


def has_alua_groups(store: Backstore) -> bool:
    """Whether a backstore has target port groups here; a SCSI device has its own."""
    return store.key.kind != _PSCSI


def alua_groups_of(store: Backstore) -> tuple[AluaGroup, ...]:
    """Every group, the default one first, which is there whether it is saved or not."""
    if not has_alua_groups(store):
        return ()
    saved = sorted(store.alua_groups, key=lambda group: group.name != DEFAULT_ALUA_GROUP)
    if saved and saved[0].name == DEFAULT_ALUA_GROUP:
        return tuple(saved)
    return (AluaGroup(name=DEFAULT_ALUA_GROUP, alua_group_id=0, parameters=_UNSAVED), *saved)


def alua_group_of(store: Backstore, name: str) -> AluaGroup:
    """The group of that name; raises `NotFoundError` with those that there are."""
    groups = alua_groups_of(store)
    for group in groups:
        if group.name == name:
            return group
    there = some_of(group.name for group in groups)
    raise NotFoundError(f"{store.key} has no ALUA group {name!r}", f"it has {there}")


def create_alua_group(configuration: Configuration, key: BackstoreKey, name: str, alua_group_id: int) -> Configuration:
    """One more group, with no LUN in it yet; raises `ConfigurationError` if its name or its number is taken."""
    store = backstore_of(configuration, key)
    if not has_alua_groups(store):
        raise ConfigurationError(f"{key} is a SCSI device, which has its own ALUA groups", "ask it for them")
    if not name or not name.isprintable() or "/" in name or " " in name:
        raise ConfigurationError(f"{name!r} cannot name an ALUA group", "use no blanks and no slashes")
    if alua_group_id == 0:
        raise ConfigurationError(f"0 is the number of {DEFAULT_ALUA_GROUP}", "use 1 to 65535")
    for group in alua_groups_of(store):
        if name == group.name or alua_group_id == group.alua_group_id:
            raise ConfigurationError(
                f"{key} has an ALUA group {group.name} of number {group.alua_group_id} already",
                "each has its own name and number",
            )
    created = AluaGroup(name=name, alua_group_id=alua_group_id)
    return _with(configuration, store, (*store.alua_groups, created))


def delete_alua_group(configuration: Configuration, key: BackstoreKey, name: str) -> Configuration:
    """Without that group; its LUNs are in the default group then (as LIO does)."""
    store = backstore_of(configuration, key)
    alua_group_of(store, name)
    if name == DEFAULT_ALUA_GROUP:
        raise ConfigurationError(f"{name} cannot be deleted", "every LUN without another group is in it")
    for target, group, lun in list(alua_members(configuration, key, name)):
        configuration = set_lun_alua_group(configuration, target.name, group.tag, lun.number, DEFAULT_ALUA_GROUP)
    left = tuple(group for group in store.alua_groups if group.name != name)
    return _with(configuration, store, left)


def set_alua_parameters(
    configuration: Configuration, key: BackstoreKey, name: str, values: Mapping[str, Value]
) -> Configuration:
    """With these parameters; the others stay. Raises `ConfigurationError` for a name or value that cannot be."""
    store = backstore_of(configuration, key)
    group = alua_group_of(store, name)
    parsed = {key: ALUA_GROUP_PARAMETERS.parse_change(key, value) for key, value in values.items()}
    edited = dataclasses.replace(group, parameters={**group.parameters, **parsed})
    others = [edited if known.name == name else known for known in store.alua_groups]
    if edited not in others:
        others.insert(0, edited)
    return _with(configuration, store, tuple(others))


def alua_members(
    configuration: Configuration, key: BackstoreKey, name: str
) -> Iterator[tuple[Target, PortalGroup, Lun]]:
    """The LUNs of a backstore that are in a group of it; one whose group there is not is in the default group."""
    known = {group.name for group in backstore_of(configuration, key).alua_groups}
    for target, group, lun in configuration.luns():
        effective = lun.alua_group if lun.alua_group in known else DEFAULT_ALUA_GROUP
        if lun.backstore == key and effective == name:
            yield target, group, lun


def lun_of(group: PortalGroup, number: int) -> Lun:
    """The LUN of that number; raises `NotFoundError` with those that there are."""
    for lun in group.luns:
        if lun.number == number:
            return lun
    there = some_of(f"lun{lun.number}" for lun in group.luns)
    raise NotFoundError(f"tpg{group.tag} has no lun{number}", f"it has {there}")


def set_lun_alua_group(
    configuration: Configuration, target: IscsiName, tag: int, number: int, name: str
) -> Configuration:
    """With a LUN in another ALUA group of its backstore; raises `NotFoundError` if that has none of the name."""

    def edit(group: PortalGroup) -> PortalGroup:
        lun = lun_of(group, number)
        alua_group_of(backstore_of(configuration, lun.backstore), name)
        return _with_lun(group, dataclasses.replace(lun, alua_group=name))

    return edit_group(configuration, target, tag, edit)


def _with_lun(group: PortalGroup, lun: Lun) -> PortalGroup:
    luns = tuple(lun if known.number == lun.number else known for known in group.luns)
    return dataclasses.replace(group, luns=luns)


def _with(configuration: Configuration, store: Backstore, groups: tuple[AluaGroup, ...]) -> Configuration:
    edited = dataclasses.replace(store, alua_groups=groups)
    return dataclasses.replace(configuration, backstores={**configuration.backstores, store.key: edited})
