import errno
import threading

import pytest
from structlog.testing import capture_logs

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.engine.failure_log import PERIOD, FailureLog
from isthmus.errors import BackstoreError

ERROR = BackstoreError(errno.EIO, "writing /srv/disk.img: Input/output error", offset=4096)


class Clock:
    """A time that passes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def disk(name: str = "disk") -> RamdiskBackstore:
    """Storage to be blamed."""
    return RamdiskBackstore(name, 4096)


def test_what_is_said() -> None:
    """Which storage, what it met, and where."""
    with capture_logs() as entries:
        FailureLog().report(disk(), ERROR)
    assert entries == [
        {
            "event": "storage failure",
            "log_level": "warning",
            "storage": "ramdisk:disk",
            "problem": "writing /srv/disk.img: Input/output error",
            "errno": "EIO",
            "offset": 4096,
            "not_logged_before": 0,
        }
    ]


def test_an_unknown_reason() -> None:
    """A number that the system has no name for is a number."""
    with capture_logs() as entries:
        FailureLog().report(disk(), BackstoreError(99_999, "odd"))
    assert entries[0]["errno"] == "99999"


def test_not_more_than_once_in_a_period() -> None:
    """The next entry says how many there were in between."""
    clock, storage = Clock(), disk()
    log = FailureLog(clock)
    with capture_logs() as entries:
        for now in (0.0, 0.1, PERIOD - 0.1, PERIOD, PERIOD + 1, 3 * PERIOD):
            clock.now = now
            log.report(storage, ERROR)
    assert [entry["not_logged_before"] for entry in entries] == [0, 2, 1]


def test_each_storage_has_its_own_turn() -> None:
    """A broken disk does not keep another one from being heard."""
    log = FailureLog(Clock())
    storages = [disk("a"), disk("b")]
    with capture_logs() as entries:
        for storage in storages * 3:
            log.report(storage, ERROR)
    assert [entry["storage"] for entry in entries] == ["ramdisk:a", "ramdisk:b"]


def test_storage_that_is_gone_is_forgotten() -> None:
    """A server that runs for years must not remember every disk that it had."""
    log = FailureLog(Clock())
    storage = disk()
    with capture_logs():
        log.report(storage, ERROR)
    assert len(log._entries) == 1
    del storage
    assert len(log._entries) == 0


@pytest.mark.parametrize("threads", [8])
def test_many_at_once(threads: int) -> None:
    """Of failures that happen together one is logged, and none is lost from the count."""
    clock, storage = Clock(), disk()
    log = FailureLog(clock)

    def fail_often() -> None:
        for _ in range(50):
            log.report(storage, ERROR)

    with capture_logs() as entries:
        workers = [threading.Thread(target=fail_often) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        clock.now = PERIOD
        log.report(storage, ERROR)
    assert [entry["not_logged_before"] for entry in entries] == [0, threads * 50 - 1]
