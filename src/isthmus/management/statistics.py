"""What was read and written, and how long that took: by backstore, by session, and by LUN of a session.

With thousands of disks this is long work on the loop, since the engine counts there; so it comes piece by piece.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Final

from isthmus.config.model import BackstoreKey
from isthmus.engine.reference import ReferenceEngine
from isthmus.iscsi.session import Session
from isthmus.management.views import BackstoreUsageView, LatencyView, LunUsageView, SessionUsageView, UsageView
from isthmus.scsi.counts import Counts
from isthmus.scsi.fast_path_grant import FastPathGrant
from isthmus.scsi.latency import LatencyHistogram
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.lun import decode_lun
from isthmus.scsi.nexus import Nexus
from isthmus.server.blocking import Slices
from isthmus.server.disks import Disks
from isthmus.server.login_policy import Directory

__all__ = ["Statistics", "counts_of_nexus", "latency_view"]

_SECOND: Final = 1_000_000_000


class Statistics:
    """Looks at the running units and sessions."""

    def __init__(self, disks: Disks, engine: ReferenceEngine, directory: Directory) -> None:
        self._disks = disks
        self._engine = engine
        self._directory = directory

    async def backstores(self, *, buckets: bool = False) -> AsyncIterator[BackstoreUsageView]:
        """Every backstore that runs; with the `buckets` of its latencies if they are asked for."""
        slices = Slices()
        for disk in self._disks:
            if disk.unit is not None:
                counts, latencies = disk.unit.statistics.since_start, disk.unit.grants.latencies()
                yield BackstoreUsageView(path=str(disk.settings.key), usage=_usage(counts, *latencies, buckets=buckets))
                await slices.pause()

    def units(self) -> Iterable[tuple[BackstoreKey, LogicalUnit]]:
        """The units that run."""
        return ((disk.settings.key, disk.unit) for disk in self._disks if disk.unit is not None)

    def nexuses(self) -> list[tuple[Session, Nexus]]:
        """The normal sessions with what they see, by TSIH."""
        found = [
            (session, nexus) for node in self._directory.targets.values() for session, nexus in node.nexuses.items()
        ]
        return sorted(found, key=lambda pair: pair[0].tsih)

    async def sessions(self, *, buckets: bool = False) -> AsyncIterator[SessionUsageView]:
        """Every normal session."""
        slices = Slices()
        names = {unit: str(key) for key, unit in self.units()}
        for session, nexus in self.nexuses():
            yield _session(session, nexus, names, buckets=buckets)
            await slices.pause()


def counts_of_nexus(nexus: Nexus) -> Counts:
    """What was done through all the LUNs that it has now."""
    grants = tuple(nexus.grants.values())
    return sum((grant.long_way for grant in grants), Counts.of_grants(grants))


def _session(session: Session, nexus: Nexus, names: dict[LogicalUnit, str], *, buckets: bool) -> SessionUsageView:
    grants = tuple(nexus.grants.values())
    return SessionUsageView(
        tsih=session.tsih,
        initiator_name=session.initiator_name,
        target_name=nexus.target_name,
        usage=_usage(
            counts_of_nexus(nexus),
            LatencyHistogram.sum_of(grant.read_latency for grant in grants),
            LatencyHistogram.sum_of(grant.write_latency for grant in grants),
            buckets=buckets,
        ),
        luns=tuple(
            LunUsageView(
                lun=lun,
                backstore=names.get(nexus.mappings[lun].logical_unit, ""),
                usage=_of_grant(grant, buckets=buckets),
            )
            for field, grant in nexus.grants.items()
            if (lun := decode_lun(field)) is not None and lun in nexus.mappings
        ),
    )


def _of_grant(grant: FastPathGrant, *, buckets: bool) -> UsageView:
    return _usage(Counts.of_grants((grant,)) + grant.long_way, grant.read_latency, grant.write_latency, buckets=buckets)


def _usage(
    counts: Counts, reads: LatencyHistogram | None, writes: LatencyHistogram | None, *, buckets: bool
) -> UsageView:
    return UsageView(
        read_commands=counts.read_commands,
        write_commands=counts.write_commands,
        bytes_read=counts.bytes_read,
        bytes_written=counts.bytes_written,
        bytes_verified=counts.bytes_verified,
        read_errors=counts.read_errors,
        write_errors=counts.write_errors,
        verify_errors=counts.verify_errors,
        read_latency=latency_view(reads, buckets=buckets),
        write_latency=latency_view(writes, buckets=buckets),
    )


def latency_view(histogram: LatencyHistogram | None, *, buckets: bool = False) -> LatencyView | None:
    """Its figures; None if nothing was counted."""
    commands = histogram.commands if histogram is not None else 0
    if histogram is None or not commands:
        return None
    found = list(histogram.buckets())
    p50, p90, p99, p99_9 = (_quantile(found, commands, share) for share in (0.5, 0.9, 0.99, 0.999))
    return LatencyView(
        commands=commands,
        mean=histogram.nanoseconds / commands / _SECOND,
        p50=p50,
        p90=p90,
        p99=p99,
        p99_9=p99_9,
        longest=found[-1][0] / _SECOND,
        buckets=tuple((bound / _SECOND, count) for bound, count in found) if buckets else (),
    )


def _quantile(buckets: list[tuple[int, int]], commands: int, share: float) -> float:
    """Seconds, within which `share` of the commands ended."""
    wanted = commands * share
    seen = 0
    for bound, count in buckets:
        seen += count
        if seen >= wanted:
            return bound / _SECOND
    return buckets[-1][0] / _SECOND
