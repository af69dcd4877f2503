"""The use cases: the only way to change what runs, whatever face a request came through.

There is one running configuration. A new one is checked, compared, done and saved, or nothing of it is: a step that
fails takes back those before it. One change is done at a time; looking on never waits.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Final, Protocol

import structlog

from isthmus import events
from isthmus.config.changes import Change
from isthmus.config.diff import diff
from isthmus.config.model import DEFAULT_ALUA_GROUP, BackstoreKey, Configuration
from isthmus.errors import IsthmusError
from isthmus.management.alua_edits import alua_group_of
from isthmus.management.audit import AuditTrail, NoTrail, entry, record
from isthmus.management.backstore_edits import backstore_of
from isthmus.management.callers import Caller
from isthmus.management.collector import Collector
from isthmus.management.errors import BusyError, DaemonError, RevisionConflictError
from isthmus.management.secrets import resolve_secrets
from isthmus.management.sessions import Sessions
from isthmus.management.views import AluaGroupView, ApplyReport, BackstoreView, PortalView
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.server.blocking import Slices, in_thread
from isthmus.server.disks import Disks, LostReservations
from isthmus.server.occupancy import occupied
from isthmus.server.portal_set import PortalSet
from isthmus.server.reconcile import Reconciler

__all__ = ["ConfigurationKeeper", "Service"]

SAVE_SECONDS: Final = 20.0
PLAN_SECONDS: Final = 60.0
TIDY_SECONDS: Final = 5.0
TOLD_CHANGES: Final = 10
"""How many changes an event names."""

_log = structlog.get_logger()


class ConfigurationKeeper(Protocol):
    """Keeps the configuration over a restart."""

    def save(self, configuration: Configuration) -> None:
        """Keep it durably, or raise `OSError` and keep the one before. It may block."""

    def compress_backups(self) -> None:
        """Do what need not be done at once; raises `OSError`. It may block."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is wanted, found valid, and the way there, which takes a while to find with thousands of disks."""

    new: Configuration
    changes: tuple[Change, ...]
    texts: tuple[str, ...]


def _planned(edit: Callable[[Configuration], Configuration], running: Configuration) -> _Plan:
    new = resolve_secrets(edit(running), running)
    new.check(running)
    changes = diff(running, new)
    return _Plan(new, changes, tuple(map(str, changes)))


class Service:
    """Everything that an operator can do."""

    def __init__(
        self,
        reconciler: Reconciler,
        disks: Disks,
        portals: PortalSet,
        sessions: Sessions,
        keeper: ConfigurationKeeper,
        *,
        first_revision: int = 1,
        audit: AuditTrail | None = None,
    ) -> None:
        """Nothing runs yet. Revisions count from `first_revision`, which no earlier run has come to."""
        self.audit = audit or NoTrail()
        """What was done, and by whom."""
        self.collector = Collector()
        """To be given a rest by whoever makes something large."""
        self._reconciler = reconciler
        self._disks = disks
        self._portals = portals
        self._keeper = keeper
        self._changing = asyncio.Lock()
        self._tidying: asyncio.Task[None] | None = None
        self.sessions = sessions
        self.statistics = sessions.statistics(disks)
        self.configuration = Configuration()
        self.revision = first_revision

    async def load(self, configuration: Configuration) -> None:
        """Run a saved configuration, as far as its storage and its addresses are there."""
        async with self._changing, self._resting():
            await self._reconciler.load(diff(self.configuration, configuration))
            self.configuration = configuration

    async def replace(
        self,
        new: Configuration,
        expected_revision: int | None,
        *,
        force: bool = False,
        dry_run: bool = False,
        who: Caller | str,
    ) -> ApplyReport:
        """Make `new` the running configuration; see `edit`."""
        return await self.edit(lambda _: new, expected_revision, force=force, dry_run=dry_run, who=who)

    async def edit(
        self,
        edit: Callable[[Configuration], Configuration],
        expected_revision: int | None,
        *,
        force: bool = False,
        dry_run: bool = False,
        who: Caller | str,
    ) -> ApplyReport:
        """Make what `edit` makes of it the running configuration; `who` asks for it, for the audit trail.

        `expected_revision`: what was edited; None: whatever runs. `force` takes away also what is in use;
        `dry_run` only tells what would be done. Raises `RevisionConflictError`, `BusyError`, `ConfigurationError`, or
        `DaemonError` if it cannot be saved; in each case everything is as it was.
        """
        async with self._changing, self._resting():
            if expected_revision not in {None, self.revision}:
                raise RevisionConflictError("the configuration has changed meanwhile: fetch it again")
            caller = Caller.of(who)
            plan: _Plan | None = None
            warnings: list[str] = []
            try:
                plan = await in_thread(lambda: _planned(edit, self.configuration), timeout=PLAN_SECONDS)
                if plan.changes and not dry_run:
                    warnings = await self._change(plan, force=force, caller=caller)
            except BaseException as error:
                if not dry_run:
                    events.emit(events.CONFIGURATION_REFUSED, **caller.values(), reason=str(error))
                raise
            warnings += await self._portal_problems()
            return ApplyReport(revision=self.revision, changes=plan.texts, warnings=tuple(warnings))

    @contextlib.asynccontextmanager
    async def _resting(self) -> AsyncIterator[None]:
        with self.collector.rests():
            yield

    async def _change(self, plan: "_Plan", *, force: bool, caller: Caller) -> list[str]:
        new, changes = plan.new, plan.changes
        if not force:
            await self._refuse_if_busy(changes)
        await self._reconciler.prepare(changes)
        done: list[Change] = []
        try:
            warnings = await self._reconciler.apply(changes, done)
            warnings += await self._save(plan, caller)
        except BaseException:
            await self._take_back(done)
            await self._disks.forget()
            raise
        finally:
            await self._disks.discard_prepared()
        self.configuration = new
        self.revision += 1
        warnings += await self._disks.forget()
        self.collector.changed(changes)
        events.emit(
            events.CONFIGURATION_CHANGED,
            **caller.values(),
            revision=self.revision,
            count=len(changes),
            changes="; ".join(plan.texts[:TOLD_CHANGES]),
        )
        return warnings

    async def _refuse_if_busy(self, changes: Iterable[Change]) -> None:
        found = await occupied(changes, self._reconciler, self._disks)
        if found:
            names = sorted({name for place in found for name in place.holders})
            raise BusyError(str(found[0].change).removeprefix("- ").removeprefix("~ "), tuple(names))

    async def _save(self, plan: "_Plan", caller: Caller) -> list[str]:
        """Keep it, and who wanted it; gives warnings."""
        revision = self.revision + 1

        def keep() -> list[str]:
            self._keeper.save(plan.new)
            done = entry(events.CONFIGURATION_CHANGED.name, caller, plan.texts, revision=revision)
            return record(self.audit, done)

        try:
            warnings = await in_thread(keep, timeout=SAVE_SECONDS)
        except OSError as error:
            raise DaemonError(f"the configuration cannot be saved: {error}") from error
        if self._tidying is not None:
            self._tidying.cancel()
        self._tidying = asyncio.get_running_loop().create_task(self._tidy())
        return warnings

    async def _tidy(self) -> None:
        """Once the operator pauses: a series of changes does not wait for the backups of each."""
        await asyncio.sleep(TIDY_SECONDS)
        try:
            await in_thread(self._keeper.compress_backups, timeout=SAVE_SECONDS)
        except (OSError, TimeoutError) as error:
            _log.warning("backups not compressed", reason=str(error))

    async def _take_back(self, done: list[Change]) -> None:
        """Undo steps; what cannot be undone is left as it is then, and said."""
        present = reduce(lambda state, change: change.apply(state), done, self.configuration)
        undone: list[Change] = []
        try:
            await self._reconciler.apply(diff(present, self.configuration), undone)
        except (IsthmusError, OSError) as error:
            self.configuration = reduce(lambda state, change: change.apply(state), undone, present)
            self.revision += 1
            _log.error("a change could be undone in part only", reason=str(error))

    async def start_backstore(self, key: BackstoreKey, lost: LostReservations, who: Caller | str) -> None:
        """Run a backstore that could not be run before, with the LUNs that it is; raises `ConfigurationError`."""
        caller = Caller.of(who)
        values = {"backstore": str(key), "lost_reservations": lost.value}
        async with self._changing:
            await self._reconciler.start_backstore(key, lost)
            events.emit(events.BACKSTORE_STARTED, **caller.values(), **values)
            done = entry(events.BACKSTORE_STARTED.name, caller, **values)
            await in_thread(lambda: record(self.audit, done), timeout=SAVE_SECONDS)

    async def restore_alua_state(self, key: BackstoreKey, group: str, who: Caller | str) -> None:
        """Bring an ALUA group back to its configured state, which initiators may have changed; raises `ConfigurationError`.

        To ask for the state that is configured already changes nothing in the configuration, so that `edit` does nothing.
        """
        caller = Caller.of(who)
        values = {"backstore": str(key), "alua_group": group}
        async with self._changing:
            self._disks.restore_alua_state(alua_group_of(backstore_of(self.configuration, key), group), key)
            events.emit(events.ALUA_STATE_RESTORED, **caller.values(), **values)
            done = entry(events.ALUA_STATE_RESTORED.name, caller, **values)
            await in_thread(lambda: record(self.audit, done), timeout=SAVE_SECONDS)

    async def close(self) -> list[str]:
        """Let go of all storage; gives what went wrong."""
        async with self._changing:
            if self._tidying is not None:
                self._tidying.cancel()
            return await self._disks.close()

    # -- What runs -----------------------------------------------------------------------------------------------------

    def portals(self) -> list[PortalView]:
        """Every portal, and whether it listens."""
        return list(self.each_portal())

    def each_portal(self) -> Iterator[PortalView]:
        """The same one by one, while the configuration may change: a group that has gone is left out."""
        groups = self._reconciler.groups
        for key, running in sorted(groups.items(), key=lambda item: item[0]):
            if groups.get(key) is not running:
                continue
            name, tag = key
            for portal in self._reconciler.wanted_portals(running):
                bound = self._portals.bound(portal)
                yield PortalView(
                    target_name=name,
                    target_portal_group_tag=tag,
                    portal=str(portal),
                    listening=bound is not None,
                    bound="" if bound is None else str(bound),
                    problem=self._portals.problem(portal),
                    is_default=not running.rules.settings.portals,
                )

    async def _portal_problems(self) -> list[str]:
        found: list[str] = []
        if self._portals.has_problems:
            slices = Slices()
            for view in self.each_portal():
                if view.problem:
                    found.append(
                        f"{view.target_name} does not listen on {view.portal}: {view.problem}; it is tried again"
                    )
                await slices.pause()
        return found

    def backstores(self) -> list[BackstoreView]:
        """Every backstore."""
        return list(self.each_backstore())

    def each_backstore(self) -> Iterator[BackstoreView]:
        """The same one by one, while the configuration may change."""
        active = {lun.backstore for _, _, lun in self.configuration.luns()}
        for disk in self._disks:
            yield BackstoreView(
                path=str(disk.settings.key),
                size=disk.unit.backstore.size if disk.unit else 0,
                block_length=disk.unit.block_length if disk.unit else 0,
                active=disk.settings.key in active,
                problem=disk.problem,
                alua_groups=_alua_groups(disk.unit),
            )


def _alua_groups(unit: LogicalUnit | None) -> tuple[AluaGroupView, ...]:
    return tuple(
        AluaGroupView(
            name=group.name or DEFAULT_ALUA_GROUP,
            alua_group_id=group.alua_group_id,
            state=group.state,
            status_code=group.status_code,
        )
        for group in (() if unit is None else unit.alua)
    )
