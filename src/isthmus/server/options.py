"""What one run of the server is asked to do, as one immutable value: whoever starts a server builds a `ServeOptions`.

The values are checked where they enter, so that everything behind them may take them as they are.
"""

import enum
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from isthmus.config.settings import Value
from isthmus.errors import ConfigurationError
from isthmus.iscsi.opcodes import ISCSI_PORT
from isthmus.names import IscsiName

__all__ = [
    "BLOCK_LENGTHS",
    "MAX_CONNECTIONS",
    "NOPIN_RESPONSE_TIMEOUT",
    "PHYSICAL_BLOCK_LENGTHS",
    "ChapCredential",
    "DigestMethod",
    "FileUnit",
    "LogLevel",
    "MemoryUnit",
    "Portal",
    "Secret",
    "ServeOptions",
    "Unit",
]

BLOCK_LENGTHS: Final = (512, 4096)
"""The logical block lengths, in bytes, that a unit can have."""
PHYSICAL_BLOCK_LENGTHS: Final = (512, 4096)
"""Those, in bytes, that a unit can be said to have: what initiators know what to make of."""
MAX_CONNECTIONS: Final = 8
"""The most connections that one session may have (the result of MaxConnections, RFC 7143 §13.2)."""
NOPIN_RESPONSE_TIMEOUT: Final = 30
"""Seconds that an initiator has to answer a NOP-In (LIO: 30)."""


class DigestMethod(enum.StrEnum):
    """A value of the keys HeaderDigest and DataDigest, spelled as on the wire (RFC 7143 §13.1)."""

    NONE = "None"
    CRC32C = "CRC32C"


class LogLevel(enum.StrEnum):
    """The least important events that are still logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Secret:
    """A CHAP secret: it never shows itself in a log, a traceback or a repr."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The secret itself, for the one computation that needs it."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret(hidden)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChapCredential:
    """A CHAP name and its secret (RFC 7143 §12.1.3)."""

    user: str
    secret: Secret


@lru_cache(maxsize=256)
def _address(text: str) -> IPv4Address | IPv6Address:
    """Thousands of targets are at the same few addresses, and are asked for all at once (SendTargets)."""
    return ip_address(text)


@dataclass(frozen=True, slots=True)
class Portal:
    """A network portal: an IP address without brackets and a TCP port.

    The address `::` listens on IPv4 as well; port 0 picks a free one. Raises `ConfigurationError`.
    """

    address: str
    port: int = ISCSI_PORT

    def __post_init__(self) -> None:
        self._parsed()
        if not 0 <= self.port <= 0xFFFF:
            raise ConfigurationError(f"{self.port} is not a TCP port", "use 1 to 65535, or 0 for any free one")

    def _parsed(self) -> IPv4Address | IPv6Address:
        try:
            return _address(self.address)
        except ValueError:
            raise ConfigurationError(
                f"{self.address!r} is not an IP address",
                "a portal is an IPv4 address or an IPv6 address in brackets, since initiators are told it as it is",
            ) from None

    @property
    def is_ipv6(self) -> bool:
        """Whether the address is of IP version 6."""
        return self._parsed().version == 6

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of the machine."""
        return self._parsed().is_unspecified

    def __str__(self) -> str:
        """As in TargetAddress (RFC 7143 §13.8): `192.0.2.1:3260`, `[2001:db8::1]:3260`."""
        return f"[{self.address}]:{self.port}" if self.is_ipv6 else f"{self.address}:{self.port}"

    def url(self, target_name: str, lun: int) -> str:
        """The URL that libiscsi, QEMU and `isthmus initiator` take; a wildcard address becomes 127.0.0.1."""
        here = Portal("127.0.0.1", self.port) if self.is_wildcard else self
        return f"iscsi://{here}/{target_name}/{lun}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUnit:
    """A logical unit in a regular file or on a block device."""

    path: Path
    size: int | None = None
    """Bytes: what a file that is there must have, and what a missing one is made with; None takes what is there."""
    in_drive: bool = False
    """It is a CD or DVD in a drive, and only read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUnit:
    """A logical unit in memory, lost at the end; `size` in bytes."""

    size: int


Unit = FileUnit | MemoryUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """One target node with its logical units, its portals and what it asks of initiators.

    Raises `ConfigurationError` for values that contradict each other.
    """

    units: tuple[Unit, ...]
    """LUN 0, 1, … in this order."""
    target_name: IscsiName
    portals: tuple[Portal, ...]
    read_only: bool = False
    removable: bool = False
    """Each unit has a medium that an initiator can eject and load again."""
    rotational: bool = False
    """Initiators are told that the medium turns, as `is_nonrot = 0` does for the daemon's disks."""
    erase_rate: int | None = None
    """Bytes a second that format and sanitize operations of one unit may move at most; None for as many as they can."""
    encrypt: bool = False
    """Everything on the units is encrypted, each with a key of its own in the state directory."""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    """Attributes of the disks, as in the configuration (`config/settings.py`), for which there is no field here."""
    write_back: bool = True
    """On: writes are acknowledged from the page cache (WCE=1); off: each is durable before its GOOD status."""
    block_length: int = 512
    """Bytes in a logical block."""
    physical_block_length: int | None = None
    """Bytes that initiators are told the storage writes at once; None for what it says itself."""
    chap: ChapCredential | None = None
    """What an initiator must prove, in discovery sessions too; None asks for nothing."""
    mutual_chap: ChapCredential | None = None
    """What the target proves to an initiator that asks it to."""
    header_digests: tuple[DigestMethod, ...] = (DigestMethod.CRC32C, DigestMethod.NONE)
    """The values of HeaderDigest that are acceptable, the best first."""
    data_digests: tuple[DigestMethod, ...] = (DigestMethod.CRC32C, DigestMethod.NONE)
    max_connections: int = MAX_CONNECTIONS
    """For one session."""
    nopin_timeout: int = 15
    """Seconds of silence on a connection, after which a NOP-In asks; it is lost `NOPIN_RESPONSE_TIMEOUT` later."""
    log_level: LogLevel = LogLevel.INFO
    state_directory: Path | None = None
    """Where the units keep what must outlive a restart; None for the usual place."""
    replace_lost_reservations: bool = False
    """Serve a unit whose record of reservations is damaged; initiators must replace them before they can use it."""

    def __post_init__(self) -> None:
        if not self.units:
            raise ConfigurationError("there is nothing to serve", "name a file, a block device, or --ram SIZE")
        if not self.portals:
            raise ConfigurationError("there is no portal to listen on", "name one with --portal ADDR:PORT")
        if self.block_length not in BLOCK_LENGTHS:
            raise ConfigurationError(f"the block length cannot be {self.block_length} bytes", "use 512 or 4096")
        self._check_physical_block_length()
        if not 1 <= self.max_connections <= MAX_CONNECTIONS:
            raise ConfigurationError(
                f"a session cannot have {self.max_connections} connections", f"use 1 to {MAX_CONNECTIONS}"
            )
        if self.mutual_chap and not self.chap:
            raise ConfigurationError(
                "mutual CHAP needs CHAP in the other direction too (RFC 7143 §12.1.3)",
                "add --chap-user and --chap-secret-file",
            )
        if self.chap and self.mutual_chap and self.chap.secret == self.mutual_chap.secret:
            raise ConfigurationError(
                "the secrets of both directions are the same (RFC 7143 §9.2.1)", "choose different ones"
            )

    def _check_physical_block_length(self) -> None:
        length = self.physical_block_length
        if length is None:
            return
        if length not in PHYSICAL_BLOCK_LENGTHS:
            raise ConfigurationError(f"the physical block length cannot be {length} bytes", "use 512 or 4096")
        if length < self.block_length:
            raise ConfigurationError(
                f"a physical block of {length} bytes cannot hold a logical one of {self.block_length}",
                "make the physical block at least as long as the logical one",
            )
