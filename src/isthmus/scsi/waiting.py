"""How a handler waits for something that is no access to the backstore: it yields `Until`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import BlockOperation

__all__ = ["Until"]


@dataclass(frozen=True, slots=True)
class Until(BlockOperation):
    """Starts something, and lets the handler go on when that is over, with its result, or with what it raises.

    What has been started goes on even if the task is aborted meanwhile.
    """

    begin: Callable[[Callable[[Any, Exception | None], None]], None]
    """Called with whom to tell, once, of the end: a result, or an exception. It may be over before `begin` returns."""

    def run(self, backstore: Backstore) -> Any:
        """Nobody but a task can wait: this never reaches a backstore."""
        raise NotImplementedError("waiting is no block operation")
