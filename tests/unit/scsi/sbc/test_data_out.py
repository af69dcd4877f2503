import pytest

from isthmus.scsi.sbc.data_out import exact_data_out, whole_blocks
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.task import Task
from tests.support.disk import NEXUS, Owner


def task_with(*pieces: bytes, offered: int | None = None) -> Task:
    """A task whose data-out came in `pieces`."""
    task = Task(nexus=NEXUS, lun=0, tag=1, cdb=bytes(10), owner=Owner(), data_out_offered=offered)
    task.data_out = tuple(map(memoryview, pieces))
    return task


@pytest.mark.parametrize(("pieces", "length"), [((), 0), ((b"ab", b"cd"), 4), ((b"abc", b"d", b"efgh"), 8)])
def test_whole_blocks(pieces: tuple[bytes, ...], length: int) -> None:
    """Whole blocks are counted over all pieces."""
    assert whole_blocks(task_with(*pieces), 4) == length


@pytest.mark.parametrize("pieces", [(b"a",), (b"abcd", b"e")])
def test_part_of_a_block(pieces: tuple[bytes, ...]) -> None:
    """A part of a block is refused."""
    with pytest.raises(CheckCondition) as refusal:
        whole_blocks(task_with(*pieces), 4)
    assert refusal.value.sense_data.sense is Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT


@pytest.mark.parametrize("offered", [None, 4])
def test_exact_data_out(offered: int | None) -> None:
    """The right length is given as one buffer."""
    assert bytes(exact_data_out(task_with(b"ab", b"cd", offered=offered), 4)) == b"abcd"


@pytest.mark.parametrize(("pieces", "offered"), [((b"ab",), None), ((), None), ((b"abcd",), 5), ((b"ab",), 4)])
def test_another_length(pieces: tuple[bytes, ...], offered: int | None) -> None:
    """Too little, and more offered than asked for, are refused."""
    with pytest.raises(CheckCondition) as refusal:
        exact_data_out(task_with(*pieces, offered=offered), 4)
    assert refusal.value.sense_data.sense is Sense.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT
