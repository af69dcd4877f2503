"""The ini-style file's sections as a configuration: `[Target]`, with the `[LUN n]` and `[Initiator]` that follow it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from isthmus.compat.importer import Surroundings
from isthmus.compat.scst.devices import NULLIO_SIZE
from isthmus.compat.scst.mappings import Access, LunOf, access
from isthmus.compat.scst.report import Report, flag, number
from isthmus.compat.scst.sections import Entry, Section
from isthmus.compat.scst.target_attributes import PARAMETERS, TargetDraft, set_parameter
from isthmus.config.declaration.errors import Position
from isthmus.config.model import (
    MAX_LUN,
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    MappedLun,
    NodeAcl,
    PortalGroup,
    Target,
)
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName

__all__ = ["read_sections"]

_PARAMETERS: Final = {**{name.lower(): name for name in PARAMETERS}, "alias": "TargetAlias"}
_KINDS: Final = {"fileio": "fileio", "blockio": "block", "nullio": "null"}
_CHAP_KEYS: Final = {
    "chap username": "userid",
    "chap password": "password",
    "chap mutual username": "mutual_userid",
    "chap mutual password": "mutual_password",
}
_LUN_KEYS: Final = ("path", "type", "read_only", "blocksize", "size")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]")
_NO_SETTING: Final = "there is no such setting here; it is left out"


@dataclass(slots=True)
class _Target:
    """A target with the sections that belong to it."""

    section: Section
    luns: list[Section] = field(default_factory=list)
    initiators: list[Section] = field(default_factory=list)


def read_sections(sections: Sequence[Section], surroundings: Surroundings, report: Report) -> Configuration:
    """The configuration that `sections` ask for."""
    defaults, grouped = _grouped(sections, report)
    stores = _Stores(surroundings)
    targets = dict[IscsiName, Target]()
    for entry in grouped:
        target = _target(entry, defaults, stores, report)
        if target is not None and target.name in targets:
            raise report.error(entry.section.position, f"the target {target.name} is there twice", "remove one")
        if target is not None:
            targets[target.name] = target
    return Configuration(backstores=stores.by_key, targets=targets)


def _grouped(sections: Iterable[Section], report: Report) -> tuple[list[Entry], list[_Target]]:
    """The settings for every target, and the targets."""
    defaults, targets = list[Entry](), list[_Target]()
    for section in sections:
        if section.kind == "default":
            defaults += section.entries
        elif section.kind == "target":
            targets.append(_Target(section))
        elif section.kind in {"handler", "assignment", "group"}:
            raise report.error(
                section.position, "this is scst.conf of SCST 1", "have scstadmin of SCST 2 or 3 convert it first"
            )
        elif section.kind not in {"lun", "initiator"}:
            raise report.error(
                section.position, f"there is no section [{section.kind}]", "there is DEFAULT, Target, LUN and Initiator"
            )
        elif not targets:
            raise report.error(
                section.position, f"this [{section.kind}] belongs to no target", "put [Target NAME] before"
            )
        else:
            (targets[-1].luns if section.kind == "lun" else targets[-1].initiators).append(section)
    return defaults, targets


def _target(found: _Target, defaults: Sequence[Entry], stores: "_Stores", report: Report) -> Target | None:
    section = found.section
    name = _name(section, "[Target]", report)
    if name is None:
        return None
    draft = TargetDraft(enabled=True)
    chap_entries = [entry for entry in section.entries if entry.name in _CHAP_KEYS]
    for entry in (*defaults, *(entry for entry in section.entries if entry.name not in _CHAP_KEYS)):
        _set(entry, draft, report)
    luns = [lun for inner in found.luns if (lun := _lun(inner, stores, report)) is not None]
    _check_numbers(found.luns, luns, report)
    chap = _chap(section, chap_entries, report)
    seen = Access(access(luns, ()).luns, (), {}) if found.initiators else access(luns, ())
    acls = _acls(found.initiators, luns, report)
    authentication = bool(chap.userid) or any(acl.chap.userid for acl in acls.values())
    for place, acl in acls.items():
        if authentication and not (acl.chap.userid or chap.userid):
            report.say(place, f"[Initiator {acl.name}] has no CHAP, but others have", "it cannot log in")
    with report.at(section.position):
        group = PortalGroup(
            tag=1,
            attributes={**draft.attributes, **seen.attributes, "authentication": int(authentication)},
            parameters=draft.parameters,
            chap=chap,
            luns=seen.luns,
            node_acls=tuple(acls.values()),
        )
    return Target(name=name, portal_groups=(group,))


def _name(section: Section, what: str, report: Report) -> IscsiName | None:
    try:
        return IscsiName(section.name)
    except ConfigurationError as error:
        report.say(section.position, f"{what} {section.name!r}", f"{error}; it is left out")
        return None


def _set(entry: Entry, draft: TargetDraft, report: Report) -> None:
    name = _PARAMETERS.get(entry.name)
    if name is None:
        report.say(entry.position, f"the setting {entry.name!r}", _NO_SETTING)
        return
    try:
        set_parameter(draft, name, entry.value)
    except ConfigurationError as error:
        report.say(entry.position, f"{name} {entry.value}", f"{error}; it is left out")


# -- LUNs --------------------------------------------------------------------------------------------------------------


class _Stores:
    """The backstores of the file: one for each path."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.by_key: dict[BackstoreKey, Backstore] = {}
        self._surroundings = surroundings

    def of(self, kind: str, settings: Mapping[str, str]) -> Backstore:
        """The backstore at a path, made if it is not there; raises `ConfigurationError` and `ValueError`."""
        path = settings.get("path", "")
        for store in self.by_key.values():
            if store.path == path and store.key.kind == kind and kind != "null":
                return store
        key = self._free(kind, _UNFIT.sub("_", PurePosixPath(path).name) or kind)
        store = Backstore(
            key=key,
            path=path if kind != "null" else key.name,
            size=number(settings["size"]) if "size" in settings else NULLIO_SIZE if kind == "null" else None,
            unit_serial=self._surroundings.new_serial(key),
            attributes={"block_size": number(settings.get("blocksize", "512"))},
        )
        self.by_key[key] = store
        return store

    def _free(self, kind: str, name: str) -> BackstoreKey:
        count, key = 1, BackstoreKey(kind, name)
        while key in self.by_key:
            count += 1
            key = BackstoreKey(kind, f"{name}_{count}")
        return key


def _lun(section: Section, stores: _Stores, report: Report) -> LunOf | None:
    settings = dict[str, str]()
    for entry in section.entries:
        if entry.name not in _LUN_KEYS:
            report.say(entry.position, f"the setting {entry.name!r} of [LUN {section.name}]", _NO_SETTING)
        settings[entry.name] = entry.value
    kind = _KINDS.get(settings.get("type", "fileio").lower())
    if kind is None:
        report.say(
            section.position, f"[LUN {section.name}] is of type {settings['type']}", "there is none; it is left out"
        )
        return None
    if kind != "null" and not PurePosixPath(settings.get("path", "")).is_absolute():
        raise report.error(section.position, f"[LUN {section.name}] has no path that is absolute")
    with report.at(section.position):
        lun = number(section.name)
        if lun > MAX_LUN:
            raise ConfigurationError(f"{lun} cannot be a LUN", f"use 0 to {MAX_LUN}")
        return LunOf(lun, stores.of(kind, settings).key, flag(settings.get("read_only", "0")))


def _check_numbers(sections: Iterable[Section], luns: Sequence[LunOf], report: Report) -> None:
    """Each LUN has its own number."""
    numbers = [lun.number for lun in luns]
    for section in sections:
        if section.name.isdecimal() and numbers.count(int(section.name)) > 1:
            raise report.error(section.position, f"[LUN {section.name}] is there twice", "each has its own number")


# -- Initiators --------------------------------------------------------------------------------------------------------


def _acls(sections: Iterable[Section], luns: Sequence[LunOf], report: Report) -> dict[Position, NodeAcl]:
    """The node ACLs, with where each section begins."""
    found = dict[Position, NodeAcl]()
    mapped = tuple(MappedLun(number=lun.number, tpg_lun=lun.number, write_protect=lun.read_only) for lun in luns)
    seen = set[IscsiName]()
    for section in sections:
        name = _name(section, "[Initiator]", report)
        if name is None:
            continue
        if name in seen:
            raise report.error(section.position, f"[Initiator {name}] is there twice in one target", "remove one")
        seen.add(name)
        entries = [entry for entry in section.entries if entry.name in _CHAP_KEYS]
        for entry in section.entries:
            if entry not in entries:
                report.say(entry.position, f"the setting {entry.name!r} of [Initiator {name}]", _NO_SETTING)
        found[section.position] = NodeAcl(name=name, mapped_luns=mapped, chap=_chap(section, entries, report))
    return found


def _chap(section: Section, entries: Iterable[Entry], report: Report) -> Chap:
    """The credentials; no secret gets into what is told."""
    values = {_CHAP_KEYS[entry.name]: entry.value for entry in entries}
    for name in ("", "mutual_"):
        if bool(values.get(f"{name}userid")) != bool(values.get(f"{name}password")):
            raise report.error(section.position, "CHAP is a Username and a Password", "give both, or none")
    with report.at(section.position):
        return Chap(
            userid=values.get("userid", ""),
            password=values.get("password", ""),
            mutual_userid=values.get("mutual_userid", ""),
            mutual_password=values.get("mutual_password", ""),
        )
