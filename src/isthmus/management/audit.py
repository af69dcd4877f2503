"""The audit trail: who has changed what, and when. One JSON object a line, the newest last, for its owner alone.

The trail is bounded: a file that has become too long gets another name, and the oldest of those goes. A line says at
most so much, however much a change has changed.
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from isthmus.management.callers import Caller

__all__ = [
    "FILE_NAME",
    "KEPT_FILES",
    "MAX_BYTES",
    "MAX_CHANGES",
    "AuditFile",
    "AuditTrail",
    "NoTrail",
    "entry",
    "record",
]

FILE_NAME: Final = "audit.jsonl"
MAX_BYTES: Final = 4 << 20
"""That a file may have before a new one is begun."""
KEPT_FILES: Final = 4
"""Older ones that are kept."""
MAX_CHANGES: Final = 1000
"""Of one entry; the rest is only counted."""
_PRIVATE: Final = 0o600
_APPEND: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW

AuditEntry = dict[str, Any]

_log = structlog.get_logger()


def entry(action: str, caller: Caller, changes: Sequence[object] = (), **values: Any) -> AuditEntry:
    """What goes into the trail: `action` is the name of an event."""
    named = [str(change) for change in changes[:MAX_CHANGES]]
    counted = {"count": len(changes), "changes": named} if changes else {}
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"time": time, "action": action, **caller.values(), **values, **counted}


class AuditTrail(Protocol):
    """Keeps what was done. Both may block."""

    def record(self, what: AuditEntry) -> None:
        """Keep it durably; raises `OSError`."""

    def newest(self, limit: int) -> list[AuditEntry]:
        """The last `limit` entries, the oldest of them first; raises `OSError`."""


def record(trail: AuditTrail, what: AuditEntry) -> list[str]:
    """Keep `what` was done, which stays done if that cannot be; gives warnings. It may block."""
    try:
        trail.record(what)
    except OSError as error:
        _log.error("audit trail not written", entry=what, reason=str(error))
        return [f"the audit trail cannot be written: {error}"]
    return []


class NoTrail:
    """Where there is nobody to be held to account."""

    def record(self, what: AuditEntry) -> None:
        """See `AuditTrail.record`."""

    def newest(self, limit: int) -> list[AuditEntry]:
        """See `AuditTrail.newest`."""
        return []


class AuditFile:
    """The trail in a directory. Safe to call from several threads."""

    def __init__(
        self, directory: Path, *, max_bytes: int = MAX_BYTES, sync: Callable[[int], None] = os.fdatasync
    ) -> None:
        self._path = directory / FILE_NAME
        self._max_bytes = max_bytes
        self._sync = sync
        self._lock = threading.Lock()

    def record(self, what: AuditEntry) -> None:
        """See `AuditTrail.record`."""
        line = json.dumps(what, ensure_ascii=True).encode() + b"\n"
        with self._lock:
            self._rotate(len(line))
            descriptor = os.open(self._path, _APPEND, _PRIVATE)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line  # A crash has cut the last one short.
                os.write(descriptor, line)
                self._sync(descriptor)
            finally:
                os.close(descriptor)

    def _rotate(self, coming: int) -> None:
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return
        if not size or size + coming <= self._max_bytes:
            return
        for number in range(KEPT_FILES - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._older(number).rename(self._older(number + 1))
        self._path.rename(self._older(1))

    def _older(self, number: int) -> Path:
        return self._path.with_name(f"{FILE_NAME}.{number}")

    def newest(self, limit: int) -> list[AuditEntry]:
        """See `AuditTrail.newest`. A line that a crash has cut short is left out."""
        with self._lock:
            found: list[AuditEntry] = []
            for path in (self._path, *map(self._older, range(1, KEPT_FILES + 1))):
                if len(found) >= limit:
                    break
                found = [*_entries(path), *found]
            return found[-limit:] if limit else []


def _entries(path: Path) -> Iterator[AuditEntry]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        with contextlib.suppress(ValueError):
            known = json.loads(line)
            if isinstance(known, dict):
                yield known
