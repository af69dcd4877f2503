import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from isthmus.backstores.base import Space
from isthmus.backstores.fileio import FileBackstore
from isthmus.backstores.operations import MeasureSpace
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import BackstoreError
from isthmus.scsi.block_executor import BlockExecutor, ImmediateExecutor
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.sense import Sense
from isthmus.scsi.thresholds import Resource, Threshold, Thresholds
from isthmus.server.unit_watch import AT_ONCE, MEASURE_EVERY, UnitWatch
from tests.support.scsi import HeldExecutor, make_nexus, make_unit

USED = Thresholds(enabled=(Threshold(resource=Resource.USED, count=0, place=24),))
REACHED = Sense.THIN_PROVISIONING_SOFT_THRESHOLD_REACHED


class Timer:
    """A timer that can be cancelled."""

    def __init__(self, loop: "Loop") -> None:
        self._loop = loop

    def cancel(self) -> None:
        self._loop.waiting.clear()


class Loop:
    """The one thing that is asked of a loop."""

    def __init__(self) -> None:
        self.waiting: list[object] = []
        self.soon: list[Callable[[], object]] = []

    def call_later(self, delay: float, callback: object) -> Timer:
        assert delay == MEASURE_EVERY
        self.waiting.append(callback)
        return Timer(self)

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        self.soon.append(lambda: callback(*args))

    def turn(self) -> None:
        """Others have had the loop."""
        callbacks, self.soon = self.soon, []
        for callback in callbacks:
            callback()

    def tick(self) -> None:
        """The time has come."""
        (callback,), self.waiting = self.waiting, []
        assert callable(callback)
        callback()


def watch(executor: BlockExecutor, *units: LogicalUnit) -> tuple[UnitWatch, Loop]:
    """A watch over `units` that has started."""
    loop = Loop()
    watch = UnitWatch(units, executor, cast("asyncio.AbstractEventLoop", loop))
    watch.start()
    return watch, loop


def thin_unit(monkeypatch: pytest.MonkeyPatch) -> LogicalUnit:
    """A unit whose initiators want to be warned when anything is used."""
    unit = make_unit()
    monkeypatch.setattr(type(unit.mode), "thresholds", USED)
    return unit


def test_many_units_are_measured_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have the loop in between; one that has gone by then is left alone."""
    units = dict.fromkeys(thin_unit(monkeypatch) for _ in range(3 * AT_ONCE))
    executor = HeldExecutor()
    loop = Loop()
    watch = UnitWatch(units, executor, cast("asyncio.AbstractEventLoop", loop))
    watch.start()
    loop.tick()
    assert len(executor.under_way) == AT_ONCE
    loop.turn()
    assert len(executor.under_way) == 2 * AT_ONCE
    for unit in list(units)[2 * AT_ONCE + 1 :]:
        del units[unit]
    loop.turn()
    assert len(executor.under_way) == 2 * AT_ONCE + 1
    assert not loop.soon


def test_a_threshold_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured is compared, again and again."""
    unit = thin_unit(monkeypatch)
    nexus = make_nexus(unit)
    unit.attach(nexus)
    unit.unit_attentions.clear(nexus)
    _, loop = watch(ImmediateExecutor(), unit)
    loop.tick()
    assert unit.unit_attentions.pending(nexus) is None
    unit.backstore.write(0, [bytes(1 << 20)])
    loop.tick()
    assert unit.unit_attentions.pending(nexus) is REACHED


def test_nothing_is_measured_for_nobody() -> None:
    """A unit without thresholds costs no system call."""
    executor = HeldExecutor()
    _, loop = watch(executor, make_unit())
    loop.tick()
    assert executor.operations == []


def test_one_measurement_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage that hangs is not asked twice; when it has failed it is asked again."""
    executor, unit = HeldExecutor(), thin_unit(monkeypatch)
    _, loop = watch(executor, unit)
    loop.tick()
    loop.tick()
    assert executor.operations == [MeasureSpace()]
    executor.finish(error=BackstoreError(errno.EIO, "broken"))
    loop.tick()
    assert executor.operations == [MeasureSpace()]


def test_the_end() -> None:
    """Nothing is measured after it; and it may come twice."""
    watched, loop = watch(ImmediateExecutor(), make_unit())
    watched.stop()
    watched.stop()
    assert loop.waiting == []


def file_unit(path: Path, size: int) -> LogicalUnit:
    """A unit in a file."""
    return LogicalUnit(
        FileBackstore.open(BackstoreSpec(kind="fileio", path=str(path), size=size, create=True)), block_length=4096
    )


def test_files_that_have_another_size(tmp_path: Path) -> None:
    """Each unit takes its own, says so, and tells its initiators; one that has the size that it had does not."""
    units = [file_unit(tmp_path / name, 1 << 20) for name in ("a", "b", "c")]
    nexus = make_nexus(*units)
    for unit in units:
        unit.attach(nexus)
        unit.unit_attentions.clear(nexus)
    os.truncate(tmp_path / "a", 2 << 20)
    os.truncate(tmp_path / "c", 8192 + 100)
    watched, _ = watch(ImmediateExecutor(), *units)
    with capture_logs() as entries:
        watched.follow_sizes()
    assert [unit.num_blocks for unit in units] == [512, 256, 2]
    changed = Sense.CAPACITY_DATA_HAS_CHANGED
    assert [unit.unit_attentions.pending(nexus) for unit in units] == [changed, None, changed]
    assert [(entry["event"], entry["storage"], entry["bytes"]) for entry in entries] == [
        ("size changed", units[0].backstore.identity, 2 << 20),
        ("size changed", units[2].backstore.identity, 8192),
    ]
    for unit in units:
        unit.backstore.close()


def test_a_file_that_has_become_too_short(tmp_path: Path) -> None:
    """The unit keeps its size, and the log says why."""
    unit = file_unit(tmp_path / "a", 1 << 20)
    os.truncate(tmp_path / "a", 100)
    watched, _ = watch(ImmediateExecutor(), unit)
    with capture_logs() as entries:
        watched.follow_sizes()
    assert unit.num_blocks == 256
    assert (entries[0]["log_level"], entries[0]["bytes"]) == ("warning", 1 << 20)
    unit.backstore.close()


def test_space_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage that does not tell reaches no threshold."""
    unit = thin_unit(monkeypatch)
    nexus = make_nexus(unit)
    unit.attach(nexus)
    unit.unit_attentions.clear(nexus)
    spaces: list[Space | None] = [None, Space(used=1 << 30, available=0)]
    monkeypatch.setattr(unit.backstore, "space", lambda: spaces.pop(0))
    _, loop = watch(ImmediateExecutor(), unit)
    loop.tick()
    assert unit.unit_attentions.pending(nexus) is None
    loop.tick()
    assert unit.unit_attentions.pending(nexus) is REACHED
