"""The saved form: LIO's saveconfig.json, both ways.

Reading takes what rtslib writes. What cannot be honoured here is kept where the saved form can keep it, and told as a
`Remark`: nothing is dropped in silence. Writing gives what rtslib reads; settings at their default are written too,
since rtslib's defaults are those of its kernel.
"""

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from isthmus.config.model import (
    AluaGroup,
    Backstore,
    BackstoreKey,
    Chap,
    Configuration,
    DiscoveryAuthentication,
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
    TPG_ATTRIBUTES,
    TPG_PARAMETERS,
    SettingTable,
    Value,
)
from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName

__all__ = ["Dumper", "Remark", "dump", "load", "read", "read_parts"]

_Object = Mapping[str, Any]
_Saved = TypeVar("_Saved")

_LIO_ONLY: Final = frozenset(
    {
        # Of the kernel's own devices; initiators see nothing of them.
        "alua_support",
        "atomic_alignment",
        "atomic_granularity",
        "atomic_max_boundary",
        "atomic_max_len",
        "atomic_max_with_boundary",
        "complete_type",
        "hw_block_size",
        "hw_max_sectors",
        "hw_pi_prot_type",
        "hw_queue_depth",
        "pgr_support",
        "submit_type",
    }
)
"""Backstore attributes that LIO saves and that mean nothing here: read without a word."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something in a saved form that is not done as it says; `where` is a path as the shell shows it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class _Reader:
    """Reads one document and collects remarks on the way."""

    def __init__(self) -> None:
        self.remarks: list[Remark] = []

    def configuration(self, document: _Object) -> Configuration:
        stores = [self.backstore(entry) for entry in _objects(document, "storage_objects", "/")]
        targets = [
            self.target(entry)
            for entry in _objects(document, "targets", "/")
            if self._is_iscsi(entry.get("fabric", "iscsi"), str(entry.get("wwn", "")))
        ]
        discovery = DiscoveryAuthentication()
        for module in _objects(document, "fabric_modules", "/"):
            if self._is_iscsi(module.get("name", "iscsi"), "fabric_modules"):
                discovery = _discovery(module)
        _refuse_repeated("backstore", [store.key for store in stores])
        _refuse_repeated("target", [target.name for target in targets])
        return Configuration(
            backstores={store.key: store for store in stores},
            targets={target.name: target for target in targets},
            discovery=discovery,
        )

    def _is_iscsi(self, fabric: object, where: str) -> bool:
        if fabric != "iscsi":
            self.remarks.append(Remark(where, f"the fabric {fabric!r} is left out: there is iSCSI only"))
        return fabric == "iscsi"

    def backstore(self, entry: _Object) -> Backstore:
        key = BackstoreKey(_text(entry, "plugin", "/backstores"), _text(entry, "name", "/backstores"))
        known = {"plugin", "name", "dev", "size", "write_back", "readonly", "wwn", "attributes", "alua_tpgs"}
        size = entry.get("size")
        return Backstore(
            key=key,
            path=str(entry.get("dev", "")),
            size=None if size is None else _number(size, "size", str(key)),
            write_back=bool(entry.get("write_back", False)),
            read_only=bool(entry.get("readonly", False)),
            unit_serial=_text(entry, "wwn", str(key)),
            attributes=self._settings(BACKSTORE_ATTRIBUTES, entry.get("attributes", {}), str(key), _LIO_ONLY),
            alua_groups=tuple(self.alua_group(group, str(key)) for group in _objects(entry, "alua_tpgs", str(key))),
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
        return Target(
            name=name,
            portal_groups=tuple(self.portal_group(group, where) for group in _objects(entry, "tpgs", where)),
        )

    def portal_group(self, entry: _Object, target: str) -> PortalGroup:
        tag = _number(entry.get("tag", 1), "tag", target)
        where = f"{target}/tpg{tag}"
        return PortalGroup(
            tag=tag,
            enable=bool(entry.get("enable", True)),
            attributes=self._settings(TPG_ATTRIBUTES, entry.get("attributes", {}), where),
            parameters=self._settings(TPG_PARAMETERS, entry.get("parameters", {}), where),
            chap=_chap(entry),
            portals=tuple(self.portal(portal, where) for portal in _objects(entry, "portals", where)),
            luns=tuple(_lun(lun, where) for lun in _objects(entry, "luns", where)),
            node_acls=tuple(self.node_acl(acl, where) for acl in _objects(entry, "node_acls", where)),
        )

    def portal(self, entry: _Object, where: str) -> Portal:
        portal = Portal(
            _text(entry, "ip_address", where),
            _number(entry.get("port", 3260), "port", where),
            iser=bool(entry.get("iser", False)),
            offload=bool(entry.get("offload", False)),
        )
        if portal.iser or portal.offload:
            self.remarks.append(Remark(f"{where}/portals/{portal}", "iSER and offload are not done: it is plain TCP"))
        return portal

    def node_acl(self, entry: _Object, group: str) -> NodeAcl:
        name = IscsiName(_text(entry, "node_wwn", group))
        where = f"{group}/acls/{name}"
        return NodeAcl(
            name=name,
            tag=str(entry.get("tag") or ""),
            attributes=self._settings(ACL_ATTRIBUTES, entry.get("attributes", {}), where),
            mapped_luns=tuple(_mapped_lun(mapped, where) for mapped in _objects(entry, "mapped_luns", where)),
            chap=_chap(entry),
        )

    def _settings(
        self, table: SettingTable, values: object, where: str, ignored: frozenset[str] = frozenset()
    ) -> dict[str, Value]:
        """The values that can be honoured; a remark on each of the others."""
        if not isinstance(values, Mapping):
            raise ConfigurationError(f"{where}: the settings are not an object", "see saveconfig.json(5)")
        honoured: dict[str, Value] = {}
        for name, value in values.items():
            if name not in table:
                if name not in ignored:
                    self.remarks.append(Remark(where, f"there is no setting {name!r}: its value {value!r} is left out"))
                continue
            try:
                honoured[name] = table.parse(name, value)
            except ConfigurationError as error:
                self.remarks.append(Remark(where, f"{error.problem}; it stays {table[name].default!r}"))
        return honoured


def load(text: str) -> tuple[Configuration, list[Remark]]:
    """The configuration in a saved form, and what of it is not done as it says.

    Raises `ConfigurationError` with the place of a syntax error, or of what makes no configuration at all.
    """
    try:
        document = json.loads(text)
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
    """See `read`; but what is there may name what is elsewhere, so the whole is not checked."""
    if not isinstance(document, dict):
        raise ConfigurationError("the saved configuration is not an object", "see saveconfig.json(5)")
    reader = _Reader()
    return reader.configuration(document), reader.remarks


def dump(configuration: Configuration) -> str:
    """The saved form, sorted, so that the same configuration is the same text."""
    return Dumper().dump(configuration)


class Dumper:
    """Writes saved forms one after the other, and remembers what it wrote: only what has changed is written anew."""

    def __init__(self) -> None:
        """Nothing is remembered yet."""
        self._known: dict[Hashable, tuple[object, str]] = {}

    def dump(self, configuration: Configuration) -> str:
        """See `dump` beside this class."""
        known, self._known = self._known, {}
        stores = [
            self._text(known, key, store, _dump_backstore) for key, store in sorted(configuration.backstores.items())
        ]
        targets = [
            self._text(known, name, target, _dump_target) for name, target in sorted(configuration.targets.items())
        ]
        sections = {
            "fabric_modules": [_entry(module) for module in _dump_discovery(configuration.discovery)],
            "storage_objects": stores,
            "targets": targets,
        }
        return "{\n" + ",\n".join(_section(name, entries) for name, entries in sections.items()) + "\n}\n"

    def _text(
        self,
        known: Mapping[Hashable, tuple[object, str]],
        key: Hashable,
        value: _Saved,
        write: Callable[[_Saved], _Object],
    ) -> str:
        present = known.get(key)
        if present is None or present[0] is not value:
            present = value, _entry(write(value))
        self._known[key] = present
        return present[1]


def _entry(document: _Object) -> str:
    """An entry of a section, indented as it stands there."""
    lines = json.dumps(document, indent=2, sort_keys=True).splitlines()
    return "\n".join(f"    {line}" for line in lines)


def _section(name: str, entries: list[str]) -> str:
    if not entries:
        return f'  "{name}": []'
    return f'  "{name}": [\n' + ",\n".join(entries) + "\n  ]"


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
        }
    ]


def _dump_backstore(store: Backstore) -> dict[str, Any]:
    saved: dict[str, Any] = {
        **store.options,
        "plugin": store.key.kind,
        "name": store.key.name,
        "wwn": store.unit_serial,
        "attributes": BACKSTORE_ATTRIBUTES.with_defaults(store.attributes),
        "alua_tpgs": [
            {
                "name": group.name,
                "tg_pt_gp_id": group.alua_group_id,
                **ALUA_GROUP_PARAMETERS.with_defaults(group.parameters),
            }
            for group in store.alua_groups
        ],
    }
    if store.key.kind != "ramdisk":
        saved["dev"] = store.path
    if store.size is not None:
        saved["size"] = store.size
    if store.key.kind in {"fileio", "block"}:
        saved["write_back"] = store.write_back
    if store.key.kind == "block" or store.read_only:
        saved["readonly"] = store.read_only
    return saved


def _dump_target(target: Target) -> dict[str, Any]:
    return {"wwn": str(target.name), "fabric": "iscsi", "tpgs": [_dump_group(group) for group in target.portal_groups]}


def _dump_group(group: PortalGroup) -> dict[str, Any]:
    return {
        "tag": group.tag,
        "enable": group.enable,
        "attributes": TPG_ATTRIBUTES.with_defaults(group.attributes),
        "parameters": {name: str(value) for name, value in TPG_PARAMETERS.with_defaults(group.parameters).items()},
        "portals": [
            {"ip_address": portal.address, "port": portal.port, "iser": portal.iser, "offload": portal.offload}
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


def _dump_acl(acl: NodeAcl) -> dict[str, Any]:
    saved: dict[str, Any] = {
        "node_wwn": str(acl.name),
        "attributes": ACL_ATTRIBUTES.with_defaults(acl.attributes),
        "mapped_luns": [
            {
                "index": mapped.number,
                "tpg_lun": mapped.tpg_lun,
                "write_protect": mapped.write_protect,
                "alias": mapped.alias,
            }
            for mapped in acl.mapped_luns
        ],
        **_dump_chap(acl.chap),
    }
    if acl.tag:
        saved["tag"] = acl.tag
    return saved


_CHAP_KEYS: Final = ("userid", "password", "mutual_userid", "mutual_password")


def _dump_chap(chap: Chap) -> dict[str, str]:
    return {f"chap_{key}": getattr(chap, key) for key in _CHAP_KEYS if getattr(chap, key)}


def _chap(entry: _Object) -> Chap:
    return Chap(**{key: str(entry.get(f"chap_{key}") or "") for key in _CHAP_KEYS})


def _discovery(entry: _Object) -> DiscoveryAuthentication:
    return DiscoveryAuthentication(
        enable=bool(entry.get("discovery_enable_auth", False)),
        chap=Chap(**{key: str(entry.get(f"discovery_{key}") or "") for key in _CHAP_KEYS}),
    )


def _lun(entry: _Object, where: str) -> Lun:
    return Lun(
        number=_number(entry.get("index"), "index", where),
        backstore=BackstoreKey.parse(_text(entry, "storage_object", where)),
        alias=str(entry.get("alias") or ""),
        alua_group=str(entry.get("alua_tg_pt_gp_name") or "default_tg_pt_gp"),
    )


def _mapped_lun(entry: _Object, where: str) -> MappedLun:
    return MappedLun(
        number=_number(entry.get("index"), "index", where),
        tpg_lun=_number(entry.get("tpg_lun"), "tpg_lun", where),
        write_protect=bool(entry.get("write_protect", False)),
        alias=str(entry.get("alias") or ""),
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
