"""What can go wrong between an operator and the daemon, beside a `ConfigurationError`: what is asked for cannot be."""

from collections.abc import Iterable
from typing import Final

from isthmus.errors import ConfigurationError, IsthmusError

__all__ = ["BusyError", "DaemonError", "DaemonUnreachableError", "NotFoundError", "RevisionConflictError", "some_of"]


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


_NAMED: Final = 8
"""What an error names of what is there, so that with a thousand targets it is still one line that can be read."""


def some_of(things: Iterable[object]) -> str:
    """What is there instead of what was asked for: the first few by name, the others by their number."""
    names = [str(thing) for thing in things]
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return ", ".join(names) or "none"
