"""The self-tests of a logical unit (SPC-5 §5.15.4), and what came of the last twenty.

A short test reads a sample of the medium, an extended one all that is mapped. In the foreground nothing else is done until
it is over; in the background everything goes on beside it, and one access at a time is the test's. What came of a test
is kept in the state store when it is over; one that a restart cuts short leaves nothing behind.
"""

import enum
import struct
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from isthmus.backstores.base import Extent, Provisioning
from isthmus.backstores.operations import BlockOperation, MapStatus, Read
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.sense import ProgressIndication, Sense, SenseData
from isthmus.scsi.state_store import SELF_TESTS, SaveState, UnitStateStore

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "KEPT_RESULTS",
    "RESULT_LENGTH",
    "SelfTestCode",
    "SelfTestResult",
    "SelfTestResults",
    "SelfTests",
    "hours_powered_on",
    "self_test",
]

KEPT_RESULTS: Final = 20
RESULT_LENGTH: Final = 16
"""Bytes of a result as the log page has it, behind the header of its parameter (SPC-5 §7.3.16)."""
_STEP: Final = 1 << 20
"""Bytes read at once."""
_SAMPLES: Final = 64
_WHOLE: Final = 0x1_0000
_NO_FAILURE: Final = 0xFFFF_FFFF_FFFF_FFFF
_MOST_HOURS: Final = 0xFFFF
_MILLISECONDS_IN_AN_HOUR: Final = 3_600_000
_LAYOUT: Final = struct.Struct(">BBHQBBBx")
_READING: Final = 1
"""The number of the one segment that a test has."""


class SelfTestCode(enum.IntEnum):
    """The SELF-TEST CODE field of SEND DIAGNOSTIC (SPC-5 §6.41)."""

    BACKGROUND_SHORT = 1
    BACKGROUND_EXTENDED = 2
    ABORT_BACKGROUND = 4
    FOREGROUND_SHORT = 5
    FOREGROUND_EXTENDED = 6

    @property
    def in_foreground(self) -> bool:
        """Whether nothing else runs meanwhile."""
        return self in (SelfTestCode.FOREGROUND_SHORT, SelfTestCode.FOREGROUND_EXTENDED)

    @property
    def is_extended(self) -> bool:
        """Whether everything is read."""
        return self in (SelfTestCode.BACKGROUND_EXTENDED, SelfTestCode.FOREGROUND_EXTENDED)


class SelfTestResult(enum.IntEnum):
    """The SELF-TEST RESULTS field (SPC-5 table 441)."""

    PASSED = 0
    ABORTED_BY_SEND_DIAGNOSTIC = 1
    ABORTED_OTHERWISE = 2
    FIRST_SEGMENT_FAILED = 5
    IN_PROGRESS = 15


class _Running:
    """A test that goes on."""

    def __init__(self, code: SelfTestCode, total: int) -> None:
        self.code = code
        self.total = total
        """Bytes to be looked at."""
        self.done = 0
        self.aborted: SelfTestResult | None = None

    @property
    def sense_data(self) -> SenseData:
        """What commands hear that cannot run meanwhile, and REQUEST SENSE; with how far it has come."""
        progress = self.done * _WHOLE // self.total if self.total else 0
        return SenseData(
            sense=Sense.LOGICAL_UNIT_NOT_READY_SELF_TEST_IN_PROGRESS,
            specific=ProgressIndication(min(progress, _WHOLE - 1)),
        )


class SelfTestResults:
    """The results of the last tests, each as the log page has it, the last one first."""

    def __init__(self, results: list[bytes] | None = None) -> None:
        self.results = results or []

    @classmethod
    def load(cls, store: UnitStateStore, unit_serial: str) -> Self:
        """As they were saved; raises `ConfigurationError` for a record of no known form."""
        record = store.load(unit_serial, SELF_TESTS) or b""
        if len(record) % RESULT_LENGTH or len(record) > KEPT_RESULTS * RESULT_LENGTH:
            raise ConfigurationError(
                f"the self-test results of unit {unit_serial} are of an unknown form",
                "serve it with the version of Isthmus that has written them",
            )
        return cls([record[start : start + RESULT_LENGTH] for start in range(0, len(record), RESULT_LENGTH)])

    def add(self, result: bytes) -> None:
        """The result of the test that was the last one."""
        self.results = [result, *self.results][:KEPT_RESULTS]

    def to_bytes(self) -> bytes:
        """The record."""
        return b"".join(self.results)


@dataclass(slots=True)
class SelfTests:
    """The test that goes on, if one does, and the results of those before."""

    results: SelfTestResults
    running: _Running | None = None

    @property
    def in_foreground(self) -> bool:
        """Whether nothing but the test may run now."""
        return self.running is not None and self.running.code.in_foreground

    def abort(self, result: SelfTestResult = SelfTestResult.ABORTED_OTHERWISE) -> bool:
        """End a background test, once what it reads now has been read; says whether there is one."""
        if self.running is None or self.running.code.in_foreground:
            return False
        self.running.aborted = self.running.aborted or result
        return True

    def shown(self, hours: int) -> list[bytes]:
        """What the log page has, the one in progress first."""
        going_on = [] if self.running is None else [_result(self.running.code, SelfTestResult.IN_PROGRESS, hours)]
        return [*going_on, *self.results.results][:KEPT_RESULTS]


def _result(
    code: SelfTestCode, result: SelfTestResult, hours: int, *, failed_lba: int = _NO_FAILURE, sense: Sense | None = None
) -> bytes:
    segment = _READING if result is SelfTestResult.FIRST_SEGMENT_FAILED else 0
    key, asc, ascq = sense.value if sense else (0, 0, 0)
    return _LAYOUT.pack(code << 5 | result, segment, min(hours, _MOST_HOURS), failed_lba, key, asc, ascq)


def hours_powered_on(unit: "LogicalUnit") -> int:
    """Since the server has started."""
    return unit.timestamp.milliseconds_powered_on // _MILLISECONDS_IN_AN_HOUR


TestSteps = Generator[BlockOperation, Any, bool]


def self_test(unit: "LogicalUnit", code: SelfTestCode) -> TestSteps:
    """Test the unit, and keep what has come of it; gives whether it has passed. No other test goes on.

    Raises no `BackstoreError`: a result that cannot be saved is still shown until the server ends.
    """
    size = unit.num_blocks * unit.block_length
    running = unit.self_tests.running = _Running(code, size)
    unit.refresh_grants()
    result = _result(code, SelfTestResult.ABORTED_OTHERWISE, hours_powered_on(unit))
    try:
        result = yield from _read(unit, running, size)
    finally:
        # Also when a foreground test is aborted with its task, which cannot wait for anything any more.
        unit.self_tests.results.add(result)
        unit.self_tests.running = None
        unit.refresh_grants()
    with suppress(BackstoreError):
        yield SaveState(unit.state, unit.identity.serial, SELF_TESTS, unit.self_tests.results.to_bytes())
    return result[0] & 0x0F == SelfTestResult.PASSED


def _read(unit: "LogicalUnit", running: _Running, size: int) -> Generator[BlockOperation, Any, bytes]:
    """Read what there is to read; gives the result."""
    ranges = _mapped(size, running) if running.code.is_extended else _samples(size, unit.block_length)
    offset = 0
    operation: BlockOperation
    answer: Any = None
    try:
        while running.aborted is None:
            operation = ranges.send(answer)
            if operation.exceeds(unit.backstore.size):
                return _result(running.code, SelfTestResult.ABORTED_OTHERWISE, hours_powered_on(unit))
            offset = operation.extent[0]
            answer = yield operation
            running.done = max(running.done, offset + operation.extent[1] if isinstance(operation, Read) else 0)
    except StopIteration:
        return _result(running.code, SelfTestResult.PASSED, hours_powered_on(unit))
    except BackstoreError as error:
        lba = (offset if error.offset is None else error.offset) // unit.block_length
        return _result(
            running.code,
            SelfTestResult.FIRST_SEGMENT_FAILED,
            hours_powered_on(unit),
            failed_lba=lba,
            sense=Sense.UNRECOVERED_READ_ERROR,
        )
    return _result(running.code, running.aborted, hours_powered_on(unit))


def _samples(size: int, block_length: int) -> Generator[BlockOperation, Any, None]:
    """Blocks that lie evenly over the medium, the first and the last among them."""
    last = size // block_length - 1
    lbas: Iterator[int] = iter(dict.fromkeys(last * index // (_SAMPLES - 1) for index in range(_SAMPLES)))
    for lba in lbas if last >= 0 else ():
        yield Read(lba * block_length, block_length)


def _mapped(size: int, running: _Running) -> Generator[BlockOperation, Any, None]:
    """Everything, but for what takes no room: that is zeros, and nothing can be wrong with it."""
    offset = 0
    while offset < size:
        extents: list[Extent] = yield MapStatus(offset, size - offset, 1)
        end = offset + extents[0].length
        if extents[0].provisioning is Provisioning.MAPPED:
            for start in range(offset, end, _STEP):
                yield Read(start, min(_STEP, end - start))
        offset = running.done = end
