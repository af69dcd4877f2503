"""Threads for block operations that may block, so that one slow disk never stalls another session.

Each backstore has a crew of its own. A crew starts with one worker and grows only while an operation is taking long and
others wait behind it: operations that the page cache absorbs take microseconds, and a second thread would cost them more
in hand-overs of the interpreter than it saves; a disk that is waited for gets as many as `MAX_WORKERS` at once.

What is submitted together is handed over with one wake-up, and what is finished together comes back with one. What was
finished before an operation that takes long does not wait for it: the loop looks after a crew for which jobs wait.
"""

import contextlib
import os
import threading
import time
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol

import structlog

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import WOULD_BLOCK, BlockOperation
from isthmus.engine.failure_log import FailureLog
from isthmus.errors import BackstoreError
from isthmus.scsi.block_executor import Done

__all__ = ["Job", "Runnable", "WorkerPool"]

MAX_WORKERS: Final = 16
"""Operations of one backstore under way at once (tgt: 16 threads a unit)."""
STALL: Final = 0.004
"""Seconds that an operation may take before the crew grows."""
PATIENCE: Final = 0.0002
"""Seconds for which finished operations may wait for others to come back together with."""
IDLE: Final = 5.0
"""Seconds after which a worker with nothing to do goes home."""

_log = structlog.get_logger()


class Runnable(Protocol):
    """What a worker needs of an operation."""

    def run(self, backstore: Backstore) -> Any:
        """Do it; raises `BackstoreError`."""


Job = tuple[Runnable, Done]
_Result = tuple[Done, Any, Exception | None]


class WorkerPool:
    """Runs block operations: at once where that cannot block, else on the crew of their backstore."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        after_batch: Callable[[], None] = lambda: None,
        on_slow: Callable[[], None] = lambda: None,
    ) -> None:
        """`after_batch` is called on the loop after each batch of results has been delivered; `on_slow` when jobs take long."""
        self._loop = loop
        self._after_batch = after_batch
        self._on_slow = on_slow
        self._failures = FailureLog()
        self._crews: dict[Backstore, _Crew] = {}
        self._results: deque[_Result] = deque()
        self._under_way = 0
        self.delivering = False
        """Whether results are being delivered, so that `after_batch` is still to come."""
        self._bell = _Bell()
        loop.add_reader(self._bell.descriptor, self._answer_bell)

    def submit(self, backstore: Backstore, operation: BlockOperation, done: Done) -> None:
        """Run `operation`; `done` gets its result, before this returns if nothing had to be waited for."""
        try:
            result = operation.run_inline(backstore)
        except BackstoreError as error:
            self._failures.report(backstore, error)
            done(None, error)
            return
        if result is WOULD_BLOCK:
            self._hand_over(backstore, ((operation, done),))
        else:
            done(result, None)

    def submit_many(self, backstore: Backstore, jobs: Sequence[Job]) -> bool:
        """Run all of `jobs`, in any order. True: results, or `on_slow`, come within `STALL`."""
        if not backstore.never_blocks:
            self._hand_over(backstore, jobs)
            return True
        for operation, done in jobs:
            done(*_outcome(operation, backstore, self._failures))
        return False

    def _hand_over(self, backstore: Backstore, jobs: Sequence[Job]) -> None:
        crew = self._crews.get(backstore)
        if crew is None:
            crew = self._crews[backstore] = _Crew(
                backstore, self._loop, self._results, self._bell, self._failures, self._deliver, self._on_slow
            )
        self._under_way += len(jobs)
        crew.put(jobs)

    def _answer_bell(self) -> None:
        os.eventfd_read(self._bell.descriptor)
        self._deliver()

    def _deliver(self) -> None:
        results = self._results
        self.delivering = True
        try:
            while results:
                done, result, error = results.popleft()
                self._under_way -= 1
                done(result, error)
        finally:
            self.delivering = False
            if results:
                self._bell.ring()  # A receiver has failed: the others get theirs in the next turn.
            self._after_batch()

    def close(self) -> None:
        """Let go of the loop; the workers finish what they have, unheard, and go home by themselves."""
        for backstore in list(self._crews):
            self.release(backstore)
        self._loop.remove_reader(self._bell.descriptor)

    @property
    def busy(self) -> bool:
        """Whether an operation is waiting or under way, or its result is not delivered yet."""
        return self._under_way > 0

    def release(self, backstore: Backstore) -> None:
        """Let the workers of a backstore that goes away go too, once they have finished."""
        crew = self._crews.pop(backstore, None)
        if crew is not None:
            crew.dismiss()


class _Bell:
    """Wakes the loop from a worker; open for as long as anybody may ring it.

    An eventfd of our own: writing it lets go of the interpreter, so that the loop wakes to a free one. It takes less than
    half the time of call_soon_threadsafe.
    """

    __slots__ = ("descriptor",)

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def __del__(self) -> None:
        os.close(self.descriptor)

    def ring(self) -> None:
        os.eventfd_write(self.descriptor, 1)


class _Crew:
    """The workers of one backstore."""

    def __init__(
        self,
        backstore: Backstore,
        loop: AbstractEventLoop,
        results: deque[_Result],
        bell: _Bell,
        failures: FailureLog,
        deliver: Callable[[], None],
        on_slow: Callable[[], None],
    ) -> None:
        """Workers put into `results` and ring the `bell`; `deliver` is called on the loop for what has not been rung."""
        self._backstore = backstore
        self._loop = loop
        self._results = results
        self._bell = bell
        self._failures = failures
        self._deliver = deliver
        self._on_slow = on_slow
        self._jobs: deque[Job] = deque()
        self._wake: SimpleQueue[bool] = SimpleQueue()
        """A token for each batch put; False sends a worker home."""
        self._lock = threading.Lock()
        self._workers = 0
        """Changed under the lock."""
        self._finished = 0
        """Only compared with its own past: what two workers count at once may get lost."""
        self._watching = False
        self._short_of_threads = False

    def put(self, jobs: Sequence[Job]) -> None:
        self._jobs.extend(jobs)
        self._wake.put(True)
        if not self._workers:
            self._hire()
        if not self._watching:
            self._watch_from(self._finished)

    def _watch_from(self, finished: int) -> None:
        self._watching = True
        self._loop.call_later(STALL, self._watch, finished)

    def _watch(self, finished_before: int) -> None:
        """If jobs wait and nothing was finished meanwhile, one more worker helps."""
        if self._results:
            self._deliver()
        self._on_slow()
        self._watching = bool(self._jobs)
        if not self._watching:
            return
        if self._finished == finished_before and self._workers < MAX_WORKERS:
            self._wake.put(True)
            self._hire()
        self._watch_from(self._finished)

    def _hire(self) -> None:
        with self._lock:
            self._workers += 1
        try:
            threading.Thread(target=self._work, name=f"isthmus-{self._backstore.kind}", daemon=True).start()
        except RuntimeError as error:
            # While jobs wait, `_watch` tries again.
            with self._lock:
                self._workers -= 1
            if not self._short_of_threads:
                _log.error("cannot start a thread", reason=str(error), backstore=self._backstore.identity)
            self._short_of_threads = True
        else:
            self._short_of_threads = False

    def dismiss(self) -> None:
        for _ in range(MAX_WORKERS):
            self._wake.put(False)

    def _work(self) -> None:
        # A worker that is woken must not push the loop, which holds the interpreter, off its processor: it could not run.
        with contextlib.suppress(OSError):  # Where that is not allowed, it costs speed and nothing else.
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        while self._stay():
            self._run_jobs()

    def _run_jobs(self) -> None:
        """Run what there is, and bring back results in batches, but none later than `PATIENCE` after the first."""
        rung = time.monotonic()
        ring = False
        while True:
            try:
                operation, done = self._jobs.popleft()
            except IndexError:
                break
            self._results.append((done, *_outcome(operation, self._backstore, self._failures)))
            self._finished += 1
            now = time.monotonic()
            ring = now - rung <= PATIENCE
            if not ring:
                self._bell.ring()
                rung = now
        if ring:
            self._bell.ring()

    def _stay(self) -> bool:
        """Wait for the next batch; False when this worker goes home."""
        try:
            token = self._wake.get(timeout=IDLE)
        except Empty:
            token = False
        if token:
            return True
        with self._lock:
            # `put` hires when it sees no worker; one that leaves must not have missed what was put before that.
            if self._workers == 1 and self._jobs:
                return True
            self._workers -= 1
        return False


def _outcome(operation: Runnable, backstore: Backstore, failures: FailureLog) -> tuple[Any, Exception | None]:
    try:
        return operation.run(backstore), None
    except BackstoreError as error:
        failures.report(backstore, error)
        return None, error
    except Exception as error:  # noqa: BLE001  whatever it was, the task must get an end
        return None, error
