"""A target node: one iSCSI target with what initiators find in it (RFC 7143 §4.4.1; the SCSI target device)."""

from collections.abc import Callable

from isthmus.errors import ConfigurationError
from isthmus.iscsi.login_policy import Authentication
from isthmus.iscsi.parameters import Keepalive, Offers
from isthmus.iscsi.session import Session
from isthmus.names import IscsiName
from isthmus.scsi.countdown import Countdown
from isthmus.scsi.nexus import LunMapping, Nexus
from isthmus.scsi.task_router import TaskRouter
from isthmus.target.access import InitiatorAccess, Visitor
from isthmus.target.portal_group import PortalGroup
from isthmus.target.session_registry import SessionRegistry

__all__ = ["TargetNode"]


class TargetNode:
    """One target: its portal groups, its logical units by LUN, who may log in, and who has."""

    def __init__(
        self,
        name: IscsiName,
        router: TaskRouter,
        *,
        alias: str = "",
        authentication: Authentication | None = None,
        offers: Offers | None = None,
        keepalive: Keepalive | None = None,
    ) -> None:
        """`router` brings commands to the logical units; `offers` is what the target wants of a negotiation.

        `keepalive` is how it deals with silence, where a portal group has no rules of its own.
        """
        self.name = name
        self.router = router
        self.alias = alias
        self.authentication = authentication or Authentication()
        self.offers = offers or Offers()
        self.keepalive = keepalive or Keepalive()
        self.portal_groups: dict[int, PortalGroup] = {}
        """By target portal group tag."""
        self.mappings: dict[int, LunMapping] = {}
        """By LUN: what every initiator sees, where a portal group has no rules of its own."""
        self.sessions = SessionRegistry()
        self.nexuses: dict[Session, Nexus] = {}
        """Of each session."""
        self.visitors: dict[Session, Visitor] = {}
        """Who began each session, and from where."""

    def map(self, lun: int, mapping: LunMapping) -> None:
        """Let every initiator see a unit at `lun`, also those that are logged in. Raises `ConfigurationError`.

        Where a portal group has rules of its own, whoever applies those calls `TaskRouter.map_lun` for each nexus.
        """
        present = self.mappings.get(lun)
        if present is not None and present.logical_unit is not mapping.logical_unit:
            raise ConfigurationError(f"LUN {lun} is taken by another unit", "unmap it first")
        self.mappings[lun] = mapping
        for group in self.portal_groups.values():
            mapping.logical_unit.alua.add_port(group.relative_target_port_id)
        for nexus in self._without_rules():
            self.router.map_lun(nexus, lun, mapping)

    def unmap(self, lun: int, done: Callable[[], None] = lambda: None) -> None:
        """Take `lun` away from those who see what `map` lets them see.

        `done`: nothing that came through it touches the medium any more.
        """
        self.mappings.pop(lun, None)
        nexuses = self._without_rules()
        all_quiet = Countdown(len(nexuses), done)
        for nexus in nexuses:
            self.router.unmap_lun(nexus, lun, all_quiet)

    def _without_rules(self) -> list[Nexus]:
        groups = self.portal_groups
        return [nexus for nexus in self.router.nexuses if groups[nexus.target_portal_group_tag].access is None]

    def add_portal_group(self, group: PortalGroup) -> None:
        """Let the target be reached through `group`, a SCSI target port of its own; its units learn of that port.

        Raises `ConfigurationError` if the target has its tag or its relative target port identifier already.
        """
        if group.target_portal_group_tag in self.portal_groups:
            tag = group.target_portal_group_tag
            raise ConfigurationError(f"{self.name} has a target portal group {tag}", "choose another tag")
        if any(group.relative_target_port_id == other.relative_target_port_id for other in self.portal_groups.values()):
            port = group.relative_target_port_id
            raise ConfigurationError(f"{self.name} has a target port {port}", "choose another number")
        self.portal_groups[group.target_portal_group_tag] = group
        for mapping in self.mappings.values():
            mapping.logical_unit.alua.add_port(group.relative_target_port_id)

    def reached_at(self, address: str, port: int) -> PortalGroup | None:
        """The portal group that a connection to `address` belongs to: of the portal that names it most closely."""
        best: tuple[int, PortalGroup] | None = None
        for group in self.portal_groups.values():
            for portal in group.portals:
                closeness = portal.covers(address) if portal.port == port else 0
                if closeness > (best[0] if best else 0):
                    best = closeness, group
        return best[1] if best else None

    def access(self, visitor: Visitor, group: PortalGroup) -> InitiatorAccess:
        """What that initiator gets in `group`; raises `LoginRefused`."""
        if group.access is not None:
            return group.access.of(visitor)
        return InitiatorAccess(
            authentication=self.authentication,
            offers=self.offers,
            mappings=dict(self.mappings),
            keepalive=self.keepalive,
        )

    def nexus(
        self, initiator_name: str, isid: int, group: PortalGroup, mappings: dict[int, LunMapping] | None = None
    ) -> Nexus:
        """The I_T nexus of a session of that initiator port through `group`; without `mappings` it sees all there is."""
        return Nexus(
            initiator_name=initiator_name,
            isid=isid,
            target_name=self.name,
            target_portal_group_tag=group.target_portal_group_tag,
            relative_target_port_id=group.relative_target_port_id,
            mappings=dict(self.mappings) if mappings is None else mappings,
        )
