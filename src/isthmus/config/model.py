"""The configuration as values: LIO's model, since that is what users, Proxmox, democratic-csi, Cinder and Ansible speak.

target → target portal group (TPG) → portals, LUNs and node ACLs with mapped LUNs; backstores stand apart and are named
by LUNs. A configuration is checked as a whole by `Configuration.check`; what a value alone can be wrong in, its own
constructor refuses. Settings that have their default need not be there: `settings` knows it. The parts of a whole stand in
the order of their numbers or names, so that configurations that mean the same are equal.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

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

__all__ = [
    "KEPT",
    "MAX_LUN",
    "AluaGroup",
    "Backstore",
    "BackstoreKey",
    "Chap",
    "Configuration",
    "DiscoveryAuthentication",
    "Lun",
    "MappedLun",
    "NodeAcl",
    "Portal",
    "PortalGroup",
    "Target",
]

MAX_LUN: Final = 16383
"""SAM-5 §4.7.7.3; LIO's own limit is 255."""
MAX_TAG: Final = 0xFFFF
_MAX_CHAP: Final = 255
KEPT: Final = "(kept)"
"""Stands for a secret that is set. It cannot be one itself: too short for that anyway (RFC 7143 §9.2.1)."""

Settings = Mapping[str, Value]


def _parsed(table: SettingTable, values: Settings) -> dict[str, Value]:
    """`values` as the table keeps them, without those that have their default."""
    parsed = {name: table.parse(name, value) for name, value in values.items()}
    return {name: value for name, value in parsed.items() if value != table[name].default}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chap:
    """CHAP credentials of one place: what initiators prove, and what is proved to them. Empty texts: nothing."""

    userid: str = ""
    password: str = field(default="", repr=False)
    mutual_userid: str = ""
    mutual_password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for what in ("userid", "password", "mutual_userid", "mutual_password"):
            if len(getattr(self, what).encode()) > _MAX_CHAP:
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

    def __str__(self) -> str:
        return f"/backstores/{self.kind}/{self.name}"

    @classmethod
    def parse(cls, path: str) -> "BackstoreKey":
        """The key in `/backstores/KIND/NAME`; raises `ConfigurationError` for another path."""
        parts = path.strip("/").split("/")
        if len(parts) != 3 or parts[0] != "backstores":
            raise ConfigurationError(f"{path!r} is not the path of a backstore", "like /backstores/fileio/disk01")
        return cls(parts[1], parts[2])


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Backstore:
    """Storage, and the disk that it looks like."""

    key: BackstoreKey
    path: str = ""
    """The file or device."""
    size: int | None = None
    """Bytes; None takes what is there."""
    write_back: bool = True
    read_only: bool = False
    unit_serial: str
    """The serial number (LIO's `wwn`)."""
    attributes: Settings = field(default_factory=dict)
    alua_groups: tuple[AluaGroup, ...] = ()
    options: Mapping[str, Value] = field(default_factory=dict)
    """What only this kind has (`nullio`, `config`, …), and what is kept for LIO's sake."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", _parsed(BACKSTORE_ATTRIBUTES, self.attributes))
        if self.attributes.get("block_size", 512) not in (512, 4096):
            raise ConfigurationError(f"block_size of {self.key} is neither 512 nor 4096", "initiators use these")


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
    alua_group: str = "default_tg_pt_gp"

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

    def __post_init__(self) -> None:
        if not 1 <= self.tag <= MAX_TAG:
            raise ConfigurationError(f"{self.tag} cannot be the tag of a portal group", f"use 1 to {MAX_TAG}")
        object.__setattr__(self, "attributes", _parsed(TPG_ATTRIBUTES, self.attributes))
        object.__setattr__(self, "parameters", _parsed(TPG_PARAMETERS, self.parameters))
        object.__setattr__(self, "portals", tuple(sorted(self.portals)))
        object.__setattr__(self, "luns", tuple(sorted(self.luns, key=lambda lun: lun.number)))
        object.__setattr__(self, "node_acls", tuple(sorted(self.node_acls, key=lambda acl: acl.name)))
        _check_unique("LUN", [lun.number for lun in self.luns])
        _check_unique("portal", [(portal.address, portal.port) for portal in self.portals])
        _check_unique("node ACL", [acl.name for acl in self.node_acls])
        known = {lun.number for lun in self.luns}
        for acl in self.node_acls:
            for mapped in acl.mapped_luns:
                if mapped.tpg_lun not in known:
                    raise ConfigurationError(
                        f"{acl.name} maps LUN {mapped.tpg_lun}, which the portal group does not have", "create it first"
                    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target node."""

    name: IscsiName
    portal_groups: tuple[PortalGroup, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "portal_groups", tuple(sorted(self.portal_groups, key=lambda group: group.tag)))
        _check_unique("portal group", [group.tag for group in self.portal_groups])


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All of it."""

    backstores: Mapping[BackstoreKey, Backstore] = field(default_factory=dict)
    targets: Mapping[IscsiName, Target] = field(default_factory=dict)
    discovery: DiscoveryAuthentication = DiscoveryAuthentication()

    def luns(self) -> Iterator[tuple[Target, PortalGroup, Lun]]:
        """Every LUN with where it stands."""
        for target in self.targets.values():
            for group in target.portal_groups:
                for lun in group.luns:
                    yield target, group, lun

    def check(self) -> None:
        """Raise `ConfigurationError` for what only the whole can be wrong in."""
        for target, group, lun in self.luns():
            if lun.backstore not in self.backstores:
                raise ConfigurationError(
                    f"LUN {lun.number} of {target.name} portal group {group.tag} is {lun.backstore}, which there is not",
                    "create the backstore first",
                )
        serials = [backstore.unit_serial for backstore in self.backstores.values()]
        _check_unique("serial number", serials)


def _check_lun(number: int) -> None:
    if not 0 <= number <= MAX_LUN:
        raise ConfigurationError(f"{number} cannot be a LUN", f"use 0 to {MAX_LUN}")


def _check_unique(what: str, values: Iterable[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise ConfigurationError(f"{what} {value} is there twice", "each has its own")
        seen.add(value)
