import pytest

from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb, invalid_in_list, parameter_list
from isthmus.scsi.task import Task
from tests.support.scsi import Owner, make_nexus


def task_with(*pieces: bytes, wanted: int) -> Task:
    """A task whose data-out is there."""
    task = Task(nexus=make_nexus(), lun=0, tag=1, cdb=bytes(16), owner=Owner())
    task.data_out = tuple(map(memoryview, pieces))
    task.data_out_wanted = wanted
    return task


@pytest.mark.parametrize("length", [0, 2, 4, 9])
def test_allocated(length: int) -> None:
    """Data-in is cut to the allocation length, and never filled up to it."""
    assert allocated(b"abcd", length).data_in == b"abcd"[:length]


def test_parameter_list() -> None:
    """A list in pieces is one list."""
    assert parameter_list(task_with(b"ab", b"c", wanted=3)) == b"abc"
    assert parameter_list(task_with(wanted=0)) == b""


def test_short_parameter_list() -> None:
    """A list that is not all there is no list."""
    with pytest.raises(CheckCondition) as caught:
        parameter_list(task_with(b"ab", wanted=3))
    assert caught.value.sense_data.sense is Sense.PARAMETER_LIST_LENGTH_ERROR


def test_field_pointers() -> None:
    """Each refusal names its field, of the CDB or of the list."""
    cdb, parameters = invalid_in_cdb(3, 5).sense_data, invalid_in_list(9).sense_data
    assert (cdb.sense, cdb.specific) == (Sense.INVALID_FIELD_IN_CDB, FieldPointer(3, 5))
    expected = (Sense.INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(9, in_cdb=False))
    assert (parameters.sense, parameters.specific) == expected
