"""The use cases: the only way to change what runs, whatever face a request came through.

There is one running configuration. A new one is checked, compared, done and saved, or nothing of it is: a step that
fails takes back those before it. One change is done at a time; looking on never waits.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Final, Protocol

import structlog

from isthmus.config.changes import Change
from isthmus.config.diff import diff
from isthmus.config.model import Configuration
from isthmus.errors import IsthmusError
from isthmus.management.errors import BusyError, DaemonError, RevisionConflictError
from isthmus.management.secrets import resolve_secrets
from isthmus.management.sessions import Sessions
from isthmus.management.views import ApplyReport, BackstoreView, PortalView
from isthmus.server.blocking import in_thread
from isthmus.server.disks import Disks
from isthmus.server.occupancy import occupied
from isthmus.server.portal_set import PortalSet
from isthmus.server.reconcile import Reconciler

__all__ = ["ConfigurationKeeper", "Service"]

SAVE_SECONDS: Final = 20.0
TIDY_SECONDS: Final = 5.0

_log = structlog.get_logger()


class ConfigurationKeeper(Protocol):
    """Keeps the configuration over a restart."""

    def save(self, configuration: Configuration) -> None:
        """Keep it durably, or raise `OSError` and keep the one before. It may block."""

    def compress_backups(self) -> None:
        """Do what need not be done at once; raises `OSError`. It may block."""


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
    ) -> None:
        """Nothing runs yet. Revisions count from `first_revision`, which no earlier run has come to."""
        self._reconciler = reconciler
        self._disks = disks
        self._portals = portals
        self._keeper = keeper
        self._changing = asyncio.Lock()
        self._tidying: asyncio.Task[None] | None = None
        self.sessions = sessions
        self.configuration = Configuration()
        self.revision = first_revision

    async def load(self, configuration: Configuration) -> None:
        """Run a saved configuration, as far as its storage and its addresses are there."""
        async with self._changing:
            await self._reconciler.load(diff(self.configuration, configuration))
            self.configuration = configuration

    async def replace(
        self, new: Configuration, expected_revision: int | None, *, force: bool = False, dry_run: bool = False, who: str
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
        who: str,
    ) -> ApplyReport:
        """Make what `edit` makes of it the running configuration; `who` asks for it, for the audit trail.

        `expected_revision`: what was edited; None: whatever runs. `force` takes away also what is in use;
        `dry_run` only tells what would be done. Raises `RevisionConflictError`, `BusyError`, `ConfigurationError`, or
        `DaemonError` if it cannot be saved; in each case everything is as it was.
        """
        async with self._changing:
            if expected_revision not in {None, self.revision}:
                raise RevisionConflictError("the configuration has changed meanwhile: fetch it again")
            new = resolve_secrets(edit(self.configuration), self.configuration)
            new.check()
            changes = diff(self.configuration, new)
            warnings: list[str] = []
            if changes and not dry_run:
                warnings = await self._change(new, changes, force=force, who=who)
            return ApplyReport(
                revision=self.revision, changes=tuple(map(str, changes)), warnings=(*warnings, *self._portal_problems())
            )

    async def _change(self, new: Configuration, changes: tuple[Change, ...], *, force: bool, who: str) -> list[str]:
        if not force:
            await self._refuse_if_busy(changes)
        await self._reconciler.prepare(changes)
        done: list[Change] = []
        try:
            warnings = await self._reconciler.apply(changes, done)
            await self._save(new)
        except BaseException as error:
            await self._take_back(done)
            await self._disks.forget()
            _log.warning("configuration not changed", who=who, reason=str(error))
            raise
        finally:
            await self._disks.discard_prepared()
        self.configuration = new
        self.revision += 1
        warnings += await self._disks.forget()
        for change in changes:
            _log.info("configuration changed", who=who, revision=self.revision, change=str(change))
        return warnings

    async def _refuse_if_busy(self, changes: Iterable[Change]) -> None:
        found = await occupied(changes, self._reconciler, self._disks)
        if found:
            names = sorted({name for place in found for name in place.holders})
            raise BusyError(str(found[0].change).removeprefix("- ").removeprefix("~ "), tuple(names))

    async def _save(self, configuration: Configuration) -> None:
        try:
            await in_thread(lambda: self._keeper.save(configuration), timeout=SAVE_SECONDS)
        except OSError as error:
            raise DaemonError(f"the configuration cannot be saved: {error}") from error
        if self._tidying is not None:
            self._tidying.cancel()
        self._tidying = asyncio.get_running_loop().create_task(self._tidy())

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

    async def close(self) -> list[str]:
        """Let go of all storage; gives what went wrong."""
        async with self._changing:
            if self._tidying is not None:
                self._tidying.cancel()
            return await self._disks.close()

    # -- What runs -----------------------------------------------------------------------------------------------------

    def portals(self) -> list[PortalView]:
        """Every portal, and whether it listens."""
        views = []
        for (name, tag), running in sorted(self._reconciler.groups.items()):
            for portal in self._reconciler.wanted_portals(running):
                bound = self._portals.bound(portal)
                views.append(
                    PortalView(
                        target_name=name,
                        target_portal_group_tag=tag,
                        portal=str(portal),
                        listening=bound is not None,
                        bound="" if bound is None else str(bound),
                        problem=self._portals.problem(portal),
                        is_default=not running.rules.settings.portals,
                    )
                )
        return views

    def _portal_problems(self) -> list[str]:
        if not self._portals.has_problems:
            return []
        return [
            f"{view.target_name} does not listen on {view.portal}: {view.problem}; it is tried again"
            for view in self.portals()
            if view.problem
        ]

    def backstores(self) -> list[BackstoreView]:
        """Every backstore."""
        active = {lun.backstore for _, _, lun in self.configuration.luns()}
        return [
            BackstoreView(
                path=str(disk.settings.key),
                size=disk.unit.backstore.size if disk.unit else 0,
                block_length=disk.unit.block_length if disk.unit else 0,
                active=disk.settings.key in active,
                problem=disk.problem,
            )
            for disk in self._disks
        ]
