"""WRITE USING TOKEN: who may use which token, and what comes of it."""

import errno

import pytest

from isthmus.backstores.operations import Copy
from isthmus.errors import BackstoreError
from isthmus.scsi.copy.limits import DEFAULT_INACTIVITY_TIMEOUT, MAX_RANGE_DESCRIPTORS
from isthmus.scsi.nexus import LunMapping
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.spc.persistent_reservations import ReservationType
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response
from tests.support.copying import NUM_BLOCKS, ZERO_TOKEN, CopyBench, blocks, copy_failure, write_list, write_using_token
from tests.support.primary import in_list, refusal, reserve_out, reserve_out_list
from tests.support.scsi import HeldExecutor, sense_of, write_10

GOOD = Status.GOOD
TOKEN_FIELD = FieldPointer(16, in_cdb=False)


def test_the_data_of_a_token() -> None:
    """They arrive in the order of the token's ranges, in whatever ranges they are written to."""
    bench = CopyBench()
    token = bench.populate((0, 8), (100, 24))
    before = blocks(bench.destination, 0, NUM_BLOCKS)
    assert bench.write_token(write_list(token, [(10, 20), (200, 12)])).status is GOOD
    data = blocks(bench.source, 0, 8) + blocks(bench.source, 100, 24)
    assert blocks(bench.destination, 10, 20) == data[: 20 * 512]
    assert blocks(bench.destination, 200, 12) == data[20 * 512 :]
    assert blocks(bench.destination, 30, 170) == before[30 * 512 : 200 * 512]
    information = bench.information(2, lun=1)
    assert (information.service_action, information.status, information.units) == (0x11, 0x01, 0xF1)
    assert (information.count, information.token) == (32, None)


def test_offset_into_rod() -> None:
    """Blocks of the token can be left out at its start, across its ranges."""
    bench = CopyBench()
    token = bench.populate((0, 8), (100, 24))
    assert bench.write_token(write_list(token, [(0, 10)], skipped=10)).status is GOOD
    assert blocks(bench.destination, 0, 10) == blocks(bench.source, 102, 10)


def test_blocks_of_another_length() -> None:
    """Offset and ranges are in blocks of the unit that is written to."""
    bench = CopyBench(destination_block_length=4096)
    token = bench.populate((0, 32))
    assert bench.write_token(write_list(token, [(1, 2)], skipped=1)).status is GOOD
    assert blocks(bench.destination, 1, 2) == blocks(bench.source, 8, 16)


def test_within_one_unit() -> None:
    """A token can be written to the unit that made it, where its own blocks are not."""
    bench = CopyBench()
    token = bench.populate((0, 8))
    assert bench.write_token(write_list(token, [(8, 8)]), lun=0).status is GOOD
    assert blocks(bench.source, 8, 8) == blocks(bench.source, 0, 8)
    assert bench.write_token(write_list(token, [(16, 8)]), lun=0).status is GOOD


def test_zeros() -> None:
    """The token of zeros zeroes as much as is asked for."""
    bench = CopyBench()
    before = blocks(bench.destination, 0, 32)
    assert bench.write_token(write_list(ZERO_TOKEN, [(1, 8), (20, 2)])).status is GOOD
    after = blocks(bench.destination, 0, 32)
    assert after == before[:512] + bytes(8 * 512) + before[9 * 512 : 20 * 512] + bytes(1024) + before[22 * 512 :]


def test_no_blocks() -> None:
    """Nothing to write is no error; no parameter list neither."""
    bench = CopyBench()
    assert bench.write_token(write_list(bench.populate((0, 8)), [(0, 0)])).status is GOOD
    assert bench.run(write_using_token(0)).status is GOOD


# -- Tokens that are not, or no more -----------------------------------------------------------------------------------


def write(bench: CopyBench, token: bytes) -> Response:
    """The answer to the use of a token, which must change nothing if it is not GOOD."""
    before = blocks(bench.destination, 0, NUM_BLOCKS)
    response = bench.write_token(write_list(token, [(0, 8)]))
    if response.status is not GOOD:
        assert blocks(bench.destination, 0, NUM_BLOCKS) == before
    return response


@pytest.mark.parametrize("place", [8, 15, 48, 200, 511])
def test_a_token_that_nobody_made(place: int) -> None:
    """One wrong bit, wherever it is, and the token is unknown."""
    bench = CopyBench()
    token = bytearray(bench.populate((0, 8)))
    token[place] ^= 1
    assert refusal(write(bench, bytes(token))) == (Sense.INVALID_TOKEN_OPERATION_TOKEN_UNKNOWN, TOKEN_FIELD)


def test_a_token_of_another_type_or_length() -> None:
    """What cannot be a token of this target is told as such."""
    bench = CopyBench()
    token = bench.populate((0, 8))
    other_type = b"\x00\x80\x00\x02" + token[4:]
    assert refusal(write(bench, other_type)) == (Sense.INVALID_TOKEN_OPERATION_UNSUPPORTED_TOKEN_TYPE, TOKEN_FIELD)
    other_length = token[:6] + b"\x01\xf0" + token[8:]
    assert refusal(write(bench, other_length)) == (Sense.INVALID_TOKEN_OPERATION_INVALID_TOKEN_LENGTH, TOKEN_FIELD)


def test_a_unit_that_the_nexus_does_not_map() -> None:
    """Who cannot reach the unit that made a token cannot use it, though it is the right token."""
    bench = CopyBench()
    token = bench.populate((0, 8))
    other = bench.connect(bench.hidden, isid=2)
    before = blocks(bench.hidden, 0, 8)
    response = bench.write_token(write_list(token, [(0, 8)]), nexus=other, lun=0)
    assert refusal(response) == (Sense.INVALID_TOKEN_OPERATION_TOKEN_UNKNOWN, TOKEN_FIELD)
    assert blocks(bench.hidden, 0, 8) == before


def test_another_nexus_that_maps_it() -> None:
    """A token can be handed on to somebody who could read the blocks anyway."""
    bench = CopyBench()
    token = bench.populate((0, 8))
    assert bench.write_token(write_list(token, [(0, 8)]), nexus=bench.connect(isid=2)).status is GOOD


def test_a_write_to_its_blocks_revokes_a_token() -> None:
    """The first changed block is enough; a write beside them is not."""
    bench = CopyBench()
    token = bench.populate((8, 8))
    bench.run(write_10(7, 1), b"x" * 512)
    bench.run(write_10(16, 1), b"x" * 512)
    assert write(bench, token).status is GOOD
    bench.run(write_10(15, 1), b"x" * 512)
    assert sense_of(write(bench, token)) == Sense.INVALID_TOKEN_OPERATION_TOKEN_REVOKED.value


def test_an_unmap_revokes_a_token() -> None:
    """So does everything else that changes blocks: not only writes are passed by."""
    bench = CopyBench()
    token = bench.populate((8, 8))
    unmap = b"\x42" + bytes(6) + b"\0\x18\0"
    data = b"\0\x16\0\x10" + bytes(4) + (8).to_bytes(8) + (1).to_bytes(4) + bytes(4)
    assert bench.run(unmap, data).status is GOOD
    assert sense_of(write(bench, token)) == Sense.INVALID_TOKEN_OPERATION_TOKEN_REVOKED.value


def test_a_copy_to_its_blocks_revokes_a_token() -> None:
    """A copy from another unit changes blocks without a task in this unit's task set."""
    bench = CopyBench()
    token = bench.populate((8, 8))
    other = bench.write_token(write_list(ZERO_TOKEN, [(9, 1)]), lun=0)
    assert other.status is GOOD
    assert sense_of(write(bench, token)) == Sense.INVALID_TOKEN_OPERATION_TOKEN_REVOKED.value


def test_a_token_expires() -> None:
    """Not used for its inactivity timeout, it is gone; each use begins that anew."""
    bench = CopyBench()
    token = bench.populate((0, 8))
    for _ in range(3):
        bench.clock.now += DEFAULT_INACTIVITY_TIMEOUT
        assert write(bench, token).status is GOOD
    bench.clock.now += DEFAULT_INACTIVITY_TIMEOUT + 0.5
    assert sense_of(write(bench, token)) == Sense.INVALID_TOKEN_OPERATION_TOKEN_EXPIRED.value


def test_a_token_does_not_expire_while_it_is_used() -> None:
    """A long copy is one use."""
    executor = HeldExecutor()
    bench = CopyBench(executor=executor)
    token = bench.populate((0, 8))
    data = write_list(token, [(0, 8)])
    task = bench.start(write_using_token(len(data), 2), data, lun=1)
    bench.clock.now += 10 * DEFAULT_INACTIVITY_TIMEOUT
    executor.finish_all()
    assert bench.owner.status(task) is GOOD


def test_del_tkn() -> None:
    """Whoever has no more use for a token has it deleted with its last use."""
    bench = CopyBench()
    token = bench.populate((0, 8))
    assert bench.write_token(write_list(token, [(0, 8)], delete=True)).status is GOOD
    assert sense_of(write(bench, token)) == Sense.INVALID_TOKEN_OPERATION_TOKEN_DELETED.value
    assert not bench.source.has_tokens


def test_a_write_while_the_token_is_read() -> None:
    """What was being read may be torn: the copy fails, and does not count what it has just written."""
    executor = HeldExecutor()
    bench = CopyBench(executor=executor)
    token = bench.populate((0, 8))
    data = write_list(token, [(0, 8)])
    task = bench.start(write_using_token(len(data), 2), data, lun=1)
    bench.start(write_10(0, 1), b"x" * 512)
    executor.finish()
    assert sense_of(bench.owner.ends[task]) == Sense.INVALID_TOKEN_OPERATION_TOKEN_REVOKED.value
    information = bench.information(2, lun=1)
    assert (information.status, information.count) == (0x02, 0)


# -- What else can be wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skipped", [8, 9, 1 << 60])
def test_an_offset_beyond_the_data(skipped: int) -> None:
    """It is refused before anything is written."""
    bench = CopyBench()
    token = bench.populate((0, 8))
    before = blocks(bench.destination, 0, 16)
    assert refusal(bench.write_token(write_list(token, [(0, 1)], skipped=skipped))) == in_list(8)
    assert blocks(bench.destination, 0, 16) == before


@pytest.mark.parametrize(("skipped", "written"), [(0, 8), (3, 5)])
def test_more_than_the_token_stands_for(skipped: int, written: int) -> None:
    """As much is written as there is, in order, and that it was less is told."""
    bench = CopyBench()
    token = bench.populate((0, 8))
    before = blocks(bench.destination, 0, 64)
    assert bench.write_token(write_list(token, [(20, 4), (0, 10)], skipped=skipped)).status is GOOD
    after = blocks(bench.destination, 0, 64)
    data = blocks(bench.source, skipped, written)
    assert after[20 * 512 : 24 * 512] + after[: (written - 4) * 512] == data
    assert after[(written - 4) * 512 : 20 * 512] == before[(written - 4) * 512 : 20 * 512]
    information = bench.information(2, lun=1)
    assert (information.status, information.count) == (0x03, written)


def test_data_that_end_within_a_block() -> None:
    """The rest of the block is zeroed (SBC-4, WRITE USING TOKEN)."""
    bench = CopyBench(destination_block_length=4096)
    token = bench.populate((0, 12))
    before = blocks(bench.destination, 0, 4)
    assert bench.write_token(write_list(token, [(0, 3)])).status is GOOD
    expected = blocks(bench.source, 0, 12) + bytes(4 * 512) + before[2 * 4096 :]
    assert blocks(bench.destination, 0, 4) == expected
    information = bench.information(2, lun=1)
    assert (information.status, information.count) == (0x03, 2)


def test_ranges_of_the_destination() -> None:
    """They have to be there, once, and not too many."""
    bench = CopyBench()
    token = bench.populate((0, 64))
    out_of_range = Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, FieldPointer(536, in_cdb=False)
    assert refusal(bench.write_token(write_list(token, [(NUM_BLOCKS, 1)]))) == out_of_range
    assert refusal(bench.write_token(write_list(token, [(0, 2), (1, 2)]))) == in_list(552)
    too_many = write_list(token, [(lba, 1) for lba in range(MAX_RANGE_DESCRIPTORS + 1)])
    expected = Sense.TOO_MANY_SEGMENT_DESCRIPTORS, FieldPointer(534, in_cdb=False)
    assert refusal(bench.write_token(too_many)) == expected
    response = bench.owner.ends[bench.task(write_using_token(65538), lun=1)]
    assert response is not None
    assert refusal(response) == (Sense.PARAMETER_LIST_LENGTH_ERROR, FieldPointer(10))


def test_a_destination_that_is_write_protected() -> None:
    """WRITE USING TOKEN is a write like any other."""
    bench = CopyBench()
    token = bench.populate((0, 8))
    bench.nexus.mappings[1].read_only = True
    assert sense_of(write(bench, token)) == Sense.WRITE_PROTECTED.value


def test_a_source_that_somebody_else_has_reserved() -> None:
    """A token is no way around a reservation that keeps its user from reading."""
    bench = CopyBench()
    token = bench.populate((0, 8))
    other = bench.connect(isid=2)
    for action, key, action_key in ((ReserveOutAction.REGISTER, 0, 5), (ReserveOutAction.RESERVE, 5, 0)):
        cdb = reserve_out(action, ReservationType.EXCLUSIVE_ACCESS)
        assert bench.run(cdb, reserve_out_list(key, action_key), nexus=other).status is GOOD
    failure = copy_failure(write(bench, token))
    assert failure.sense is Sense.THIRD_PARTY_DEVICE_FAILURE
    assert (failure.from_source, failure.status) == (True, Status.RESERVATION_CONFLICT)


@pytest.mark.parametrize(
    ("number", "sense"),
    [(errno.ENOSPC, Sense.SPACE_ALLOCATION_FAILED_WRITE_PROTECT), (errno.EIO, Sense.WRITE_ERROR)],
)
def test_a_destination_that_fails(number: int, sense: Sense, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sense is that of a WRITE."""
    bench = CopyBench()
    token = bench.populate((0, 8))

    def fail(*_: object, **__: object) -> None:
        raise BackstoreError(number, "broken")

    monkeypatch.setattr(bench.destination.backstore, "write", fail)
    assert sense_of(write(bench, token)) == sense.value


def test_a_source_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it is not the destination is told, and what the source says."""
    bench = CopyBench()
    token = bench.populate((0, 8))
    before = blocks(bench.destination, 0, 8)

    def fail(*_: object, **__: object) -> None:
        raise BackstoreError(errno.EIO, "broken")

    monkeypatch.setattr(bench.source.backstore, "read_into", fail)
    failure = copy_failure(bench.write_token(write_list(token, [(0, 8)])))
    assert failure.sense is Sense.THIRD_PARTY_DEVICE_FAILURE
    assert (failure.from_source, failure.forwarded) == (True, Sense.UNRECOVERED_READ_ERROR)
    assert blocks(bench.destination, 0, 8) == before


def test_in_the_background() -> None:
    """With IMMED the status comes first; what came of it is told to who asks."""
    executor = HeldExecutor()
    bench = CopyBench(executor=executor)
    token = bench.populate((0, 8))
    data = write_list(token, [(0, 8)], immediate=True)
    task = bench.start(write_using_token(len(data), 2), data, lun=1)
    assert bench.owner.status(task) is GOOD
    [operation] = executor.operations
    assert not isinstance(operation, Copy), "a background operation leaves the loop"
    assert bench.information(2, lun=1).status == 0x12
    executor.finish_all()
    assert bench.information(2, lun=1).status == 0x01
    assert blocks(bench.destination, 0, 8) == blocks(bench.source, 0, 8)


def test_a_source_through_any_lun() -> None:
    """It does not matter at which LUN the nexus maps the unit that made the token."""
    bench = CopyBench()
    token = bench.populate((0, 8))
    bench.nexus.mappings[9] = bench.nexus.mappings.pop(0)
    assert isinstance(bench.nexus.mappings[9], LunMapping)
    assert write(bench, token).status is GOOD
