"""EXTENDED COPY and COPY OPERATION ABORT, command by command."""

import errno
from typing import Any

import pytest

from isthmus.backstores.operations import Copy, Flush, Write
from isthmus.backstores.partial_blocks import CopyPartialBlocks
from isthmus.errors import BackstoreError
from isthmus.scsi.copy.limits import MAX_DESCRIPTOR_LIST_LENGTH, STEP
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.nexus import LunMapping
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.spc.persistent_reservations import ReservationType
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.status import Status
from isthmus.scsi.task_manager import FunctionResult, SamFunction
from tests.support.copying import (
    NUM_BLOCKS,
    CopyBench,
    CopyFailure,
    abort,
    blocks,
    byte_segment,
    copy_failure,
    copy_list_lid1,
    copy_list_lid4,
    extended_copy,
    identification,
    receive,
    segment,
    verify_segment,
)
from tests.support.primary import data_of, in_cdb, refusal, reserve_out, reserve_out_list
from tests.support.scsi import HeldExecutor, make_unit, write_10

GOOD = Status.GOOD


# -- What is copied ----------------------------------------------------------------------------------------------------


def test_segments_are_copied_in_order() -> None:
    """Each segment is there afterwards, and the rest of the destination is as it was."""
    bench = CopyBench()
    before = blocks(bench.destination, 0, NUM_BLOCKS)
    response = bench.copy(segment(0, 100, 50), segment(10, 120, 5))
    assert response.status is GOOD
    source = blocks(bench.source, 0, 50)
    assert blocks(bench.destination, 100, 50) == source[: 20 * 512] + source[10 * 512 : 15 * 512] + source[25 * 512 :]
    assert blocks(bench.destination, 0, 100) == before[: 100 * 512]
    assert blocks(bench.destination, 150, NUM_BLOCKS - 150) == before[150 * 512 :]


def test_no_parameter_list() -> None:
    """A parameter list length of 0 is no error, and nothing happens (SPC-5 §4.2.5.5)."""
    bench = CopyBench()
    assert bench.run(extended_copy(0)).status is GOOD


def test_the_copy_manager_may_be_neither_end() -> None:
    """A copy can be sent to any unit, whichever units it names."""
    bench = CopyBench()
    bench.nexus.mappings[5] = LunMapping(bench.hidden)
    bench.hidden.attach(bench.nexus)
    bench.hidden.unit_attentions.clear(bench.nexus)
    assert bench.copy(segment(0, 0, 8), lun=5).status is GOOD
    assert blocks(bench.destination, 0, 8) == blocks(bench.source, 0, 8)


def test_the_unit_that_the_command_was_sent_to() -> None:
    """CSCD descriptor ID FFFFh needs no descriptor."""
    bench = CopyBench()
    assert bench.copy(segment(0, 64, 8, source=0xFFFF, destination=0xFFFF), cscds=[]).status is GOOD
    assert blocks(bench.source, 64, 8) == blocks(bench.source, 0, 8)


@pytest.mark.parametrize(("flags", "copied"), [(0x00, 4096), (0x02, 8 * 4096)])
def test_whose_blocks_are_counted(flags: int, copied: int) -> None:
    """The number of blocks is in blocks of the source, or with DC in blocks of the destination."""
    bench = CopyBench(destination_block_length=4096)
    before = blocks(bench.destination, 0, 16)
    assert bench.copy(segment(8, 1, 8, flags=flags)).status is GOOD
    source = blocks(bench.source, 8, 64)
    assert blocks(bench.destination, 1, 8) == source[:copied] + before[4096 + copied : 9 * 4096]


def test_a_segment_of_no_blocks() -> None:
    """It copies nothing, and is processed."""
    bench = CopyBench()
    before = blocks(bench.destination, 0, NUM_BLOCKS)
    assert bench.copy(segment(0, 0, 0)).status is GOOD
    assert blocks(bench.destination, 0, NUM_BLOCKS) == before
    assert bench.information(1, service_action=0x05).segments == 1


@pytest.mark.parametrize("shift", [1, -1, 7])
def test_overlap_across_steps(shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where source and destination overlap, the copy is what the source was, also if it takes several steps."""
    monkeypatch.setattr("isthmus.scsi.copy.transfer.STEP", 3 * 512)
    bench = CopyBench()
    before = blocks(bench.source, 100, 40)
    response = bench.copy(segment(100, 100 + shift, 40, destination=0), cscds=bench.cscds(bench.source))
    assert response.status is GOOD
    assert blocks(bench.source, 100 + shift, 40) == before


@pytest.mark.parametrize("write_cache", [True, False])
def test_without_a_write_cache_the_copy_is_flushed(write_cache: bool) -> None:
    """GOOD says that what was copied is safe, if WCE is 0 in the destination."""
    executor = HeldExecutor()
    bench = CopyBench(executor=executor)
    bench.destination.mode = type(bench.destination.mode)(write_back=write_cache)
    data = copy_list_lid1(bench.cscds(), [segment(0, 0, 8)])
    bench.start(extended_copy(len(data)), data)
    seen = [type(executor.operations[0])]
    executor.finish()
    seen += map(type, executor.operations)
    assert seen == ([Copy] if write_cache else [Copy, Flush])


@pytest.mark.parametrize("block_length", [512, 4096])
@pytest.mark.parametrize(
    ("source", "destination", "length"),
    [((0, 0), (1, 0), 4096), ((2, 100), (3, 7), 5000), ((1, 511), (0, 500), 13), ((0, 1), (0, 1), 3 * 4096 - 1)],
)
def test_bytes(block_length: int, source: tuple[int, int], destination: tuple[int, int], length: int) -> None:
    """Segments in bytes may begin and end within blocks, whose other bytes stay."""
    bench = CopyBench(destination_block_length=block_length)
    expected = bytearray(blocks(bench.destination, 0, 8))
    content = blocks(bench.source, 0, 64)
    start, end = source[0] * 512 + source[1], destination[0] * block_length + destination[1]
    expected[end : end + length] = content[start : start + length]
    expected = expected[: 8 * block_length]
    assert bench.copy(byte_segment(source, destination, length)).status is GOOD
    assert blocks(bench.destination, 0, 8) == bytes(expected)


@pytest.mark.parametrize("shift", [1, -1, 700])
def test_bytes_that_overlap_across_steps(shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise where the copy takes several steps and reads what it has written."""
    monkeypatch.setattr("isthmus.scsi.copy.transfer.MAX_LENGTH", 1000)
    bench = CopyBench()
    before = blocks(bench.source, 0, 40)
    from_bytes, to_bytes = 5000, 5000 + shift
    part = byte_segment(divmod(from_bytes, 512), divmod(to_bytes, 512), 6000, cscds=(0, 0))
    assert bench.copy(part, cscds=bench.cscds(bench.source)).status is GOOD
    after = before[:to_bytes] + before[from_bytes : from_bytes + 6000] + before[to_bytes + 6000 :]
    assert blocks(bench.source, 0, 40) == after


def test_nobody_reads_a_block_of_which_a_part_is_written() -> None:
    """A segment in bytes waits for what is done with its blocks, and keeps others from them until it is over."""
    executor = HeldExecutor()
    bench = CopyBench(executor=executor)
    data = copy_list_lid1(bench.cscds(), [byte_segment((0, 0), (4, 1), 10)])
    bench.start(extended_copy(len(data)), data)
    bench.start(write_10(4, 1), bytes(512), lun=1)
    assert [type(operation) for operation in executor.operations] == [CopyPartialBlocks]
    executor.finish()
    assert Write in [type(operation) for operation in executor.operations]


@pytest.mark.parametrize("test_unit_ready", [False, True])
def test_units_that_are_there(test_unit_ready: bool) -> None:
    """A segment that only asks moves nothing, and is processed."""
    bench = CopyBench()
    assert bench.copy(verify_segment(1, test_unit_ready=test_unit_ready)).status is GOOD
    assert bench.information(1, service_action=0x05).segments == 1


def test_a_unit_that_is_not_there() -> None:
    """It names the CSCD descriptor, or where the segment descriptor has none."""
    bench = CopyBench()
    response = bench.copy(verify_segment(1), cscds=bench.cscds(bench.source, bench.hidden))
    assert copy_failure(response) == CopyFailure(sense=Sense.COPY_TARGET_DEVICE_NOT_REACHABLE, segment=0, place=48)
    response = bench.copy(verify_segment(2))
    assert copy_failure(response) == CopyFailure(sense=Sense.UNREACHABLE_COPY_TARGET, segment=0, field=4)


def test_a_unit_that_is_not_ready_is_found_all_the_same() -> None:
    """Only TUR asks for more, and forwards what the unit says."""
    bench = CopyBench()
    bench.destination.started = False
    assert bench.copy(verify_segment(1)).status is GOOD
    failure = copy_failure(bench.copy(segment(0, 0, 8, destination=0), verify_segment(1, test_unit_ready=True)))
    assert (failure.sense, failure.segment, failure.place) == (Sense.THIRD_PARTY_DEVICE_FAILURE, 1, 48)
    assert failure.forwarded is Sense.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED


# -- Who may ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden_index", [0, 1])
def test_a_unit_that_the_nexus_does_not_map(hidden_index: int) -> None:
    """It is out of reach, as source and as destination, although the target has it and another nexus uses it."""
    bench = CopyBench()
    bench.connect(bench.hidden, isid=9)
    before = blocks(bench.hidden, 0, NUM_BLOCKS), blocks(bench.destination, 0, NUM_BLOCKS)
    units = [bench.hidden, bench.destination] if hidden_index == 0 else [bench.destination, bench.hidden]
    response = bench.copy(segment(0, 0, 8), cscds=bench.cscds(*units))
    place = 16 if hidden_index == 0 else 48
    expected = CopyFailure(sense=Sense.COPY_TARGET_DEVICE_NOT_REACHABLE, segment=0, place=place)
    assert copy_failure(response) == expected
    assert (blocks(bench.hidden, 0, NUM_BLOCKS), blocks(bench.destination, 0, NUM_BLOCKS)) == before


def test_a_unit_without_a_copy_manager_takes_no_part() -> None:
    """Where copies are switched off, a unit is neither source nor destination, although it is mapped."""
    bench = CopyBench()
    plain = make_unit(third_party_copy=None)
    bench.nexus.mappings[2] = LunMapping(plain)
    response = bench.copy(segment(0, 0, 8), cscds=bench.cscds(bench.source, plain))
    assert copy_failure(response).sense is Sense.COPY_TARGET_DEVICE_NOT_REACHABLE


def test_a_unit_without_a_copy_manager_has_no_such_commands() -> None:
    """They are unknown to it."""
    bench = CopyBench()
    plain = make_unit(third_party_copy=None)
    bench.nexus.mappings[2] = LunMapping(plain)
    plain.attach(bench.nexus)
    plain.unit_attentions.clear(bench.nexus)
    unknown = Sense.INVALID_COMMAND_OPERATION_CODE, FieldPointer(0)
    assert refusal(bench.run(extended_copy(0), lun=2)) == unknown
    assert refusal(bench.run(receive(0x03), lun=2)) == unknown


def test_a_name_that_means_two_units() -> None:
    """Nobody can say which is meant: neither is touched."""
    bench = CopyBench()
    twin = bench.make("twin", serial=bench.destination.identity.serial)
    nexus = bench.connect(bench.source, bench.destination, twin, isid=2)
    failure = copy_failure(bench.copy(segment(0, 0, 8), nexus=nexus))
    assert failure.sense is Sense.COPY_TARGET_DEVICE_NOT_REACHABLE


def forwarded(bench: CopyBench, **how: Any) -> CopyFailure:
    """The failure of a copy that an end refuses."""
    before = blocks(bench.destination, 0, NUM_BLOCKS)
    failure = copy_failure(bench.copy(segment(0, 0, 8), **how))
    assert blocks(bench.destination, 0, NUM_BLOCKS) == before
    assert failure.sense is Sense.THIRD_PARTY_DEVICE_FAILURE
    return failure


def test_a_mapping_that_is_read_only() -> None:
    """It can be read from, and not written to."""
    bench = CopyBench()
    bench.nexus.mappings[0].read_only = True
    assert bench.copy(segment(0, 0, 8)).status is GOOD
    bench.nexus.mappings[1].read_only = True
    failure = forwarded(bench)
    assert (failure.from_source, failure.place) == (False, 48)
    assert (failure.status, failure.forwarded) == (Status.CHECK_CONDITION, Sense.WRITE_PROTECTED)


def test_another_mapping_of_the_same_unit() -> None:
    """A unit that is mapped twice is written to through the LUN that allows it."""
    bench = CopyBench()
    bench.nexus.mappings[1].read_only = True
    bench.nexus.mappings[7] = LunMapping(bench.destination)
    assert bench.copy(segment(0, 0, 8)).status is GOOD


def test_a_destination_that_is_write_protected() -> None:
    """A unit that nobody may write to is not copied to."""
    bench = CopyBench()
    bench.destination.read_only = True
    assert forwarded(bench).forwarded is Sense.WRITE_PROTECTED


@pytest.mark.parametrize("end", ["source", "destination"])
def test_an_end_that_is_not_ready(end: str) -> None:
    """Each end has to be ready, and what it says is forwarded."""
    bench = CopyBench()
    getattr(bench, end).started = False
    failure = forwarded(bench, lun=1 if end == "source" else 0)
    assert failure.from_source is (end == "source")
    assert failure.forwarded is Sense.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED


def reserve(bench: CopyBench, lun: int, kind: ReservationType) -> None:
    """Another initiator reserves the unit at `lun`."""
    other = bench.connect(isid=2)
    for action, key, action_key in ((ReserveOutAction.REGISTER, 0, 5), (ReserveOutAction.RESERVE, 5, 0)):
        cdb = reserve_out(action, kind)
        assert bench.run(cdb, reserve_out_list(key, action_key), nexus=other, lun=lun).status is GOOD


@pytest.mark.parametrize("kind", ReservationType)
def test_a_destination_that_somebody_else_has_reserved(kind: ReservationType) -> None:
    """Every type of reservation keeps a copy from writing, and its conflict is forwarded."""
    bench = CopyBench()
    reserve(bench, 1, kind)
    failure = forwarded(bench)
    assert (failure.from_source, failure.status) == (False, Status.RESERVATION_CONFLICT)


@pytest.mark.parametrize("kind", ReservationType)
def test_a_source_that_somebody_else_has_reserved(kind: ReservationType) -> None:
    """The exclusive access types keep a copy from reading."""
    bench = CopyBench()
    reserve(bench, 0, kind)
    if kind.excludes_reads:
        failure = forwarded(bench, lun=1)
        assert (failure.from_source, failure.status) == (True, Status.RESERVATION_CONFLICT)
    else:
        assert bench.copy(segment(0, 0, 8), lun=1).status is GOOD


def test_unit_attentions_stay_for_the_initiator() -> None:
    """A copy neither fails by the unit attention of its ends, nor takes it."""
    bench = CopyBench()
    bench.destination.unit_attentions.establish(bench.nexus, Sense.MODE_PARAMETERS_CHANGED)
    assert bench.copy(segment(0, 0, 8)).status is GOOD
    assert bench.destination.unit_attentions.take(bench.nexus) is Sense.MODE_PARAMETERS_CHANGED


# -- What is wrong with a segment ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "sense", "field"),
    [
        (segment(0, 0, 8, source=2), Sense.UNREACHABLE_COPY_TARGET, 4),
        (segment(0, 0, 8, destination=2), Sense.UNREACHABLE_COPY_TARGET, 6),
        (segment(NUM_BLOCKS - 7, 0, 8), Sense.COPY_ABORTED, 12),
        (segment(0, NUM_BLOCKS - 7, 8), Sense.COPY_ABORTED, 20),
        (segment(0, (1 << 64) - 1, 1), Sense.COPY_ABORTED, 20),
        (byte_segment((NUM_BLOCKS - 1, 1), (0, 0), 512), Sense.COPY_ABORTED, 12),
        (byte_segment((0, 0), (NUM_BLOCKS - 1, 1), 512), Sense.COPY_ABORTED, 20),
        (byte_segment((0, 512), (0, 0), 1), Sense.COPY_ABORTED, 28),
        (byte_segment((0, 0), (0, 512), 1), Sense.COPY_ABORTED, 30),
    ],
)
def test_segments_that_cannot_be_done(part: bytes, sense: Sense, field: int) -> None:
    """The sense points into the segment descriptor and numbers it; those before it are done, those behind it not."""
    bench = CopyBench()
    before = blocks(bench.destination, 200, 8)
    response = bench.copy(segment(0, 100, 8), part, segment(0, 200, 8))
    assert copy_failure(response) == CopyFailure(sense=sense, segment=1, field=field)
    assert blocks(bench.destination, 100, 8) == blocks(bench.source, 0, 8)
    assert blocks(bench.destination, 200, 8) == before
    status = bench.information(1, service_action=0x05)
    assert (status.status, status.segments, status.count) == (0x02, 2, 8 * 512)
    assert status.sense == response.sense


def test_blocks_that_do_not_fit() -> None:
    """What is not a whole number of the other unit's blocks is refused: nothing is padded."""
    bench = CopyBench(destination_block_length=4096)
    failure = copy_failure(bench.copy(segment(0, 0, 7)))
    assert failure == CopyFailure(sense=Sense.UNEXPECTED_INEXACT_SEGMENT, segment=0, field=10)


@pytest.mark.parametrize(
    ("fields", "sense"),
    [
        ({"device_type": 1}, Sense.INCORRECT_COPY_TARGET_DEVICE_TYPE),
        ({"block_length": 4096}, Sense.INVALID_OPERATION_FOR_COPY_SOURCE_OR_DESTINATION),
    ],
)
def test_a_descriptor_that_takes_the_unit_for_another(fields: dict[str, int], sense: Sense) -> None:
    """The type of the device and the length of its blocks have to be right."""
    bench = CopyBench()
    cscds = [identification(bench.source.identity), identification(bench.destination.identity, **fields)]
    assert copy_failure(bench.copy(segment(0, 0, 8), cscds=cscds)).sense is sense


def test_a_block_length_of_zero_says_nothing() -> None:
    """Some initiators leave DISK BLOCK LENGTH out."""
    bench = CopyBench()
    cscds = [identification(unit.identity, block_length=0) for unit in (bench.source, bench.destination)]
    assert bench.copy(segment(0, 0, 8), cscds=cscds).status is GOOD


@pytest.mark.parametrize("lid4", [False, True])
def test_a_list_longer_than_its_limit(lid4: bool) -> None:
    """The limit of the descriptors is that of the command, before any data is asked for."""
    header = 48 if lid4 else 16
    bench = CopyBench()
    task = bench.task(extended_copy(header + MAX_DESCRIPTOR_LIST_LENGTH + 1, lid4=lid4))
    response = bench.owner.ends[task]
    assert response is not None
    assert refusal(response) == (Sense.PARAMETER_LIST_LENGTH_ERROR, FieldPointer(10))


# -- Storage that fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "number", "sense"),
    [
        ("source", errno.EIO, Sense.UNRECOVERED_READ_ERROR),
        ("destination", errno.EIO, Sense.WRITE_ERROR),
        ("destination", errno.ENOSPC, Sense.SPACE_ALLOCATION_FAILED_WRITE_PROTECT),
    ],
)
def test_storage_that_fails(end: str, number: int, sense: Sense, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sense forwards what the end would say to a READ or WRITE of its own."""
    bench = CopyBench()
    unit: LogicalUnit = getattr(bench, end)

    def fail(*_: object, **__: object) -> None:
        raise BackstoreError(number, "broken")

    monkeypatch.setattr(unit.backstore, "read_into" if end == "source" else "write", fail)
    failure = copy_failure(bench.copy(segment(0, 0, 8), segment(8, 8, 8)))
    assert failure.sense is Sense.THIRD_PARTY_DEVICE_FAILURE
    assert (failure.from_source, failure.forwarded) == (end == "source", sense)
    assert (failure.segment, failure.place) == (0, 16 if end == "source" else 48)
    assert failure.residual is None


def test_a_flush_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to no segment."""
    bench = CopyBench()

    def fail() -> None:
        raise BackstoreError(errno.EIO, "broken")

    monkeypatch.setattr(bench.destination.backstore, "flush", fail)
    failure = copy_failure(bench.copy(segment(0, 0, 8)))
    assert (failure.sense, failure.field, failure.place) == (Sense.THIRD_PARTY_DEVICE_FAILURE, None, None)
    assert failure.forwarded is Sense.WRITE_ERROR


# -- List identifiers ------------------------------------------------------------------------------------------------


def held_copy(executor: HeldExecutor, *, immediate: bool = False, num_blocks: int = 64) -> tuple[CopyBench, Any]:
    """A copy under way, as list identifier 1."""
    bench = CopyBench(executor=executor)
    data = copy_list_lid4(bench.cscds(), [segment(0, 0, num_blocks)], immediate=immediate)
    return bench, bench.start(extended_copy(len(data), lid4=True), data)


def test_an_identifier_in_use() -> None:
    """A nexus cannot have two copies of one name in progress; another nexus can."""
    bench, _ = held_copy(HeldExecutor())
    assert refusal(bench.copy(segment(0, 0, 8)))[0] is Sense.OPERATION_IN_PROGRESS
    other = bench.connect(isid=2)
    data = copy_list_lid1(bench.cscds(), [segment(0, 0, 8)])
    task = bench.start(extended_copy(len(data)), data, nexus=other)
    assert task not in bench.owner.ends


def test_an_identifier_is_free_again() -> None:
    """When the copy is over its identifier can be used anew."""
    bench = CopyBench()
    assert bench.copy(segment(0, 0, 8)).status is GOOD
    assert bench.copy(segment(0, 0, 16)).status is GOOD
    assert bench.information(1, service_action=0x05).count == 16 * 512


# -- IMMED, aborts and the end of things -------------------------------------------------------------------------


def test_a_copy_in_the_background() -> None:
    """With IMMED the status comes at once, and the copy goes on."""
    executor = HeldExecutor()
    bench, task = held_copy(executor, immediate=True)
    response = bench.owner.ends[task]
    assert response is not None
    assert response.status is GOOD
    assert bench.information(1, service_action=0x05).status == 0x12
    executor.finish_all()
    assert bench.information(1, service_action=0x05).status == 0x01
    assert blocks(bench.destination, 0, 64) == blocks(bench.source, 0, 64)


def test_a_failure_in_the_background() -> None:
    """Nobody waits for it: its sense is kept for who asks."""
    executor = HeldExecutor()
    bench, _ = held_copy(executor, immediate=True)
    executor.finish(error=BackstoreError(errno.EIO, "broken"))
    information = bench.information(1, service_action=0x05)
    assert information.status == 0x02
    assert (information.sense[2], *information.sense[12:14]) == Sense.THIRD_PARTY_DEVICE_FAILURE.value
    assert bench.internal_errors == []


@pytest.mark.parametrize("immediate", [False, True])
def test_copy_operation_abort(immediate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step that is under way ends, no other begins, and then the abort is GOOD."""
    monkeypatch.setattr("isthmus.scsi.copy.transfer.STEP", 16 * 512)
    executor = HeldExecutor()
    bench, task = held_copy(executor, immediate=immediate)
    aborting = bench.start(abort(1))
    assert aborting not in bench.owner.ends
    executor.finish()
    assert not executor.under_way
    assert bench.owner.status(aborting) is GOOD
    information = bench.information(1, service_action=0x05)
    assert (information.status, information.count) == (0x60, 16 * 512)
    if not immediate:
        response = bench.owner.ends[task]
        assert response is not None
        assert copy_failure(response).sense is Sense.COMMANDS_CLEARED_BY_DEVICE_SERVER


def test_abort_of_nothing() -> None:
    """There has to be a copy of this nexus, and in progress."""
    bench = CopyBench()
    assert refusal(bench.run(abort(1))) == in_cdb(2)
    assert bench.copy(segment(0, 0, 8)).status is GOOD
    assert refusal(bench.run(abort(1))) == in_cdb(2)
    other = bench.connect(isid=2)
    held, _ = held_copy(HeldExecutor())
    assert refusal(held.run(abort(1), nexus=held.connect(isid=2))) == in_cdb(2)
    assert refusal(bench.run(abort(1), nexus=other)) == in_cdb(2)


def test_abort_task_ends_a_copy() -> None:
    """The step under way may end, and then the function is complete; nothing more is copied."""
    executor = HeldExecutor()
    bench, task = held_copy(executor)
    results: list[FunctionResult] = []
    bench.router.manage(bench.nexus, SamFunction.ABORT_TASK, task.lun, task, results.append)
    assert results == []
    executor.finish()
    assert results == [FunctionResult.COMPLETE]
    assert bench.owner.ends[task] is None
    assert bench.information(1, service_action=0x05).status == 0x60


def test_a_reset_ends_copies_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a logical unit reset no further step begins, and nothing is known of the copy."""
    monkeypatch.setattr("isthmus.scsi.copy.transfer.STEP", 16 * 512)
    executor = HeldExecutor()
    bench, task = held_copy(executor, immediate=True)
    bench.router.manage(bench.nexus, SamFunction.LOGICAL_UNIT_RESET, task.lun, None, lambda _: None)
    bench.source.unit_attentions.clear(bench.nexus)
    executor.finish()
    assert not executor.under_way
    assert refusal(bench.run(receive(0x05, 1))) == in_cdb(2)


def test_the_loss_of_its_nexus_ends_a_copy_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left who wants it."""
    monkeypatch.setattr("isthmus.scsi.copy.transfer.STEP", 16 * 512)
    executor = HeldExecutor()
    bench, _ = held_copy(executor, immediate=True)
    bench.router.nexus_lost(bench.nexus)
    executor.finish()
    assert not executor.under_way


def test_a_reservation_stops_a_copy_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is judged by itself: what comes between two of them counts."""
    monkeypatch.setattr("isthmus.scsi.copy.transfer.STEP", 16 * 512)
    executor = HeldExecutor()
    bench, task = held_copy(executor)
    reserve(bench, 1, ReservationType.WRITE_EXCLUSIVE)
    executor.finish()
    response = bench.owner.ends[task]
    assert response is not None
    failure = copy_failure(response)
    assert (failure.status, failure.residual) == (Status.RESERVATION_CONFLICT, 48)
    assert bench.information(1, service_action=0x05).count == 16 * 512


def test_the_residual_of_a_copy_from_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written out of order does not count: all of the segment is left to do."""
    monkeypatch.setattr("isthmus.scsi.copy.transfer.STEP", 16 * 512)
    executor = HeldExecutor()
    bench = CopyBench(executor=executor)
    data = copy_list_lid1([], [segment(0, 1, 64, source=0xFFFF, destination=0xFFFF)])
    task = bench.start(extended_copy(len(data)), data)
    executor.finish()
    bench.nexus.mappings[0].read_only = True
    executor.finish()
    response = bench.owner.ends[task]
    assert response is not None
    failure = copy_failure(response)
    assert (failure.residual, failure.place, failure.field) == (64, None, None)


def test_a_mapping_that_goes_stops_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that is mapped no more is read no more."""
    monkeypatch.setattr("isthmus.scsi.copy.transfer.STEP", 16 * 512)
    executor = HeldExecutor()
    bench = CopyBench(executor=executor)
    data = copy_list_lid1(bench.cscds(), [segment(0, 0, 64)])
    task = bench.start(extended_copy(len(data)), data, lun=1)
    del bench.nexus.mappings[0]
    executor.finish()
    response = bench.owner.ends[task]
    assert response is not None
    failure = copy_failure(response)
    assert (failure.from_source, failure.forwarded) == (True, Sense.LOGICAL_UNIT_NOT_SUPPORTED)


def test_others_get_their_turn_between_steps() -> None:
    """A long copy is one bounded operation after the other."""
    executor = HeldExecutor()
    bench = CopyBench(executor=executor)
    big = make_unit(4 * STEP, third_party_copy=bench.services)
    nexus = bench.connect(big, isid=3)
    data = copy_list_lid1([], [segment(0, 2 * STEP // 512, STEP // 256 - 1, source=0xFFFF, destination=0xFFFF)])
    bench.start(extended_copy(len(data)), data, nexus=nexus)
    [operation] = executor.operations
    assert isinstance(operation, Copy)
    assert operation.length == STEP


def test_steps_keep_to_the_locks_of_both_units() -> None:
    """An exclusive operation on either end keeps a copy waiting, and the copy keeps such an operation waiting."""
    for lun in (0, 1):
        executor = HeldExecutor()
        bench = CopyBench(executor=executor)
        compare = b"\x89".ljust(13, b"\0") + b"\x01\0\0"
        bench.start(compare, blocks((bench.source, bench.destination)[lun], 0, 1) * 2, lun=lun)
        data = copy_list_lid1(bench.cscds(), [segment(0, 0, 8)])
        bench.start(extended_copy(len(data)), data)
        assert len(executor.under_way) == 1
        executor.finish()
        [operation] = executor.operations
        assert isinstance(operation, Copy)
        bench.start(compare, blocks((bench.source, bench.destination)[lun], 0, 1) * 2, lun=lun)
        assert executor.operations == [operation]


def test_a_fenced_initiator_overtakes_nobody() -> None:
    """After PREEMPT AND ABORT in the destination, a write to the blocks of a step under way comes after that step."""
    executor = HeldExecutor()
    bench, _ = held_copy(executor)
    bench.destination.abort_tasks({bench.nexus}, by=bench.nexus, done=lambda: None)
    other = bench.connect(isid=2)
    bench.start(write_10(5, 1), b"w" * 512, nexus=other, lun=1)
    assert [type(operation) for operation in executor.operations] == [Copy]
    executor.finish()
    assert Write in [type(operation) for operation in executor.operations]
    executor.finish_all()
    assert blocks(bench.destination, 5, 1) == b"w" * 512


def test_an_unidentified_copy_cannot_be_asked_about() -> None:
    """LIST ID USAGE 11b: the initiator does not want to know."""
    bench = CopyBench()
    assert data_of(bench.copy(segment(0, 0, 8), usage=3, identifier=0)) == b""
    assert refusal(bench.run(receive(0x00, 0))) == in_cdb(2)
