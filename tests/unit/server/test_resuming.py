import structlog

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.scsi.block_executor import ImmediateExecutor
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.medium_plan import Interrupted, MediumPlan
from isthmus.scsi.medium_work import MediumFailure, MediumOperation
from isthmus.scsi.state_store import MEDIUM_WORK, MemoryStateStore
from isthmus.server.resuming import resume

SIZE = 16 << 20
PLAN = MediumPlan(length=SIZE, block=b"\xaa" * 512)


def interrupted(content: bytes) -> LogicalUnit:
    """A unit of which the server has overwritten one half, they say."""
    disk, store = RamdiskBackstore("x", SIZE), MemoryStateStore()
    disk.write(0, [content])
    serial = LogicalUnit(disk).identity.serial
    record = MediumFailure(MediumOperation.SANITIZE, interrupted=Interrupted(PLAN, SIZE // 2))
    store.save(serial, MEDIUM_WORK, record.to_bytes())
    return LogicalUnit(disk, state=store)


def told(unit: LogicalUnit) -> list[str]:
    """Resume it; gives what the log says."""
    with structlog.testing.capture_logs() as lines:
        resume(unit, ImmediateExecutor())
    return [line["event"] for line in lines]


def test_it_goes_on() -> None:
    """And the log tells of both ends."""
    unit = interrupted(PLAN.block * (SIZE // 1024))
    assert told(unit) == ["a sanitize operation goes on", "a sanitize operation is over"]
    assert unit.is_ready


def test_it_does_not() -> None:
    """The medium is another one."""
    unit = interrupted(b"data" * 128)
    assert told(unit) == ["a sanitize operation goes on", "a sanitize operation did not go on"]
    assert not unit.is_ready


def test_there_is_nothing() -> None:
    """The usual case is told to nobody."""
    assert told(LogicalUnit(RamdiskBackstore("x", SIZE))) == []
