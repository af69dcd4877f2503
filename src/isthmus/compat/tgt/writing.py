"""A configuration as targets.conf. What tgt has no word for is told."""

from collections.abc import Callable, Iterator
from typing import Final

from isthmus.compat.importer import Exported
from isthmus.compat.tgt.directives import TARGET
from isthmus.compat.tgt.grammar import quoted
from isthmus.compat.tgt.places import TidTable
from isthmus.compat.tgt.session_keys import SESSION_KEYS
from isthmus.compat.tgt.targets import ADDRESSES, INITIATORS, NOP_COUNT, NOP_INTERVAL, rules_of
from isthmus.compat.tgt.unit_parameters import tgt_naa
from isthmus.compat.tgt.units import BSOFLAGS, BSTYPE, DISC_STORE, DRIVE_PRODUCT, PATH, identity_attributes
from isthmus.config.access_lists import canonical_addresses
from isthmus.config.model import Account, Backstore, Chap, Configuration, PortalGroup, Target

__all__ = ["write"]

_NUMBERS: Final = {
    "descriptor_sense": "sense_format",
    "physical_block_exponent": "lbppbe",
    "lowest_aligned_lba": "la_lba",
    "optimal_granularity": "optimal_xfer_gran",
    "optimal_sectors": "optimal_xfer_len",
    "removable": "removable",
    "write_protect": "readonly",
}
"""Attributes that are directives, where they are not 0."""
_NAMES: Final = {
    "t10_id": "scsi_id",
    "product_serial": "scsi_sn",
    "vendor_id": "vendor_id",
    "product_id": "product_id",
    "revision": "product_rev",
}
_PARAMETERS: Final = {"emulate_tpu": "thin_provisioning", "rotation_rate": "rotation_rate"}
"""Attributes that only `params` can set."""
_KNOWN_ATTRIBUTES: Final = {
    *_NUMBERS,
    *_NAMES,
    *_PARAMETERS,
    "block_size",
    "device_type",
    "emulate_tpws",
    "emulate_write_cache",
    "is_nonrot",
    "medium_present",
}
_KNOWN_GROUP_ATTRIBUTES: Final = {
    ADDRESSES,
    INITIATORS,
    "allowed_match",
    "authentication",
    "default_cmdsn_depth",
    "generate_node_acls",
}


def write(configuration: Configuration) -> Exported:
    """See `importer.Writer`. `(kept)` stands for each secret: read again, it is the one that runs."""
    remarks: list[str] = []
    tids = TidTable().tids(configuration)
    sections = [list(_whole(configuration, remarks.append))]
    for tid, name in tids.items():
        sections.append(list(_target(configuration, tid, configuration.targets[name], remarks.append)))
    text = "\n".join("".join(f"{line}\n" for line in section) for section in sections if section)
    return Exported(text, tuple(remarks))


def _whole(configuration: Configuration, tell: Callable[[str], None]) -> Iterator[str]:
    yield "default-driver iscsi"
    chap = configuration.discovery.chap
    for account in chap.incoming[:1]:
        yield f"incomingdiscoveryuser {_account(account)}"
    for account in chap.incoming[1:]:
        tell(f"discovery: {account.userid} is a second user, and targets.conf has one")
    yield from (f"outgoingdiscoveryuser {_account(account)}" for account in _outgoing(chap))
    for name in ("iSNSServerIP", "iSNSServerPort", "iSNSAccessControl"):
        value = configuration.options.get(f"tgt_{name}")
        if value is not None:
            yield f"{name} {quoted(str(value))}"
    if "tgt_portals" in configuration.options:
        tell(f"portals {configuration.options['tgt_portals']}: tgtd has them on its command line")


def _account(account: Account) -> str:
    return f"{quoted(account.userid)} {quoted(account.password)}"


def _outgoing(chap: Chap) -> tuple[Account, ...]:
    return (Account(chap.mutual_userid, chap.mutual_password),) if chap.mutual_userid and chap.mutual_password else ()


# -- Targets -----------------------------------------------------------------------------------------------------------


def _target(configuration: Configuration, tid: int, target: Target, tell: Callable[[str], None]) -> Iterator[str]:
    yield f"<target {target.name}>"
    yield f"    controller_tid {tid}"
    for group in target.portal_groups[:1]:
        yield from (f"    {line}" for line in _group(configuration, tid, target, group, tell))
    for group in target.portal_groups[1:]:
        tell(f"{target.name}: portal group {group.tag} has no place, as tgt has one for each target")
    yield "</target>"


def _group(
    configuration: Configuration, tid: int, target: Target, group: PortalGroup, tell: Callable[[str], None]
) -> Iterator[str]:
    for lun in group.luns:
        store = configuration.backstores[lun.backstore]
        if lun.number == 0:
            tell(f"{target.name}: LUN 0 is tgt's controller, so that {store.key} gets another number")
        yield from _unit(tid, lun.number, store, tell)
    yield from (f"incominguser {_account(account)}" for account in group.chap.incoming)
    yield from (f"outgoinguser {_account(account)}" for account in _outgoing(group.chap))
    for rule in rules_of(group):
        yield _rule(rule)
    for key in SESSION_KEYS:
        value = key.shown(group, target.options)
        if key.name in TARGET and value != key.default:
            yield f"{key.name} {quoted(value)}"
    if not group.enable:
        yield "state offline"
    _tell_of_group(target, group, tell)


def _rule(rule: str) -> str:
    try:
        return f"initiator-address {quoted(canonical_addresses(rule))}"
    except ValueError:
        return f"initiator-name {quoted(rule)}"


def _tell_of_group(target: Target, group: PortalGroup, tell: Callable[[str], None]) -> None:
    nops = {NOP_INTERVAL, NOP_COUNT} & group.attributes.keys()
    others = sorted(group.attributes.keys() - _KNOWN_GROUP_ATTRIBUTES - nops)
    for name in (*sorted(nops), *others):
        tell(f"{target.name}: {name} {group.attributes[name]} has no place in targets.conf")
    if group.portals:
        tell(f"{target.name}: its portals have no place, as all targets of tgt share theirs")
    if group.initiator_groups or any(acl.mapped_luns or acl.chap.userid for acl in group.node_acls):
        tell(f"{target.name}: LUNs and accounts of single initiators have no place in targets.conf")
    for key in SESSION_KEYS:
        if key.name not in TARGET and key.attribute and key.shown(group, target.options) != key.default:
            tell(f"{target.name}: {key.name} has no place in targets.conf")


# -- Logical units -----------------------------------------------------------------------------------------------------


def _unit(tid: int, lun: int, store: Backstore, tell: Callable[[str], None]) -> Iterator[str]:
    path = store.path or str(store.options.get(PATH, ""))
    if store.key.kind == "ramdisk" and BSTYPE not in store.options:
        tell(f"{store.key}: tgt has no disks in memory, so it is left out")
        return
    yield f"<backing-store {quoted(path) if path else f'NONE:{store.key.name}'}>"
    if lun:
        yield f"    lun {lun}"
    yield from (f"    {line}" for line in _unit_lines(tid, lun, store))
    yield "</backing-store>"
    known = _KNOWN_ATTRIBUTES
    if _has_tgts_naa(store):
        known = known | {"naa_id"}
    for name in sorted(store.attributes.keys() - known):
        tell(f"{store.key}: {name} {store.attributes[name]} has no place in targets.conf")


def _has_tgts_naa(store: Backstore) -> bool:
    """Whether the NAA designator is the one that tgt makes of the SCSI ID."""
    return store.attribute("naa_id") == tgt_naa(str(store.attribute("t10_id")))


def _unit_lines(tid: int, lun: int, store: Backstore) -> Iterator[str]:
    attribute = store.attribute
    bstype, flags = store.options.get(BSTYPE, DISC_STORE if store.is_drive else "rdwr"), store.options.get(BSOFLAGS, "")
    if bstype != (DISC_STORE if store.is_drive else "rdwr"):
        yield f"bs-type {bstype}"
    if bstype == "sg":
        yield "device-type pt"
    if store.is_drive:
        yield "device-type cd"
    if flags:
        yield f"bsoflags {flags}"
    if attribute("block_size") != 512 and not store.is_drive:
        yield f"block-size {attribute('block_size')}"
    usual = identity_attributes(tid, lun)
    if store.is_drive:
        usual["product_id"] = DRIVE_PRODUCT
    for name, directive in _NAMES.items():
        if attribute(name) and attribute(name) != usual[name]:
            yield f"{directive} {quoted(str(attribute(name)))}"
    for name, directive in _NUMBERS.items():
        value = attribute(name) or (name == "write_protect" and int(store.read_only))
        if value and not (name == "removable" and not store.path and store.key.kind == "ramdisk"):
            yield f"{directive} {value}"
    if not attribute("emulate_write_cache") and store.write_back and not store.is_drive:
        yield "write-cache off"
    if not attribute("medium_present") and store.path:
        yield "online 0"
    for name, parameter in _PARAMETERS.items():
        if attribute(name):
            yield f"params {parameter}={attribute(name)}"
