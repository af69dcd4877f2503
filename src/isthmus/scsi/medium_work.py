"""Format and sanitize operations: what changes every block of a medium, and must not end half-way unnoticed.

A medium is sound, being worked on, or left behind by an operation that failed (SBC-4 §4.11, §4.33):

    sound ──begin──▶ worked on ──all steps done──▶ sound
      ▲                  │
      │                  └──a step failed, or the server ended──▶ failed
      └──── begin and all steps done, or (sanitize, unrestricted) EXIT FAILURE MODE ────┘

Before the first block changes the state store holds a record of the operation, and it holds it until the last is
durable. So a medium of which nobody knows how far it has come is not sound after a restart either. A sanitize operation
goes on then (`medium_plan`, `resume_medium_work`), if the medium shows that it is the one; a format operation has failed.
"""

import enum
import errno
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from isthmus.backstores.operations import Barrier, BlockOperation, Flush
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.background import Background, BackgroundSteps, OnOver
from isthmus.scsi.deferred_errors import deferring
from isthmus.scsi.medium_plan import Interrupted, MediumPlan, is_begun
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
    "resume_medium_work",
    "sanitize_medium",
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
    interrupted: Interrupted | None = None
    """It has not failed: the server has ended, and the operation can go on from here."""

    @property
    def sense_data(self) -> SenseData:
        """What other commands hear."""
        return SenseData(sense=self.operation.left_behind)

    def to_bytes(self) -> bytes:
        """The record."""
        plan = "" if self.interrupted is None else f"{self.interrupted.to_text()}\n"
        return f"{self.operation.value}{' unrestricted' if self.unrestricted else ''}\n{plan}".encode("ascii")

    def at(self, done: int) -> "MediumFailure":
        """The same, with everything up to position `done` durable."""
        if self.interrupted is None:
            return self
        return replace(self, interrupted=replace(self.interrupted, done=done))


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
    what, newline, plan = record.partition(b"\n")
    try:
        failure = _RECORDS[what + newline]
        return replace(failure, interrupted=Interrupted.from_text(plan.decode("ascii"))) if plan else failure
    except (KeyError, ValueError):
        raise ConfigurationError(
            f"the state of an operation on the medium of unit {unit_serial} is of an unknown form",
            "serve it with the version of Isthmus that has written it",
        ) from None


def sanitize_medium(unit: "LogicalUnit", plan: MediumPlan, *, unrestricted: bool, start: int = 0) -> BackgroundSteps:
    """`work_on_medium` for a sanitize operation by `plan`, which goes on after a restart; here from position `start` on."""
    return work_on_medium(
        unit,
        MediumOperation.SANITIZE,
        lambda: plan.steps(start),
        total=plan.total,
        unrestricted=unrestricted,
        interrupted=Interrupted(plan, start),
    )


def resume_medium_work(unit: "LogicalUnit") -> BackgroundSteps | None:
    """Go on with the operation that the last run of the server has not ended; None if there is none to go on with."""
    failure = unit.medium_failure
    if failure is None or failure.interrupted is None or unit.read_only:
        return None
    return _resumed(unit, failure, failure.interrupted)


def _resumed(unit: "LogicalUnit", failure: MediumFailure, interrupted: Interrupted) -> BackgroundSteps:
    plan, done = interrupted.plan, interrupted.done
    unit.medium_work = MediumWork(failure.operation, plan.total, done)
    unit.refresh_grants()
    is_same = plan.length == unit.num_blocks * unit.block_length
    try:
        is_same = is_same and (yield from is_begun(interrupted, unit.block_length))
    except BackstoreError:
        is_same = False
    if is_same:
        yield from sanitize_medium(unit, plan, unrestricted=failure.unrestricted, start=done)
    else:
        yield from _fail(unit, replace(failure, interrupted=None))
        raise CheckCondition(failure.operation.failed)


def work_on_medium(
    unit: "LogicalUnit",
    operation: MediumOperation,
    steps: Callable[[], Iterable[BlockOperation]],
    *,
    total: int,
    unrestricted: bool = False,
    interrupted: Interrupted | None = None,
) -> BackgroundSteps:
    """Do `steps`, which change `total` bytes, while nothing else gets at the medium of `unit`.

    Raises `CheckCondition` if one of them fails; the medium is then marked as left behind. Raises `BackstoreError`, with
    nothing changed, if not even the record could be saved. With `interrupted` a restart does not end the work, which
    begins at the position that stands there.
    """
    failure = MediumFailure(operation, unrestricted)
    lasting = replace(failure, interrupted=interrupted)
    unit.self_tests.abort()
    work = unit.medium_work = MediumWork(operation, total, interrupted.done if interrupted else 0)
    unit.refresh_grants()
    try:
        yield SaveState(unit.state, unit.identity.serial, MEDIUM_WORK, lasting.to_bytes())
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
            if interrupted is not None and interrupted.plan.is_checkpoint(work.done - step.extent[1], work.done):
                yield Flush()
                yield SaveState(unit.state, unit.identity.serial, MEDIUM_WORK, lasting.at(work.done).to_bytes())
            yield from _pause(unit, step)
        yield Flush()
        yield SaveState(unit.state, unit.identity.serial, MEDIUM_WORK, None)
    except BackstoreError:
        yield from _fail(unit, failure, was_lasting=interrupted is not None)
        raise CheckCondition(operation.failed) from None
    _end(unit, None)


def _fail(unit: "LogicalUnit", failure: MediumFailure, *, was_lasting: bool = True) -> BackgroundSteps:
    """The medium is left behind; what has failed is not tried again by a restart."""
    if was_lasting:
        with suppress(BackstoreError):
            yield SaveState(unit.state, unit.identity.serial, MEDIUM_WORK, failure.to_bytes())
    _end(unit, failure)


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
