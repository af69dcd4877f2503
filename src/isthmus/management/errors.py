"""What can go wrong between an operator and the daemon, beside a `ConfigurationError`: what is asked for cannot be."""

from isthmus.errors import ConfigurationError, IsthmusError

__all__ = ["BusyError", "DaemonError", "DaemonUnreachableError", "NotFoundError", "RevisionConflictError"]


class NotFoundError(ConfigurationError):
    """What the request names is not there."""


class BusyError(ConfigurationError):
    """Something that is to go or to change is in use; `holders` says by whom. Doing it with force is possible."""

    def __init__(self, what: str, holders: tuple[str, ...]) -> None:
        super().__init__(f"{what} is in use by {', '.join(holders)}", "end that first, or force it")
        self.what = what
        self.holders = holders


class DaemonError(IsthmusError):
    """The daemon could not do what was asked for, though nothing is wrong with the question."""


class DaemonUnreachableError(DaemonError):
    """There is no daemon at the control socket, or it does not let this user in, or it does not answer."""


class RevisionConflictError(DaemonError):
    """The configuration has changed since it was fetched: fetch it again, and edit that."""
