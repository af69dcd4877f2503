"""From a declaration to the configuration that it asks for."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from isthmus.config.declaration.errors import DocumentError, at
from isthmus.config.declaration.models import (
    AccountDeclaration,
    AluaGroupDeclaration,
    BackstoreDeclaration,
    ChapDeclaration,
    Declaration,
    DiscoveryDeclaration,
    GroupDeclaration,
    InitiatorDeclaration,
    InitiatorGroupDeclaration,
    MappedLunDeclaration,
    PortalDeclaration,
    TargetDeclaration,
)
from isthmus.config.model import (
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
from isthmus.names import IscsiName
from isthmus.sizes import parse_size

__all__ = ["Surroundings", "configure", "writes_back"]

_PORTAL: Final = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?")
_IN_FILE_SYSTEM: Final = ("fileio", "block")
"""The kinds that are a path in the file system, and have a write cache to choose."""
_IN_MEMORY: Final = "ramdisk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a document leaves to the place where it is applied."""

    running: Configuration
    """Backstores that are there keep their serial numbers."""
    absolute_path: Callable[[str], str]
    """A path in the document as it is called from everywhere."""
    read_secret: Callable[[str], str]
    """The secret in a file, by the path that the document has; raises `ConfigurationError`."""
    new_serial: Callable[[BackstoreKey], str]
    """The serial number of a backstore that is not there yet."""


def configure(declaration: Declaration, surroundings: Surroundings) -> Configuration:
    """The configuration that `declaration` asks for; raises `DocumentError`."""
    return _Builder(declaration, surroundings).configuration()


def writes_back(kind: str) -> bool:
    """Whether a backstore has a write cache if nothing is said."""
    return kind == "fileio"


class _Builder:
    def __init__(self, declaration: Declaration, surroundings: Surroundings) -> None:
        self._declaration = declaration
        self._surroundings = surroundings
        self._backstores: dict[BackstoreKey, Backstore] = {}
        self._named: dict[str, list[BackstoreKey]] = {}
        """Backstores by what LUNs may call them: NAME and KIND/NAME."""

    def configuration(self) -> Configuration:
        for name, backstore in self._declaration.backstores.items():
            with at("backstores", name):
                self._add_backstore(name, backstore)
        targets: dict[IscsiName, Target] = {}
        for name, declared in self._declaration.targets.items():
            with at("targets", name):
                target = self._target(name, declared)
                if target.name in targets:
                    raise DocumentError("this target is there twice, in another spelling", "remove one")
                targets[target.name] = target
        with at("discovery"):
            discovery = self._discovery(self._declaration.discovery)
        configuration = Configuration(
            backstores=self._backstores,
            targets=targets,
            discovery=discovery,
            accounts=self._accounts("accounts", self._declaration.accounts),
            options=dict(self._declaration.options),
        )
        configuration.check()
        return configuration

    # -- Backstores ----------------------------------------------------------------------------------------------------

    def _add_backstore(self, name: str, declared: BackstoreDeclaration) -> None:
        key = _key(name, declared.kind)
        if key in self._backstores:
            raise DocumentError("this backstore is there twice, with and without its kind", "remove one")
        self._backstores[key] = self._backstore(key, declared)
        for reference in (key.name, f"{key.kind}/{key.name}"):
            self._named.setdefault(reference, []).append(key)

    def _backstore(self, key: BackstoreKey, declared: BackstoreDeclaration) -> Backstore:
        if declared.write_back and key.kind not in _IN_FILE_SYSTEM:
            raise DocumentError(f"a {key.kind} has no write cache to choose", "leave it out", path=("write_back",))
        if declared.path and key.kind == _IN_MEMORY:
            raise DocumentError(f"a {key.kind} has no path", "leave it out", path=("path",))
        return Backstore(
            key=key,
            path=self._path(key.kind, declared.path),
            size=_size(declared.size),
            write_back=writes_back(key.kind) if declared.write_back is None else declared.write_back,
            read_only=declared.read_only,
            unit_serial=declared.serial or self._serial(key),
            attributes=_settings(BACKSTORE_ATTRIBUTES, declared.attributes, "attributes"),
            alua_groups=_alua_groups(declared.alua_groups),
            options=dict(declared.options),  # type: ignore[arg-type]  # whatever LIO saved, kept as it is
        )

    def _path(self, kind: str, path: str) -> str:
        """A third party's kind may call something else a path."""
        return self._surroundings.absolute_path(path) if path and kind in _IN_FILE_SYSTEM else path

    def _serial(self, key: BackstoreKey) -> str:
        present = self._surroundings.running.backstores.get(key)
        return present.unit_serial if present else self._surroundings.new_serial(key)

    # -- Targets -------------------------------------------------------------------------------------------------------

    def _target(self, name: str, declared: TargetDeclaration) -> Target:
        if declared.portal_groups is None:
            only = self._group(1, declared)
            return Target(name=IscsiName(name), portal_groups=(only,), options=dict(declared.options))
        groups = []
        for index, group in enumerate(declared.portal_groups):
            with at("portal_groups", index):
                groups.append(self._group(group.tag, group))
        return Target(name=IscsiName(name), portal_groups=tuple(groups), options=dict(declared.options))

    def _group(self, tag: int, declared: GroupDeclaration) -> PortalGroup:
        luns = self._luns(declared)
        attributes = _settings(TPG_ATTRIBUTES, declared.attributes, "attributes")
        if _has_credentials(declared):
            # Credentials that nobody asks for would be a door that only looks closed.
            attributes.setdefault("authentication", 1)
        return PortalGroup(
            tag=tag,
            enable=declared.enable,
            attributes=attributes,
            parameters=_settings(TPG_PARAMETERS, declared.parameters, "parameters"),
            chap=self._chap(declared.chap),
            portals=_portals(declared.portals),
            luns=luns,
            node_acls=self._node_acls(declared.initiators, luns),
            initiator_groups=_initiator_groups(declared.initiator_groups, luns),
        )

    def _luns(self, declared: GroupDeclaration) -> tuple[Lun, ...]:
        luns = []
        for place, lun in enumerate(declared.luns):
            with at("luns", place):
                luns.append(
                    Lun(
                        number=place if lun.lun is None else lun.lun,
                        backstore=self._referred(lun.backstore),
                        alias=lun.alias,
                        alua_group=lun.alua_group,
                    )
                )
        return tuple(luns)

    def _referred(self, reference: str) -> BackstoreKey:
        """The backstore that `NAME`, `KIND/NAME` or `/backstores/KIND/NAME` means."""
        found = self._named.get(reference.removeprefix("/backstores/"), [])
        if not found:
            raise DocumentError(f"there is no backstore {reference!r} in this document", "declare it under backstores")
        if len(found) > 1:
            names = " or ".join(f"{key.kind}/{key.name}" for key in found)
            raise DocumentError(f"there are {len(found)} backstores {reference!r}", f"write {names}")
        return found[0]

    def _node_acls(self, declared: tuple[InitiatorDeclaration, ...], luns: tuple[Lun, ...]) -> tuple[NodeAcl, ...]:
        acls = []
        for index, initiator in enumerate(declared):
            with at("initiators", index):
                acls.append(self._node_acl(initiator, luns))
        return tuple(acls)

    def _node_acl(self, declared: InitiatorDeclaration, luns: tuple[Lun, ...]) -> NodeAcl:
        return NodeAcl(
            name=IscsiName(declared.name),
            tag=declared.tag,
            attributes=_settings(ACL_ATTRIBUTES, declared.attributes, "attributes"),
            mapped_luns=_mapped_luns(declared, luns),
            chap=self._chap(declared.chap),
        )

    # -- Credentials ---------------------------------------------------------------------------------------------------

    def _discovery(self, declared: DiscoveryDeclaration | None) -> DiscoveryAuthentication:
        if declared is None:
            return DiscoveryAuthentication()
        enable = declared.chap is not None if declared.enable is None else declared.enable
        return DiscoveryAuthentication(enable=enable, chap=self._chap(declared.chap))

    def _chap(self, declared: ChapDeclaration | None) -> Chap:
        if declared is None:
            return Chap()
        with at("chap"):
            return Chap(
                userid=declared.user,
                password=self._secret("", declared.user, declared.secret_file, declared.secret),
                mutual_userid=declared.mutual_user,
                mutual_password=self._secret(
                    "mutual_", declared.mutual_user, declared.mutual_secret_file, declared.mutual_secret
                ),
                others=self._accounts("others", declared.others),
            )

    def _accounts(self, where: str, declared: tuple[AccountDeclaration, ...]) -> tuple[Account, ...]:
        accounts = []
        for index, account in enumerate(declared):
            with at(where, index):
                secret = self._secret("", account.user, account.secret_file, account.secret)
                accounts.append(Account(account.user, secret))
        return tuple(accounts)

    def _secret(self, prefix: str, user: str, file: str | None, secret: str | None) -> str:
        if file is not None and secret is not None:
            raise DocumentError(f"{prefix}secret and {prefix}secret_file are both there", "remove one")
        if file is not None:
            with at(f"{prefix}secret_file"):
                return self._surroundings.read_secret(file)
        if secret is None and user:
            raise DocumentError(f"{prefix}user has no secret", f"name its file with {prefix}secret_file")
        return secret or ""


def _key(name: str, kind: str) -> BackstoreKey:
    before, slash, rest = name.partition("/")
    if not slash:
        if not kind:
            raise DocumentError("this key is missing", "say which kind of backstore it is, like fileio", path=("kind",))
        return BackstoreKey(kind, name)
    if kind not in {"", before}:
        raise DocumentError(f"the kind is {kind!r} here, but {before!r} in the name", "remove one", path=("kind",))
    return BackstoreKey(before, rest)


def _size(size: int | str | None) -> int | None:
    if size is None:
        return None
    with at("size"):
        return parse_size(str(size))


def _alua_groups(declared: tuple[AluaGroupDeclaration, ...]) -> tuple[AluaGroup, ...]:
    groups = []
    for index, group in enumerate(declared):
        with at("alua_groups", index):
            parameters = _settings(ALUA_GROUP_PARAMETERS, group.parameters, "parameters")
            groups.append(AluaGroup(name=group.name, alua_group_id=group.id, parameters=parameters))
    return tuple(groups)


def _portals(declared: tuple[PortalDeclaration, ...]) -> tuple[Portal, ...]:
    portals = []
    for index, entry in enumerate(declared):
        with at("portals", index):
            match = _PORTAL.fullmatch(entry.portal)
            if match is None:
                raise DocumentError(
                    f"{entry.portal!r} is not a portal", "write ADDRESS, ADDRESS:PORT or [IPV6-ADDRESS]:PORT"
                )
            port = int(match[3] or 3260)
            portals.append(Portal(match[1] or match[2], port, iser=entry.iser, offload=entry.offload))
    return tuple(portals)


def _initiator_groups(
    declared: tuple[InitiatorGroupDeclaration, ...], luns: tuple[Lun, ...]
) -> tuple[InitiatorGroup, ...]:
    groups = []
    for index, group in enumerate(declared):
        with at("initiator_groups", index):
            groups.append(
                InitiatorGroup(
                    name=group.name,
                    initiators=group.initiators,
                    mapped_luns=_mapped_luns(group, luns),
                    attributes=_settings(INITIATOR_GROUP_ATTRIBUTES, group.attributes, "attributes"),
                )
            )
    return tuple(groups)


def _mapped_luns(
    declared: InitiatorDeclaration | InitiatorGroupDeclaration, luns: tuple[Lun, ...]
) -> tuple[MappedLun, ...]:
    if declared.luns is None:
        return tuple(MappedLun(number=lun.number, tpg_lun=lun.number, write_protect=declared.read_only) for lun in luns)
    known = {lun.number for lun in luns}
    mapped = []
    for index, entry in enumerate(declared.luns):
        with at("luns", index):
            mapped.append(_mapped_lun(entry, known, read_only=declared.read_only))
    return tuple(mapped)


def _mapped_lun(declared: MappedLunDeclaration, known: set[int], *, read_only: bool) -> MappedLun:
    tpg_lun = declared.lun if declared.tpg_lun is None else declared.tpg_lun
    if tpg_lun not in known:
        raise DocumentError(f"the portal group has no LUN {tpg_lun}", "give it one, or name its number with tpg_lun")
    return MappedLun(
        number=declared.lun,
        tpg_lun=tpg_lun,
        write_protect=read_only if declared.read_only is None else declared.read_only,
        alias=declared.alias,
    )


def _has_credentials(declared: GroupDeclaration) -> bool:
    return declared.chap is not None or any(initiator.chap is not None for initiator in declared.initiators)


def _settings(table: SettingTable, values: Mapping[str, Value], place: str) -> dict[str, Value]:
    parsed = {}
    for name, value in values.items():
        with at(place, name):
            # YAML reads a bare Yes as true; some settings are the words.
            parsed[name] = table.parse(name, _word(value) if isinstance(table[name].default, str) else value)
    return parsed


def _word(value: Value) -> Value:
    return ("Yes" if value else "No") if isinstance(value, bool) else value
