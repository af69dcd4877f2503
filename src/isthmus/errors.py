"""The error tree: flat and small. Each class says whose fault it is; those that a peer causes carry their wire answer.

A protocol module raises nothing else, so any other exception out of it is a bug of ours. The errors that carry a
wire answer of one protocol live beside that protocol's constants (`iscsi.errors`, `scsi.sense`) and derive from here.
"""

__all__ = ["BackstoreError", "ConfigurationError", "IsthmusError", "LocalProtocolError", "RemoteProtocolError"]


class IsthmusError(Exception):
    """The base of every error that Isthmus raises on purpose."""


class ConfigurationError(IsthmusError):
    """The operator asked for something that cannot be; `remedy` says what to do instead."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}: {remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy


class RemoteProtocolError(IsthmusError):
    """The peer broke the protocol. It costs the peer at most its own connection."""


class LocalProtocolError(IsthmusError):
    """Our own code used a protocol object in a way that its state does not allow: a bug of ours."""


class BackstoreError(IsthmusError):
    """The backing store could not do what it was asked; `errno` is the system's reason (an `errno` constant)."""

    def __init__(self, errno: int, problem: str, *, offset: int | None = None) -> None:
        super().__init__(problem)
        self.errno = errno
        self.offset = offset
        """Where the first byte that failed lies, in bytes from the start of the backstore, if it is known."""
