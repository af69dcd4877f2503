"""Target nodes as SCST's `TARGET_DRIVER iscsi` section.

SCST knows one portal group for each target, so of several only the first is written. Nothing here opens a target to
more initiators than may log in now: one whose access SCST cannot express is written disabled.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from isthmus.compat.scst.accounts import INCOMING, OUTGOING
from isthmus.compat.scst.device_sections import DeviceNames
from isthmus.compat.scst.grammar import is_writable
from isthmus.compat.scst.layout import Block
from isthmus.compat.scst.mappings import EVERYBODY, GroupMembers, LunOf, access
from isthmus.compat.scst.target_attributes import COMMANDS, PARAMETERS, SESSION_DEFAULTS
from isthmus.config.model import Chap, Configuration, InitiatorGroup, Lun, MappedLun, PortalGroup, Target
from isthmus.config.settings import TPG_ATTRIBUTES, TPG_PARAMETERS, Value

__all__ = ["driver_block", "driver_section"]

_EVERY_ADDRESS: Final = {"::", "0.0.0.0"}  # noqa: S104  compared with
_BLANKS: Final = " \t"
_NO_ATTRIBUTES: Final = {"MaxConnections"}
"""Session keys that are none of SCST's attributes."""


def driver_section(configuration: Configuration, names: DeviceNames) -> list[Block]:
    """The section, if there are targets or accounts for discovery."""
    section = driver_block(configuration, names)
    return [section] if len(section.inner) > 1 else []


def driver_block(configuration: Configuration, names: DeviceNames, *, whole: bool = True) -> Block:
    """The section.

    `whole`: it has to say all that there is, so initiators with a node ACL are in groups, and what SCST could not keep
    closed is disabled. Otherwise it is only looked at and changed, and node ACLs are none of its business.
    """
    section = Block(("TARGET_DRIVER", "iscsi"))
    section.add("enabled", 1)
    if configuration.discovery.enable:
        _add_accounts(section, configuration.discovery.chap)
    for name in sorted(configuration.targets):
        _add_target(section, configuration.targets[name], names, whole=whole)
    return section


def _add_accounts(section: Block, chap: Chap) -> None:
    if not _are_writable(chap):
        return
    for account in chap.incoming:
        section.add(INCOMING, f"{account.userid} {account.password}")
    if chap.incoming and chap.mutual_userid and chap.mutual_password:
        section.add(OUTGOING, f"{chap.mutual_userid} {chap.mutual_password}")


def _are_writable(chap: Chap) -> bool:
    """Whether scst.conf can hold these names and secrets; a name ends with the first blank."""
    names = [account.userid for account in chap.incoming] + [chap.mutual_userid]
    secrets = [account.password for account in chap.incoming] + [chap.mutual_password]
    starts = [secret[:1] for secret in secrets]
    return is_writable(*names, *secrets) and not any(blank in text for text in (*names, *starts) for blank in _BLANKS)


def _add_target(driver: Block, target: Target, names: DeviceNames, *, whole: bool) -> None:
    section = driver.add("TARGET", target.name)
    if not target.portal_groups:
        section.add("enabled", 0)
        return
    group = target.portal_groups[0]
    attributes = TPG_ATTRIBUTES.with_defaults(group.attributes)
    section.add("enabled", int(group.enable and (not whole or _can_be_told(group, attributes))))
    _add_settings(section, group, attributes)
    if attributes["authentication"]:
        _add_accounts(section, (_chap_of_all(group) or Chap()) if whole else group.chap)
    if not any(portal.address in _EVERY_ADDRESS for portal in group.portals):
        for portal in group.portals:
            section.add("allowed_portal", portal.address)
    devices = {lun.number: names.of(lun.backstore) for lun in group.luns}
    everybody, groups = _for_everybody(group, attributes)
    _add_luns(section, everybody, devices)
    for acl in group.node_acls if whole else ():
        _add_group(section, acl.name, [acl.name], acl.mapped_luns, devices)
    for initiators in groups:
        _add_group(section, initiators.name, initiators.initiators, initiators.mapped_luns, devices)


def _for_everybody(
    group: PortalGroup, attributes: Mapping[str, Value]
) -> tuple[Sequence[MappedLun], Sequence[InitiatorGroup]]:
    """The LUNs of the target itself, and the groups beside that.

    A last group for everybody is written as LUNs of the target where it comes back from these as it is.
    """
    if attributes["generate_node_acls"]:
        protected = bool(attributes["demo_mode_write_protect"])
        luns = [MappedLun(number=lun.number, tpg_lun=lun.number, write_protect=protected) for lun in group.luns]
        return luns, group.initiator_groups
    if not group.initiator_groups or group.initiator_groups[-1].initiators != (EVERYBODY,):
        return (), group.initiator_groups
    *groups, last = group.initiator_groups
    members = [GroupMembers(known.name, known.initiators, _luns_of(known, group)) for known in groups]
    known_numbers = {lun.backstore: lun.number for lun in group.luns}
    read_back = access(_luns_of(last, group), members, known_numbers)
    if (read_back.groups, sorted(read_back.luns, key=_number)) == (group.initiator_groups, list(group.luns)):
        return last.mapped_luns, groups
    return (), group.initiator_groups


def _luns_of(initiators: InitiatorGroup, group: PortalGroup) -> tuple[LunOf, ...]:
    luns = {lun.number: lun for lun in group.luns}
    return tuple(
        LunOf(mapped.number, lun.backstore, mapped.write_protect, lun.alua_group)
        for mapped in initiators.mapped_luns
        for lun in [luns[mapped.tpg_lun]]
    )


def _number(lun: Lun) -> int:
    return lun.number


def _chap_of_all(group: PortalGroup) -> Chap | None:
    """The credentials that SCST, which knows none of one initiator alone, has to ask all of; None: they are not the same."""
    found = {acl.chap if acl.chap.incoming else group.chap for acl in group.node_acls}
    if group.initiator_groups or group.attributes.get("generate_node_acls") or not found:
        found.add(group.chap)
    return found.pop() if len(found) == 1 else None


def _can_be_told(group: PortalGroup, attributes: Mapping[str, Value]) -> bool:
    """Whether what keeps initiators out now has a word in scst.conf."""
    if attributes["allowed_addresses"] or attributes["allowed_initiators"] or attributes["allowed_match"] == "any":
        return False
    if not attributes["authentication"]:
        return group.parameters.get("AuthMethod") != "CHAP"
    chap = _chap_of_all(group)
    return chap is not None and bool(chap.incoming) and _are_writable(chap)


def _add_settings(section: Block, group: PortalGroup, attributes: Mapping[str, Value]) -> None:
    parameters = TPG_PARAMETERS.with_defaults(group.parameters)
    for name in PARAMETERS:
        if name not in _NO_ATTRIBUTES and parameters[name] != SESSION_DEFAULTS.get(name, TPG_PARAMETERS[name].default):
            section.add(name, parameters[name])
    if parameters["TargetAlias"] and is_writable(str(parameters["TargetAlias"])):
        section.add("alias", parameters["TargetAlias"])
    if attributes["default_cmdsn_depth"] != COMMANDS:
        section.add("QueuedCommands", attributes["default_cmdsn_depth"])
    if attributes["max_sessions"]:
        section.add("MaxSessions", attributes["max_sessions"])
    if interval := int(attributes["nop_interval"]):
        section.add("NopInInterval", max(interval, 0))
    for name, attribute in (
        ("NopInTimeout", "nop_timeout"),
        ("RspTimeout", "data_timeout"),
        ("rel_tgt_id", "relative_target_port_id"),
    ):
        if attributes[attribute]:
            section.add(name, attributes[attribute])
    if attributes["per_portal_acl"]:
        section.add("per_portal_acl", 1)
    if attributes["redirect_address"]:
        address = str(attributes["redirect_address"])
        host = f"[{address}]" if ":" in address else address
        how = "perm" if attributes["redirect_permanent"] else "temp"
        section.add("redirect", f"{host}:{attributes['redirect_port']} {how}")


def _add_group(
    target: Block,
    name: str,
    patterns: Iterable[str],
    mapped_luns: Iterable[MappedLun],
    devices: Mapping[int, str | None],
) -> None:
    group = target.add("GROUP", name)
    _add_luns(group, mapped_luns, devices)
    for pattern in patterns:
        group.add("INITIATOR", pattern)


def _add_luns(section: Block, mapped_luns: Iterable[MappedLun], devices: Mapping[int, str | None]) -> None:
    for mapped in mapped_luns:
        device = devices[mapped.tpg_lun]
        if device is not None:
            lun = section.add("LUN", mapped.number, device)
            if mapped.write_protect:
                lun.add("read_only", 1)
