"""Does the changes of a configuration on the running server, one by one, in the order that `config.diff` has put them.

Whatever a change does not name stays as it is: sessions go on, and what they see changes under them. Only opening,
resizing and closing storage takes time; each of these is bounded.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from isthmus.config.acl_changes import AclChange, RemoveAcl, SetAclAttributes
from isthmus.config.changes import (
    BackstoreChange,
    Change,
    ChangeMedium,
    CreateBackstore,
    CreateTarget,
    DeleteBackstore,
    DeleteTarget,
    KeptChange,
    ResizeBackstore,
    SetAluaGroups,
    SetBackstoreAttributes,
    SetDiscoveryAuthentication,
)
from isthmus.config.group_changes import (
    AddPortal,
    CreatePortalGroup,
    DeletePortalGroup,
    GroupChange,
    RemovePortal,
    SetGroupAttributes,
)
from isthmus.config.model import Backstore, BackstoreKey, Lun
from isthmus.config.model import PortalGroup as GroupSettings
from isthmus.engine.reference import ReferenceEngine
from isthmus.iscsi.session import Session
from isthmus.names import IscsiName
from isthmus.scsi.device_server import OnInternalError
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.nexus import LunMapping, Nexus
from isthmus.scsi.task_router import TaskRouter
from isthmus.server.access_groups import place_port
from isthmus.server.blocking import Slices, in_thread
from isthmus.server.disks import Disks, LostReservations
from isthmus.server.group_rules import GroupRules, discovery_authentication
from isthmus.server.listener import bare_address
from isthmus.server.login_policy import Directory
from isthmus.server.options import Portal
from isthmus.server.port_identifiers import PortIdentifiers
from isthmus.server.portal_set import PortalSet
from isthmus.target.access import Visitor
from isthmus.target.portal_group import Portal as ListeningPortal
from isthmus.target.portal_group import PortalGroup
from isthmus.target.target_node import TargetNode

__all__ = ["Reconciler", "RunningGroup"]

SAVE_SECONDS: Final = 20.0

_log = structlog.get_logger()
_PORT_NUMBER: Final = "relative_target_port_id"


@dataclass(slots=True)
class RunningGroup:
    """A portal group as it runs."""

    node: TargetNode
    group: PortalGroup
    rules: GroupRules

    def sessions(self) -> Iterator[tuple[Session, Nexus]]:
        """Its sessions, with what each sees."""
        for session, nexus in list(self.node.nexuses.items()):
            if nexus.target_portal_group_tag == self.group.target_portal_group_tag:
                yield session, nexus


class Reconciler:
    """The one who changes what runs."""

    def __init__(
        self,
        engine: ReferenceEngine,
        directory: Directory,
        disks: Disks,
        portals: PortalSet,
        port_identifiers: PortIdentifiers,
        *,
        default_portals: tuple[Portal, ...],
        on_internal_error: OnInternalError | None = None,
    ) -> None:
        """`default_portals` are those of portal groups that name none."""
        self._engine = engine
        self._directory = directory
        self._disks = disks
        self._portals = portals
        self._default_portals = default_portals
        self._on_internal_error = on_internal_error
        self.groups: dict[tuple[IscsiName, int], RunningGroup] = {}
        self._port_identifiers = port_identifiers
        self._portals_changed = False
        self._to_check: dict[tuple[IscsiName, int], None] = {}
        """Portal groups whose rules may have become narrower, in order."""
        self._showing: asyncio.Task[None] | None = None
        portals.on_change = self._portals_came

    # -- All of them ---------------------------------------------------------------------------------------------------

    async def load(self, changes: Iterable[Change]) -> None:
        """Do the changes that lead from nothing to a saved configuration. Storage that cannot be had stops nothing."""
        stores: list[Backstore] = []
        rest: list[Change] = []
        for change in changes:
            if isinstance(change, CreateBackstore):
                stores.append(change.backstore)
            else:
                rest.append(change)
        await self._disks.load(stores)
        slices = Slices()
        for change in rest:
            await self._do(change)
            await slices.pause()
        self._to_check.clear()
        await self._save_port_identifiers()
        await self._update_portals()

    async def prepare(self, changes: Iterable[Change]) -> None:
        """Open the new storage, so that what cannot be opened stops the plan before its first step.

        Storage that another backstore is still to let go of is opened in its turn. Raises `ConfigurationError`.
        """
        going: set[BackstoreKey] = set()
        coming: list[Backstore] = []
        slices = Slices()
        for change in changes:
            if isinstance(change, DeleteBackstore):
                going.add(change.key)
            elif isinstance(change, CreateBackstore):
                coming.append(change.backstore)
            await slices.pause()
        if coming:
            paths = {self._disks[key].settings.path for key in going}
            await self._disks.prepare(
                store for store in coming if store.key not in going and not (store.path and store.path in paths)
            )

    async def apply(self, changes: Iterable[Change], done: list[Change]) -> list[str]:
        """Do the changes; gives warnings. Each that is done is appended to `done`, whatever becomes of the others."""
        warnings = []
        slices = Slices()
        try:
            for change in changes:
                if warning := await self._do(change):
                    warnings.append(warning)
                done.append(change)
                await slices.pause()
        finally:
            self._end_refused()
            await self._save_port_identifiers()
            if self._portals_changed:
                await self._update_portals()
        return warnings

    async def _do(self, change: Change) -> str:
        if isinstance(change, BackstoreChange):
            return await self._do_backstore(change)
        if isinstance(change, GroupChange):
            self._do_group(change)
        elif isinstance(change, CreateTarget):
            self._directory.add(TargetNode(change.name, TaskRouter(self._engine.workers, self._on_internal_error)))
        elif isinstance(change, DeleteTarget):
            self._delete_target(change.name)
        elif isinstance(change, SetDiscoveryAuthentication):
            self._directory.discovery_authentication = discovery_authentication(change.discovery)
        elif not isinstance(change, KeptChange):
            raise TypeError(f"nobody knows how to do {type(change).__name__}")
        return ""

    def groups_of(self, name: IscsiName) -> list[RunningGroup]:
        """The portal groups of a target."""
        node = self._directory.targets.get(name)
        return [self.groups[name, tag] for tag in node.portal_groups] if node else []

    # -- Backstores ----------------------------------------------------------------------------------------------------

    async def _do_backstore(self, change: BackstoreChange) -> str:
        if isinstance(change, CreateBackstore):
            await self._disks.create(change.backstore)
            return ""
        if isinstance(change, DeleteBackstore):
            return await self._disks.delete(change.key)
        settings = change.edit(self._disks[change.key].settings)
        if isinstance(change, ResizeBackstore):
            await self._disks.resize(settings)
        elif isinstance(change, ChangeMedium):
            await self._disks.exchange_medium(settings)
        elif isinstance(change, SetBackstoreAttributes):
            self._disks.set_attributes(settings)
        elif isinstance(change, SetAluaGroups):
            self._disks.set_alua_groups(settings)
            for running in await self._groups_with(change.key):
                self._place_port(running)
        else:
            self._disks.set_settings(settings)
        return ""

    async def start_backstore(self, key: BackstoreKey, lost: LostReservations) -> None:
        """Run a backstore that does not, and show it where it belongs; raises `ConfigurationError`."""
        await self._disks.start(key, lost)
        for running in await self._groups_with(key):
            self._place_port(running)
            self._show_luns(running, None)

    async def _groups_with(self, key: BackstoreKey) -> list[RunningGroup]:
        """The portal groups that have a LUN on that backstore."""
        found: list[RunningGroup] = []
        slices = Slices()
        for running in list(self.groups.values()):
            if any(lun.backstore == key for lun in running.rules.settings.luns):
                found.append(running)
            await slices.pause()
        return found

    # -- Portal groups -------------------------------------------------------------------------------------------------

    def _do_group(self, change: GroupChange) -> None:
        key = change.target, change.tag
        if isinstance(change, CreatePortalGroup):
            self._create_group(*key)
        elif isinstance(change, DeletePortalGroup):
            self._delete_group(self.groups[key])
        else:
            self._change_group(self.groups[key], change)

    def _create_group(self, name: IscsiName, tag: int) -> None:
        node = self._directory.targets[name]
        rules = GroupRules(GroupSettings(tag=tag, enable=False), self._disks.unit)
        group = PortalGroup(
            target_portal_group_tag=tag, relative_target_port_id=self._port_identifiers.take(name, tag), access=rules
        )
        node.portal_groups[tag] = group
        self.groups[name, tag] = RunningGroup(node, group, rules)
        self._portals_changed = True

    def _change_group(self, running: RunningGroup, change: GroupChange) -> None:
        before, after = running.rules.settings, change.edit(running.rules.settings)
        running.rules.settings = after
        self._to_check[change.target, change.tag] = None
        if before.attributes.get(_PORT_NUMBER) != after.attributes.get(_PORT_NUMBER):
            self._number_port(running, int(after.attributes.get(_PORT_NUMBER, 0)))
        if before.luns != after.luns:
            self._remove_port(running, before.luns)
            self._place_port(running)
        if isinstance(change, AddPortal | RemovePortal):
            self._portals_changed = True
        elif isinstance(change, RemoveAcl):
            self._end(running, f"{change.initiator} may not log in any more", lambda name: name == change.initiator)
        elif before.enable and not after.enable:
            self._end(running, "the portal group is disabled")
        else:
            named = change.initiator if isinstance(change, AclChange) else None
            self._show_luns(running, named)
            if isinstance(change, SetAclAttributes | SetGroupAttributes):
                self._watch_over(running, named)
            patience_changed = before.attributes.get("netif_timeout") != after.attributes.get("netif_timeout")
            self._portals_changed |= patience_changed

    def _number_port(self, running: RunningGroup, number: int) -> None:
        """Give the group's target port the number that the operator wants; 0: ours. Who has it by chance gets another."""
        tag = running.group.target_portal_group_tag
        if not number:
            self._port_identifiers.release(running.node.name, tag)
            self._renumber(running, self._port_identifiers.take(running.node.name, tag))
            return
        self._port_identifiers.claim(running.node.name, tag, number)
        for other in self.groups.values():
            if other is not running and other.group.relative_target_port_id == number:
                other_tag = other.group.target_portal_group_tag
                self._renumber(other, self._port_identifiers.take(other.node.name, other_tag))
        self._renumber(running, number)

    def _renumber(self, running: RunningGroup, number: int) -> None:
        """The sessions end: what has been registered through the port is known by its number."""
        group, old = running.group, running.group.relative_target_port_id
        if number == old:
            return
        self._end(running, f"the target port becomes number {number}")
        for lun in running.rules.settings.luns:
            unit = self._disks.unit(lun.backstore)
            if unit is not None:
                unit.alua.remove_port(old)
                unit.ports.pop(old, None)
        group.relative_target_port_id = number
        self._place_port(running)

    def _show_luns(self, running: RunningGroup, initiator: IscsiName | None) -> None:
        """Let the sessions of the group (of one initiator, if one is named) see what they should see now."""
        for session, nexus in running.sessions():
            if initiator in {None, session.initiator_name}:
                wanted = running.rules.mappings(running.node.visitors[session])
                for lun in [lun for lun in nexus.mappings if _unit(nexus.mappings, lun) is not _unit(wanted, lun)]:
                    running.node.router.unmap_lun(nexus, lun)
                for lun, mapping in wanted.items():
                    if nexus.mappings.get(lun) != mapping:
                        running.node.router.map_lun(nexus, lun, mapping)

    def _watch_over(self, running: RunningGroup, initiator: IscsiName | None) -> None:
        """The sessions of the group (of one initiator, if one is named) are looked after as the settings say now."""
        for session, _ in running.sessions():
            if initiator in {None, session.initiator_name}:
                self._engine.watch_over(session, running.rules.keepalive(IscsiName(session.initiator_name)))

    def _place_port(self, running: RunningGroup) -> None:
        """The units of the group are reached through its port, each in the target port group that its LUN names."""
        for lun in running.rules.settings.luns:
            unit = self._disks.unit(lun.backstore)
            if unit is not None:
                port = running.group.relative_target_port_id
                place_port(unit, port, self._disks[lun.backstore].settings, lun.alua_group)

    def _remove_port(self, running: RunningGroup, luns: Iterable[Lun]) -> None:
        """Units that had one of `luns`, and have none in the group any more, are not reached through its port."""
        present = {lun.backstore for lun in running.rules.settings.luns}
        for key in {lun.backstore for lun in luns} - present:
            unit = self._disks.unit(key)
            if unit is not None:
                unit.alua.remove_port(running.group.relative_target_port_id)

    def _end_refused(self) -> None:
        """End what the rules, as they are after all changes, do not allow any more.

        Not before: one change may put an initiator out that the next lets in again.
        """
        keys, self._to_check = self._to_check, {}
        for running in [self.groups[key] for key in keys if key in self.groups]:
            for session, _ in running.sessions():
                visitor = running.node.visitors[session]
                if reason := running.rules.refusal(visitor):
                    self._engine.end_session(session, reason)
                else:
                    self._drop_refused(session, visitor, running.rules)

    def _drop_refused(self, session: Session, visitor: Visitor, rules: GroupRules) -> None:
        """Drop connections that have come from elsewhere than the session's first, and may not any more."""
        for cid, connection in list(session.connections.items()):
            peer, _ = self._engine.addresses(connection)
            if peer and (
                reason := rules.refusal(replace(visitor, route=replace(visitor.route, address=bare_address(peer))))
            ):
                self._engine.drop_connection(session, cid, reason)

    def _end(self, running: RunningGroup, reason: str, concerns: Callable[[str], bool] = lambda _: True) -> None:
        for session, _ in running.sessions():
            if concerns(session.initiator_name):
                self._engine.end_session(session, reason)

    def _delete_group(self, running: RunningGroup) -> None:
        tag = running.group.target_portal_group_tag
        self._end(running, "the portal group is deleted")
        luns, running.rules.settings = running.rules.settings.luns, GroupSettings(tag=tag, enable=False)
        self._remove_port(running, luns)
        del running.node.portal_groups[tag], self.groups[running.node.name, tag]
        self._port_identifiers.release(running.node.name, tag)
        self._portals_changed = True

    def _delete_target(self, name: IscsiName) -> None:
        for running in self.groups_of(name):
            self._delete_group(running)
        del self._directory.targets[name]

    # -- Portals -------------------------------------------------------------------------------------------------------

    def wanted_portals(self, running: RunningGroup) -> tuple[Portal, ...]:
        """Where a group is to listen: where it says; at the default portals for the first group of a target that names none."""
        named = tuple(Portal(portal.address, portal.port) for portal in running.rules.settings.portals)
        siblings = [self.groups[running.node.name, tag] for tag in running.node.portal_groups]
        if named or any(sibling.rules.settings.portals for sibling in siblings):
            return named
        first = min(siblings, key=lambda sibling: sibling.group.target_portal_group_tag)
        return self._default_portals if first is running else ()

    async def _update_portals(self) -> None:
        patience: dict[Portal, float] = {}
        slices = Slices()
        for running in list(self.groups.values()):
            seconds = running.rules.netif_timeout
            for portal in self.wanted_portals(running):
                patience[portal] = min(seconds, patience.get(portal, seconds))
            await slices.pause()
        self._portals.want(patience.keys(), patience)
        await self._show_portals()
        self._portals_changed = False

    def _portals_came(self) -> None:
        self._showing = asyncio.get_running_loop().create_task(self._show_portals())

    async def _show_portals(self) -> None:
        """Each group has the portals that listen: it is found, and told of, at these."""
        slices = Slices()
        for key, running in list(self.groups.items()):
            if self.groups.get(key) is running:
                bound = [self._portals.bound(portal) for portal in self.wanted_portals(running)]
                running.group.portals = [ListeningPortal(portal.address, portal.port) for portal in bound if portal]
            await slices.pause()

    async def _save_port_identifiers(self) -> None:
        """The group is served all the same if that takes too long, as if it fails."""
        if not self._port_identifiers.is_saved:
            try:
                await in_thread(self._port_identifiers.save, timeout=SAVE_SECONDS)
            except TimeoutError:
                _log.warning("target port numbers may change at the next start", reason="the state directory is slow")


def _unit(mappings: Mapping[int, LunMapping], lun: int) -> LogicalUnit | None:
    mapping = mappings.get(lun)
    return None if mapping is None else mapping.logical_unit
