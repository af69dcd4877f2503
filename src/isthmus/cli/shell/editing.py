"""The shell's hold on the daemon: the configuration as it was fetched, and edits of it."""

from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, Protocol

from isthmus.config.model import Configuration
from isthmus.management.errors import RevisionConflictError
from isthmus.management.views import ApplyReport, SessionView

__all__ = ["Daemon", "Editor"]

P = ParamSpec("P")
_TRIES = 5


class Daemon(Protocol):
    """What the shell needs of `management.client.Client`."""

    def configuration(self) -> tuple[Configuration, int]:
        """What runs, with its revision."""

    def replace(self, configuration: Configuration, revision: int) -> ApplyReport:
        """Run `configuration` in place of that revision."""

    def sessions(self) -> Sequence[SessionView]:
        """Who is logged in."""


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

    def edit(
        self, step: Callable[Concatenate[Configuration, P], Configuration], *args: P.args, **kwargs: P.kwargs
    ) -> Sequence[str]:
        """Have the daemon run `step(configuration, ...)`; gives its warnings.

        If somebody else has changed the configuration meanwhile, the step is done again on that.
        """
        for _ in range(_TRIES):
            edited = step(self.configuration, *args, **kwargs)
            try:
                report = self.daemon.replace(edited, self._revision)
            except RevisionConflictError:
                self.configuration, self._revision = self.daemon.configuration()
                continue
            self.refresh()
            return report.warnings
        raise RevisionConflictError("the configuration is being changed all the time: try again")

    def sessions(self) -> Sequence[SessionView]:
        """Who is logged in now."""
        return self.daemon.sessions()
