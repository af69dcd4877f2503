import pytest

from isthmus.scsi.status import Status
from isthmus.scsi.task import GOOD, TASK_ABORTED, Response, Task, TaskState
from tests.support.scsi import Owner, make_nexus


def make_task() -> Task:
    """A task of nobody in particular."""
    return Task(nexus=make_nexus(), lun=0, tag=1, cdb=bytes(16), owner=Owner())


def test_a_new_task_is_dormant() -> None:
    """Nothing is known of a task before its CDB is parsed."""
    task = make_task()
    assert task.state is TaskState.DORMANT
    assert not task.ready
    assert (task.command, task.descriptor, task.logical_unit, task.data_out_wanted) == (None, None, None, 0)


@pytest.mark.parametrize("pieces", [[], [b"abc"], [b"a", b"", b"bc"]])
def test_data_out_as_one_buffer(pieces: list[bytes]) -> None:
    """The pieces of data-out are one run of bytes."""
    task = make_task()
    task.data_out = [memoryview(piece) for piece in pieces]
    assert bytes(task.data_out_bytes) == b"".join(pieces)


def test_one_piece_is_not_copied() -> None:
    """Data-out that came in one piece stays where it is."""
    task = make_task()
    piece = memoryview(bytearray(b"abc"))
    task.data_out = (piece,)
    assert task.data_out_bytes is piece


def test_responses_that_say_all_by_themselves() -> None:
    """GOOD and TASK ABORTED carry neither data nor sense."""
    assert Response(status=Status.GOOD, data_in=b"", sense=b"") == GOOD
    assert Response(status=Status.TASK_ABORTED, data_in=b"", sense=b"") == TASK_ABORTED
