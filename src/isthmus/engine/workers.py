"""Threads for block operations that may block, so that one slow disk never stalls another session.

Each backstore has a crew of its own. A crew starts with one worker and grows only while an operation is taking long and
others wait behind it: operations that the page cache absorbs take microseconds, and a second thread would cost them more
in hand-overs of the interpreter than it saves; a disk that is waited for gets as many as `MAX_WORKERS` at once.
"""

import threading
import time
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import WOULD_BLOCK, BlockOperation
from isthmus.errors import BackstoreError
from isthmus.scsi.block_executor import Done

__all__ = ["WorkerPool"]

MAX_WORKERS: Final = 16
"""Operations of one backstore under way at once (tgt: 16 threads a unit)."""
STALL: Final = 0.001
"""Seconds that an operation may take before the crew grows."""
IDLE: Final = 5.0
"""Seconds after which a worker with nothing to do goes home."""

_Job = tuple[BlockOperation, Done]


class WorkerPool:
    """Runs block operations: at once where that cannot block, else on the crew of their backstore."""

    def __init__(self, loop: AbstractEventLoop, after_batch: Callable[[], None] = lambda: None) -> None:
        """`after_batch` is called on the loop after each batch of results has been delivered."""
        self._loop = loop
        self._after_batch = after_batch
        self._crews: dict[Backstore, _Crew] = {}
        self._results: deque[tuple[Done, Any, BackstoreError | None]] = deque()
        self._waking = False

    def submit(self, backstore: Backstore, operation: BlockOperation, done: Done) -> None:
        """Run `operation`; `done` gets its result, before this returns if nothing had to be waited for."""
        try:
            result = operation.run_inline(backstore)
        except BackstoreError as error:
            done(None, error)
            return
        if result is not WOULD_BLOCK:
            done(result, None)
            return
        crew = self._crews.get(backstore)
        if crew is None:
            crew = self._crews[backstore] = _Crew(backstore, self)
        crew.put((operation, done))

    def post(self, done: Done, result: object, error: BackstoreError | None) -> None:
        """A worker has finished: called on its thread."""
        self._results.append((done, result, error))
        if not self._waking:
            self._waking = True
            self._loop.call_soon_threadsafe(self._deliver)

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call on the loop after `delay` seconds."""
        self._loop.call_later(delay, callback)

    def _deliver(self) -> None:
        self._waking = False
        while self._results:
            done, result, error = self._results.popleft()
            done(result, error)
        self._after_batch()

    @property
    def busy(self) -> bool:
        """Whether an operation is waiting or under way, or a result is not delivered yet."""
        return bool(self._results) or any(crew.backlog for crew in self._crews.values())

    def release(self, backstore: Backstore) -> None:
        """The backstore goes away: let its workers go, once they have finished."""
        crew = self._crews.pop(backstore, None)
        if crew is not None:
            crew.dismiss()


class _Crew:
    """The workers of one backstore."""

    def __init__(self, backstore: Backstore, pool: WorkerPool) -> None:
        self._backstore = backstore
        self._pool = pool
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._workers = 0
        self._lock = threading.Lock()
        self._watching = False
        self._finished = 0
        self.backlog = 0
        """Jobs put that are not finished; counted on the loop and on the workers, under the lock."""

    def put(self, job: _Job) -> None:
        with self._lock:
            self.backlog += 1
            hire = self._workers == 0
            self._workers += hire
        self._jobs.put(job)
        if hire:
            self._hire()
        if self.backlog > 1 and not self._watching:
            self._watching = True
            finished = self._finished
            self._pool.call_later(STALL, lambda: self._watch(finished))

    def _watch(self, finished_before: int) -> None:
        """If nothing was finished since `finished_before` and jobs wait, one more worker helps."""
        self._watching = False
        if not self._jobs.qsize():
            return
        if self._finished == finished_before and self._workers < MAX_WORKERS:
            with self._lock:
                self._workers += 1
            self._hire()
        self._watching = True
        finished = self._finished
        self._pool.call_later(STALL, lambda: self._watch(finished))

    def _hire(self) -> None:
        threading.Thread(target=self._work, name=f"isthmus-{self._backstore.kind}", daemon=True).start()

    def dismiss(self) -> None:
        for _ in range(MAX_WORKERS):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            operation, done = job
            started = time.monotonic()
            result: object = None
            failure: BackstoreError | None = None
            try:
                result = operation.run(self._backstore)
            except BackstoreError as error:
                failure = error
            except Exception as error:  # noqa: BLE001  whatever it was, the task must get an end
                failure = BackstoreError(0, f"{type(error).__name__}: {error}")
            with self._lock:
                self.backlog -= 1
                self._finished += 1
            self._pool.post(done, result, failure)
            if time.monotonic() - started < STALL and self._one_too_many():
                return

    def _next_job(self) -> _Job | None:
        try:
            return self._jobs.get(timeout=IDLE)
        except Empty:
            return self._next_or_leave()

    def _next_or_leave(self) -> _Job | None:
        """Leave, unless a job came in just now: `put` hires only when it sees no worker, under the same lock."""
        with self._lock:
            try:
                return self._jobs.get_nowait()
            except Empty:
                self._workers -= 1
                return None

    def _one_too_many(self) -> bool:
        """A quick operation: the others can do without this worker, if there are others."""
        with self._lock:
            if self._workers > 1 and not self._jobs.qsize():
                self._workers -= 1
                return True
            return False
