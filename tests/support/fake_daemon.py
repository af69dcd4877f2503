"""A daemon for the shell to talk to that only keeps the configuration, hiding secrets as the real one does."""

from dataclasses import dataclass, field

from isthmus.config.model import Configuration
from isthmus.management.errors import RevisionConflictError
from isthmus.management.secrets import hide_secrets, resolve_secrets
from isthmus.management.views import ApplyReport, SessionView

__all__ = ["FakeDaemon"]


@dataclass
class FakeDaemon:
    """See `cli.shell.editing.Daemon`."""

    running: Configuration = field(default_factory=Configuration)
    revision: int = 1
    open_sessions: tuple[SessionView, ...] = ()
    warnings: tuple[str, ...] = ()
    conflicts: int = 0
    """How often somebody else is quicker."""

    def configuration(self) -> tuple[Configuration, int]:
        return hide_secrets(self.running), self.revision

    def replace(self, configuration: Configuration, revision: int) -> ApplyReport:
        if self.conflicts:
            self.conflicts -= 1
            self.revision += 1
        if revision != self.revision:
            raise RevisionConflictError("somebody else was quicker")
        configuration = resolve_secrets(configuration, self.running)
        configuration.check()
        self.running = configuration
        self.revision += 1
        return ApplyReport(revision=self.revision, changes=(), warnings=self.warnings)

    def sessions(self) -> tuple[SessionView, ...]:
        return self.open_sessions
