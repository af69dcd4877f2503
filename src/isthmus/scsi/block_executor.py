"""The seam through which a sans-IO device server gets block operations done: somebody else has the threads."""

from collections.abc import Callable
from typing import Any, Protocol

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import BlockOperation
from isthmus.errors import BackstoreError

__all__ = ["BlockExecutor", "Done", "ImmediateExecutor"]

Done = Callable[[Any, Exception | None], None]
"""Called once, on the main loop, with the result of the operation or with its error.

That is a `BackstoreError`; another exception, which nobody meant to raise, may come as well, and is a bug of ours.
"""


class BlockExecutor(Protocol):
    """Runs block operations."""

    def submit(self, backstore: Backstore, operation: BlockOperation, done: Done) -> None:
        """Run `operation`; `done` may be called before this returns, if the operation could be done at once."""


class ImmediateExecutor:
    """Runs each operation at once, blocking: for tests and for tools that have nothing else to do."""

    def submit(self, backstore: Backstore, operation: BlockOperation, done: Done) -> None:
        """Run `operation` and call `done` before returning."""
        try:
            result = operation.run(backstore)
        except BackstoreError as error:
            done(None, error)
        else:
            done(result, None)
