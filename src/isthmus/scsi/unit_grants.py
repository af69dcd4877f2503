"""The grants of one logical unit: made, withdrawn and renewed here, and nowhere else (see `fast_path_grant`)."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.counts import Counts
from isthmus.scsi.fast_path_grant import FastPathGrant
from isthmus.scsi.latency import LatencyHistogram
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.nexus import LunMapping, Nexus

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["UnitGrants"]

UNCOUNTED: Final = 128
"""Tasks: a limit of so many or more is no reason to count the writes of the engine, too. It is what LIO saves for every
file, so most disks that come from there have it; and the crew of a backstore does fewer at once anyway."""


@dataclass(frozen=True, slots=True)
class _Place:
    """One LUN of one nexus that means this unit."""

    lun: int
    mapping: LunMapping
    grant: FastPathGrant


class UnitGrants:
    """Every grant on one logical unit, and who waits until they are idle."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called when a grant that was waited for is idle, so that it can stand again."""
        self._changed = changed
        self._places: dict[Nexus, list[_Place]] = {}
        self._leaving: set[FastPathGrant] = set()
        self._retired = Counts()
        self._retired_reads: LatencyHistogram | None = None
        self._retired_writes: LatencyHistogram | None = None
        self._waiters: list[tuple[set[FastPathGrant], Callable[[], None]]] = []

    @property
    def nexuses(self) -> frozenset[Nexus]:
        """The nexuses that have a grant, whether or not it stands."""
        return frozenset(self._places)

    def attach(self, nexus: Nexus, unit: "LogicalUnit") -> None:
        """Give `nexus` a grant for every LUN by which it knows `unit`. None of them stands before `refresh`."""
        self._places[nexus] = []
        for lun, mapping in nexus.mappings.items():
            if mapping.logical_unit is unit:
                self._add(nexus, lun, mapping, unit)

    def change(self, nexus: Nexus, lun: int, mapping: LunMapping | None, unit: "LogicalUnit") -> None:
        """`lun` means `unit` from now on, or with None does not, to a nexus that is attached."""
        places = self._places[nexus]
        self._withdraw([place for place in places if place.lun == lun])
        self._places[nexus] = [place for place in places if place.lun != lun]
        if mapping is not None:
            self._add(nexus, lun, mapping, unit)

    def _add(self, nexus: Nexus, lun: int, mapping: LunMapping, unit: "LogicalUnit") -> None:
        grant = FastPathGrant(
            unit.backstore,
            block_length=unit.block_length,
            num_blocks=unit.num_blocks,
            max_transfer_blocks=unit.limits.max_transfer_blocks,
        )
        nexus.grants[encode_lun(lun)] = grant
        self._places[nexus].append(_Place(lun, mapping, grant))

    def detach(self, nexus: Nexus) -> bool:
        """Take the grants of `nexus` back; says whether accesses are under way. `when_idle` still waits for those."""
        self._withdraw(self._places.pop(nexus, ()))
        return bool(self._leaving)

    def _withdraw(self, places: Iterable[_Place]) -> None:
        for place in places:
            place.grant.reads = place.grant.writes = False
            if place.grant.in_flight:
                self._leaving.add(place.grant)
                self._watch(place.grant)
            else:
                self._retire(place.grant)

    def _retire(self, grant: FastPathGrant) -> None:
        self._retired += Counts.of_grants((grant,))
        self._retired_reads = LatencyHistogram.sum_of((self._retired_reads, grant.read_latency))
        self._retired_writes = LatencyHistogram.sum_of((self._retired_writes, grant.write_latency))

    def latencies(self) -> tuple[LatencyHistogram | None, LatencyHistogram | None]:
        """How long the reads and the writes through all grants that there were have taken."""
        grants = [place.grant for places in self._places.values() for place in places] + list(self._leaving)
        return (
            LatencyHistogram.sum_of((self._retired_reads, *(grant.read_latency for grant in grants))),
            LatencyHistogram.sum_of((self._retired_writes, *(grant.write_latency for grant in grants))),
        )

    @property
    def counts(self) -> Counts:
        """What the engine has served under all grants that there were."""
        standing = [place.grant for places in self._places.values() for place in places]
        return self._retired + Counts.of_grants((*standing, *self._leaving))

    @property
    def any_in_flight(self) -> bool:
        """Whether the engine reads or writes under any of them now."""
        return bool(self._leaving) or any(place.grant.in_flight for places in self._places.values() for place in places)

    def refresh(self, unit: "LogicalUnit") -> None:
        """Recompute what each grant allows, and the capacity."""
        quiet = unit.is_ready and not unit.range_lock.exclusive_pending and not unit.backstore.pass_through
        cached = unit.mode.write_cache_enabled or not unit.backstore.write_back
        writable = (
            cached
            and self._fits(unit.task_set.limit)
            and not (unit.read_only or unit.mode.software_write_protect or unit.has_tokens)
        )
        awaited = {grant for grants, _ in self._waiters for grant in grants}
        for nexus, places in self._places.items():
            heard_all = unit.unit_attentions.pending(nexus) is None and not unit.deferred_errors.pending(nexus)
            open_to = quiet and heard_all and unit.admits_engine(nexus)
            reads = open_to and not unit.reservations.excludes_reads(nexus)
            writes = open_to and writable and not unit.reservations.excludes_writes(nexus)
            for place in places:
                grant = place.grant
                grant.num_blocks = unit.num_blocks
                grant.reads = reads and grant not in awaited
                grant.writes = writes and grant not in awaited and not place.mapping.read_only

    def _fits(self, limit: int | None) -> bool:
        """Whether all nexuses together cannot have more tasks than `limit`: nobody counts what the engine does alone."""
        return limit is None or limit >= UNCOUNTED or sum(nexus.command_window for nexus in self._places) <= limit

    def when_idle(self, done: Callable[[], None], nexuses: Collection[Nexus] | None = None) -> None:
        """Call `done` once no access under a grant of `nexuses` (default: of all) is under way: at once if none is.

        Until then none of the grants waited for stands, so that it comes to that. Accesses through a nexus that is
        lost are waited for in any case.
        """
        places = (place for nexus, own in self._places.items() if nexuses is None or nexus in nexuses for place in own)
        busy = {place.grant for place in places if place.grant.in_flight} | self._leaving
        if not busy:
            done()
            return
        self._waiters.append((busy, done))
        for grant in busy:
            grant.reads = grant.writes = False
            self._watch(grant)

    def _watch(self, grant: FastPathGrant) -> None:
        grant.on_idle = lambda: self._idle(grant)

    def _idle(self, grant: FastPathGrant) -> None:
        grant.on_idle = None
        if grant in self._leaving:
            self._leaving.remove(grant)
            self._retire(grant)
        for grants, _ in self._waiters:
            grants.discard(grant)
        over = [done for grants, done in self._waiters if not grants]
        self._waiters = [waiter for waiter in self._waiters if waiter[0]]
        for done in over:
            done()
        self._changed()
