"""What happens, by names that stay the same: one row for each kind of event, and the one way to tell of one.

Whoever notices something calls `emit` once. It becomes a line of the log, and whoever listens hears of it: the stream
of `isthmus events`, the counters of the metrics. Other lines of the log are for people alone, and may change.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

__all__ = ["EVENTS", "EventKind", "Listener", "Occurrence", "emit", "listen"]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EventKind:
    """One row of the table."""

    name: str
    """Stays the same from version to version."""
    level: str
    """Of the log: info, warning or error."""
    about: str
    """When it is told, for people."""
    values: tuple[str, ...]
    """The names of what it can say."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something has happened."""

    kind: EventKind
    values: Mapping[str, Any]
    time: float = field(default_factory=time.time)
    """Seconds since 1970, UTC."""


Listener = Callable[[Occurrence], None]
"""Called on the thread on which it happened, which is not always the loop's. It must not raise, nor take long."""

EVENTS: Final[dict[str, EventKind]] = {}
"""Every kind, by name, in the order of the documentation."""
_listeners: list[Listener] = []
# Of the process, as the log is: those who tell need not know who hears.


def _kind(name: str, level: str, about: str, *values: str) -> EventKind:
    kind = EVENTS[name] = EventKind(name, level, about, values)
    return kind


def emit(kind: EventKind, /, **values: Any) -> None:
    """Tell of an event, once."""
    getattr(_log, kind.level)(kind.name, **values)
    occurrence = Occurrence(kind, values)
    for listener in tuple(_listeners):
        listener(occurrence)


def listen(listener: Listener) -> Callable[[], None]:
    """Have `listener` called for each event; gives what ends that."""
    _listeners.append(listener)

    def stop() -> None:
        if listener in _listeners:
            _listeners.remove(listener)

    return stop


_CONNECTION: Final = ("initiator", "tsih", "cid", "peer")

LOGIN = _kind(
    "login",
    "info",
    "A connection has come to full feature phase.",
    *("session_type", "initiator", "alias", "target", "peer", "isid", "tsih", "cid", "chap_user"),
)
LOGIN_REFUSED = _kind(
    "login refused",
    "warning",
    "A login was answered with an error. `status` is what the initiator was told, `reason` what it was not.",
    *("status", "reason", "initiator", "target", "peer"),
)
LOGIN_REDIRECTED = _kind(
    "login redirected",
    "info",
    "An initiator was sent elsewhere (`to`): the portal group says that its target has moved.",
    *("to", "initiator", "target", "peer"),
)
LOGIN_FAILED = _kind(
    "login failed", "warning", "A peer broke the protocol during its login, and got no answer.", "peer", "reason"
)
LOGIN_TIMED_OUT = _kind("login timed out", "warning", "A login was not over in time.", "peer", "seconds")
LOGIN_GIVEN_UP = _kind(
    "login given up", "warning", "A login was closed to make room: too many were under way.", "address", "reason"
)
LOGIN_CONNECTION_LOST = _kind(
    "connection lost in login", "info", "The connection broke during a login.", "peer", "reason"
)
LOGIN_CONNECTION_CLOSED = _kind("connection closed in login", "info", "A peer went away during its login.", "peer")
LOGOUT = _kind(
    "logout",
    "info",
    "An initiator has logged out of its session, or of one connection of it (`reason`).",
    *("reason", "logout_cid", *_CONNECTION),
)
CONNECTION_LOST = _kind(
    "connection lost",
    "info",
    "A connection broke without a logout, or was given up: its peer is silent, or a bug of this program was met.",
    *("reason", *_CONNECTION),
)
PROTOCOL_VIOLATED = _kind(
    "connection closed for a violation",
    "warning",
    "A peer broke the protocol in full feature phase, and lost its connection.",
    *("reason", *_CONNECTION),
)
CONNECTION_DROPPED = _kind(
    "connection dropped",
    "info",
    "A connection was closed to make room for another of the same name.",
    *("reason", *_CONNECTION),
)
SESSION_ENDED = _kind(
    "session ended",
    "info",
    "A session ended without a logout: it was lost and not continued, reinstated, or the operator ended it.",
    *("reason", "initiator", "tsih"),
)
RESET = _kind(
    "reset",
    "warning",
    "An initiator has reset a logical unit or the target.",
    *("function", "result", "initiator", "target", "lun"),
)
PORTAL_OPENED = _kind("portal opened", "info", "A portal listens.", "portal")
PORTAL_CLOSED = _kind("portal closed", "info", "A portal does not listen any more: nobody wants it.", "portal")
PORTAL_TROUBLE = _kind(
    "portal cannot be bound", "error", "A portal does not listen; it is tried again and again.", "portal", "reason"
)
ACCEPT_FAILED = _kind("cannot accept", "error", "A portal cannot take connections for a moment.", "portal", "reason")
STORAGE_FAILURE = _kind(
    "storage failure",
    "warning",
    "Storage has failed; each disk says so at most once in ten seconds.",
    *("storage", "problem", "errno", "offset", "not_logged_before"),
)
BACKSTORE_MISSING = _kind(
    "backstore does not run", "error", "The storage of a saved backstore cannot be had.", "backstore", "reason"
)
BACKSTORE_STARTED = _kind(
    "backstore started",
    "warning",
    "An operator has started a backstore that did not run; `lost_reservations` is what was to become of damaged ones.",
    *("who", "uid", "gid", "pid", "address", "backstore", "lost_reservations"),
)
ALUA_STATE_RESTORED = _kind(
    "ALUA state restored",
    "info",
    "An operator has brought an ALUA group back to its configured state.",
    *("who", "uid", "gid", "pid", "address", "backstore", "alua_group"),
)
SIZE_CHANGED = _kind(
    "size changed", "info", "Storage has become larger or smaller.", "storage", "bytes_before", "bytes"
)
CONFIGURATION_LOADED = _kind(
    "configuration loaded", "info", "The daemon has started with a configuration.", "source", "targets", "backstores"
)
CONFIGURATION_CHANGED = _kind(
    "configuration changed",
    "info",
    "Another configuration runs: `count` changes, of which the first are named.",
    *("who", "uid", "gid", "pid", "address", "revision", "count", "changes"),
)
CONFIGURATION_REFUSED = _kind(
    "configuration not changed",
    "warning",
    "Somebody wanted another configuration, and did not get it.",
    *("who", "uid", "gid", "pid", "address", "reason"),
)
SESSION_END_ASKED = _kind(
    "session is to end",
    "info",
    "An operator wants a session to end; `asked`: its initiator is asked to log out first.",
    *("who", "uid", "gid", "pid", "address", "tsih", "initiator", "asked"),
)
CONTROL_REFUSED = _kind(
    "control refused",
    "warning",
    "Somebody who may not control the daemon has tried to.",
    *("uid", "gid", "pid", "address", "reason"),
)
STOPPING = _kind("stopping", "info", "The daemon or server ends.")
