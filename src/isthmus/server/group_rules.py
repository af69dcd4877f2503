"""Who may do what at one portal group, as its configuration says (LIO's rules of demo mode and node ACLs)."""

from collections.abc import Callable
from typing import Final

from isthmus.config.model import BackstoreKey, Chap, DiscoveryAuthentication, NodeAcl, PortalGroup
from isthmus.config.settings import ACL_ATTRIBUTES, TPG_ATTRIBUTES, TPG_PARAMETERS, SettingTable, Value
from isthmus.iscsi.errors import LoginRefused
from isthmus.iscsi.login_policy import Authentication
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import Keepalive, Offers
from isthmus.names import IscsiName
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.nexus import LunMapping
from isthmus.target.access import InitiatorAccess

__all__ = ["FindUnit", "GroupRules", "authentication_of", "discovery_authentication", "offers_of"]

FindUnit = Callable[[BackstoreKey], LogicalUnit | None]
"""The running unit of a backstore; None: it does not run."""

_YES: Final = "Yes"


class GroupRules:
    """The `AccessRules` of a portal group; `settings` may be replaced at any time."""

    def __init__(self, settings: PortalGroup, find_unit: FindUnit) -> None:
        self._find_unit = find_unit
        self._acls: dict[IscsiName, NodeAcl] = {}
        self.settings = settings

    @property
    def settings(self) -> PortalGroup:
        """What the operator wants."""
        return self._settings

    @settings.setter
    def settings(self, settings: PortalGroup) -> None:
        self._settings = settings
        self._acls = {acl.name: acl for acl in settings.node_acls}

    def of(self, initiator_name: IscsiName) -> InitiatorAccess:
        """See `AccessRules.of`."""
        settings, acl = self.settings, self._acls.get(initiator_name)
        if not settings.enable:
            raise LoginRefused(LoginStatus.SERVICE_UNAVAILABLE, f"portal group {settings.tag} is disabled")
        if acl is None and not self._flag("generate_node_acls"):
            raise LoginRefused(
                LoginStatus.AUTHORIZATION_FAILURE, f"portal group {settings.tag} has no node ACL for {initiator_name}"
            )
        return InitiatorAccess(
            authentication=authentication_of(settings, acl),
            offers=offers_of(settings),
            mappings=self.mappings(initiator_name),
            max_xmit_data_segment_length=_number(
                TPG_PARAMETERS, settings.parameters.get("MaxXmitDataSegmentLength"), "MaxXmitDataSegmentLength"
            ),
            command_window=self._attribute("default_cmdsn_depth"),
            login_timeout=float(self._attribute("login_timeout")),
            keepalive=_keepalive(acl),
            alias=str(settings.parameters.get("TargetAlias", TPG_PARAMETERS["TargetAlias"].default)),
            dynamic=acl is None,
        )

    def mappings(self, initiator_name: IscsiName) -> dict[int, LunMapping]:
        """What the initiator sees: the mapped LUNs of its node ACL, or in demo mode every LUN of the group."""
        acl = self._acls.get(initiator_name)
        if acl is None:
            read_only = self._flag("demo_mode_write_protect")
            found = [(lun.number, lun.backstore, read_only) for lun in self.settings.luns]
        else:
            luns = {lun.number: lun.backstore for lun in self.settings.luns}
            protected = self._flag("generate_node_acls") and self._flag("prod_mode_write_protect")
            found = [
                (mapped.number, luns[mapped.tpg_lun], mapped.write_protect or protected) for mapped in acl.mapped_luns
            ]
        return {
            number: LunMapping(unit, read_only=read_only)
            for number, key, read_only in found
            if (unit := self._find_unit(key)) is not None
        }

    def is_dynamic(self, initiator_name: IscsiName) -> bool:
        """Whether it would be let in without a node ACL."""
        return initiator_name not in self._acls

    def discoverable(self, initiator_name: IscsiName) -> bool:
        """See `AccessRules.discoverable`."""
        if self._flag("tpg_enabled_sendtargets") and not self.settings.enable:
            return False
        open_to_all = self._flag("generate_node_acls") or self._flag("demo_mode_discovery")
        return open_to_all or initiator_name in self._acls

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
    return _authentication(chap, required=required or "None" not in methods, offered="CHAP" in methods)


def discovery_authentication(discovery: DiscoveryAuthentication) -> Authentication:
    """How discovery sessions prove who they are."""
    return _authentication(discovery.chap, required=discovery.enable, offered=False)


def _authentication(chap: Chap, *, required: bool, offered: bool) -> Authentication:
    """Required CHAP without credentials lets nobody in: that is what an operator gets who has not set any yet."""
    known = {chap.userid: chap.password.encode()} if chap.userid and chap.password else {}
    if not required and not (offered and known):
        return Authentication()
    mutual = chap.mutual_userid and chap.mutual_password
    return Authentication(
        required=required,
        lookup=known.get,
        mutual_user=chap.mutual_userid if mutual else "",
        mutual_secret=chap.mutual_password.encode() if mutual else None,
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
    )


def _keepalive(acl: NodeAcl | None) -> Keepalive:
    attributes = {} if acl is None else acl.attributes
    ping_after = float(_number(ACL_ATTRIBUTES, attributes.get("nopin_timeout"), "nopin_timeout"))
    answer = float(_number(ACL_ATTRIBUTES, attributes.get("nopin_response_timeout"), "nopin_response_timeout"))
    return Keepalive(ping_after=ping_after, lost_after=ping_after + answer)
