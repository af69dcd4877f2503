"""The shell's hold on the daemon: the configuration as it was fetched, and edits of it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from isthmus.config.model import BackstoreKey, Configuration, Portal
from isthmus.management.errors import RevisionConflictError
from isthmus.management.views import ApplyReport, BackstoreView, PortalView, SessionView, VersionView
from isthmus.names import IscsiName

__all__ = ["Daemon", "Editor"]

_TRIES = 5


class Daemon(Protocol):
    """What the shell needs of `management.client.Client`."""

    def configuration(self) -> tuple[Configuration, int]:
        """What runs, with its revision."""

    def replace(self, configuration: Configuration, revision: int, *, force: bool = False) -> ApplyReport:
        """Run `configuration` in place of that revision; with `force` also if it takes away what is in use."""

    def start_backstore(self, key: BackstoreKey, lost_reservations: str = "refuse") -> None:
        """Start a backstore that does not run."""

    def tag_acls(self, target: IscsiName, tag: int, who: str, label: str, *, force: bool = False) -> ApplyReport:
        """Tag an initiator, or those with a tag: who joins others gets their secrets, too, which only the daemon has."""

    def restore_alua_state(self, key: BackstoreKey, group: str) -> None:
        """Bring an ALUA group back to its configured state."""

    def version(self) -> VersionView:
        """Who the daemon is."""

    def backstores(self) -> Sequence[BackstoreView]:
        """Every backstore as it runs."""

    def portals(self) -> Sequence[PortalView]:
        """Every portal, and whether it listens."""

    def sessions(self) -> Sequence[SessionView]:
        """Who is logged in."""

    def end_session(self, tsih: int, *, ask: bool = True) -> None:
        """Have a session end; `ask` its initiator first."""


class Editor:
    """One fetched configuration; an edit puts its successor in place, for the daemon and here."""

    def __init__(self, daemon: Daemon, on_change: Callable[[], None] = lambda: None) -> None:
        """`on_change` is called when `configuration` is another than before."""
        self.daemon = daemon
        self.on_change = on_change
        self.configuration, self._revision = daemon.configuration()
        self._backstores: dict[str, BackstoreView] | None = None
        self._portals: dict[tuple[str, int, str], PortalView] | None = None

    def forget_what_runs(self) -> None:
        """Ask the daemon again when that is next needed: each command shows what is, at its time."""
        self._backstores = self._portals = None

    def backstore(self, key: BackstoreKey) -> BackstoreView | None:
        """A backstore as it runs; None: the daemon does not know it."""
        if self._backstores is None:
            self._backstores = {view.path: view for view in self.daemon.backstores()}
        return self._backstores.get(str(key))

    def portal(self, target: IscsiName, tag: int, portal: Portal) -> PortalView | None:
        """A portal as it runs; None: the daemon does not know it."""
        if self._portals is None:
            views = self.daemon.portals()
            self._portals = {(view.target_name, view.target_portal_group_tag, view.portal): view for view in views}
        return self._portals.get((target, tag, str(portal)))

    def refresh(self) -> None:
        """Fetch again what the daemon runs."""
        self.configuration, self._revision = self.daemon.configuration()
        self.forget_what_runs()
        self.on_change()

    def edit(self, step: Callable[[Configuration], Configuration], *, force: bool = False) -> Sequence[str]:
        """Have the daemon run what `step` makes of the configuration; gives its warnings. `force`: see `Daemon.replace`.

        If somebody else has changed the configuration meanwhile, the step is done again on that.
        """
        for _ in range(_TRIES):
            edited = step(self.configuration)
            try:
                report = self.daemon.replace(edited, self._revision, force=force)
            except RevisionConflictError:
                self.configuration, self._revision = self.daemon.configuration()
                continue
            self.refresh()
            return report.warnings
        raise RevisionConflictError("the configuration is being changed all the time: try again")

    def sessions(self) -> Sequence[SessionView]:
        """Who is logged in now."""
        return self.daemon.sessions()
