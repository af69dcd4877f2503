"""The difference of two configurations as steps, in an order that is safe to do on a server that runs.

First goes what stands on something else, then that; then backstores change and come, and what stands on them, from the
bottom up. A portal is given up everywhere before it is taken anywhere. A new portal group is enabled when it is
complete, so that nobody ever gets into one whose access rules are still missing.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from isthmus.config.acl_changes import (
    AddAcl,
    AddMappedLun,
    ChangeMappedLun,
    RemoveAcl,
    RemoveMappedLun,
    SetAclAttributes,
    SetAclChap,
    SetAclTag,
)
from isthmus.config.changes import (
    Change,
    ChangeMedium,
    CreateBackstore,
    CreateTarget,
    DeleteBackstore,
    DeleteTarget,
    ResizeBackstore,
    SetAccounts,
    SetAluaGroups,
    SetBackstoreAttributes,
    SetDiscoveryAuthentication,
    SetOptions,
)
from isthmus.config.group_changes import (
    AddLun,
    AddPortal,
    ChangeLun,
    CreatePortalGroup,
    DeletePortalGroup,
    DisableGroup,
    EnableGroup,
    RemoveLun,
    RemovePortal,
    SetGroupAttributes,
    SetGroupChap,
    SetGroupParameters,
    SetInitiatorGroups,
)
from isthmus.config.model import (
    Backstore,
    BackstoreKey,
    Configuration,
    InitiatorGroup,
    Lun,
    MappedLun,
    NodeAcl,
    PortalGroup,
    Settings,
)
from isthmus.names import IscsiName

__all__ = ["diff"]

_LIVE: Final = ("size", "attributes", "alua_groups")
"""What can be changed of a backstore that is open; anything else makes it another one, but for what is in a drive."""
_NEVER_LIVE: Final = ("block_size", "device_type", "encrypt")
"""Attributes that make another disk of it: an initiator cannot be told of that while it uses the disk."""


def diff(old: Configuration, new: Configuration) -> tuple[Change, ...]:
    """The steps from `old` to `new`, both valid; none if they are equal.

    What both share as the very same object is not looked into.
    """
    return tuple(_Difference(old, new).steps())


@dataclasses.dataclass(frozen=True, slots=True)
class _Group:
    """A portal group as it was and as it will be; None: it is not there."""

    target: IscsiName
    tag: int
    old: PortalGroup
    new: PortalGroup
    exists: bool
    """It is there before."""


class _Difference:
    def __init__(self, old: Configuration, new: Configuration) -> None:
        self._old = old
        self._new = new
        self._differing = [] if new.backstores is old.backstores else _differing(old.backstores, new.backstores)
        self._replaced = {key for key in self._differing if self._is_replaced(key)}
        self._groups = list(self._common_groups())

    def _is_replaced(self, key: BackstoreKey) -> bool:
        """It was there, and its new self cannot be made of it while it is open."""
        old, new = self._old.backstores.get(key), self._new.backstores[key]
        if old is None:
            return False
        fixed = [(old.attributes.get(name), new.attributes.get(name)) for name in _NEVER_LIVE]
        live = (*_LIVE, "path") if new.is_drive else _LIVE
        same = {name: getattr(old, name) for name in live}
        return dataclasses.replace(new, **same) != old or any(before != after for before, after in fixed)

    def _common_groups(self) -> Iterator[_Group]:
        """Groups of the new configuration that differ from the old, or that a replaced backstore concerns."""
        for name, target in self._new.targets.items():
            before = self._old.targets.get(name)
            if before is target and not self._replaced:
                continue
            known = {group.tag: group for group in before.portal_groups} if before else {}
            for group in target.portal_groups:
                old = known.get(group.tag)
                if old is not group or self._replaced:
                    empty = PortalGroup(tag=group.tag, enable=False)
                    yield _Group(name, group.tag, old or empty, group, old is not None)

    def steps(self) -> Iterator[Change]:
        """All of them, in order."""
        yield from self._discovery()
        yield from self._disabled()
        yield from self._removed_in_groups()
        yield from self._deleted()
        yield from self._backstores()
        yield from self._created()
        yield from self._kept()
        yield from self._settings()
        yield from self._added_in_groups()
        yield from (
            AddPortal(target=group.target, tag=group.tag, portal=portal)
            for group in self._groups
            for portal in group.new.portals
            if portal not in group.old.portals
        )
        yield from (
            EnableGroup(target=group.target, tag=group.tag)
            for group in self._groups
            if group.new.enable and not group.old.enable
        )

    def _discovery(self) -> Iterator[Change]:
        old, new = self._old.discovery, self._new.discovery
        if old != new:
            yield SetDiscoveryAuthentication(old=old, discovery=new)

    def _disabled(self) -> Iterator[Change]:
        for group in self._groups:
            if group.old.enable and not group.new.enable:
                yield DisableGroup(target=group.target, tag=group.tag)

    # -- What goes -----------------------------------------------------------------------------------------------------

    def _removed_in_groups(self) -> Iterator[Change]:
        for group in self._groups:
            yield from self._removed_mapped_luns(group)
            yield from self._removed_group_luns(group)
            kept = {acl.name for acl in group.new.node_acls}
            for acl in group.old.node_acls:
                if acl.name not in kept:
                    yield RemoveAcl(target=group.target, tag=group.tag, initiator=acl.name)
            for lun in group.old.luns:
                if self._goes(lun, group):
                    yield RemoveLun(target=group.target, tag=group.tag, lun=lun)
        for group in self._groups:
            for portal in group.old.portals:
                if portal not in group.new.portals:
                    yield RemovePortal(target=group.target, tag=group.tag, portal=portal)

    def _removed_mapped_luns(self, group: _Group) -> Iterator[Change]:
        new_acls = {acl.name: acl for acl in group.new.node_acls}
        for acl in group.old.node_acls:
            new = new_acls.get(acl.name)
            for mapped in acl.mapped_luns:
                # With its ACL it goes anyway, but a LUN must not go before what stands on it.
                if new is None or self._mapping_goes(mapped, new, group):
                    yield RemoveMappedLun(target=group.target, tag=group.tag, initiator=acl.name, mapped=mapped)

    def _removed_group_luns(self, group: _Group) -> Iterator[Change]:
        """Mapped LUNs of initiator groups go before the LUNs that they stand on; the rest comes in one step later."""
        before, after = group.old.initiator_groups, self._without_going(group)
        if before != after:
            yield SetInitiatorGroups(target=group.target, tag=group.tag, old=before, groups=after)

    def _without_going(self, group: _Group) -> tuple[InitiatorGroup, ...]:
        """The old initiator groups without mapped LUNs on LUNs that go."""
        going = {lun.number for lun in group.old.luns if self._goes(lun, group)}
        return tuple(
            dataclasses.replace(
                initiators, mapped_luns=tuple(lun for lun in initiators.mapped_luns if lun.tpg_lun not in going)
            )
            for initiators in group.old.initiator_groups
        )

    def _goes(self, lun: Lun, group: _Group) -> bool:
        """Whether a LUN that was there goes, be it to come again on other storage."""
        new = _by_number(group.new.luns, lun.number)
        return new is None or new.backstore != lun.backstore or lun.backstore in self._replaced

    def _mapping_goes(self, mapped: MappedLun, new_acl: NodeAcl, group: _Group) -> bool:
        new = _by_number(new_acl.mapped_luns, mapped.number)
        lun = _by_number(group.old.luns, mapped.tpg_lun)
        return new is None or new.tpg_lun != mapped.tpg_lun or (lun is not None and self._goes(lun, group))

    def _deleted(self) -> Iterator[Change]:
        for name, target in self._old.targets.items():
            after = self._new.targets.get(name)
            if after is None:
                yield DeleteTarget(name=name)
            elif after is not target:
                kept = {group.tag for group in after.portal_groups}
                for group in target.portal_groups:
                    if group.tag not in kept:
                        yield DeletePortalGroup(target=name, tag=group.tag)
        gone = () if self._new.backstores is self._old.backstores else self._old.backstores
        for key in gone:
            if key not in self._new.backstores or key in self._replaced:
                yield DeleteBackstore(key=key)

    # -- What changes and comes ----------------------------------------------------------------------------------------

    def _backstores(self) -> Iterator[Change]:
        for key in self._differing:
            old, new = self._old.backstores.get(key), self._new.backstores[key]
            if old is None or key in self._replaced:
                yield CreateBackstore(key=key, backstore=new)
            else:
                yield from _live_changes(old, new)

    def _created(self) -> Iterator[Change]:
        for name in self._new.targets:
            if name not in self._old.targets:
                yield CreateTarget(name=name)
        for group in self._groups:
            if not group.exists:
                yield CreatePortalGroup(target=group.target, tag=group.tag)

    def _kept(self) -> Iterator[Change]:
        old, new = self._old, self._new
        if old.accounts != new.accounts:
            yield SetAccounts(old=old.accounts, accounts=new.accounts)
        if old.options != new.options:
            yield SetOptions(target=None, old=old.options, options=new.options)
        for name, target in new.targets.items():
            before = old.targets.get(name)
            options: Settings = {} if before is None else before.options
            if before is not target and options != target.options:
                yield SetOptions(target=name, old=options, options=target.options)

    def _settings(self) -> Iterator[Change]:
        for group in self._groups:
            old, new = group.old, group.new
            if old.attributes != new.attributes:
                yield SetGroupAttributes(
                    target=group.target, tag=group.tag, old=old.attributes, attributes=new.attributes
                )
            if old.parameters != new.parameters:
                yield SetGroupParameters(
                    target=group.target, tag=group.tag, old=old.parameters, parameters=new.parameters
                )
            if old.chap != new.chap:
                yield SetGroupChap(target=group.target, tag=group.tag, old=old.chap, chap=new.chap)

    def _added_in_groups(self) -> Iterator[Change]:
        for group in self._groups:
            yield from self._luns(group)
            before, after = self._without_going(group), group.new.initiator_groups
            if before != after:
                yield SetInitiatorGroups(target=group.target, tag=group.tag, old=before, groups=after)
            known = {acl.name: acl for acl in group.old.node_acls}
            for acl in group.new.node_acls:
                yield from self._acl(known.get(acl.name), acl, group)

    def _luns(self, group: _Group) -> Iterator[Change]:
        for lun in group.new.luns:
            old = _by_number(group.old.luns, lun.number)
            if old is None or self._goes(old, group):
                yield AddLun(target=group.target, tag=group.tag, lun=lun)
            elif old != lun:
                yield ChangeLun(target=group.target, tag=group.tag, lun=lun)

    def _acl(self, old: NodeAcl | None, acl: NodeAcl, group: _Group) -> Iterator[Change]:
        if old is None:
            bare = dataclasses.replace(acl, mapped_luns=())
            yield AddAcl(target=group.target, tag=group.tag, initiator=acl.name, acl=bare)
        else:
            yield from _acl_settings(old, acl, group)
        for mapped in acl.mapped_luns:
            present = _by_number(old.mapped_luns, mapped.number) if old else None
            if present is None or self._mapping_goes(present, acl, group):
                yield AddMappedLun(target=group.target, tag=group.tag, initiator=acl.name, mapped=mapped)
            elif present != mapped:
                yield ChangeMappedLun(target=group.target, tag=group.tag, initiator=acl.name, mapped=mapped)


def _differing(old: Mapping[BackstoreKey, Backstore], new: Mapping[BackstoreKey, Backstore]) -> list[BackstoreKey]:
    return [key for key, store in new.items() if _is_other(old.get(key), store)]


def _is_other(old: Backstore | None, new: Backstore) -> bool:
    return old is not new and old != new


def _live_changes(old: Backstore, new: Backstore) -> Iterator[Change]:
    if old.path != new.path:
        yield ChangeMedium(key=new.key, old=old.path, path=new.path)
    if old.size != new.size:
        yield ResizeBackstore(key=new.key, old_size=old.size, size=new.size)
    if old.attributes != new.attributes:
        yield SetBackstoreAttributes(key=new.key, old=old.attributes, attributes=new.attributes)
    if old.alua_groups != new.alua_groups:
        yield SetAluaGroups(key=new.key, groups=new.alua_groups)


def _acl_settings(old: NodeAcl, new: NodeAcl, group: _Group) -> Iterator[Change]:
    target, tag, initiator = group.target, group.tag, new.name
    if old.attributes != new.attributes:
        yield SetAclAttributes(
            target=target, tag=tag, initiator=initiator, old=old.attributes, attributes=new.attributes
        )
    if old.tag != new.tag:
        yield SetAclTag(target=target, tag=tag, initiator=initiator, text=new.tag)
    if old.chap != new.chap:
        yield SetAclChap(target=target, tag=tag, initiator=initiator, old=old.chap, chap=new.chap)


_Numbered = TypeVar("_Numbered", Lun, MappedLun)


def _by_number(luns: tuple[_Numbered, ...], number: int) -> _Numbered | None:
    return next((lun for lun in luns if lun.number == number), None)
