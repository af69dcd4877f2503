"""The shell's hold on the daemon: the configuration as it was fetched, and edits of it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from isthmus.config.model import BackstoreKey, Configuration
from isthmus.management.errors import RevisionConflictError
from isthmus.management.views import ApplyReport, SessionView

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

    def refresh(self) -> None:
        """Fetch again what the daemon runs."""
        self.configuration, self._revision = self.daemon.configuration()
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
