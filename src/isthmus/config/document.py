"""The saved form: LIO's saveconfig.json, both ways.

Reading takes what rtslib writes. What cannot be honoured here is kept where the saved form can keep it, and told as a
`Remark`: nothing is dropped in silence. Writing gives what rtslib reads; settings at their default are written too,
since rtslib's defaults are those of its kernel.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from isthmus.config.indented import indented
from isthmus.config.json_text import parse
from isthmus.config.model import (
    DEFAULT_ALUA_GROUP,
    Account,
    AluaGroup,
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    DiscoveryAuthentication,
    InitiatorGroup,
    Lun,
    MappedLun,
    NodeAcl,
    Portal,
    PortalGroup,
    Target,
)
from isthmus.config.settings import (
    ACL_ATTRIBUTES,
    ALUA_GROUP_PARAMETERS,
    BACKSTORE_ATTRIBUTES,
    INITIATOR_GROUP_ATTRIBUTES,
    TPG_ATTRIBUTES,
    TPG_PARAMETERS,
    SettingTable,
    Value,
)
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName

__all__ = ["Dumper", "Remark", "SavedFormError", "dump", "load", "read", "read_parts"]

_Object = Mapping[str, Any]
_Saved = TypeVar("_Saved")
_PSCSI: Final = "pscsi"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something in a saved form that is not done as it says; `where` is a path as the shell shows it."""

    where: str
    what: str
    path: tuple[str | int, ...] = ()
    """The keys and indexes that lead to it in the JSON value."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


_CHAP_PARTS: Final = ("chap_userid", "chap_password", "chap_mutual_userid", "chap_mutual_password", "chap_others")
_GROUP_PARTS: Final = (
    *("tag", "enable", "attributes", "parameters", "portals", "luns", "node_acls", "initiator_groups"),
    *_CHAP_PARTS,
)
_ACL_PARTS: Final = ("node_wwn", "tag", "attributes", "mapped_luns", *_CHAP_PARTS)
_OLD_KINDS: Final = {"iblock": "block", "rd_mcp": "ramdisk"}
"""What rtslib still reads of the names that LIO had first."""
_READ_ONLY_ALUA: Final = "alua_support_lba_dependent"
"""LIO reads it back, and refuses a whole file that sets it."""


class SavedFormError(ConfigurationError):
    """Something in a saved form makes no configuration; `path` leads there in the JSON value."""

    def __init__(self, problem: str, remedy: str, path: tuple[str | int, ...]) -> None:
        super().__init__(problem, remedy)
        self.path = path


class _Reader:
    """Reads one document and collects remarks on the way."""

    def __init__(self) -> None:
        self.remarks: list[Remark] = []
        self.path: list[str | int] = []
        """The keys and indexes that lead to what is being read; where something cannot be, it is left as it is then."""

    def _each(self, entry: _Object, name: str, where: str) -> Iterator[_Object]:
        """The objects in the list under `name`, one after the other, with the path to each."""
        for index, found in enumerate(_objects(entry, name, where)):
            self.path += [name, index]
            yield found
            del self.path[-2:]

    def _remark(self, where: str, what: str, *steps: str) -> None:
        self.remarks.append(Remark(where, what, (*self.path, *steps)))

    def _tell_unknown(self, entry: _Object, where: str, *known: str) -> None:
        """A remark on each part that nobody here reads. Its value stays unsaid: it may be a secret."""
        for name in entry.keys() - set(known):
            self._remark(where, f"{name!r} means nothing here: it is left out", name)

    def configuration(self, document: _Object) -> Configuration:
        self._tell_unknown(document, "/", "storage_objects", "targets", "fabric_modules", "accounts", "options")
        stores = [self.backstore(entry) for entry in self._each(document, "storage_objects", "/")]
        targets = [
            self.target(entry)
            for entry in self._each(document, "targets", "/")
            if self._is_iscsi(entry.get("fabric", "iscsi"), str(entry.get("wwn", "")))
        ]
        discovery = DiscoveryAuthentication()
        for module in self._each(document, "fabric_modules", "/"):
            if self._is_iscsi(module.get("name", "iscsi"), "fabric_modules"):
                discovery = _discovery(module)
        _refuse_repeated("backstore", [store.key for store in stores])
        _refuse_repeated("target", [target.name for target in targets])
        return Configuration(
            backstores={store.key: store for store in stores},
            targets={target.name: target for target in targets},
            discovery=discovery,
            accounts=_accounts(document, "accounts", "/"),
            options=_options(document, "/"),
        )

    def _is_iscsi(self, fabric: object, where: str) -> bool:
        if fabric != "iscsi":
            self._remark(where, f"the fabric {fabric!r} is left out: there is iSCSI only")
        return fabric == "iscsi"

    def backstore(self, entry: _Object) -> Backstore:
        kind = _text(entry, "plugin", "/backstores")
        key = BackstoreKey(_OLD_KINDS.get(kind, kind), _text(entry, "name", "/backstores"))
        known = {"plugin", "name", "dev", "size", "write_back", "readonly", "wwn", "attributes", "alua_tpgs"}
        size = entry.get("size")
        return Backstore(
            key=key,
            path=str(entry.get("dev", "")),
            size=None if size is None else _number(size, "size", str(key)),
            write_back=bool(entry.get("write_back", False)),
            read_only=bool(entry.get("readonly", False)),
            unit_serial=_serial(entry, key),
            attributes=self._settings(BACKSTORE_ATTRIBUTES, entry.get("attributes", {}), str(key), "attributes"),
            alua_groups=tuple(self.alua_group(group, str(key)) for group in self._each(entry, "alua_tpgs", str(key))),
            options={name: value for name, value in entry.items() if name not in known},
        )

    def alua_group(self, entry: _Object, where: str) -> AluaGroup:
        name = _text(entry, "name", where)
        parameters = {key: value for key, value in entry.items() if key not in {"name", "tg_pt_gp_id"}}
        return AluaGroup(
            name=name,
            alua_group_id=_number(entry.get("tg_pt_gp_id", 0), "tg_pt_gp_id", where),
            parameters=self._settings(ALUA_GROUP_PARAMETERS, parameters, f"{where}/alua/{name}"),
        )

    def target(self, entry: _Object) -> Target:
        name = IscsiName(_text(entry, "wwn", "/iscsi"))
        where = f"/iscsi/{name}"
        self._tell_unknown(entry, where, "wwn", "fabric", "tpgs", "options")
        return Target(
            name=name,
            portal_groups=tuple(self.portal_group(group, where) for group in self._each(entry, "tpgs", where)),
            options=_options(entry, where),
        )

    def portal_group(self, entry: _Object, target: str) -> PortalGroup:
        tag = _number(entry.get("tag", 1), "tag", target)
        where = f"{target}/tpg{tag}"
        self._tell_unknown(entry, where, *_GROUP_PARTS)
        return PortalGroup(
            tag=tag,
            enable=bool(entry.get("enable", True)),
            attributes=self._settings(TPG_ATTRIBUTES, entry.get("attributes", {}), where, "attributes"),
            parameters=self._settings(TPG_PARAMETERS, entry.get("parameters", {}), where, "parameters"),
            chap=_chap(entry),
            portals=tuple(self.portal(portal, where) for portal in self._each(entry, "portals", where)),
            luns=tuple(self.lun(lun, where) for lun in self._each(entry, "luns", where)),
            node_acls=tuple(self.node_acl(acl, where) for acl in self._each(entry, "node_acls", where)),
            initiator_groups=tuple(
                self.initiator_group(group, where) for group in self._each(entry, "initiator_groups", where)
            ),
        )

    def portal(self, entry: _Object, where: str) -> Portal:
        portal = Portal(
            _text(entry, "ip_address", where),
            _number(entry.get("port", 3260), "port", where),
            iser=bool(entry.get("iser", False)),
            offload=bool(entry.get("offload", False)),
        )
        self._tell_unknown(entry, f"{where}/portals/{portal}", "ip_address", "port", "iser", "offload")
        if portal.iser or portal.offload:
            self._remark(f"{where}/portals/{portal}", "iSER and offload are not done: it is plain TCP")
        return portal

    def node_acl(self, entry: _Object, group: str) -> NodeAcl:
        name = IscsiName(_text(entry, "node_wwn", group))
        where = f"{group}/acls/{name}"
        self._tell_unknown(entry, where, *_ACL_PARTS)
        return NodeAcl(
            name=name,
            tag=str(entry.get("tag") or ""),
            attributes=self._settings(ACL_ATTRIBUTES, entry.get("attributes", {}), where, "attributes"),
            mapped_luns=tuple(self.mapped_lun(mapped, where) for mapped in self._each(entry, "mapped_luns", where)),
            chap=_chap(entry),
        )

    def initiator_group(self, entry: _Object, portal_group: str) -> InitiatorGroup:
        name = _text(entry, "name", portal_group)
        where = f"{portal_group}/initiator_groups/{name}"
        patterns = entry.get("initiators", [])
        if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
            raise ConfigurationError(f"{where}: 'initiators' is not a list of texts", "each is a pattern of names")
        return InitiatorGroup(
            name=name,
            initiators=tuple(patterns),
            mapped_luns=tuple(self.mapped_lun(mapped, where) for mapped in self._each(entry, "mapped_luns", where)),
            attributes=self._settings(INITIATOR_GROUP_ATTRIBUTES, entry.get("attributes", {}), where, "attributes"),
        )

    def lun(self, entry: _Object, where: str) -> Lun:
        number = _number(entry.get("index"), "index", where)
        self._tell_unknown(entry, f"{where}/luns/lun{number}", "index", "storage_object", "alias", "alua_tg_pt_gp_name")
        return Lun(
            number=number,
            backstore=BackstoreKey.parse(_text(entry, "storage_object", where)),
            alias=str(entry.get("alias") or ""),
            alua_group=str(entry.get("alua_tg_pt_gp_name") or DEFAULT_ALUA_GROUP),
        )

    def mapped_lun(self, entry: _Object, where: str) -> MappedLun:
        number = _number(entry.get("index"), "index", where)
        self._tell_unknown(entry, f"{where}/mapped_lun{number}", "index", "tpg_lun", "write_protect", "alias")
        return MappedLun(
            number=number,
            tpg_lun=_number(entry.get("tpg_lun"), "tpg_lun", where),
            write_protect=bool(entry.get("write_protect", False)),
            alias=str(entry.get("alias") or ""),
        )

    def _settings(self, table: SettingTable, values: object, where: str, *steps: str) -> dict[str, Value]:
        """The values that can be honoured; a remark on each of the others. `steps` lead from the entry to them."""
        if not isinstance(values, Mapping):
            raise ConfigurationError(f"{where}: the settings are not an object", "see saveconfig.json(5)")
        honoured: dict[str, Value] = {}
        for name, value in values.items():
            if name not in table:
                self._remark(where, f"there is no setting {name!r}: its value {value!r} is left out", *steps, name)
                continue
            try:
                honoured[name] = table.parse(name, value)
            except ConfigurationError as error:
                self._remark(where, f"{error.problem}; it stays {table[name].default!r}", *steps, name)
        return honoured


def load(text: str) -> tuple[Configuration, list[Remark]]:
    """The configuration in a saved form, and what of it is not done as it says.

    Raises `ConfigurationError` with the place of a syntax error, or of what makes no configuration at all.
    """
    try:
        document = parse(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"the saved configuration is not JSON: line {error.lineno}, column {error.colno}: {error.msg}",
            "restore a backup",
        ) from None
    except RecursionError:
        raise ConfigurationError("the saved configuration is nested too deeply", "restore a backup") from None
    return read(document)


def read(document: object) -> tuple[Configuration, list[Remark]]:
    """The configuration in a saved form whose JSON is parsed already; see `load`."""
    configuration, remarks = read_parts(document)
    configuration.check()
    return configuration, remarks


def read_parts(document: object) -> tuple[Configuration, list[Remark]]:
    """See `read`; but what is there may name what is elsewhere, so the whole is not checked.

    What makes no configuration is a `SavedFormError`.
    """
    if not isinstance(document, dict):
        raise ConfigurationError("the saved configuration is not an object", "see saveconfig.json(5)")
    reader = _Reader()
    try:
        return reader.configuration(document), reader.remarks
    except ConfigurationError as error:
        raise SavedFormError(error.problem, error.remedy, tuple(reader.path)) from error


def dump(configuration: Configuration) -> str:
    """The saved form, sorted, so that the same configuration is the same text."""
    return Dumper().dump(configuration)


class Dumper:
    """Writes saved forms one after the other, and remembers what it wrote: only what has changed is written anew."""

    def __init__(self) -> None:
        """Nothing is remembered yet."""
        self._stores = _Section("storage_objects", _dump_backstore)
        self._targets = _Section("targets", _dump_target)

    def dump(self, configuration: Configuration) -> str:
        """See `dump` beside this class."""
        discovery = [_entry(module) for module in _dump_discovery(configuration.discovery)]
        parts = {
            "fabric_modules": _section("fabric_modules", discovery),
            "storage_objects": self._stores.text(configuration.backstores),
            "targets": self._targets.text(configuration.targets),
        }
        if configuration.accounts:  # LIO has none of these two
            parts["accounts"] = _section(
                "accounts", [_entry(entry) for entry in _dump_accounts(configuration.accounts)]
            )
        if configuration.options:
            parts["options"] = f'  "options": {indented(configuration.options, "  ")}'
        return _joined("{\n", [parts[name] for name in sorted(parts)], "\n}\n")


class _Section(Generic[_Saved]):
    """The text of one section, and of each entry in it, as it was written last."""

    def __init__(self, name: str, write: Callable[[_Saved], _Object]) -> None:
        self._name = name
        self._write = write
        self._written: tuple[object, str] = (None, "")
        self._known: dict[int, tuple[_Saved, str]] = {}
        """By the identity of the values, which stay alive with it."""

    def text(self, values: Mapping[Any, _Saved]) -> str:
        """The section that says `values`."""
        if self._written[0] is not values:
            known, self._known = self._known, {}
            entries = [self._entry(known, value) for _, value in sorted(values.items())]
            self._written = values, _section(self._name, entries)
        return self._written[1]

    def _entry(self, known: Mapping[int, tuple[_Saved, str]], value: _Saved) -> str:
        present = known.get(id(value)) or (value, _entry(self._write(value)))
        self._known[id(value)] = present
        return present[1]


def _entry(document: _Object) -> str:
    """An entry of a section, indented as it stands there."""
    return f"    {indented(document, '    ')}"


def _section(name: str, entries: list[str]) -> str:
    if not entries:
        return f'  "{name}": []'
    return _joined(f'  "{name}": [\n', entries, "\n  ]")


def _joined(before: str, parts: list[str], after: str) -> str:
    """By one copy: others have the interpreter only when megabytes are through."""
    pieces = [",\n"] * (2 * len(parts) + 1)
    pieces[0], pieces[1::2], pieces[-1] = before, parts, after
    return "".join(pieces)


def _dump_discovery(discovery: DiscoveryAuthentication) -> list[dict[str, Any]]:
    if discovery == DiscoveryAuthentication():
        return []
    chap = discovery.chap
    return [
        {
            "name": "iscsi",
            "discovery_enable_auth": discovery.enable,
            "discovery_userid": chap.userid,
            "discovery_password": chap.password,
            "discovery_mutual_userid": chap.mutual_userid,
            "discovery_mutual_password": chap.mutual_password,
            **({"discovery_others": _dump_accounts(chap.others)} if chap.others else {}),
        }
    ]


def _dump_backstore(store: Backstore) -> dict[str, Any]:
    """With just the parts that rtslib's class for the kind takes, unless there is more to say than it knows."""
    kind = store.key.kind
    saved: dict[str, Any] = {
        **store.options,
        "plugin": kind,
        "name": store.key.name,
        "attributes": store.saved_attributes,
        "alua_tpgs": [_dump_alua_group(group) for group in store.alua_groups],
    }
    if kind != _PSCSI or store.unit_serial != store.key.derived_serial:
        saved["wwn"] = store.unit_serial
    if store.path or kind not in {"ramdisk", "user"}:
        saved["dev"] = store.path
    if store.size is not None:
        saved["size"] = store.size
    if kind in {"fileio", "block"}:
        saved["write_back"] = store.write_back
    if kind == "block" or store.read_only:
        saved["readonly"] = store.read_only
    return saved


def _serial(entry: _Object, key: BackstoreKey) -> str:
    """What is saved; LIO saves none of a device that has its own."""
    if key.kind == _PSCSI and "wwn" not in entry:
        return key.derived_serial
    return _text(entry, "wwn", str(key))


def _dump_alua_group(group: AluaGroup) -> dict[str, Any]:
    parameters = ALUA_GROUP_PARAMETERS.saved(group.parameters)
    del parameters[_READ_ONLY_ALUA]
    return {"name": group.name, "tg_pt_gp_id": group.alua_group_id, **parameters}


def _dump_target(target: Target) -> dict[str, Any]:
    groups = [_dump_group(group) for group in target.portal_groups]
    saved = {"wwn": str(target.name), "fabric": "iscsi", "tpgs": groups}
    return {**saved, "options": dict(target.options)} if target.options else saved


def _dump_group(group: PortalGroup) -> dict[str, Any]:
    saved: dict[str, Any] = {
        "tag": group.tag,
        "enable": group.enable,
        "attributes": TPG_ATTRIBUTES.saved(group.attributes),
        "parameters": {name: str(value) for name, value in TPG_PARAMETERS.with_defaults(group.parameters).items()},
        "portals": [
            {
                "ip_address": f"[{portal.address}]" if ":" in portal.address else portal.address,
                "port": portal.port,
                "iser": portal.iser,
                "offload": portal.offload,
            }
            for portal in group.portals
        ],
        "luns": [
            {
                "index": lun.number,
                "storage_object": str(lun.backstore),
                "alias": lun.alias,
                "alua_tg_pt_gp_name": lun.alua_group,
            }
            for lun in group.luns
        ],
        "node_acls": [_dump_acl(acl) for acl in group.node_acls],
        **_dump_chap(group.chap),
    }
    if group.initiator_groups:  # LIO has none
        saved["initiator_groups"] = [_dump_initiator_group(initiators) for initiators in group.initiator_groups]
    return saved


def _dump_acl(acl: NodeAcl) -> dict[str, Any]:
    saved: dict[str, Any] = {
        "node_wwn": str(acl.name),
        "attributes": ACL_ATTRIBUTES.saved(acl.attributes),
        "mapped_luns": [_dump_mapped(mapped) for mapped in acl.mapped_luns],
        **_dump_chap(acl.chap),
    }
    if acl.tag:
        saved["tag"] = acl.tag
    return saved


def _dump_initiator_group(group: InitiatorGroup) -> dict[str, Any]:
    return {
        "name": group.name,
        "initiators": list(group.initiators),
        "mapped_luns": [_dump_mapped(mapped) for mapped in group.mapped_luns],
        "attributes": dict(group.attributes),
    }


def _dump_mapped(mapped: MappedLun) -> dict[str, Any]:
    return {
        "index": mapped.number,
        "tpg_lun": mapped.tpg_lun,
        "write_protect": mapped.write_protect,
        "alias": mapped.alias,
    }


_CHAP_KEYS: Final = ("userid", "password", "mutual_userid", "mutual_password")


def _dump_chap(chap: Chap) -> dict[str, Any]:
    saved: dict[str, Any] = {f"chap_{key}": getattr(chap, key) for key in _CHAP_KEYS if getattr(chap, key)}
    if chap.others:  # LIO has none
        saved["chap_others"] = _dump_accounts(chap.others)
    return saved


def _dump_accounts(accounts: Iterable[Account]) -> list[dict[str, str]]:
    return [{"userid": account.userid, "password": account.password} for account in accounts]


def _chap(entry: _Object) -> Chap:
    return Chap(
        **{key: str(entry.get(f"chap_{key}") or "") for key in _CHAP_KEYS},
        others=_accounts(entry, "chap_others", "authentication"),
    )


def _accounts(entry: _Object, name: str, where: str) -> tuple[Account, ...]:
    found = _objects(entry, name, where)
    return tuple(Account(_text(each, "userid", name), _text(each, "password", name)) for each in found)


def _options(entry: _Object, where: str) -> dict[str, Value]:
    found = entry.get("options", {})
    if not isinstance(found, Mapping) or not all(isinstance(value, (int, str)) for value in found.values()):
        raise ConfigurationError(f"{where}: 'options' is not an object of numbers and texts", "remove it")
    return dict(found)


def _discovery(entry: _Object) -> DiscoveryAuthentication:
    return DiscoveryAuthentication(
        enable=bool(entry.get("discovery_enable_auth", False)),
        chap=Chap(
            **{key: str(entry.get(f"discovery_{key}") or "") for key in _CHAP_KEYS},
            others=_accounts(entry, "discovery_others", "discovery"),
        ),
    )


def _objects(entry: _Object, name: str, where: str) -> list[_Object]:
    """The list of objects under `name`; an absent one is empty."""
    found = entry.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ConfigurationError(f"{where}: {name!r} is not a list of objects", "see saveconfig.json(5)")
    return found


def _text(entry: _Object, name: str, where: str) -> str:
    found = entry.get(name)
    if not isinstance(found, str) or not found:
        raise ConfigurationError(f"{where}: {name!r} is missing or not a text", "see saveconfig.json(5)")
    return found


def _number(value: object, name: str, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{where}: {name!r} is missing or not a number", "see saveconfig.json(5)")
    return value


def _refuse_repeated(what: str, keys: Iterable[object]) -> None:
    seen: set[object] = set()
    for key in keys:
        if key in seen:
            raise ConfigurationError(f"the {what} {key} is there twice", "remove one")
        seen.add(key)
