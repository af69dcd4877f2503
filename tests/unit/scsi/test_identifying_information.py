"""Identifying information, over restarts."""

import errno

import pytest

from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.background import BackgroundRun
from isthmus.scsi.identifying_information import PERIPHERAL, TEXT, IdentifyingInformation
from isthmus.scsi.state_store import IDENTIFYING_INFORMATION, MemoryStateStore
from tests.support.scsi import HeldExecutor, make_unit


def test_outlives_a_restart() -> None:
    """Both kinds come back, each for itself."""
    store = MemoryStateStore()
    unit = make_unit(state=store)
    for kind, value in ((PERIPHERAL, b"\xff\0bytes"), (TEXT, b"shelf 7\0"), (PERIPHERAL, b"other")):
        executor = HeldExecutor()
        BackgroundRun(unit, executor, unit.identifying_information.change(unit, kind, value), lambda *_: None).start()
        executor.finish()
    again = IdentifyingInformation(store, unit.identity.serial)
    assert (again[PERIPHERAL], again[TEXT]) == (b"other", b"shelf 7\0")
    assert IdentifyingInformation(store, "another")[TEXT] == b""


def test_not_saved_not_changed() -> None:
    """What cannot be saved does not hold."""
    unit = make_unit()
    executor = HeldExecutor()
    errors: list[Exception | None] = []
    steps = unit.identifying_information.change(unit, TEXT, b"name\0")
    BackgroundRun(unit, executor, steps, lambda _, error: errors.append(error)).start()
    executor.finish(error=BackstoreError(errno.ENOSPC, "no room"))
    assert isinstance(errors[0], BackstoreError)
    assert unit.identifying_information[TEXT] == b""


@pytest.mark.parametrize("record", [b"", b"\0\0\0", b"\0\0\0\2\0\0\1", b"\0\0\0\2\0\0\0", b"\0\0\0\3\0\0"])
def test_unknown_record(record: bytes) -> None:
    """A record that does not hold both kinds, and nothing else, is refused."""
    store = MemoryStateStore()
    store.save("serial", IDENTIFYING_INFORMATION, record)
    with pytest.raises(ConfigurationError, match="unknown form"):
        IdentifyingInformation(store, "serial")
