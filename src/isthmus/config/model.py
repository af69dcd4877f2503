"""The configuration as values: LIO's model, since that is what users, Proxmox, democratic-csi, Cinder and Ansible speak.

target → target portal group (TPG) → portals, LUNs and node ACLs with mapped LUNs; backstores stand apart and are named
by LUNs. A configuration is checked as a whole by `Configuration.check`; what a value alone can be wrong in, its own
constructor refuses. Settings that have their default need not be there: `settings` knows it. The parts of a whole stand in
the order of their numbers or names, so that configurations that mean the same are equal.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final
from uuid import NAMESPACE_URL, uuid4, uuid5

from isthmus.config.access_lists import AllowedInitiators, canonical_pattern
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

__all__ = [
    "DEFAULT_ALUA_GROUP",
    "KEPT",
    "MAX_LUN",
    "MAX_TAG",
    "Account",
    "AluaGroup",
    "Backstore",
    "BackstoreKey",
    "Chap",
    "Configuration",
    "DiscoveryAuthentication",
    "InitiatorGroup",
    "Lun",
    "MappedLun",
    "NodeAcl",
    "Portal",
    "PortalGroup",
    "Target",
    "secret_bytes",
]

MAX_LUN: Final = 16383
"""SAM-5 §4.7.7.3; LIO's own limit is 255."""
MAX_TAG: Final = 0xFFFF
DEFAULT_ALUA_GROUP: Final = "default_tg_pt_gp"
"""LIO's name of the ALUA target port group that every backstore has, saved or not."""
_MAX_CHAP: Final = 255
_MAX_SIZE: Final = (1 << 63) - 1
"""As far as lseek(2) gets."""
_MAX_SERIAL: Final = 252
"""PRODUCT SERIAL NUMBER, as ASCII data (SPC-5 §4.3.1, §7.7.19)."""
_USER: Final = "user"
_PSCSI: Final = "pscsi"
_MAY_CACHE: Final = ("fileio", "block")
"""The kinds of backstore in front of which there may be a volatile cache."""
_DRIVE_BLOCK_LENGTH: Final = 2048
KEPT: Final = "(kept)"
"""Stands for a secret that is set. It cannot be one itself: too short for that anyway (RFC 7143 §9.2.1)."""

Settings = Mapping[str, Value]


def _parsed(table: SettingTable, values: Settings) -> dict[str, Value]:
    """`values` as the table keeps them, without those that have their default."""
    parsed = {name: table.parse(name, value) for name, value in values.items()}
    return {name: value for name, value in parsed.items() if value != table[name].default}


def _check_unique(what: str, values: Iterable[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise ConfigurationError(f"{what} {value} is there twice", "each has its own")
        seen.add(value)


def secret_bytes(text: str) -> bytes:
    """A secret as it goes into CHAP. Bytes that are no UTF-8 stand in `text` as lone surrogates (PEP 383).

    Raises `ConfigurationError` for a text that is neither.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ConfigurationError("a CHAP name or secret has half a character in it", "write whole ones") from None


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """A user and its secret, by which initiators prove who they are."""

    userid: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.userid or not self.password:
            raise ConfigurationError("an account lacks its name or its password", "give both")
        for what in ("userid", "password"):
            _check_chap_length(what, getattr(self, what))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chap:
    """CHAP credentials of one place: what initiators prove, and what is proved to them. Empty texts: nothing."""

    userid: str = ""
    password: str = field(default="", repr=False)
    mutual_userid: str = ""
    mutual_password: str = field(default="", repr=False)
    others: tuple[Account, ...] = ()
    """Further users that initiators may prove to be (tgt, SCST)."""

    def __post_init__(self) -> None:
        for what in ("userid", "password", "mutual_userid", "mutual_password"):
            _check_chap_length(what, getattr(self, what))
        _check_unique("CHAP user", [*([self.userid] if self.userid else []), *(user.userid for user in self.others)])

    @property
    def incoming(self) -> tuple[Account, ...]:
        """Every user that initiators may prove to be."""
        first = (Account(self.userid, self.password),) if self.userid and self.password else ()
        return (*first, *self.others)


def _check_chap_length(what: str, text: str) -> None:
    if len(secret_bytes(text)) > _MAX_CHAP:
        raise ConfigurationError(f"the CHAP {what} is longer than {_MAX_CHAP} bytes", "choose a shorter one")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryAuthentication:
    """What discovery sessions have to prove."""

    enable: bool = False
    chap: Chap = Chap()


@dataclass(frozen=True, slots=True, order=True)
class BackstoreKey:
    """How a backstore is named: its kind and its own name, as in `/backstores/fileio/disk01`."""

    kind: str
    name: str

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or not self.name.isprintable() or " " in self.name:
            raise ConfigurationError(f"{self.name!r} cannot name a backstore", "use no blanks and no slashes")
        # LIO's users know the handlers of `user` as kinds of their own: /backstores/user:qcow/disk01.
        if self.kind.startswith(f"{_USER}:"):
            object.__setattr__(self, "kind", _USER)

    def __str__(self) -> str:
        return f"/backstores/{self.kind}/{self.name}"

    @classmethod
    def parse(cls, path: str) -> "BackstoreKey":
        """The key in `/backstores/KIND/NAME`; raises `ConfigurationError` for another path."""
        parts = path.strip("/").split("/")
        if len(parts) != 3 or parts[0] != "backstores":
            raise ConfigurationError(f"{path!r} is not the path of a backstore", "like /backstores/fileio/disk01")
        return cls(parts[1], parts[2])

    @property
    def derived_serial(self) -> str:
        """A serial number that is the same each time."""
        return str(uuid5(NAMESPACE_URL, str(self)))

    def new_serial(self) -> str:
        """A serial number for a new disk; a SCSI device tells its own, and saves none (rtslib)."""
        return self.derived_serial if self.kind == _PSCSI else str(uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class AluaGroup:
    """An ALUA target port group of a backstore."""

    name: str
    alua_group_id: int
    parameters: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.alua_group_id <= MAX_TAG:
            raise ConfigurationError(f"{self.alua_group_id} cannot identify a port group", f"use 0 to {MAX_TAG}")
        object.__setattr__(self, "parameters", _parsed(ALUA_GROUP_PARAMETERS, self.parameters))


_DEFAULTS: Final = {each.name: each.default for each in BACKSTORE_ATTRIBUTES if not each.derived}
"""Of the attributes whose default depends on nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backstore:
    """Storage, and the disk that it looks like."""

    key: BackstoreKey
    path: str = ""
    """The file or device."""
    size: int | None = None
    """Bytes; None takes what is there. A drive has none: what is in it has."""
    write_back: bool = True
    read_only: bool = False
    unit_serial: str
    """The serial number (LIO's `wwn`)."""
    attributes: Settings = field(default_factory=dict)
    alua_groups: tuple[AluaGroup, ...] = ()
    options: Mapping[str, Value] = field(default_factory=dict)
    """What only this kind has (`nullio`, `config`, …), and what is kept for LIO's sake."""

    def __post_init__(self) -> None:
        if "\0" in self.path:
            raise ConfigurationError(f"the path {self.path!r} has a NUL in it", "no file has such a name")
        if self.size is not None and not 0 <= self.size <= _MAX_SIZE:
            raise ConfigurationError("a disk cannot have that many bytes", f"use 0 to {_MAX_SIZE}")
        if len(self.unit_serial) > _MAX_SERIAL or not all(" " <= character <= "~" for character in self.unit_serial):
            raise ConfigurationError(
                f"{self.unit_serial[:_MAX_SERIAL]!r} cannot be a serial number",
                f"use at most {_MAX_SERIAL} printable ASCII characters",
            )
        parsed = {name: BACKSTORE_ATTRIBUTES.parse(name, value) for name, value in self.attributes.items()}
        object.__setattr__(self, "attributes", parsed)
        set_here = {name: value for name, value in parsed.items() if value != self.default(name)}
        object.__setattr__(self, "attributes", set_here)
        self._check_device_type()
        if self.is_drive:
            object.__setattr__(self, "size", None)

    def _check_device_type(self) -> None:
        """Raise `ConfigurationError` for what no device of the type can be."""
        block_length = self.attribute("block_size")
        if (block_length == _DRIVE_BLOCK_LENGTH) != self.is_drive:
            kind, possible = ("drive", "2048") if self.is_drive else ("disk", "512 or 4096")
            raise ConfigurationError(
                f"{self.key}: the blocks of a {kind} have no {block_length} bytes", f"use {possible}"
            )
        if self.is_drive and self.key.kind not in _MAY_CACHE:
            raise ConfigurationError(
                f"{self.key} cannot be a drive", "put a file (fileio) or a device (block) into one"
            )
        if self.is_drive and self.attribute("encrypt"):
            raise ConfigurationError(f"{self.key} cannot be encrypted", "nothing is written through a drive")

    @property
    def is_drive(self) -> bool:
        """Whether it is a drive for discs, whose path is what is in it; empty: nothing is."""
        return self.attributes.get("device_type") == "cd"

    def default(self, name: str) -> Value:
        """What an attribute is if nobody sets it: for some, that follows from what else is set."""
        if name == "emulate_write_cache":
            return int(self.write_back and self.key.kind in _MAY_CACHE and not self.is_drive)
        if name == "block_size" and self.is_drive:
            return _DRIVE_BLOCK_LENGTH
        if name == "unmap_zeroes_data":
            return int(bool(self.attributes.get("emulate_tpu") or self.attributes.get("emulate_tpws")))
        return BACKSTORE_ATTRIBUTES[name].default

    def attribute(self, name: str) -> Value:
        """The value of an attribute, set or not."""
        value = self.attributes.get(name)
        if value is None:
            value = _DEFAULTS.get(name)
        return self.default(name) if value is None else value

    @property
    def all_attributes(self) -> dict[str, Value]:
        """Every attribute with its value, set or not."""
        return {setting.name: self.attribute(setting.name) for setting in BACKSTORE_ATTRIBUTES}

    @property
    def saved_attributes(self) -> dict[str, Value]:
        """What LIO's saved form holds of them: not what only we know, or only LIO, unless it is set."""
        names = (each.name for each in BACKSTORE_ATTRIBUTES if not each.read_only and not each.extension)
        return {**{name: self.attribute(name) for name in names}, **self.attributes}


@dataclass(frozen=True, slots=True, order=True)
class Portal:
    """An address and port to listen on."""

    address: str
    port: int = 3260
    iser: bool = False
    offload: bool = False

    def __post_init__(self) -> None:
        address = self.address.strip("[]")
        try:
            canonical = str(ip_address(address))
        except ValueError:
            raise ConfigurationError(
                f"{self.address!r} is not an IP address", "a portal is an IPv4 or IPv6 address"
            ) from None
        if not 0 <= self.port <= 0xFFFF:
            raise ConfigurationError(f"{self.port} is not a TCP port", "use 1 to 65535")
        object.__setattr__(self, "address", canonical)

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lun:
    """A backstore under a number, for the whole TPG."""

    number: int
    backstore: BackstoreKey
    alias: str = ""
    alua_group: str = DEFAULT_ALUA_GROUP

    def __post_init__(self) -> None:
        _check_lun(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedLun:
    """A LUN of the TPG as one initiator sees it: under a number of its own, perhaps only to read."""

    number: int
    tpg_lun: int
    write_protect: bool = False
    alias: str = ""

    def __post_init__(self) -> None:
        _check_lun(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAcl:
    """One initiator that may log in."""

    name: IscsiName
    tag: str = ""
    attributes: Settings = field(default_factory=dict)
    mapped_luns: tuple[MappedLun, ...] = ()
    chap: Chap = Chap()

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", _parsed(ACL_ATTRIBUTES, self.attributes))
        object.__setattr__(self, "mapped_luns", tuple(sorted(self.mapped_luns, key=lambda mapped: mapped.number)))
        _check_unique(f"mapped LUN of {self.name}", [mapped.number for mapped in self.mapped_luns])


@dataclass(frozen=True, slots=True, kw_only=True)
class InitiatorGroup:
    """Initiators that see the same LUNs, named by patterns (SCST's `ini_groups`)."""

    name: str
    initiators: tuple[str, ...] = ()
    """Patterns of names. `*` stands for any characters, `?` for one; a leading `!` matches what the rest does not."""
    mapped_luns: tuple[MappedLun, ...] = ()
    attributes: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or not self.name.isprintable() or " " in self.name:
            raise ConfigurationError(f"{self.name!r} cannot name an initiator group", "use no blanks and no slashes")
        try:
            patterns = tuple(canonical_pattern(pattern) for pattern in self.initiators)
        except ValueError as error:
            raise ConfigurationError(f"initiator group {self.name}: {error}") from None
        object.__setattr__(self, "initiators", patterns)
        object.__setattr__(self, "attributes", _parsed(INITIATOR_GROUP_ATTRIBUTES, self.attributes))
        object.__setattr__(self, "mapped_luns", tuple(sorted(self.mapped_luns, key=lambda mapped: mapped.number)))
        _check_unique(f"pattern of {self.name}", patterns)
        _check_unique(f"mapped LUN of {self.name}", [mapped.number for mapped in self.mapped_luns])


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalGroup:
    """A target portal group."""

    tag: int
    enable: bool = True
    attributes: Settings = field(default_factory=dict)
    parameters: Settings = field(default_factory=dict)
    chap: Chap = Chap()
    portals: tuple[Portal, ...] = ()
    luns: tuple[Lun, ...] = ()
    node_acls: tuple[NodeAcl, ...] = ()
    initiator_groups: tuple[InitiatorGroup, ...] = ()
    """For initiators without a node ACL; the first that one matches counts."""

    def __post_init__(self) -> None:
        if not 1 <= self.tag <= MAX_TAG:
            raise ConfigurationError(f"{self.tag} cannot be the tag of a portal group", f"use 1 to {MAX_TAG}")
        object.__setattr__(self, "attributes", _parsed(TPG_ATTRIBUTES, self.attributes))
        object.__setattr__(self, "parameters", _parsed(TPG_PARAMETERS, self.parameters))
        object.__setattr__(self, "portals", tuple(sorted(self.portals)))
        object.__setattr__(self, "luns", tuple(sorted(self.luns, key=lambda lun: lun.number)))
        object.__setattr__(self, "node_acls", tuple(sorted(self.node_acls, key=lambda acl: acl.name)))
        _check_unique("LUN", [lun.number for lun in self.luns])
        _check_unique("portal", [str(portal) for portal in self.portals])
        _check_unique("node ACL", [acl.name for acl in self.node_acls])
        _check_unique("initiator group", [group.name for group in self.initiator_groups])
        known = {lun.number for lun in self.luns}
        everybody: tuple[NodeAcl | InitiatorGroup, ...] = (*self.node_acls, *self.initiator_groups)
        for who in everybody:
            for mapped in who.mapped_luns:
                if mapped.tpg_lun not in known:
                    raise ConfigurationError(
                        f"{who.name} maps LUN {mapped.tpg_lun}, which the portal group does not have", "create it first"
                    )

    @property
    def allowed(self) -> AllowedInitiators:
        """Whom the attributes `allowed_addresses` and `allowed_initiators` let in."""
        return AllowedInitiators(
            addresses=_items(self.attributes.get("allowed_addresses")),
            patterns=_items(self.attributes.get("allowed_initiators")),
            any_will_do=self.attributes.get("allowed_match") == "any",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target node."""

    name: IscsiName
    portal_groups: tuple[PortalGroup, ...] = ()
    options: Settings = field(default_factory=dict)
    """What is kept for other targets' commands (tgt's number of the target, …)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "portal_groups", tuple(sorted(self.portal_groups, key=lambda group: group.tag)))
        _check_unique("portal group", [group.tag for group in self.portal_groups])
        # A connection must show which group it is for.
        _check_unique("portal", [str(portal) for group in self.portal_groups for portal in group.portals])


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All of it."""

    backstores: Mapping[BackstoreKey, Backstore] = field(default_factory=dict)
    targets: Mapping[IscsiName, Target] = field(default_factory=dict)
    discovery: DiscoveryAuthentication = DiscoveryAuthentication()
    accounts: tuple[Account, ...] = ()
    """Known by name, and of no effect until they are bound somewhere (tgt)."""
    options: Settings = field(default_factory=dict)
    """What is kept for other targets' commands."""

    def luns(self, but: Mapping[IscsiName, Target] = MappingProxyType({})) -> Iterator[tuple[Target, PortalGroup, Lun]]:
        """Every LUN with where it stands, but for those of targets that are in `but`, too."""
        for name, target in self.targets.items():
            if but.get(name) is target:
                continue
            for group in target.portal_groups:
                for lun in group.luns:
                    yield target, group, lun

    def check(self, valid: "Configuration | None" = None) -> None:
        """Raise `ConfigurationError` for what only the whole can be wrong in. What it shares with a `valid` one is not."""
        known = valid.targets if valid is not None and self.backstores is valid.backstores else {}
        for target, group, lun in self.luns(but=known):
            if lun.backstore not in self.backstores:
                raise ConfigurationError(
                    f"LUN {lun.number} of {target.name} portal group {group.tag} is {lun.backstore}, which there is not",
                    "create the backstore first",
                )
        if valid is None or self.backstores is not valid.backstores:
            _check_unique("serial number", [backstore.unit_serial for backstore in self.backstores.values()])
        self._check_port_numbers(known)
        _check_unique("account", [account.userid for account in self.accounts])

    def _check_port_numbers(self, known: Mapping[IscsiName, Target]) -> None:
        changed = [target for name, target in self.targets.items() if known.get(name) is not target]
        if _port_numbers(changed):
            _check_unique("relative target port identifier", _port_numbers(self.targets.values()))


def _port_numbers(targets: Iterable[Target]) -> list[int]:
    """The relative target port identifiers that somebody has given."""
    numbers = (group.attributes.get("relative_target_port_id") for target in targets for group in target.portal_groups)
    return [int(number) for number in numbers if number]


def _items(value: Value | None) -> tuple[str, ...]:
    """What a setting that is a list holds."""
    return tuple(str(value).split(",")) if value else ()


def _check_lun(number: int) -> None:
    if not 0 <= number <= MAX_LUN:
        raise ConfigurationError(f"{number} cannot be a LUN", f"use 0 to {MAX_LUN}")
