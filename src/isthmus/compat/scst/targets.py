"""SCST's iSCSI targets (`TARGET_DRIVER iscsi { TARGET … }`) as target nodes with one portal group."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from isthmus.compat.importer import Surroundings
from isthmus.compat.scst.accounts import Accounts
from isthmus.compat.scst.devices import Devices
from isthmus.compat.scst.grammar import Statement, Word
from isthmus.compat.scst.mappings import GroupMembers, LunOf, access
from isthmus.compat.scst.portals import allowed_addresses, is_pattern, local_addresses
from isthmus.compat.scst.report import Attribute, Report, Row, apply, attributes, flag
from isthmus.compat.scst.target_attributes import ADDRESS_METHOD, DRIVER_ROWS, TARGET_ROWS, DriverDraft, TargetDraft
from isthmus.config.access_lists import canonical_pattern
from isthmus.config.model import (
    MAX_LUN,
    BackstoreKey,
    Configuration,
    DiscoveryAuthentication,
    InitiatorGroup,
    Portal,
    PortalGroup,
    Target,
)
from isthmus.config.settings import Value
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName

__all__ = ["AluaGroupOf", "Targets", "read_driver"]

AluaGroupOf = Callable[[str, str], str]
"""The ALUA group of a device at a target, by their names; empty: none."""
_ALLOWED_PORTAL: Final = "allowed_portal"


@dataclass(slots=True)
class Targets:
    """What `TARGET_DRIVER iscsi` comes to."""

    targets: dict[IscsiName, Target]
    discovery: DiscoveryAuthentication


@dataclass(slots=True)
class _Reader:
    """Reads targets of one file."""

    devices: Devices
    alua_group_of: AluaGroupOf
    surroundings: Surroundings
    report: Report
    driver_enabled: bool = False


def read_driver(
    driver: Statement | None, devices: Devices, alua_group_of: AluaGroupOf, surroundings: Surroundings, report: Report
) -> Targets:
    """The targets of the driver `iscsi`, if the file has it."""
    found = Targets({}, DiscoveryAuthentication())
    if driver is None:
        return found
    draft, accounts = DriverDraft(), Accounts()
    for setting in attributes(driver, frozenset({"TARGET"}), report):
        if not accounts.take(setting):
            apply(setting, DRIVER_ROWS, draft, "the driver iscsi", report)
    chap = accounts.chap("the driver iscsi", report)
    found.discovery = DiscoveryAuthentication(enable=bool(chap.userid), chap=chap)
    reader = _Reader(devices, alua_group_of, surroundings, report, draft.enabled)
    ports = set[Value]()
    for statement in driver.find("TARGET"):
        target = _read_target(statement, reader)
        if target is None:
            continue
        if target.name in found.targets:
            raise report.error(statement.words[1].position, f"the target {target.name} is there twice", "remove one")
        if port := target.portal_groups[0].attributes.get("relative_target_port_id"):
            if port in ports:
                raise report.error(
                    statement.position, f"TARGET {target.name} has the rel_tgt_id of another", "change it"
                )
            ports.add(port)
        found.targets[target.name] = target
    return found


def _read_target(statement: Statement, reader: _Reader) -> Target | None:
    report = reader.report
    word = report.operand(statement, 1, "which target")
    report.no_more(statement, 2)
    try:
        name = IscsiName(word.text)
    except ConfigurationError as error:
        report.say(word.position, f"TARGET {word.text}", f"{error}; it is left out")
        return None
    owner = f"TARGET {name}"
    draft, accounts, allowed = TargetDraft(), Accounts(), list[Attribute]()
    for setting in attributes(statement, frozenset({"LUN", "GROUP"}), report):
        if setting.name == _ALLOWED_PORTAL:
            allowed.append(setting)
        elif not accounts.take(setting):
            apply(setting, TARGET_ROWS, draft, owner, report)
    chap = accounts.chap(owner, report)
    portals = _portals(allowed, owner, reader)
    groups = list(_groups(statement, word.text, reader))
    # Whoever is in a group without LUNs is told that there is no such target (scst_initiator_has_luns).
    shut_out = {"login_needs_luns": 1} if any(known.patterns and not known.luns for known in groups) else {}
    access_ = access(_luns(statement, word.text, reader), groups, _known_numbers(name, reader.surroundings.running))
    with report.at(statement.position):
        group = PortalGroup(
            tag=1,
            enable=draft.enabled and reader.driver_enabled and portals is not None,
            attributes={
                **draft.attributes,
                **access_.attributes,
                **shut_out,
                "authentication": int(bool(accounts.incoming)),
            },
            parameters=draft.parameters,
            chap=chap,
            portals=portals or (),
            luns=access_.luns,
            initiator_groups=access_.groups,
        )
    return Target(name=name, portal_groups=(group,))


def _known_numbers(name: IscsiName, running: Configuration) -> dict[BackstoreKey, int]:
    """The numbers that the LUNs of a target have, if it runs."""
    target = running.targets.get(name)
    groups = () if target is None else target.portal_groups[:1]
    return {lun.backstore: lun.number for group in groups for lun in group.luns}


def _portals(allowed: list[Attribute], owner: str, reader: _Reader) -> tuple[Portal, ...] | None:
    """The portals that the patterns stand for, none if all of them are allowed, or None if none is."""
    if not allowed:
        return ()
    report, patterns = reader.report, [setting.value for setting in allowed]
    with_patterns = any(is_pattern(pattern) for pattern in patterns)
    local = local_addresses(reader.surroundings.read_text) if with_patterns else []
    with report.at(allowed[0].position):
        found = [Portal(address) for address in allowed_addresses(patterns, local)]
    if with_patterns:
        now = ", ".join(str(portal.address) for portal in found) or "none, so it is disabled"
        report.say(
            next(setting.position for setting in allowed if is_pattern(setting.value)),
            f"{_ALLOWED_PORTAL} of {owner} is a pattern",
            f"it stands for the addresses that this machine has now: {now}",
        )
    return tuple(dict.fromkeys(found)) if found else None


# -- LUNs and groups ---------------------------------------------------------------------------------------------------


def _luns(owner: Statement, target: str, reader: _Reader) -> list[LunOf]:
    """The LUNs in the section of `owner`, a target or a group."""
    report, found = reader.report, dict[int, LunOf]()
    for statement in owner.find("LUN"):
        number = _number(report.operand(statement, 1, "its number"), report)
        device = report.operand(statement, 2, "its device")
        report.no_more(statement, 3)
        lun = _lun(statement, number, device, target, reader)
        if number in found:
            raise report.error(statement.position, f"LUN {number} is there twice", "each has its own number")
        if lun is not None:
            found[number] = lun
    return list(found.values())


def _lun(statement: Statement, number: int, device: Word, target: str, reader: _Reader) -> LunOf | None:
    report, protection = reader.report, _Protection()
    for setting in attributes(statement, frozenset(), report):
        apply(setting, _LUN_ROWS, protection, f"LUN {number}", report)
    if device.text in reader.devices.served:
        key = reader.devices.served[device.text].store.key
        return LunOf(number, key, protection.read_only, reader.alua_group_of(device.text, target))
    if device.text not in reader.devices.left_out:
        raise report.error(device.position, f"there is no device {device.text!r}", "a HANDLER section has to have it")
    report.say(
        statement.position, f"LUN {number} is the device {device.text}, which is left out", "there is no such LUN"
    )
    return None


def _number(word: Word, report: Report) -> int:
    if not (word.text.isascii() and word.text.isdecimal()) or len(word.text) > 5 or int(word.text) > MAX_LUN:
        raise report.error(word.position, f"{word.text!r} is not the number of a LUN", f"use 0 to {MAX_LUN}")
    return int(word.text)


def _groups(target: Statement, target_name: str, reader: _Reader) -> Iterator[GroupMembers]:
    report, names = reader.report, set[str]()
    for statement in target.find("GROUP"):
        name = report.operand(statement, 1, "its name")
        report.no_more(statement, 2)
        for setting in attributes(statement, frozenset({"LUN", "INITIATOR"}), report):
            apply(setting, _GROUP_ROWS, None, f"GROUP {name}", report)
        if name.text in names:
            raise report.error(name.position, f"the group {name} is there twice", "remove one")
        names.add(name.text)
        with report.at(name.position):
            InitiatorGroup(name=name.text)  # a name that cannot be had is told at its place
        patterns = dict.fromkeys(_patterns(statement, report))
        yield GroupMembers(name.text, tuple(patterns), tuple(_luns(statement, target_name, reader)))


def _patterns(group: Statement, report: Report) -> Iterator[str]:
    for statement in group.find("INITIATOR"):
        pattern = report.operand(statement, 1, "which")
        report.no_more(statement, 2)
        with report.at(pattern.position):
            yield canonical_pattern(pattern.text)


@dataclass(slots=True)
class _Protection:
    """A LUN while its attributes are read."""

    read_only: bool = False


def _read_only(protection: _Protection, value: str) -> None:
    protection.read_only = flag(value)


_LUN_ROWS: Final = {"read_only": Row(take=_read_only)}
_GROUP_ROWS: Final[dict[str, Row[None]]] = {
    "black_hole": Row(instead="commands are answered"),
    "addr_method": ADDRESS_METHOD,
    **{name: Row() for name in ("cpu_mask", "io_grouping_type", "per_sess_dedicated_tgt_threads")},
}
