"""The copies that a logical unit does or has done, and what there is to tell of them (SPC-4 §5.17.4).

A copy is known to the nexus that asked for it by its list identifier. What became of it can be asked for until the
identifier is used again, the nexus is lost or the unit is reset.

    IN_PROGRESS ── all is copied ──► COMPLETED
    IN_PROGRESS ── something failed ──► FAILED
    IN_PROGRESS ── its task was aborted, or COPY OPERATION ABORT, a reset or the loss of its nexus ended it ──► ABORTED
"""

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.scsi.copy.limits import MAX_CONCURRENT_COPIES, MAX_KEPT_OPERATIONS
from isthmus.scsi.sense import CheckCondition, Sense, SenseData

if TYPE_CHECKING:
    from isthmus.scsi.nexus import Nexus

__all__ = ["CopyOperation", "CopyOperations", "CopyState"]


class CopyState(enum.Enum):
    """See the diagram above."""

    IN_PROGRESS = "in progress"
    COMPLETED = "completed"
    FAILED = "ended with an error"
    ABORTED = "aborted"


class CopyOperation:
    """One copy."""

    __slots__ = (
        "_when_over",
        "abort_requested",
        "background",
        "begun",
        "bytes_transferred",
        "failure_told",
        "is_partial",
        "list_identifier",
        "nexus",
        "segments_processed",
        "sense_data",
        "service_action",
        "state",
        "status_told",
        "steps",
        "token",
    )

    def __init__(self, nexus: "Nexus", list_identifier: int | None, service_action: int, *, background: bool) -> None:
        """`list_identifier` is None for a copy of which nobody wants to know."""
        self.nexus = nexus
        self.list_identifier = list_identifier
        self.service_action = service_action
        self.background = background
        """Whether its command has had its status before it was over (IMMED)."""
        self.begun = False
        """Whether anything of it has been done."""
        self.state = CopyState.IN_PROGRESS
        self.abort_requested = False
        self.segments_processed = 0
        self.bytes_transferred = 0
        self.steps = 0
        """Writes to a destination: the OPERATION COUNTER."""
        self.sense_data: SenseData | None = None
        """Why it failed."""
        self.token: bytes | None = None
        """The ROD token that it has made, until that has been told."""
        self.is_partial = False
        """A token had not as many data as were to be written."""
        self.status_told = False
        self.failure_told = False
        """Whether the commands with short list identifiers have told how it ended: they do so once."""
        self._when_over: list[Callable[[], None]] = []

    @property
    def in_progress(self) -> bool:
        """Whether it is not over."""
        return self.state is CopyState.IN_PROGRESS

    def transferred(self, length: int) -> None:
        """`length` bytes more are copied."""
        self.bytes_transferred += length
        self.steps += 1

    def end(self, state: CopyState, sense_data: SenseData | None = None) -> None:
        """It is over."""
        self.state, self.sense_data = state, sense_data
        waiting, self._when_over = self._when_over, []
        for tell in waiting:
            tell()

    def when_over(self, tell: Callable[[], None]) -> None:
        """Call `tell` when it is over: at once if it is."""
        if self.in_progress:
            self._when_over.append(tell)
        else:
            tell()


class CopyOperations:
    """All of them, of one logical unit."""

    def __init__(self) -> None:
        self._identified: dict[tuple[Nexus, int], CopyOperation] = {}
        self._in_progress: set[CopyOperation] = set()

    @property
    def in_progress(self) -> frozenset[CopyOperation]:
        """Those that are not over."""
        return frozenset(self._in_progress)

    def begin(
        self, nexus: "Nexus", list_identifier: int | None, service_action: int, *, background: bool = False
    ) -> CopyOperation:
        """A new copy; raises `CheckCondition` if its identifier is in use, or too many copies are in progress."""
        if list_identifier is not None:
            earlier = self._identified.get((nexus, list_identifier))
            if earlier is not None and earlier.in_progress:
                raise CheckCondition(Sense.OPERATION_IN_PROGRESS)
        if len(self._in_progress) >= MAX_CONCURRENT_COPIES:
            raise CheckCondition(Sense.INSUFFICIENT_RESOURCES)
        operation = CopyOperation(nexus, list_identifier, service_action, background=background)
        self._in_progress.add(operation)
        operation.when_over(lambda: self._in_progress.discard(operation))
        if list_identifier is not None:
            self._keep(nexus, list_identifier, operation)
        return operation

    def _keep(self, nexus: "Nexus", list_identifier: int, operation: CopyOperation) -> None:
        self._identified.pop((nexus, list_identifier), None)
        self._identified[nexus, list_identifier] = operation
        if len(self._identified) > MAX_KEPT_OPERATIONS:
            over = (key for key, kept in self._identified.items() if not kept.in_progress)
            del self._identified[next(over)]

    def find(self, nexus: "Nexus", list_identifier: int) -> CopyOperation | None:
        """The copy that `nexus` calls by `list_identifier`."""
        return self._identified.get((nexus, list_identifier))

    def nexus_lost(self, nexus: "Nexus") -> None:
        """What `nexus` has asked for is wanted no more, and nobody will ask what became of it."""
        for operation in self._in_progress:
            operation.abort_requested |= operation.nexus is nexus
        for key in [key for key in self._identified if key[0] is nexus]:
            del self._identified[key]

    def reset(self) -> None:
        """Logical unit reset: every copy ends, and none is remembered."""
        for operation in self._in_progress:
            operation.abort_requested = True
        self._identified.clear()
