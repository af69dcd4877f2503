"""The command sink of a discovery session, which has no commands (RFC 7143 §4.3): nothing ever gets here."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from isthmus.errors import LocalProtocolError
from isthmus.iscsi.pdu import TaskManagementRequest
from isthmus.iscsi.task import IscsiTask
from isthmus.iscsi.transfer import TransferError

if TYPE_CHECKING:
    from isthmus.iscsi.connection import Connection

__all__ = ["NoCommands"]


class NoCommands:
    """Its connection rejects commands and task management before they reach any sink."""

    def submit(self, task: IscsiTask) -> None:
        """Cannot happen."""
        _impossible()

    def data_out_complete(self, task: IscsiTask) -> None:
        """Cannot happen."""
        _impossible()

    def fail(self, task: IscsiTask, error: TransferError) -> None:
        """Cannot happen."""
        _impossible()

    def manage(
        self,
        connection: "Connection",
        request: TaskManagementRequest,
        referenced: IscsiTask | None,
        done: Callable[[int], None],
    ) -> None:
        """Cannot happen."""
        _impossible()

    def connection_lost(self, tasks: list[IscsiTask]) -> None:
        """There is nothing to abort."""


def _impossible() -> NoReturn:
    raise LocalProtocolError("a command in a discovery session")
