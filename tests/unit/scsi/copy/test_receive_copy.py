"""What is told of copies."""

import struct

import pytest

from isthmus.scsi.copy.copy_operations import CopyState
from isthmus.scsi.copy.limits import (
    MAX_CONCURRENT_COPIES,
    MAX_CSCD_DESCRIPTORS,
    MAX_DESCRIPTOR_LIST_LENGTH,
    MAX_SEGMENT_DESCRIPTORS,
    MAX_SEGMENT_LENGTH,
)
from isthmus.scsi.status import Status
from tests.support.copying import (
    CopyBench,
    copy_list_lid1,
    extended_copy,
    populate_list,
    populate_token,
    receive,
    segment,
    token_information,
)
from tests.support.primary import data_of, in_cdb, refusal
from tests.support.scsi import HeldExecutor

IDENTIFIED = (0x00, 0x01, 0x04, 0x05, 0x07)


@pytest.mark.parametrize("action", IDENTIFIED)
def test_no_such_copy(action: int) -> None:
    """An identifier that no copy of this nexus has is refused."""
    bench = CopyBench()
    assert bench.copy(segment(0, 0, 8), nexus=bench.connect(isid=2)).status is Status.GOOD
    assert refusal(bench.run(receive(action, 1))) == in_cdb(2)


@pytest.mark.parametrize("action", [0x01, 0x03, 0x04, 0x05, 0x07, 0x08])
def test_allocation_length(action: int) -> None:
    """The answer is cut, and says how long it would be."""
    bench = CopyBench()
    bench.copy(segment(0, 0, 8))
    identifier = 0 if action == 0x08 else 1
    whole = data_of(bench.run(receive(action, identifier)))
    for length in (0, 3, 4, len(whole)):
        assert data_of(bench.run(receive(action, identifier, allocation_length=length))) == whole[:length]


def test_status_lid1() -> None:
    """In progress, over, and failed; segments and bytes."""
    executor = HeldExecutor()
    bench = CopyBench(executor=executor)
    data = copy_list_lid1(bench.cscds(), [segment(0, 0, 8), segment(0, 5000, 1)])
    bench.start(extended_copy(len(data)), data)
    assert data_of(bench.run(receive(0x00, 1))) == struct.pack(">IBHBI", 8, 0, 1, 0, 0)
    executor.finish()
    assert data_of(bench.run(receive(0x00, 1))) == struct.pack(">IBHBI", 8, 2, 2, 0, 8 * 512)
    good = CopyBench()
    good.copy(segment(0, 0, 8))
    assert data_of(good.run(receive(0x00, 1))) == struct.pack(">IBHBI", 8, 1, 1, 0, 8 * 512)
    assert refusal(good.run(receive(0x00, 1))) == in_cdb(2), "its end is told once"


def test_status_lid1_of_a_long_copy() -> None:
    """More bytes than its field can count are told in kibibytes."""
    bench = CopyBench()
    bench.copy(segment(0, 0, 8))
    assert bench.source.copy_manager is not None
    copy = bench.source.copy_manager.operations.find(bench.nexus, 1)
    assert copy is not None
    copy.bytes_transferred = 5 << 30
    assert data_of(bench.run(receive(0x00, 1)))[7:] == struct.pack(">BI", 1, 5 << 20)


@pytest.mark.parametrize("action", [0x01, 0x04])
def test_only_when_it_is_over(action: int) -> None:
    """Held data and failure details are there when the copy is over."""
    bench = CopyBench(executor=HeldExecutor())
    data = copy_list_lid1(bench.cscds(), [segment(0, 0, 8)])
    bench.start(extended_copy(len(data)), data)
    assert refusal(bench.run(receive(action, 1))) == in_cdb(2)


def test_held_data() -> None:
    """There never are any."""
    bench = CopyBench()
    bench.copy(segment(0, 0, 8))
    assert data_of(bench.run(receive(0x01, 1))) == bytes(4)


def test_failure_details() -> None:
    """The sense of a copy that failed; of another one there is nothing to tell."""
    bench = CopyBench()
    bench.copy(segment(0, 0, 8))
    assert data_of(bench.run(receive(0x04, 1))) == bytes(4)
    response = bench.copy(segment(0, 5000, 8))
    data = data_of(bench.run(receive(0x04, 1)))
    assert int.from_bytes(data[:4]) == len(data) - 4
    assert data[4:56] == bytes(52)
    assert (data[56], int.from_bytes(data[58:60])) == (Status.CHECK_CONDITION, len(response.sense))
    assert data[60:] == response.sense
    assert data_of(bench.run(receive(0x04, 1))) == bytes(4), "it is told once"


def test_failure_details_are_told_as_a_whole() -> None:
    """Who asked for less can ask again; who wants nothing is told nothing any more."""
    bench = CopyBench()
    bench.copy(segment(0, 5000, 8))
    assert len(data_of(bench.run(receive(0x04, 1, allocation_length=60)))) == 60
    assert data_of(bench.run(receive(0x04, 1, allocation_length=0))) == b""
    assert data_of(bench.run(receive(0x04, 1))) == bytes(4)


def test_sense_in_the_status() -> None:
    """It is padded to a multiple of four; a copy that was aborted has a status and no sense."""
    bench = CopyBench()
    response = bench.copy(segment(0, 5000, 8))
    data = data_of(bench.run(receive(0x05, 1)))
    assert (data[12], data[13], data[14]) == (Status.CHECK_CONDITION, 20, len(response.sense))
    assert data[32:] == response.sense + bytes(2)
    assert bench.source.copy_manager is not None
    copy = bench.source.copy_manager.operations.find(bench.nexus, 1)
    assert copy is not None
    copy.end(CopyState.ABORTED, copy.sense_data)
    data = data_of(bench.run(receive(0x05, 1)))
    assert (data[5], *data[12:15]) == (0x60, Status.TASK_ABORTED, 0, 0)


def test_a_token_is_told_once() -> None:
    """When it has been told as a whole it is known to who it is for; until then it can be asked for again."""
    bench = CopyBench()
    data = populate_list([(0, 8)])
    assert bench.run(populate_token(len(data), 3), data).status is Status.GOOD
    assert len(data_of(bench.run(receive(0x07, 3, allocation_length=100)))) == 100
    assert bench.information(3).token is not None
    assert bench.information(3).token is None


def test_operating_parameters() -> None:
    """The limits that are enforced, and the descriptors that are known."""
    data = data_of(CopyBench().run(receive(0x03)))
    assert int.from_bytes(data[:4]) == len(data) - 4
    assert data[4] == 0x01
    assert struct.unpack_from(">HHIIIII", data, 8) == (
        MAX_CSCD_DESCRIPTORS,
        MAX_SEGMENT_DESCRIPTORS,
        MAX_DESCRIPTOR_LIST_LENGTH,
        MAX_SEGMENT_LENGTH,
        0,
        0,
        0,
    )
    assert struct.unpack_from(">HBBBB", data, 34) == (MAX_CONCURRENT_COPIES, MAX_CONCURRENT_COPIES, 0, 0, 0)
    assert data[43:] == bytes((4, 0x02, 0x07, 0x0A, 0xE4))


def test_status_lid4() -> None:
    """While it goes on, when to ask again; afterwards what came of it."""
    executor = HeldExecutor()
    bench = CopyBench(executor=executor)
    data = copy_list_lid1(bench.cscds(), [segment(0, 0, 8)])
    bench.start(extended_copy(len(data)), data)
    before = bench.information(1, service_action=0x05)
    assert (before.service_action, before.status, before.update_delay) == (0x00, 0x11, 200)
    executor.finish_all()
    after = token_information(data_of(bench.run(receive(0x05, 1))))
    assert (after.status, after.update_delay, after.units) == (0x01, 0xFFFF_FFFE, 0x00)
    assert (after.count, after.segments, after.operations, after.sense) == (8 * 512, 1, 1, b"")


def test_rod_token_information_without_a_token() -> None:
    """A copy that made none has none; the units are blocks."""
    bench = CopyBench()
    bench.copy(segment(0, 0, 8))
    information = bench.information(1)
    assert (information.units, information.count, information.token) == (0xF1, 8, None)


def test_all_rod_tokens() -> None:
    """The valid ones that this unit has made, without what makes them keys."""
    bench = CopyBench()
    assert data_of(bench.run(receive(0x08))) == b"\0\0\0\4" + bytes(4)
    tokens = [bench.populate((number, 1)) for number in range(3)]
    data = data_of(bench.run(receive(0x08)))
    assert int.from_bytes(data[:4]) == len(data) - 4
    assert data[8:] == b"".join(token[:96] for token in tokens)
    assert len(data_of(bench.run(receive(0x08), lun=1))) == 8
