"""The metrics, in the text format of Prometheus (version 0.0.4).

It is written here, not by a library, since it comes piece by piece: with thousands of disks it takes longer than a
command should wait. Labels are names of the configuration, and of initiators only while they are logged in, so many
and no more.
"""

import os
import resource
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isthmus.management.event_log import EventLog
from isthmus.management.service import Service
from isthmus.management.statistics import counts_of_nexus
from isthmus.management.views import VersionView
from isthmus.scsi.counts import Counts
from isthmus.scsi.latency import LatencyHistogram
from isthmus.server.blocking import Slices

__all__ = ["MAX_INITIATORS", "MEDIA_TYPE", "Metrics"]

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MAX_INITIATORS: Final = 1000
"""Pairs of target and initiator that are told of; the rest are only counted."""
_BOUND_BITS: Final = range(13, 33, 2)
"""The bounds of the buckets are these powers of two, in nanoseconds: 8 µs, four times that, … 2 s."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

Labels = Mapping[str, str]
Sample = tuple[Labels, float]


@dataclass(frozen=True, slots=True)
class _Family:
    """One metric."""

    name: str
    kind: str
    about: str

    def head(self) -> str:
        return f"# HELP {self.name} {self.about}\n# TYPE {self.name} {self.kind}\n"

    def sample(self, labels: Labels, value: float, suffix: str = "") -> str:
        inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        braced = f"{{{inner}}}" if inner else ""
        return f"{self.name}{suffix}{braced} {_number(value)}\n"

    def histogram(self, labels: Labels, histogram: LatencyHistogram) -> str:
        """Its buckets; those of `LatencyHistogram` end where these do."""
        lines = []
        for bits in _BOUND_BITS:
            seen = sum(histogram.counts[: 8 * (bits - 9)])
            lines.append(self.sample({**labels, "le": _number((1 << bits) / 1e9)}, seen, "_bucket"))
        total = histogram.commands
        lines.append(self.sample({**labels, "le": "+Inf"}, total, "_bucket"))
        lines.append(self.sample(labels, histogram.nanoseconds / 1e9, "_sum"))
        lines.append(self.sample(labels, total, "_count"))
        return "".join(lines)


_COMMANDS: Final = _Family("isthmus_backstore_commands_total", "counter", "READ and WRITE commands that ended well.")
_BYTES: Final = _Family("isthmus_backstore_bytes_total", "counter", "Bytes read and written.")
_ERRORS: Final = _Family("isthmus_backstore_errors_total", "counter", "Commands that the storage has failed.")
_DURATION: Final = _Family(
    "isthmus_backstore_command_duration_seconds", "histogram", "From the receipt of a command to its answer."
)
_SIZE: Final = _Family("isthmus_backstore_size_bytes", "gauge", "The size of a backstore.")
_UP: Final = _Family("isthmus_backstore_up", "gauge", "1 if the backstore runs, 0 if its storage cannot be had.")
_INITIATOR_COMMANDS: Final = _Family(
    "isthmus_initiator_commands_total", "counter", "READ and WRITE commands of the sessions that are logged in."
)
_INITIATOR_BYTES: Final = _Family(
    "isthmus_initiator_bytes_total", "counter", "Bytes read and written by the sessions that are logged in."
)
_INITIATOR_SESSIONS: Final = _Family("isthmus_initiator_sessions", "gauge", "Sessions of an initiator with a target.")
_INITIATORS_LEFT_OUT: Final = _Family(
    "isthmus_initiators_left_out", "gauge", f"Pairs of target and initiator beyond {MAX_INITIATORS}, not told of."
)
_SESSIONS: Final = _Family("isthmus_sessions", "gauge", "Sessions, by their type.")
_TARGETS: Final = _Family("isthmus_targets", "gauge", "Targets of the configuration.")
_PORTALS: Final = _Family("isthmus_portals", "gauge", "Portals, by whether they listen.")
_EVENTS: Final = _Family("isthmus_events_total", "counter", "Events, by their names in the table of events.")
_INFO: Final = _Family("isthmus_info", "gauge", "The version of the program.")
_STARTED: Final = _Family("process_start_time_seconds", "gauge", "Start of the process, in seconds since 1970.")
_CPU: Final = _Family("process_cpu_seconds_total", "counter", "User and system time of the process.")
_MEMORY: Final = _Family("process_resident_memory_bytes", "gauge", "Memory of the process that is not paged out.")
_DESCRIPTORS: Final = _Family("process_open_fds", "gauge", "Open file descriptors.")


class Metrics:
    """All of them, anew for each scrape."""

    def __init__(self, service: Service, events: EventLog, version: VersionView) -> None:
        self._service = service
        self._events = events
        self._version = version

    async def text(self) -> AsyncIterator[str]:
        """The whole exposition in pieces."""
        slices = Slices()
        for families in (self._backstores, self._usage, self._initiators, self._rest):
            for piece in families():
                yield piece
                await slices.pause()

    def _backstores(self) -> Iterator[str]:
        stores = []
        for view in self._service.each_backstore():
            stores.append(({"backstore": view.path}, view))
            yield ""
        yield from _samples(_UP, ((labels, not view.problem) for labels, view in stores))
        yield from _samples(_SIZE, ((labels, view.size) for labels, view in stores if not view.problem))

    def _usage(self) -> Iterator[str]:
        units = []
        counts = []
        for key, unit in self._service.statistics.units():
            labels = {"backstore": str(key)}
            units.append((labels, unit))
            counts.append((labels, unit.statistics.since_start))
            yield ""
        yield from _counted(_COMMANDS, counts, read="read_commands", write="write_commands")
        yield from _counted(_BYTES, counts, read="bytes_read", write="bytes_written")
        yield from _counted(_ERRORS, counts, read="read_errors", write="write_errors", verify="verify_errors")
        yield _DURATION.head()
        for labels, unit in units:
            for direction, histogram in zip(("read", "write"), unit.grants.latencies(), strict=True):
                if histogram is not None:
                    yield _DURATION.histogram({**labels, "direction": direction}, histogram)
            yield ""

    def _initiators(self) -> Iterator[str]:
        found: dict[tuple[str, str], Counts] = {}
        sessions: dict[tuple[str, str], int] = {}
        for session, nexus in self._service.statistics.nexuses():
            pair = nexus.target_name, session.initiator_name
            sessions[pair] = sessions.get(pair, 0) + 1
            if pair in found or len(found) < MAX_INITIATORS:
                found[pair] = found.get(pair, Counts()) + counts_of_nexus(nexus)
            yield ""
        counts = [({"target": target, "initiator": name}, one) for (target, name), one in found.items()]
        yield from _counted(_INITIATOR_COMMANDS, counts, read="read_commands", write="write_commands")
        yield from _counted(_INITIATOR_BYTES, counts, read="bytes_read", write="bytes_written")
        pairs = (({"target": pair[0], "initiator": pair[1]}, sessions[pair]) for pair in found)
        yield from _samples(_INITIATOR_SESSIONS, pairs)
        yield from _samples(_INITIATORS_LEFT_OUT, [({}, len(sessions) - len(found))])
        normal = sum(sessions.values())
        discovery = max(self._service.sessions.count - normal, 0)
        yield from _samples(_SESSIONS, [({"type": "normal"}, normal), ({"type": "discovery"}, discovery)])

    def _rest(self) -> Iterator[str]:
        listening = failed = 0
        for view in self._service.each_portal():
            listening += view.listening
            failed += not view.listening
            yield ""
        yield from _samples(_PORTALS, [({"state": "listening"}, listening), ({"state": "failed"}, failed)])
        yield from _samples(_TARGETS, [({}, len(self._service.configuration.targets))])
        yield from _samples(_EVENTS, (({"event": name}, count) for name, count in self._events.counts().items()))
        yield from _samples(_INFO, [({"version": self._version.version}, 1)])
        yield from _samples(_STARTED, [({}, self._version.started)])
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield from _samples(_CPU, [({}, usage.ru_utime + usage.ru_stime)])
        yield from _samples(_MEMORY, [({}, _resident())])
        yield from _samples(_DESCRIPTORS, [({}, sum(1 for _ in Path("/proc/self/fd").iterdir()))])


def _samples(family: _Family, samples: Iterable[Sample]) -> Iterator[str]:
    yield family.head()
    for labels, value in samples:
        yield family.sample(labels, value)


def _counted(family: _Family, counts: Iterable[tuple[Labels, Counts]], **fields: str) -> Iterator[str]:
    """A sample for each direction of each."""
    yield family.head()
    for labels, one in counts:
        for direction, name in fields.items():
            yield family.sample({**labels, "direction": direction}, getattr(one, name))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
