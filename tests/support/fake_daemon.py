"""A daemon for the command line to talk to: it only keeps the configuration, hiding secrets as the real one does."""

from collections.abc import Callable
from dataclasses import dataclass, field

from isthmus.config.diff import diff
from isthmus.config.model import BackstoreKey, Configuration
from isthmus.errors import ConfigurationError
from isthmus.management.acl_tags import tag_acls
from isthmus.management.errors import BusyError, RevisionConflictError
from isthmus.management.secrets import hide_secrets, resolve_secrets
from isthmus.management.views import ApplyReport, BackstoreView, PortalView, SessionView, VersionView
from isthmus.names import IscsiName

__all__ = ["FakeDaemon"]

VERSION = VersionView(version="1.2.3", pid=42, started=0.0, state_directory="/var/lib/isthmus", loaded_from="")


@dataclass
class FakeDaemon:
    """Stands in for `management.client.Client`."""

    running: Configuration = field(default_factory=Configuration)
    revision: int = 1
    open_sessions: tuple[SessionView, ...] = ()
    warnings: tuple[str, ...] = ()
    conflicts: int = 0
    """How often somebody else is quicker to make a change."""
    holders: tuple[str, ...] = ()
    """Who uses everything that could be taken away."""
    known_portals: tuple[PortalView, ...] = ()
    known_backstores: tuple[BackstoreView, ...] = ()
    whoami: VersionView = VERSION
    ended: list[tuple[int, bool]] = field(default_factory=list)
    """The sessions that were ended, and whether their initiators were to be asked first."""

    started: list[tuple[str, str]] = field(default_factory=list)
    """The backstores that were started, and what was to become of damaged reservations."""

    restored: list[tuple[str, str]] = field(default_factory=list)
    """The backstores and ALUA groups that were brought back to their configured state."""

    def tag_acls(self, target: IscsiName, tag: int, who: str, label: str, *, force: bool = False) -> ApplyReport:
        wanted = tag_acls(self.running, target, tag, who, label)
        return self.replace(wanted, self.revision, force=force)

    def restore_alua_state(self, key: BackstoreKey, group: str) -> None:
        self.restored.append((str(key), group))

    def start_backstore(self, key: BackstoreKey, lost_reservations: str = "refuse") -> None:
        self.started.append((str(key), lost_reservations))

    def configuration(self) -> tuple[Configuration, int]:
        return hide_secrets(self.running), self.revision

    def replace(
        self, configuration: Configuration, revision: int, *, force: bool = False, dry_run: bool = False
    ) -> ApplyReport:
        if self.conflicts and not dry_run:
            self.conflicts -= 1
            self.revision += 1
        if revision != self.revision:
            raise RevisionConflictError("somebody else was quicker")
        configuration = resolve_secrets(configuration, self.running)
        configuration.check()
        changes = tuple(map(str, diff(self.running, configuration)))
        if not dry_run:
            self._run(configuration, changes, force=force)
        return ApplyReport(revision=self.revision, changes=changes, warnings=self.warnings)

    def change(
        self, edit: Callable[[Configuration], Configuration], *, force: bool = False, dry_run: bool = False
    ) -> ApplyReport:
        configuration, revision = self.configuration()
        return self.replace(edit(configuration), revision, force=force, dry_run=dry_run)

    def _run(self, configuration: Configuration, changes: tuple[str, ...], *, force: bool) -> None:
        gone = [change for change in changes if change.startswith("-")]
        if gone and self.holders and not force:
            raise BusyError(gone[0].removeprefix("- "), self.holders)
        self.running = configuration
        self.revision += bool(changes)

    def sessions(self) -> list[SessionView]:
        return list(self.open_sessions)

    def end_session(self, tsih: int, *, ask: bool = True) -> None:
        if tsih not in {session.tsih for session in self.open_sessions}:
            raise ConfigurationError(f"there is no session with TSIH {tsih}", "list the sessions")
        self.ended.append((tsih, ask))

    def portals(self) -> list[PortalView]:
        return list(self.known_portals)

    def backstores(self) -> list[BackstoreView]:
        return list(self.known_backstores)

    def version(self) -> VersionView:
        return self.whoami
