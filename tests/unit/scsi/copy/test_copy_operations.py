"""What a unit remembers of its copies."""

import pytest

from isthmus.scsi.copy.copy_operations import CopyOperations, CopyState
from isthmus.scsi.copy.limits import MAX_CONCURRENT_COPIES, MAX_KEPT_OPERATIONS
from isthmus.scsi.sense import CheckCondition, Sense, SenseData
from tests.support.scsi import make_nexus

A, B = make_nexus(isid=1), make_nexus(isid=2)


def test_known_to_its_nexus_by_its_identifier() -> None:
    """Each nexus has its own identifiers."""
    operations = CopyOperations()
    copy = operations.begin(A, 1, 0x00)
    assert operations.find(A, 1) is copy
    assert operations.find(B, 1) is None
    assert operations.find(A, 2) is None
    assert operations.in_progress == {copy}


def test_an_identifier_in_use() -> None:
    """It is free for another copy when the first is over."""
    operations = CopyOperations()
    first = operations.begin(A, 1, 0x00)
    with pytest.raises(CheckCondition) as caught:
        operations.begin(A, 1, 0x01)
    assert caught.value.sense_data.sense is Sense.OPERATION_IN_PROGRESS
    operations.begin(B, 1, 0x00)
    first.end(CopyState.COMPLETED)
    assert operations.begin(A, 1, 0x01) is operations.find(A, 1)


def test_without_identifier() -> None:
    """Such copies do not get in each other's way, and cannot be found."""
    operations = CopyOperations()
    copies = [operations.begin(A, None, 0x00) for _ in range(3)]
    assert operations.in_progress == set(copies)


def test_too_many_at_once() -> None:
    """The limit is of copies in progress."""
    operations = CopyOperations()
    copies = [operations.begin(A, number, 0x00) for number in range(MAX_CONCURRENT_COPIES)]
    with pytest.raises(CheckCondition) as caught:
        operations.begin(B, 1, 0x00)
    assert caught.value.sense_data.sense is Sense.INSUFFICIENT_RESOURCES
    copies[0].end(CopyState.FAILED)
    operations.begin(B, 1, 0x00)


def test_the_oldest_that_is_over_is_forgotten() -> None:
    """What is kept is bounded, and no copy in progress is forgotten for that."""
    operations = CopyOperations()
    lasting = operations.begin(A, 0, 0x00)
    for number in range(1, MAX_KEPT_OPERATIONS + 1):
        operations.begin(A, number, 0x00).end(CopyState.COMPLETED)
    assert operations.find(A, 0) is lasting
    assert operations.find(A, 1) is None
    assert operations.find(A, 2) is not None


def test_the_end() -> None:
    """Who waits is told, once; who comes later, at once."""
    copy = CopyOperations().begin(A, 1, 0x00)
    told: list[str] = []
    copy.when_over(lambda: told.append("waited"))
    copy.transferred(100)
    assert (copy.in_progress, copy.bytes_transferred, copy.steps, told) == (True, 100, 1, [])
    sense_data = SenseData(sense=Sense.COPY_ABORTED)
    copy.end(CopyState.FAILED, sense_data)
    copy.when_over(lambda: told.append("late"))
    assert (copy.state, copy.sense_data, told) == (CopyState.FAILED, sense_data, ["waited", "late"])


def test_a_nexus_that_is_lost() -> None:
    """Its copies are to end, and are known no more; those of others stay."""
    operations = CopyOperations()
    lost, other = operations.begin(A, 1, 0x00), operations.begin(B, 1, 0x00)
    operations.nexus_lost(A)
    assert (lost.abort_requested, other.abort_requested) == (True, False)
    assert (operations.find(A, 1), operations.find(B, 1)) == (None, other)


def test_reset() -> None:
    """Every copy is to end, and none is known any more."""
    operations = CopyOperations()
    copies = [operations.begin(nexus, 1, 0x00) for nexus in (A, B)]
    operations.reset()
    assert all(copy.abort_requested for copy in copies)
    assert operations.find(A, 1) is None
