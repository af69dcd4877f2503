import errno
import itertools
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from isthmus.backstores.synchronization import Flusher, OpenFilePool, SyncFailures
from isthmus.errors import BackstoreError
from tests.support.backstore_model import open_descriptors
from tests.support.patience import PATIENCE


class SlowSync:
    """Stands in for fdatasync: each call waits until it is let go, and then ends as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.started = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.error = 0
        monkeypatch.setattr(os, "fdatasync", self)

    def __call__(self, descriptor: int) -> None:
        self.calls += 1
        self.started.release()
        assert self.go.acquire(timeout=PATIENCE)
        if self.error:
            error, self.error = self.error, 0  # told once, as the system does
            raise OSError(error, os.strerror(error))


class Tickets:
    """The tickets of a flusher, which also tell that somebody drew one."""

    def __init__(self) -> None:
        self.drawn = threading.Semaphore(0)
        self._numbers = itertools.count()

    def __next__(self) -> int:
        number = next(self._numbers)
        self.drawn.release()
        return number


def flush_behind(sync: SlowSync, flusher: Flusher, threads: ThreadPoolExecutor, count: int) -> list[Future[None]]:
    """The first flush is under way, and `count` more have asked and wait for their turn."""
    tickets = Tickets()
    flusher._tickets = tickets  # type: ignore[assignment]
    futures = [threads.submit(flusher.flush)]
    assert sync.started.acquire(timeout=PATIENCE)
    futures += [threads.submit(flusher.flush) for _ in range(count)]
    for _ in range(2 + count):  # the first drew a second one when its flush began
        assert tickets.drawn.acquire(timeout=PATIENCE)
    return futures


def test_those_who_wait_share_the_next_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """One flush for the first, one for all who came while it ran: their writes may be later than its start."""
    sync = SlowSync(monkeypatch)
    flusher = Flusher(-1, Path("disk"), SyncFailures())
    with ThreadPoolExecutor(8) as threads:
        futures = flush_behind(sync, flusher, threads, 6)
        sync.go.release()
        sync.go.release()
        for future in futures:
            future.result(10)
    assert sync.calls == 2


def test_those_who_wait_share_the_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system tells of a lost write once; everybody whose write may be the lost one hears of it."""
    sync = SlowSync(monkeypatch)
    flusher = Flusher(-1, Path("disk"), SyncFailures())
    sync.error = errno.EIO
    with ThreadPoolExecutor(8) as threads:
        futures = flush_behind(sync, flusher, threads, 6)
        sync.go.release()
        for future in futures:
            with pytest.raises(BackstoreError, match="may be lost"):
                future.result(10)
    assert sync.calls == 1


def test_every_flush_that_comes_later_is_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush covers what was written before it, not what comes after."""
    sync = SlowSync(monkeypatch)
    flusher = Flusher(-1, Path("disk"), SyncFailures())
    for count in (1, 2, 3):
        sync.go.release()
        flusher.flush()
        assert sync.calls == count


@pytest.mark.parametrize(
    ("number", "told"), [(errno.EIO, errno.EIO), (errno.ENOSPC, errno.EIO), (errno.ENODEV, errno.ENODEV)]
)
def test_lost_writes_are_a_medium_error(number: int, told: int) -> None:
    """Also if the reason is that there was no room: more room would not bring them back."""
    failures = SyncFailures()
    failures.check()
    assert failures.record(BackstoreError(number, "flushing", offset=7)).errno == told
    with pytest.raises(BackstoreError) as caught:
        failures.check()
    assert caught.value.errno == told


def test_the_first_failure_stands() -> None:
    """What comes after it may only follow from it."""
    failures = SyncFailures()
    failures.record(BackstoreError(errno.EIO, "first"))
    failures.record(BackstoreError(errno.ENODEV, "second"))
    with pytest.raises(BackstoreError, match="first"):
        failures.check()


def test_no_two_borrowers_share_an_open_file(tmp_path: Path) -> None:
    """Each has its own, of the same file; what comes back is lent again."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    source = os.open(path, os.O_RDWR)
    before = open_descriptors()
    pool = OpenFilePool(source)
    path.rename(tmp_path / "renamed")
    with pool.borrow() as first, pool.borrow() as second:
        assert first != second
        assert os.lseek(first, 3, os.SEEK_SET) == 3
        assert os.lseek(second, 0, os.SEEK_CUR) == 0, "they share an open file"
        assert os.pread(second, 7, 0) == b"content"
    with pool.borrow() as third:
        assert third in (first, second)
    pool.close()
    assert open_descriptors() == before
    os.close(source)
