"""How many files and connections this process may have open."""

import contextlib
import resource

__all__ = ["raise_descriptor_limit"]


def raise_descriptor_limit() -> int:
    """Allow as many as the administrator allows; gives that number.

    The soft limit is 1024 nearly everywhere, for the sake of programs that use select(2), as this one does not: each
    disk takes a few, each connection one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
    return soft
