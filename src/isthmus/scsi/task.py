"""A task: one command on its way through the logical unit (SAM-5 §5.1), and the answer that ends it."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from typing_extensions import Buffer

from isthmus.scsi.status import Status
from isthmus.scsi.task_attribute import TaskAttribute

if TYPE_CHECKING:
    from isthmus.scsi.cdb import Command
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus
    from isthmus.scsi.opcodes import CommandDescriptor

__all__ = ["GOOD", "TASK_ABORTED", "Response", "Task", "TaskAttribute", "TaskOwner", "TaskState"]


class TaskState(enum.Enum):
    """SAM-5 §8.5, with the end spelled out."""

    DORMANT = "dormant"
    """In the task set, held back by earlier tasks, or still waiting for its data-out."""
    ENABLED = "enabled"
    """Running."""
    BLOCKED = "blocked"
    """Held where it is by an ACA condition."""
    ABORTING = "aborting"
    """Aborted while a block operation is under way: it ends, unseen, when that operation does."""
    ENDED = "ended"

    __hash__ = object.__hash__
    """That of `Enum` is written in Python, and every step of a task looks its state up."""


@dataclass(frozen=True, slots=True)
class Response:
    """What the device server answers: status, sense (already encoded) and the data for the initiator.

    `data_in` is what the command produced, uncut: the transport truncates it to the expected data transfer length and
    reports the residual.
    """

    status: Status = Status.GOOD
    data_in: Buffer = b""
    sense: bytes = b""
    data_out_consumed: int | None = None
    """Bytes of data-out that the command wanted, if that was not `Task.data_out_wanted`."""


GOOD = Response()
TASK_ABORTED = Response(status=Status.TASK_ABORTED)


class TaskOwner(Protocol):
    """Who handed the task in (the transport) and gets its end, exactly once."""

    def task_ended(self, task: "Task", response: Response | None) -> None:
        """`response` is None for a task that was aborted and must be answered with nothing."""


class Task:
    """One command in progress. Made by the transport, then owned by the task set until `TaskOwner.task_ended`."""

    __slots__ = (
        "attribute",
        "began",
        "cdb",
        "command",
        "data_in_length",
        "data_out",
        "data_out_offered",
        "data_out_wanted",
        "descriptor",
        "logical_unit",
        "lun",
        "nexus",
        "owner",
        "ready",
        "state",
        "tag",
    )

    def __init__(
        self,
        *,
        nexus: "Nexus",
        lun: int,
        tag: int,
        cdb: bytes,
        owner: TaskOwner,
        attribute: TaskAttribute = TaskAttribute.SIMPLE,
        data_in_length: int = 0,
        data_out_offered: int | None = None,
    ) -> None:
        """`lun` is the 8-byte LUN field as a big-endian integer; `tag` identifies the task in its nexus."""
        self.nexus = nexus
        self.lun = lun
        self.tag = tag
        self.cdb = cdb
        self.owner = owner
        self.began = 0
        """When it came, in nanoseconds of the transport's clock, for the transport alone."""
        self.attribute = attribute
        self.data_in_length = data_in_length
        """Bytes: how much data-in the initiator expects."""
        self.data_out: Sequence[memoryview] = ()
        """The data-out, complete, in order; the pieces together hold at most `data_out_wanted` bytes."""
        self.data_out_offered = data_out_offered
        """Bytes: how much data-out the initiator means to send, which may be more than the CDB asks for; None if the
        transport does not know. In iSCSI, the expected data transfer length of a task with the W bit."""
        self.data_out_wanted = 0
        """Bytes of data-out that the CDB asks for; set when the command is parsed."""
        self.ready = False
        """Whether all data-out is here, so that the task may be enabled."""
        self.command: Command | None = None
        self.descriptor: CommandDescriptor | None = None
        self.logical_unit: LogicalUnit | None = None
        self.state = TaskState.DORMANT

    @property
    def data_out_bytes(self) -> memoryview:
        """All data-out as one buffer: without a copy if it came in one piece."""
        if len(self.data_out) == 1:
            return self.data_out[0]
        return memoryview(b"".join(self.data_out))
