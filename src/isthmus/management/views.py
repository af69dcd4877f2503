"""What the daemon shows: values that every face renders in its own way. They cross the control socket as JSON objects."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

__all__ = [
    "AluaGroupView",
    "ApplyReport",
    "BackstoreUsageView",
    "BackstoreView",
    "ConnectionView",
    "EventView",
    "LatencyView",
    "LunUsageView",
    "PortalView",
    "SessionUsageView",
    "SessionView",
    "UsageView",
    "VersionView",
]


class _View:
    """Reads itself from the JSON object that it crosses the socket as; what it does not know is left out."""

    __slots__ = ()

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """The view in `document`; raises `KeyError` or `TypeError` for another object."""
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]  # every subclass is a dataclass
        return cls(**{name: _frozen(value) for name, value in document.items() if name in known})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyReport(_View):
    """What became of a new configuration."""

    revision: int
    """Of the configuration that runs now."""
    changes: tuple[str, ...]
    """What was changed (with `dry_run`: would be), a line each, in the order of doing; empty: nothing differed."""
    warnings: tuple[str, ...] = ()
    """What was done, but not to the end: a portal that cannot be bound now, a file that could not be flushed, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionView(_View):
    """One connection of a session."""

    cid: int
    state: str
    """As RFC 7143 §8.1 calls it: LOGGED_IN, …"""
    peer: str
    """ADDRESS:PORT of the initiator, IPv6 in brackets."""
    local: str
    """ADDRESS:PORT that it came in on."""
    header_digest: str
    data_digest: str
    max_recv_data_segment_length: int
    max_xmit_data_segment_length: int
    received_octets: int = 0
    """As TCP has counted them, the login with them."""
    sent_octets: int = 0
    scsi_commands: int = 0
    """SCSI Command PDUs since the login, and those of the other kinds."""
    scsi_responses: int = 0
    data_in_pdus: int = 0
    data_out_pdus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView(_View):
    """One session."""

    tsih: int
    session_type: str
    """Normal or Discovery."""
    state: str
    """As RFC 7143 §8.3 calls it: LOGGED_IN, FAILED, …"""
    initiator_name: str
    initiator_alias: str
    isid: str
    """12 hex digits."""
    target_name: str
    """Empty for a discovery session."""
    target_portal_group_tag: int
    dynamic: bool
    """Demo mode let the initiator in: it has no node ACL, and belongs to no initiator group."""
    initiator_group: str = ""
    """The one that it belongs to; empty: none."""
    chap_user: str
    """Empty: nobody had to prove anything."""
    luns: tuple[int, ...]
    """The LUNs that it sees."""
    parameters: Mapping[str, Any]
    """The results of the negotiation, by the names of the text keys."""
    connections: tuple[ConnectionView, ...]
    commands_in_progress: int
    since: float = 0.0
    """When it logged in: seconds since 1970, UTC."""
    read_commands: int = 0
    write_commands: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    errors: int = 0
    """Commands that the storage has failed."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """See `_View.read`."""
        connections = tuple(ConnectionView.read(connection) for connection in document["connections"])
        return super(SessionView, cls).read({**document, "connections": connections})


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView(_View):
    """Something that has happened."""

    id: int
    """Counts from 1 in each run of the daemon."""
    time: float
    """Seconds since 1970, UTC."""
    event: str
    """Its name in the table of events."""
    level: str
    """info, warning or error."""
    values: Mapping[str, Any]
    """What it says, by the names in that table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalView(_View):
    """One portal of the configuration, or the default one that stands in where a target names none."""

    target_name: str
    target_portal_group_tag: int
    portal: str
    """ADDRESS:PORT as configured."""
    listening: bool
    bound: str = ""
    """ADDRESS:PORT that is listened on: another than configured if port 0 asked for any."""
    problem: str = ""
    """Why it does not listen; it is tried again."""
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AluaGroupView(_View):
    """One ALUA target port group of a backstore as it runs: initiators may have set another state than the configured one."""

    name: str
    alua_group_id: int
    state: int
    """ASYMMETRIC ACCESS STATE (SPC-5 §6.36)."""
    status_code: int
    """What has brought it there: 0 nothing, 1 SET TARGET PORT GROUPS, 2 the target itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackstoreView(_View):
    """One backstore as it runs."""

    path: str
    """As in the configuration: /backstores/KIND/NAME."""
    size: int
    """Bytes."""
    block_length: int
    """Bytes."""
    active: bool
    """A LUN stands on it."""
    problem: str = ""
    """Why it does not run; it is tried again when the configuration is next applied."""
    alua_groups: tuple[AluaGroupView, ...] = ()
    """Of one that runs, the default group first."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """See `_View.read`."""
        groups = tuple(AluaGroupView.read(group) for group in document.get("alua_groups", ()))
        return super(BackstoreView, cls).read({**document, "alua_groups": groups})


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView(_View):
    """Who answers."""

    version: str
    """Of the program."""
    pid: int
    started: float
    """Seconds since 1970, UTC."""
    state_directory: str
    """Where saveconfig.json is kept."""
    loaded_from: str
    """The file that the daemon started from; empty: none was there."""
    remarks: tuple[str, ...] = ()
    """What of it could not be honoured, and which damaged files were passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyView(_View):
    """How long commands took, from their receipt to their answer: seconds, at most an eighth too large."""

    commands: int
    mean: float
    p50: float
    """Half of them took no longer."""
    p90: float
    p99: float
    p99_9: float
    longest: float
    buckets: tuple[tuple[float, int], ...] = ()
    """Upper bounds, with how many are in each; only if that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageView(_View):
    """What was done since the daemon has started."""

    read_commands: int
    write_commands: int
    bytes_read: int
    bytes_written: int
    bytes_verified: int
    read_errors: int
    """Commands that the storage has failed."""
    write_errors: int
    verify_errors: int
    read_latency: LatencyView | None = None
    """None: there was no read."""
    write_latency: LatencyView | None = None

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """See `_View.read`."""
        latencies = {
            name: LatencyView.read(document[name]) if document.get(name) else None
            for name in ("read_latency", "write_latency")
        }
        return super(UsageView, cls).read({**document, **latencies})


@dataclass(frozen=True, slots=True, kw_only=True)
class BackstoreUsageView(_View):
    """What was done to a backstore, by everybody."""

    path: str
    """As in the configuration: /backstores/KIND/NAME."""
    usage: UsageView

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """See `_View.read`."""
        return super(BackstoreUsageView, cls).read({**document, "usage": UsageView.read(document["usage"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class LunUsageView(_View):
    """What a session has done through one LUN."""

    lun: int
    backstore: str
    """As in the configuration: /backstores/KIND/NAME."""
    usage: UsageView

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """See `_View.read`."""
        return super(LunUsageView, cls).read({**document, "usage": UsageView.read(document["usage"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUsageView(_View):
    """What a session has done."""

    tsih: int
    initiator_name: str
    target_name: str
    usage: UsageView
    """Through all its LUNs."""
    luns: tuple[LunUsageView, ...]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """See `_View.read`."""
        luns = tuple(LunUsageView.read(lun) for lun in document["luns"])
        usage = UsageView.read(document["usage"])
        return super(SessionUsageView, cls).read({**document, "usage": usage, "luns": luns})
