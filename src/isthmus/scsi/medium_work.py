"""Format and sanitize operations: what changes every block of a medium, and must not end half-way unnoticed.

A medium is sound, being worked on, or left behind by an operation that failed (SBC-4 §4.11, §4.33):

    sound ──begin──▶ worked on ──all steps done──▶ sound
      ▲                  │
      │                  └──a step failed, or the server ended──▶ failed
      └──── begin and all steps done, or (sanitize, unrestricted) EXIT FAILURE MODE ────┘

Before the first block changes the state store holds a record of the operation, and it holds it until the last is
durable. So a medium of which nobody knows how far it has come is not sound after a restart either. It is not worked on
further then without being asked: what is served under the same name may be another medium by now.
"""

import enum
import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from isthmus.backstores.operations import Barrier, BlockOperation, Flush
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.background import Background, BackgroundSteps, OnOver
from isthmus.scsi.deferred_errors import deferring
from isthmus.scsi.sense import CheckCondition, ProgressIndication, Sense, SenseData
from isthmus.scsi.state_store import MEDIUM_WORK, SaveState, UnitStateStore
from isthmus.scsi.waiting import Until

if TYPE_CHECKING:
    from isthmus.scsi.alua import CallLater
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = [
    "MediumFailure",
    "MediumOperation",
    "MediumWork",
    "behind_the_status",
    "forget_medium_failure",
    "load_medium_failure",
    "work_on_medium",
]

_WHOLE: Final = 0x1_0000


class MediumOperation(enum.Enum):
    """What can be done to a whole medium."""

    FORMAT = "format"
    SANITIZE = "sanitize"

    @property
    def in_progress(self) -> Sense:
        """What other commands hear meanwhile."""
        return _SENSE[self][0]

    @property
    def left_behind(self) -> Sense:
        """What they hear after it has failed."""
        return _SENSE[self][1]

    @property
    def failed(self) -> Sense:
        """How the command itself ends then."""
        return _SENSE[self][2]


_SENSE: Final = {
    MediumOperation.FORMAT: (
        Sense.LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS,
        Sense.MEDIUM_FORMAT_CORRUPTED,
        Sense.FORMAT_COMMAND_FAILED,
    ),
    MediumOperation.SANITIZE: (
        Sense.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS,
        Sense.SANITIZE_COMMAND_FAILED,
        Sense.SANITIZE_COMMAND_FAILED,
    ),
}


@dataclass(slots=True)
class MediumWork:
    """An operation that goes on."""

    operation: MediumOperation
    total: int
    """Bytes to be changed in all."""
    done: int = 0
    is_recorded: bool = False
    """Whether the end of the process would be noticed: nothing has been changed before that."""
    _waiters: list[OnOver] = field(default_factory=list)

    def when_recorded(self, told: OnOver) -> None:
        """Call `told` once the operation is recorded, or with the error for which it is not."""
        if self.is_recorded:
            told(None, None)
        else:
            self._waiters.append(told)

    def recorded(self, error: BackstoreError | None) -> bool:
        """The operation is recorded, or cannot be; says whether anybody has waited for it."""
        self.is_recorded = error is None
        waiters, self._waiters = self._waiters, []
        for told in waiters:
            told(None, error)
        return bool(waiters)

    @property
    def sense_data(self) -> SenseData:
        """What other commands hear, with how far the work has come (SPC-5 §4.4.2.4.4)."""
        progress = self.done * _WHOLE // self.total if self.total else 0
        return SenseData(sense=self.operation.in_progress, specific=ProgressIndication(min(progress, _WHOLE - 1)))


@dataclass(frozen=True, slots=True)
class MediumFailure:
    """What an operation that did not come to its end has left behind."""

    operation: MediumOperation
    unrestricted: bool = False
    """AUSE: EXIT FAILURE MODE may declare the medium sound (SBC-4 §4.11.4)."""

    @property
    def sense_data(self) -> SenseData:
        """What other commands hear."""
        return SenseData(sense=self.operation.left_behind)

    def to_bytes(self) -> bytes:
        """The record."""
        return f"{self.operation.value}{' unrestricted' if self.unrestricted else ''}\n".encode("ascii")


_RECORDS: Final = {
    failure.to_bytes(): failure
    for failure in (
        MediumFailure(MediumOperation.FORMAT),
        MediumFailure(MediumOperation.SANITIZE),
        MediumFailure(MediumOperation.SANITIZE, unrestricted=True),
    )
}


def load_medium_failure(store: UnitStateStore, unit_serial: str) -> MediumFailure | None:
    """What an operation of an earlier run has left behind; raises `ConfigurationError` for a record of no known form."""
    record = store.load(unit_serial, MEDIUM_WORK)
    if record is None:
        return None
    if record not in _RECORDS:
        raise ConfigurationError(
            f"the state of an operation on the medium of unit {unit_serial} is of an unknown form",
            "serve it with the version of Isthmus that has written it",
        )
    return _RECORDS[record]


def work_on_medium(
    unit: "LogicalUnit",
    operation: MediumOperation,
    steps: Callable[[], Iterable[BlockOperation]],
    *,
    total: int,
    unrestricted: bool = False,
) -> BackgroundSteps:
    """Do `steps`, which change `total` bytes, while nothing else gets at the medium of `unit`.

    Raises `CheckCondition` if one of them fails; the medium is then marked as left behind. Raises `BackstoreError`, with
    nothing changed, if not even the record could be saved.
    """
    failure = MediumFailure(operation, unrestricted)
    work = unit.medium_work = MediumWork(operation, total)
    unit.refresh_grants()
    try:
        yield SaveState(unit.state, unit.identity.serial, MEDIUM_WORK, failure.to_bytes())
    except BackstoreError as error:
        _end(unit, unit.medium_failure)
        if work.recorded(error):
            return
        raise
    work.recorded(None)
    try:
        # What began before must not come after.
        yield Barrier(unit.backstore.size)
        for step in steps():
            _check_extent(unit, step)
            yield step
            work.done += step.extent[1]
            yield from _pause(unit, step)
        yield Flush()
        yield SaveState(unit.state, unit.identity.serial, MEDIUM_WORK, None)
    except BackstoreError:
        _end(unit, failure)
        raise CheckCondition(operation.failed) from None
    _end(unit, None)


def behind_the_status(unit: "LogicalUnit", nexus: "Nexus", work: BackgroundSteps) -> BackgroundSteps:
    """Start `work`, which is `work_on_medium`, and come back for the status once it cannot be forgotten any more.

    Of a later failure `nexus` hears by a deferred error. Raises `BackstoreError` if the work could not be recorded.
    """
    yield Background(deferring(unit, nexus, work), awaited=False)
    if unit.medium_work is not None:
        yield Until(unit.medium_work.when_recorded)


def _pause(unit: "LogicalUnit", step: BlockOperation) -> BackgroundSteps:
    """After `step`, as long as the rate asks for that the operator has set for such work."""
    if unit.erase_rate is not None and unit.call_later is not None:
        seconds = step.extent[1] / unit.erase_rate
        yield Until(partial(_tell_later, unit.call_later, seconds))


def _tell_later(call_later: "CallLater", seconds: float, told: OnOver) -> None:
    call_later(seconds, partial(told, None, None))


def _check_extent(unit: "LogicalUnit", step: BlockOperation) -> None:
    """Storage that has shrunk meanwhile is not what was to be worked on, and must not grow again by that."""
    if step.exceeds(unit.backstore.size):
        raise BackstoreError(errno.ENXIO, "the storage has shrunk while its medium was worked on")


def forget_medium_failure(unit: "LogicalUnit") -> BackgroundSteps:
    """Declare the medium sound; raises `BackstoreError`, with nothing changed, if that cannot be recorded."""
    yield SaveState(unit.state, unit.identity.serial, MEDIUM_WORK, None)
    _end(unit, None)


def _end(unit: "LogicalUnit", failure: MediumFailure | None) -> None:
    unit.medium_work = None
    unit.medium_failure = failure
    unit.refresh_grants()
