import errno
from typing import Any

import pytest

from isthmus.backstores.operations import Flush, Read
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.errors import BackstoreError
from isthmus.scsi.block_executor import ImmediateExecutor


class FullBackstore(RamdiskBackstore):
    """Cannot flush."""

    def flush(self) -> None:
        raise BackstoreError(errno.ENOSPC, "full")


def test_result_comes_at_once() -> None:
    """The operation is done when `submit` returns."""
    results: list[Any] = []
    ImmediateExecutor().submit(RamdiskBackstore("disk", 4096), Read(0, 3), lambda *ends: results.append(ends))
    assert [(bytes(result), error) for result, error in results] == [(bytes(3), None)]


def test_failure_is_handed_over() -> None:
    """A failure of the storage is a result too."""
    results: list[Any] = []
    ImmediateExecutor().submit(FullBackstore("disk", 4096), Flush(), lambda *ends: results.append(ends))
    ((result, error),) = results
    assert result is None
    assert error.errno == errno.ENOSPC


def test_the_callback_s_own_failure_is_not_the_operation_s() -> None:
    """What `done` raises goes to the caller, and `done` is not called again."""
    calls: list[object] = []

    def done(result: object, error: Exception | None) -> None:
        calls.append(error)
        raise BackstoreError(errno.EIO, "from the callback")

    with pytest.raises(BackstoreError):
        ImmediateExecutor().submit(RamdiskBackstore("disk", 4096), Flush(), done)
    assert calls == [None]
