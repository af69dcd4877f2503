"""An iSCSI task: one SCSI Command PDU in progress (RFC 7143 §4.2.1, §11.3)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import Buffer

from isthmus.iscsi.pdu import ScsiCommand

if TYPE_CHECKING:
    from isthmus.iscsi.connection import Connection
    from isthmus.iscsi.transfer import DataOutTransfer

__all__ = ["CommandResult", "IscsiTask"]


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What came of a command, as the transport must report it."""

    status: int
    data_in: Buffer = b""
    """Uncut; what exceeds the expected data transfer length is not sent and is reported as overflow."""
    sense: bytes = b""
    data_out_wanted: int = 0
    """Bytes that the CDB asked for: residuals of a write are counted against it."""


class IscsiTask:
    """Keyed by its initiator task tag in its session; its PDUs travel on one connection (allegiance, §4.2.2)."""

    __slots__ = (
        "abortable",
        "attribute",
        "cdb",
        "cmd_sn",
        "connection",
        "context",
        "delivered",
        "ended",
        "expected_data_transfer_length",
        "held_result",
        "initiator_task_tag",
        "is_immediate",
        "lun",
        "on_settled",
        "read",
        "reserved",
        "transfer",
        "write",
    )

    def __init__(self, connection: "Connection", command: ScsiCommand) -> None:
        """A task for `command`, which came on `connection`."""
        self.connection = connection
        self.initiator_task_tag = command.initiator_task_tag
        self.lun = command.lun
        self.cdb = command.cdb
        self.cmd_sn = command.cmd_sn
        self.attribute = command.attribute
        self.is_immediate = command.is_immediate
        self.read = command.read
        self.write = command.write
        self.expected_data_transfer_length = command.expected_data_transfer_length
        self.transfer: DataOutTransfer | None = None
        self.reserved = 0
        """Bytes of the data-out budget that this task holds."""
        self.delivered = False
        """Whether its turn by CmdSN has come, so that the SCSI layer has it."""
        self.ended = False
        self.held_result: CommandResult | None = None
        """A result that waits until the initiator has sent all the unsolicited data that it announced."""
        self.abortable = True
        """Whether an abort can take hold of it now; if not, `on_settled` is called when that, or its end, has come."""
        self.on_settled: Callable[[], None] | None = None
        self.context: object = None
        """What the executor of commands keeps with the task."""
