"""Who may do what at one portal group, as its configuration says.

First the lists of allowed addresses and names are asked (tgt). Then comes the node ACL of the initiator's exact name
(LIO), then the first initiator group that its name matches (SCST), and last demo mode, which lets everybody in (LIO).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from isthmus.config.access_lists import matches
from isthmus.config.model import (
    BackstoreKey,
    Chap,
    DiscoveryAuthentication,
    InitiatorGroup,
    MappedLun,
    NodeAcl,
    PortalGroup,
    secret_bytes,
)
from isthmus.config.settings import (
    ACL_ATTRIBUTES,
    INITIATOR_GROUP_ATTRIBUTES,
    TPG_ATTRIBUTES,
    TPG_PARAMETERS,
    SettingTable,
    Value,
)
from isthmus.iscsi.errors import LoginRefused
from isthmus.iscsi.login_policy import Authentication
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import Keepalive, Offers
from isthmus.names import IscsiName
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.nexus import LunMapping
from isthmus.target.access import InitiatorAccess, Redirection, SessionLimit, Standing, Visitor

__all__ = ["FindUnit", "GroupRules", "authentication_of", "discovery_authentication", "keepalive_of", "offers_of"]

FindUnit = Callable[[BackstoreKey], LogicalUnit | None]
"""The running unit of a backstore; None: it does not run."""

_YES: Final = "Yes"
MAX_LEARNED: Final = 1024
"""Initiators without a node ACL that a group keeps in mind: they choose their names themselves."""


class GroupRules:
    """The `AccessRules` of a portal group; `settings` may be replaced at any time."""

    def __init__(self, settings: PortalGroup, find_unit: FindUnit) -> None:
        self._find_unit = find_unit
        self._acls: dict[IscsiName, NodeAcl] = {}
        self._learned: set[IscsiName] = set()
        """Without a node ACL, let in once, and not forgotten (cache_dynamic_acls)."""
        self.settings = settings

    @property
    def settings(self) -> PortalGroup:
        """What the operator wants."""
        return self._settings

    @settings.setter
    def settings(self, settings: PortalGroup) -> None:
        self._settings = settings
        self._allowed = settings.allowed
        self._acls = {acl.name: acl for acl in settings.node_acls}
        if not self._flag("cache_dynamic_acls"):
            self._learned.clear()

    def with_settings(self, settings: PortalGroup) -> "GroupRules":
        """What the rules would be with other settings."""
        rules = GroupRules(self.settings, self._find_unit)
        rules._learned |= self._learned
        rules.settings = settings
        return rules

    def of(self, visitor: Visitor) -> InitiatorAccess:
        """See `AccessRules.of`."""
        settings, acl = self.settings, self._acls.get(visitor.name)
        if not settings.enable:
            raise LoginRefused(LoginStatus.SERVICE_UNAVAILABLE, f"portal group {settings.tag} is disabled")
        if reason := self.refusal(visitor):
            raise LoginRefused(LoginStatus.AUTHORIZATION_FAILURE, reason)
        return InitiatorAccess(
            authentication=authentication_of(settings, acl),
            offers=offers_of(settings),
            mappings=self.mappings(visitor),
            max_xmit_data_segment_length=_number(
                TPG_PARAMETERS, settings.parameters.get("MaxXmitDataSegmentLength"), "MaxXmitDataSegmentLength"
            ),
            command_window=_of_acl(acl, "cmdsn_depth") or self._attribute("default_cmdsn_depth"),
            login_timeout=float(self._attribute("login_timeout")),
            keepalive=keepalive_of(acl, settings),
            alias=str(settings.parameters.get("TargetAlias", TPG_PARAMETERS["TargetAlias"].default)),
            dynamic=self.is_dynamic(visitor),
            redirection=self._redirection(),
            session_limits=tuple(self._session_limits(visitor)),
        )

    def admitted(self, visitor: Visitor) -> None:
        """See `AccessRules.admitted`."""
        if self._flag("cache_dynamic_acls") and self.is_dynamic(visitor) and len(self._learned) < MAX_LEARNED:
            self._learned.add(visitor.name)

    @property
    def netif_timeout(self) -> float:
        """Seconds between two tries to listen at an address that is not there."""
        return float(self._attribute("netif_timeout"))

    def keepalive(self, initiator_name: IscsiName) -> Keepalive:
        """How its connections are watched over."""
        return keepalive_of(self._acls.get(initiator_name), self.settings)

    def refusal(self, visitor: Visitor) -> str:
        """Why the initiator may not log in, whether the group is enabled or not; empty: it may."""
        name, tag = visitor.name, self.settings.tag
        if not self._allowed.admits(name, visitor.route.address):
            return f"portal group {tag} does not allow {name} from {visitor.route.address}"
        if self.is_dynamic(visitor) and not self._flag("generate_node_acls") and name not in self._learned:
            return f"portal group {tag} has no node ACL for {name}, and no initiator group that it matches"
        if self._lacks_luns(visitor):
            return f"portal group {tag} has no LUN for {name}"
        return ""

    def _lacks_luns(self, visitor: Visitor) -> bool:
        """Whether that is a reason to be kept out: a LUN whose storage does not run now is one, too."""
        return self._flag("login_needs_luns") and not self._mapped(visitor)

    def initiator_group(self, visitor: Visitor) -> InitiatorGroup | None:
        """The initiator group that the initiator belongs to: none if it has a node ACL."""
        if visitor.name in self._acls:
            return None
        name = f"{visitor.name}#{visitor.route.portal_address}" if self._flag("per_portal_acl") else visitor.name
        return next((group for group in self.settings.initiator_groups if matches(group.initiators, name)), None)

    def mappings(self, visitor: Visitor) -> dict[int, LunMapping]:
        """What the initiator sees: the mapped LUNs of its node ACL or group, or in demo mode every LUN of the group."""
        luns = {lun.number: lun.backstore for lun in self.settings.luns}
        found = ((entry, luns[entry.tpg_lun]) for entry in self._mapped(visitor))
        return {
            entry.number: LunMapping(unit, read_only=entry.write_protect)
            for entry, key in found
            if (unit := self._find_unit(key)) is not None
        }

    def _mapped(self, visitor: Visitor) -> tuple[MappedLun, ...]:
        acl = self._acls.get(visitor.name)
        if acl is not None:
            if self._flag("generate_node_acls") and self._flag("prod_mode_write_protect"):
                return tuple(replace(mapped, write_protect=True) for mapped in acl.mapped_luns)
            return acl.mapped_luns
        group = self.initiator_group(visitor)
        if group is not None:
            return group.mapped_luns
        read_only = self._flag("demo_mode_write_protect")
        return tuple(
            MappedLun(number=lun.number, tpg_lun=lun.number, write_protect=read_only) for lun in self.settings.luns
        )

    def standing(self, visitor: Visitor) -> Standing:
        """See `AccessRules.standing`."""
        group = self.initiator_group(visitor)
        return Standing(dynamic=self.is_dynamic(visitor), initiator_group=group.name if group else "")

    def is_dynamic(self, visitor: Visitor) -> bool:
        """Whether it would be let in by demo mode only."""
        return visitor.name not in self._acls and self.initiator_group(visitor) is None

    def discoverable(self, visitor: Visitor) -> bool:
        """See `AccessRules.discoverable`."""
        if self._flag("tpg_enabled_sendtargets") and not self.settings.enable:
            return False
        if not self._allowed.admits(visitor.name, visitor.route.address) or self._lacks_luns(visitor):
            return False
        open_to_all = self._flag("generate_node_acls") or self._flag("demo_mode_discovery")
        return open_to_all or not self.is_dynamic(visitor) or visitor.name in self._learned

    def _redirection(self) -> Redirection | None:
        host = str(self.settings.attributes.get("redirect_address", ""))
        if not host:
            return None
        return Redirection(host=host, port=self._attribute("redirect_port"), permanent=self._flag("redirect_permanent"))

    def _session_limits(self, visitor: Visitor) -> Iterator[SessionLimit]:
        tag, acl, group = self.settings.tag, self._acls.get(visitor.name), self.initiator_group(visitor)
        if maximum := self._attribute("max_sessions"):
            yield SessionLimit(maximum=maximum, concerns=lambda _: True, what=f"portal group {tag}")
        if acl and (maximum := _number(ACL_ATTRIBUTES, acl.attributes.get("max_sessions"), "max_sessions")):
            yield SessionLimit(maximum=maximum, concerns=lambda other: other.name == acl.name, what=acl.name)
        if group and (
            maximum := _number(INITIATOR_GROUP_ATTRIBUTES, group.attributes.get("max_sessions"), "max_sessions")
        ):
            yield SessionLimit(
                maximum=maximum,
                concerns=lambda other: self.initiator_group(other) is group,
                what=f"initiator group {group.name}",
            )

    def _flag(self, name: str) -> bool:
        return bool(self._attribute(name))

    def _attribute(self, name: str) -> int:
        return _number(TPG_ATTRIBUTES, self.settings.attributes.get(name), name)


def _number(table: SettingTable, value: Value | None, name: str) -> int:
    return int(table[name].default if value is None else value)


def authentication_of(group: PortalGroup, acl: NodeAcl | None) -> Authentication:
    """How an initiator of `group` proves who it is: by the credentials of its node ACL, or else of the group."""
    chap = acl.chap if acl is not None and acl.chap.userid else group.chap
    methods = str(group.parameters.get("AuthMethod", TPG_PARAMETERS["AuthMethod"].default)).split(",")
    required = bool(_number(TPG_ATTRIBUTES, group.attributes.get("authentication"), "authentication"))
    if _of_acl(acl, "authentication") in {0, 1}:
        required = bool(_of_acl(acl, "authentication"))
    return _authentication(chap, required=required or "None" not in methods, offered="CHAP" in methods)


def discovery_authentication(discovery: DiscoveryAuthentication) -> Authentication:
    """How discovery sessions prove who they are."""
    return _authentication(discovery.chap, required=discovery.enable, offered=False)


def _authentication(chap: Chap, *, required: bool, offered: bool) -> Authentication:
    """Required CHAP without credentials lets nobody in: that is what an operator gets who has not set any yet."""
    known = {account.userid: secret_bytes(account.password) for account in chap.incoming}
    if not required and not (offered and known):
        return Authentication()
    mutual = chap.mutual_userid and chap.mutual_password
    return Authentication(
        required=required,
        lookup=known.get,
        mutual_user=chap.mutual_userid if mutual else "",
        mutual_secret=secret_bytes(chap.mutual_password) if mutual else None,
    )


def offers_of(group: PortalGroup) -> Offers:
    """What the parameters of `group` want of a negotiation."""
    values = TPG_PARAMETERS.with_defaults(group.parameters)

    def number(name: str) -> int:
        return int(values[name])

    def digests(name: str) -> tuple[str, ...]:
        return tuple(str(values[name]).split(","))

    return Offers(
        header_digest=digests("HeaderDigest"),
        data_digest=digests("DataDigest"),
        max_connections=number("MaxConnections"),
        initial_r2t=values["InitialR2T"] == _YES,
        immediate_data=values["ImmediateData"] == _YES,
        max_recv_data_segment_length=number("MaxRecvDataSegmentLength"),
        max_burst_length=number("MaxBurstLength"),
        first_burst_length=number("FirstBurstLength"),
        default_time2wait=number("DefaultTime2Wait"),
        default_time2retain=number("DefaultTime2Retain"),
        max_outstanding_r2t=number("MaxOutstandingR2T"),
        keys_workaround=bool(
            _number(TPG_ATTRIBUTES, group.attributes.get("login_keys_workaround"), "login_keys_workaround")
        ),
    )


def keepalive_of(acl: NodeAcl | None, group: PortalGroup) -> Keepalive:
    """How connections of an initiator are watched over; LIO waits for data `dataout_timeout`, as often as it retries.

    The group's own settings (tgt, SCST) are for initiators without a node ACL.
    """
    ping_after = float(_of_acl(acl, "nopin_timeout")) or math.inf
    answer_within = float(_of_acl(acl, "nopin_response_timeout"))
    data_out_within = float(_of_acl(acl, "dataout_timeout") * _of_acl(acl, "dataout_timeout_retries"))
    if acl is None:
        if interval := _of_group(group, "nop_interval"):
            ping_after = float(interval) if interval > 0 else math.inf
            answer_within = ping_after * max(1, _of_group(group, "nop_count"))
        answer_within = float(_of_group(group, "nop_timeout")) or answer_within
        data_out_within = float(_of_group(group, "data_timeout")) or data_out_within
    return Keepalive(ping_after=ping_after, lost_after=ping_after + answer_within, data_out_within=data_out_within)


def _of_group(group: PortalGroup, name: str) -> int:
    return _number(TPG_ATTRIBUTES, group.attributes.get(name), name)


def _of_acl(acl: NodeAcl | None, name: str) -> int:
    return _number(ACL_ATTRIBUTES, None if acl is None else acl.attributes.get(name), name)
