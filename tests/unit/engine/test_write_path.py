import errno
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import Buffer

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.engine.write_path import MAX_RUN, WriteRun
from isthmus.errors import BackstoreError
from isthmus.iscsi.opcodes import LogoutReason, TaskManagementFunction, TaskManagementResponseCode
from isthmus.iscsi.pdu import LogoutRequest, LogoutResponse, Pdu, ScsiCommand, ScsiResponse, TaskManagementRequest
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.sense import Sense
from isthmus.scsi.status import Status
from tests.support.engine import BLOCK, FIRST_CMD_SN, EngineUnderTest, HeldWorkers, Peer, read, write

Function = TaskManagementFunction
Code = TaskManagementResponseCode
A, B, C = (bytes([letter]) * BLOCK for letter in b"ABC")


class Recording(RamdiskBackstore):
    """Memory that notes each write, fails where it is told to, and wants workers."""

    never_blocks = False

    def __init__(self, size: int = 4 << 20) -> None:
        super().__init__("recording", size)
        self.writes: list[tuple[int, int]] = []
        self.bad: dict[int, Exception] = {}
        """Errors by the offset whose writing meets them."""

    def write(self, offset: int, buffers: Sequence[Buffer], *, durable: bool = False) -> None:
        length = sum(memoryview(buffer).nbytes for buffer in buffers)
        self.writes.append((offset, length))
        for place, error in self.bad.items():
            if offset <= place < offset + length:
                raise error
        super().write(offset, buffers, durable=durable)

    def block(self, lba: int) -> bytes:
        buffer = bytearray(BLOCK)
        self.read_into(lba * BLOCK, memoryview(buffer))
        return bytes(buffer)


class Bench:
    """An engine with one recording unit whose operations end when a test says so."""

    def __init__(self, **parameters: Any) -> None:
        self.workers = HeldWorkers()
        self.backstore = Recording()
        self.under_test = EngineUnderTest(LogicalUnit(self.backstore), workers=self.workers)
        self.session = self.under_test.open_session(max_connections=4, first_burst_length=1 << 18, **parameters)
        self.peer = self.connect(1)

    def connect(self, cid: int) -> Peer:
        return self.under_test.connect(self.session, cid=cid, max_recv_data_segment_length=1 << 18)


def outcome(pdu: Pdu) -> tuple[int, int]:
    """(task tag, status) of a SCSI Response, or (tag, response code) of another."""
    if isinstance(pdu, ScsiResponse):
        return pdu.initiator_task_tag, pdu.status
    return pdu.initiator_task_tag, pdu.response  # type: ignore[attr-defined]


def outcomes(peer: Peer) -> list[tuple[int, int]]:
    """Of all that came."""
    peer.turn()
    return [outcome(pdu) for pdu in peer.gets()]


def manage(function: Function, cmd_sn: int, **fields: Any) -> TaskManagementRequest:
    """An immediate function."""
    return TaskManagementRequest(is_immediate=True, initiator_task_tag=90, function=function, cmd_sn=cmd_sn, **fields)


# -- What is ordinary --------------------------------------------------------------------------------------------------


def with_cdb(pdu: ScsiCommand, **values: int) -> ScsiCommand:
    """The same with bytes of its CDB changed: `byte_1=8`."""
    cdb = bytearray(pdu.cdb)
    for name, value in values.items():
        cdb[int(name.removeprefix("byte_"))] = value
    return replace(pdu, cdb=bytes(cdb))


ORDINARY = write(1, FIRST_CMD_SN, 3, A + B)
WRITE_10 = replace(ORDINARY, cdb=b"\x2a\0\0\0\0\3\0\0\2\0".ljust(16, b"\0"))


def runs(bench: Bench) -> list[WriteRun]:
    """What the fast path has handed over."""
    return [operation for _, operation, _ in bench.workers.under_way if isinstance(operation, WriteRun)]


@pytest.mark.parametrize(
    "pdu",
    [
        ORDINARY,
        WRITE_10,
        replace(ORDINARY, attribute=0),
        with_cdb(ORDINARY, byte_14=5),
        with_cdb(WRITE_10, byte_6=5),
    ],
    ids=["WRITE (16)", "WRITE (10)", "untagged", "group", "group in WRITE (10)"],
)
def test_what_is_ordinary_is_written_under_the_grant(pdu: ScsiCommand) -> None:
    """None of these can make a difference to a write."""
    bench = Bench()
    bench.peer.sends(pdu)
    assert len(runs(bench)) == 1
    bench.workers.finish_all()
    assert outcomes(bench.peer) == [(1, 0)]
    assert [bench.backstore.block(lba) for lba in (3, 4)] == [A, B]
    grant = bench.under_test.nexus.grants[0]
    assert (grant.write_commands, grant.write_bytes, grant.in_flight) == (1, 1024, 0)


@pytest.mark.parametrize(
    "pdu",
    [
        replace(ORDINARY, is_immediate=True),
        replace(ORDINARY, attribute=2),
        replace(ORDINARY, attribute=3),
        replace(ORDINARY, read=True),
        replace(ORDINARY, lun=9 << 48),
        replace(ORDINARY, lun=0x4000 << 48),
        replace(ORDINARY, expected_data_transfer_length=2048),
        replace(ORDINARY, data_segment=A),
        replace(ORDINARY, data_segment=b""),
        replace(ORDINARY, cmd_sn=FIRST_CMD_SN + 1),
        replace(ORDINARY, initiator_task_tag=0xFFFF_FFFF),
        replace(ORDINARY, cdb=ORDINARY.cdb + bytes(4)),
        with_cdb(ORDINARY, byte_0=0xAA),
        with_cdb(ORDINARY, byte_1=0x10),
        with_cdb(ORDINARY, byte_1=0x08),
        with_cdb(ORDINARY, byte_1=0x20),
        with_cdb(ORDINARY, byte_15=0x04),
        with_cdb(WRITE_10, byte_1=0x08),
        with_cdb(WRITE_10, byte_9=0x04),
        with_cdb(ORDINARY, byte_13=1),
        with_cdb(ORDINARY, byte_13=0),
        write(1, FIRST_CMD_SN, (4 << 20) // BLOCK - 1, A + B),
    ],
    ids=lambda pdu: None,
)
def test_what_is_out_of_the_ordinary_by_one_bit_takes_the_long_way(pdu: ScsiCommand) -> None:
    """Only the device server knows what to make of it."""
    bench = Bench()
    bench.peer.sends(pdu)
    assert runs(bench) == []


@pytest.mark.parametrize("max_transfer", [1, 2])
def test_a_longer_transfer_than_the_unit_takes_goes_the_long_way(max_transfer: int) -> None:
    """MAXIMUM TRANSFER LENGTH is the device server's to enforce."""
    bench = Bench()
    bench.under_test.nexus.grants[0].max_transfer_blocks = max_transfer
    bench.peer.sends(ORDINARY)
    assert len(runs(bench)) == (max_transfer == 2)


def test_a_grant_that_is_withdrawn_is_not_used() -> None:
    """Only writes that came while it stood are handed over."""
    bench = Bench()
    bench.peer.sends(write(1, FIRST_CMD_SN, 0, A))
    bench.under_test.nexus.grants[0].writes = False
    bench.peer.sends(write(2, FIRST_CMD_SN + 1, 1, A))
    assert [len(run.tasks) for run in runs(bench)] == [1]


def test_a_closed_window_lets_nothing_in() -> None:
    """As many writes as there is room for, and no answer to the others (RFC 7143 §4.2.2.1)."""
    bench = Bench()
    bench.session.window.max_cmd_sn = FIRST_CMD_SN + 2
    bench.peer.sends(*(write(tag, FIRST_CMD_SN + tag, tag, A) for tag in range(6)))
    assert sorted(bench.session.tasks) == [0, 1, 2]
    bench.workers.finish_all()
    assert outcomes(bench.peer) == [(0, 0), (1, 0), (2, 0)]


def test_writes_to_two_units_in_one_receive() -> None:
    """Each goes to the storage of its own unit."""
    backstores = (Recording(), Recording())
    workers = HeldWorkers()
    under_test = EngineUnderTest(*(LogicalUnit(backstore) for backstore in backstores), workers=workers)
    peer = under_test.log_in()
    peer.sends(*(write(tag, FIRST_CMD_SN + tag, tag // 2, (A, B)[tag % 2], lun=tag % 2) for tag in range(6)))
    workers.finish_all()
    assert outcomes(peer) == [(tag, 0) for tag in range(6)]
    assert [backstore.block(2) for backstore in backstores] == [A, B]
    assert [len(backstore.writes) for backstore in backstores] == [3, 3]


# -- Runs --------------------------------------------------------------------------------------------------------------


def test_writes_that_follow_one_another_become_one() -> None:
    """Each is answered all the same, in its order."""
    bench = Bench()
    bench.peer.sends(*(write(tag, FIRST_CMD_SN + tag, tag, bytes([tag]) * BLOCK) for tag in range(8)))
    assert len(bench.workers.under_way) == 1
    bench.workers.finish_all()
    assert bench.backstore.writes == [(0, 8 * BLOCK)]
    assert outcomes(bench.peer) == [(tag, 0) for tag in range(8)]
    assert [bench.backstore.block(lba) for lba in range(8)] == [bytes([tag]) * BLOCK for tag in range(8)]


def test_writes_that_do_not_are_written_by_themselves() -> None:
    """Also where they go backwards, or to the same place."""
    bench = Bench()
    places = [5, 4, 4, 6, 7, 9]
    bench.peer.sends(*(write(tag, FIRST_CMD_SN + tag, lba, A) for tag, lba in enumerate(places)))
    bench.workers.finish_all()
    assert bench.backstore.writes == [
        (5 * BLOCK, BLOCK),
        (4 * BLOCK, BLOCK),
        (4 * BLOCK, BLOCK),
        (6 * BLOCK, 2 * BLOCK),
        (9 * BLOCK, BLOCK),
    ]
    assert outcomes(bench.peer) == [(tag, 0) for tag in range(6)]


def test_a_run_has_a_bound() -> None:
    """So that one call of many does not hold up the disk."""
    bench = Bench()
    wire = [write(tag, FIRST_CMD_SN + tag, tag * 256, bytes(256 * BLOCK)) for tag in range(12)]
    for pdu in wire:  # Each is longer than half a receive: they come one by one.
        bench.peer.sends(pdu)
    bench.workers.finish_all()
    assert max(length for _, length in bench.backstore.writes) <= MAX_RUN + 256 * BLOCK
    assert len(outcomes(bench.peer)) == 12


@pytest.mark.parametrize("bad", [0, 2, 4])
def test_of_a_run_only_what_fails_has_failed(bad: int) -> None:
    """The sense names the block; the writes before it and behind it are done."""
    bench = Bench()
    bench.backstore.bad[bad * BLOCK] = BackstoreError(errno.EIO, "broken", offset=bad * BLOCK)
    bench.peer.sends(*(write(tag, FIRST_CMD_SN + tag, tag, A) for tag in range(5)))
    bench.workers.finish_all()
    bench.peer.turn()
    answers = bench.peer.gets()
    assert [outcome(pdu) for pdu in answers] == [
        (tag, Status.CHECK_CONDITION if tag == bad else Status.GOOD) for tag in range(5)
    ]
    sense = bytes(answers[bad].data_segment)[2:]
    assert (sense[0] & 0x7F, sense[2], sense[12:14]) == (
        0x70,
        Sense.WRITE_ERROR.value[0],
        bytes(Sense.WRITE_ERROR.value[1:3]),
    )
    assert int.from_bytes(sense[3:7]) == bad
    assert [bench.backstore.block(lba) for lba in range(5)] == [bytes(BLOCK) if lba == bad else A for lba in range(5)]


def test_a_failure_that_is_a_bug_is_heard_of() -> None:
    """The initiator gets INTERNAL TARGET FAILURE, and the log the exception."""
    bench = Bench()
    bug = ZeroDivisionError("a bug")
    bench.backstore.bad[0] = bug
    bench.peer.sends(write(1, FIRST_CMD_SN, 0, A))
    bench.workers.under_way[0][2](None, bug)
    assert outcomes(bench.peer) == [(1, Status.CHECK_CONDITION)]
    assert bench.under_test.internal_errors == [bug]


# -- Aborts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, BackstoreError(errno.EIO, "broken")], ids=["good", "failed"])
@pytest.mark.parametrize(
    ("function", "code"),
    [
        (Function.ABORT_TASK, Code.TASK_DOES_NOT_EXIST),
        (Function.ABORT_TASK_SET, Code.FUNCTION_COMPLETE),
        (Function.CLEAR_TASK_SET, Code.FUNCTION_COMPLETE),
        (Function.LOGICAL_UNIT_RESET, Code.FUNCTION_COMPLETE),
        (Function.TARGET_WARM_RESET, Code.FUNCTION_COMPLETE),
    ],
)
def test_a_function_waits_for_the_writes_under_way(
    function: Function, code: Code, error: BackstoreError | None
) -> None:
    """They cannot be called back: they are answered, and then the function; nothing is written after that."""
    bench = Bench()
    bench.peer.sends(write(1, FIRST_CMD_SN, 0, A))
    bench.peer.sends(manage(function, FIRST_CMD_SN + 1, referenced_task_tag=1, ref_cmd_sn=FIRST_CMD_SN))
    assert outcomes(bench.peer) == []
    bench.workers.finish(error)
    assert bench.workers.under_way == type(bench.workers.under_way)()
    assert outcomes(bench.peer) == [(1, 0 if error is None else Status.CHECK_CONDITION), (90, code)]


# -- Lost connections --------------------------------------------------------------------------------------------------


def test_a_write_whose_connection_is_lost_does_not_overwrite_a_later_one() -> None:
    """What the initiator sends again on another connection waits until the old write is over."""
    bench = Bench()
    other = bench.connect(2)
    bench.peer.sends(write(1, FIRST_CMD_SN, 0, A))
    bench.peer.hangs_up()
    other.sends(write(2, FIRST_CMD_SN + 1, 0, B), write(3, FIRST_CMD_SN + 2, 7, C))
    assert len(bench.workers.under_way) == 1, "a later write has overtaken the orphan"
    bench.workers.finish_all()
    assert outcomes(other) == [(2, 0), (3, 0)]
    assert [bench.backstore.block(lba) for lba in (0, 7)] == [B, C]
    bench.under_test.hush(bench.under_test.nexus)
    other.sends(write(4, FIRST_CMD_SN + 3, 0, C))
    assert bench.workers.under_way[0][1].__class__.__name__ == "WriteRun", "the grant does not stand again"


def test_a_write_of_a_session_that_comes_back_does_not_overwrite_a_later_one() -> None:
    """The same when the only connection is reinstated."""
    bench = Bench()
    bench.peer.sends(write(1, FIRST_CMD_SN, 0, A))
    bench.under_test.engine.drop_connection(bench.session, 1, "reinstated")
    again = bench.connect(1)
    again.sends(write(2, FIRST_CMD_SN + 1, 0, B))
    assert len(bench.workers.under_way) == 1
    bench.workers.finish_all()
    assert outcomes(again) == [(2, 0)]
    assert bench.backstore.block(0) == B


def test_a_write_of_a_session_that_is_reinstated_does_not_overwrite_a_later_one() -> None:
    """The same when a new session takes the place of the old one."""
    bench = Bench()
    bench.peer.sends(write(1, FIRST_CMD_SN, 0, A))
    bench.under_test.engine.end_session(bench.session, "reinstated")
    bench.session = bench.under_test.open_session(first_burst_length=1 << 18)
    again = bench.connect(1)
    again.sends(write(2, FIRST_CMD_SN, 0, B))
    assert len(bench.workers.under_way) == 1
    bench.workers.finish_all()
    assert outcomes(again) == [(2, 0)]
    assert bench.backstore.block(0) == B


def test_an_abort_is_answered_although_the_connection_of_its_task_is_lost() -> None:
    """It came on another connection, which is still there."""
    bench = Bench()
    other = bench.connect(2)
    bench.peer.sends(write(1, FIRST_CMD_SN, 0, A))
    other.sends(manage(Function.ABORT_TASK, FIRST_CMD_SN + 1, referenced_task_tag=1, ref_cmd_sn=FIRST_CMD_SN))
    bench.peer.hangs_up()
    bench.workers.finish_all()
    assert outcomes(other) == [(90, Code.TASK_DOES_NOT_EXIST)]


@pytest.mark.parametrize("error", [None, BackstoreError(errno.EIO, "broken")], ids=["good", "failed"])
def test_a_write_whose_connection_is_lost_is_answered_to_nobody(error: BackstoreError | None) -> None:
    """Its tag and its place in the window are free at once, and stay as they are when it is over."""
    bench = Bench()
    bench.connect(2)
    bench.peer.sends(write(1, FIRST_CMD_SN, 0, A))
    bench.peer.hangs_up()
    window = bench.session.window
    before = (window.exp_cmd_sn, window.max_cmd_sn)
    assert bench.session.tasks == {}
    bench.workers.finish(error)
    assert (window.exp_cmd_sn, window.max_cmd_sn) == before
    assert (window.max_cmd_sn - window.exp_cmd_sn) & 0xFFFF_FFFF == window.depth - 1
    assert all(not grant.in_flight for grant in bench.under_test.nexus.grants.values())


# -- Logout ------------------------------------------------------------------------------------------------------------


def test_what_comes_behind_a_logout_is_not_done() -> None:
    """A write and a read in the same receive, while another connection keeps the session (RFC 7143 §11.14)."""
    bench = Bench()
    bench.connect(2)
    bench.peer.sends(
        LogoutRequest(initiator_task_tag=9, cmd_sn=FIRST_CMD_SN, reason=LogoutReason.CLOSE_CONNECTION, cid=1),
        write(1, FIRST_CMD_SN + 1, 0, A),
        read(2, FIRST_CMD_SN + 1, 0, 1),
    )
    assert not bench.workers.under_way
    assert isinstance(bench.peer.gets_one(), LogoutResponse)
    assert bench.session.tasks == {}


def test_writes_are_timed_under_their_grant() -> None:
    """Those that were served; a write that failed is not one of them."""
    workers = HeldWorkers()
    under_test = EngineUnderTest(workers=workers)
    peer = under_test.log_in()
    peer.sends(*(write(tag, FIRST_CMD_SN + tag, tag, bytes(BLOCK)) for tag in range(3)))
    workers.finish_all()
    peer.sends(write(9, FIRST_CMD_SN + 3, 0, bytes(BLOCK)))
    workers.finish(BackstoreError(errno.EIO, "broken"))
    [grant] = under_test.nexus.grants.values()
    assert grant.write_latency is not None
    assert (grant.write_commands, grant.write_latency.commands) == (3, 3)


# -- Waiting for the answers -------------------------------------------------------------------------------------------


def prompt_bench() -> Bench:
    """Its workers promise results soon."""
    bench = Bench()
    bench.workers.prompt = True
    return bench


def writes(first: int, count: int) -> list[ScsiCommand]:
    """So many ordinary writes, of a block each; tags and places as their CmdSN."""
    return [write(first + n, FIRST_CMD_SN + first + n, 8 * (first + n), A) for n in range(count)]


def test_what_comes_before_the_answers_is_one_batch() -> None:
    """Each wake-up costs more than a write: what the initiator sends meanwhile is looked at when it is answered."""
    bench = prompt_bench()
    bench.peer.sends(*writes(0, 2))
    for number in range(2, 6):
        bench.peer.sends(*writes(number, 1))
    assert len(bench.workers.under_way) == 2
    bench.workers.finish_together()
    assert [outcome(pdu) for pdu in bench.peer.gets()] == [(0, 0), (1, 0)]
    assert len(bench.workers.under_way) == 4
    bench.workers.finish_together()
    assert outcomes(bench.peer) == [(tag, 0) for tag in range(2, 6)]
    bench.peer.sends(*writes(6, 1))
    assert len(bench.workers.under_way) == 1


def test_nobody_waits_for_a_single_write() -> None:
    """There is nothing to be gathered: the initiator may send one at a time."""
    bench = prompt_bench()
    bench.peer.sends(*writes(0, 1))
    bench.peer.sends(read(7, FIRST_CMD_SN + 1, 0, 1))
    assert [pdu.initiator_task_tag for pdu in bench.peer.gets()] == [7]


def test_nobody_waits_for_writes_that_take_long() -> None:
    """A function that is to abort them, or a read of another disk, must not wait for a disk that is stuck."""
    bench = prompt_bench()
    bench.peer.sends(*writes(0, 2))
    bench.peer.sends(manage(Function.ABORT_TASK_SET, FIRST_CMD_SN + 2))
    assert not bench.session.waiting_functions
    bench.workers.on_slow()
    bench.peer.turn()
    bench.workers.finish_all()
    assert (90, Code.FUNCTION_COMPLETE) in outcomes(bench.peer)


def test_a_connection_is_lost_while_it_waits() -> None:
    """Its end is seen with the answers, and the next one of the session goes on."""
    bench = prompt_bench()
    bench.peer.sends(*writes(0, 2))
    bench.peer.socket.ended = True
    bench.workers.finish_together()
    bench.peer.turn()
    assert bench.peer.socket.closed
    assert not bench.under_test.engine.held
    assert not bench.session.tasks


def test_a_connection_is_closed_by_us_while_it_waits() -> None:
    """Nothing is received for it any more."""
    bench = prompt_bench()
    bench.peer.sends(*writes(0, 2))
    bench.under_test.engine.end_all("stopped")
    assert not bench.under_test.engine.held
    bench.workers.finish_together()
    assert bench.peer.socket.closed
