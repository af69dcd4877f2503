from dataclasses import replace

import pytest

from isthmus.engine.lookout import Lookout
from isthmus.iscsi.pdu import DataIn, NopOut, Pdu, ScsiCommand
from isthmus.scsi.lun import encode_lun
from tests.support.engine import FIRST_CMD_SN, EngineUnderTest, HeldWorkers, Peer, read, write
from tests.support.scsi import make_unit


def served(under_test: EngineUnderTest) -> int:
    """How many reads were served under a grant."""
    return sum(grant.read_commands for grant in under_test.nexus.grants.values())


def with_cdb(pdu: ScsiCommand, **values: int) -> ScsiCommand:
    """The same with bytes of its CDB changed: `byte_1=8`."""
    cdb = bytearray(pdu.cdb)
    for name, value in values.items():
        cdb[int(name.removeprefix("byte_"))] = value
    return replace(pdu, cdb=bytes(cdb))


ORDINARY = read(1, FIRST_CMD_SN, 3, 2)
READ_10 = replace(ORDINARY, cdb=b"\x28\0\0\0\0\3\0\0\2\0".ljust(16, b"\0"))


@pytest.mark.parametrize(
    "pdu",
    [
        ORDINARY,
        READ_10,
        replace(ORDINARY, attribute=0),
        with_cdb(ORDINARY, byte_14=5),
        with_cdb(READ_10, byte_6=5),
    ],
    ids=["READ (16)", "READ (10)", "untagged", "group", "group in READ (10)"],
)
def test_what_is_ordinary_is_served_under_the_grant(pdu: ScsiCommand) -> None:
    """None of these can make a difference to a read."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    peer.sends(pdu)
    assert isinstance(peer.gets_one(), DataIn)
    assert served(under_test) == 1


@pytest.mark.parametrize(
    "pdu",
    [
        with_cdb(ORDINARY, byte_1=0x10),
        with_cdb(READ_10, byte_1=0x10),
        replace(ORDINARY, is_immediate=True),
        replace(ORDINARY, attribute=2),
        replace(ORDINARY, attribute=3),
        replace(ORDINARY, write=True),
        replace(ORDINARY, read=False),
        replace(ORDINARY, lun=9 << 48),
        replace(ORDINARY, lun=0x4000 << 48),
        replace(ORDINARY, expected_data_transfer_length=1023),
        replace(ORDINARY, expected_data_transfer_length=2048),
        replace(ORDINARY, cmd_sn=FIRST_CMD_SN + 1),
        replace(ORDINARY, cdb=ORDINARY.cdb + bytes(4)),
        replace(ORDINARY, bidirectional_read_data_length=512),
        with_cdb(ORDINARY, byte_0=0xA8),
        with_cdb(ORDINARY, byte_1=0x08),
        with_cdb(ORDINARY, byte_1=0x20),
        with_cdb(ORDINARY, byte_1=0x01),
        with_cdb(ORDINARY, byte_15=0x04),
        with_cdb(READ_10, byte_1=0x08),
        with_cdb(READ_10, byte_9=0x04),
        read(1, FIRST_CMD_SN, 2047, 2),
        read(1, FIRST_CMD_SN, 1 << 40, 2),
        read(1, FIRST_CMD_SN, 0, 0),
        read(1, FIRST_CMD_SN, 0, 17),
    ],
    ids=lambda pdu: None,
)
def test_what_is_out_of_the_ordinary_by_one_bit_takes_the_long_way(pdu: ScsiCommand) -> None:
    """Only the device server knows what to make of it."""
    under_test = EngineUnderTest()
    peer = under_test.log_in(max_xmit_data_segment_length=16 * 512)
    peer.sends(pdu)
    assert served(under_test) == 0
    assert peer.gets() or pdu.cmd_sn != FIRST_CMD_SN


@pytest.mark.parametrize("max_transfer", [2, 3])
def test_a_longer_transfer_than_the_unit_takes_goes_the_long_way(max_transfer: int) -> None:
    """MAXIMUM TRANSFER LENGTH is the device server's to enforce."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    under_test.nexus.grants[0].max_transfer_blocks = max_transfer
    peer.sends(read(1, FIRST_CMD_SN, 0, 3))
    assert served(under_test) == (max_transfer == 3)


def test_a_tag_in_use_is_no_ordinary_one() -> None:
    """A read with the tag of a write under way is for the long way to reject."""
    workers = HeldWorkers()
    unit = make_unit()
    unit.backstore.never_blocks = False
    under_test = EngineUnderTest(unit, workers=workers)
    peer = under_test.log_in()
    peer.sends(write(1, FIRST_CMD_SN, 0, bytes(512)))
    assert workers.under_way
    peer.gets()
    peer.sends(read(1, FIRST_CMD_SN + 1, 0, 1), read(2, FIRST_CMD_SN + 2, 0, 1))
    assert [type(pdu).__name__ for pdu in peer.gets()] == ["Reject", "DataIn"]


def take(peer: Peer, *pdus: Pdu) -> list[Pdu]:
    """The answers to what is sent in one go."""
    peer.sends(*pdus)
    return peer.gets()


def test_a_grant_that_is_withdrawn_is_not_used() -> None:
    """The engine looks at it for each command."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    grant = under_test.nexus.grants[0]
    take(peer, read(1, FIRST_CMD_SN, 0, 1))
    grant.reads = False
    take(peer, read(2, FIRST_CMD_SN + 1, 0, 1))
    grant.reads = True
    take(peer, read(3, FIRST_CMD_SN + 2, 0, 1))
    assert (grant.read_commands, grant.read_bytes) == (2, 1024)


def test_what_is_not_cached_takes_the_long_way() -> None:
    """There it waits for a worker, and the loop does not."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    asked: list[int] = []

    def nothing_cached(offset: int, buffer: memoryview) -> bool:
        asked.append(offset)
        return False

    under_test.units[0].backstore.read_if_cached = nothing_cached  # type: ignore[method-assign]
    (answer,) = take(peer, read(1, FIRST_CMD_SN, 5, 1))
    assert isinstance(answer, DataIn)
    assert (asked[0], served(under_test)) == (5 * 512, 0)


def test_reads_and_writes_in_turn_are_all_served_under_the_grant() -> None:
    """One receive may bring both, in any order."""
    workers = HeldWorkers()
    unit = make_unit()
    unit.backstore.never_blocks = False
    under_test = EngineUnderTest(unit, workers=workers)
    peer = under_test.log_in()
    pdus: list[Pdu] = []
    for number in range(0, 12, 3):
        pdus.append(read(number, FIRST_CMD_SN + number, 0, 1))
        pdus.append(write(number + 1, FIRST_CMD_SN + number + 1, 0, bytes(512)))
        pdus.append(read(number + 2, FIRST_CMD_SN + number + 2, 0, 1))
    answers = take(peer, *pdus)
    assert [pdu.initiator_task_tag for pdu in answers] == [0, 2, 3, 5, 6, 8, 9, 11]
    assert (served(under_test), len(workers.under_way)) == (8, 4)


def test_answers_that_wait_go_before_those_of_the_fast_path() -> None:
    """StatSN counts in the order in which PDUs leave."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    answers = take(
        peer,
        read(1, FIRST_CMD_SN, 0, 1),
        NopOut(initiator_task_tag=2, cmd_sn=FIRST_CMD_SN + 1),
        read(3, FIRST_CMD_SN + 2, 0, 1),
        read(4, FIRST_CMD_SN + 3, 0, 1),
    )
    assert [pdu.initiator_task_tag for pdu in answers] == [1, 2, 3, 4]


@pytest.mark.parametrize(("depth", "answered"), [(0, 0), (1, 3)])
def test_a_closed_window_lets_nothing_in(depth: int, answered: int) -> None:
    """Each read that is served opens it again by one."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    window = peer.stream.connection.session.window
    window.max_cmd_sn = (window.exp_cmd_sn + depth - 1) & 0xFFFF_FFFF
    assert len(take(peer, *(read(tag, FIRST_CMD_SN + tag, 0, 1) for tag in range(3)))) == answered


def test_sequence_numbers_wrap() -> None:
    """CmdSN and StatSN go from 2^32 - 1 to 0 amid a batch."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    connection = peer.stream.connection
    window = connection.session.window
    window.exp_cmd_sn, window.max_cmd_sn = 0xFFFF_FFFE, 9
    connection.stat_sn = 0xFFFF_FFFF
    answers = take(peer, *(read(tag, (0xFFFF_FFFE + tag) & 0xFFFF_FFFF, 0, 1) for tag in range(4)))
    numbers = [(pdu.stat_sn, pdu.exp_cmd_sn, pdu.max_cmd_sn) for pdu in answers if isinstance(pdu, DataIn)]
    assert numbers == [(0xFFFF_FFFF, 0xFFFF_FFFF, 10), (0, 0, 11), (1, 1, 12), (2, 2, 13)]
    assert (connection.stat_sn, window.exp_cmd_sn, window.max_cmd_sn) == (3, 2, 13)


@pytest.mark.parametrize("digests", [False, True])
@pytest.mark.parametrize("num_blocks", [2047, 2048, 2049, 4096])
def test_a_read_around_the_length_of_the_arena_arrives_whole(num_blocks: int, digests: bool) -> None:
    """A Data-In PDU about as long as the arena has its header, its data, and the next PDU right behind it."""
    under_test = EngineUnderTest(make_unit(4 << 20))
    data = bytes(range(256)) * 16384
    under_test.units[0].backstore.write(0, (data,))
    peer = under_test.log_in(
        session={"max_burst_length": 1 << 22},
        max_xmit_data_segment_length=1 << 22,
        header_digest=digests,
        data_digest=digests,
    )
    peer.sends(read(1, FIRST_CMD_SN, 0, 1), read(2, FIRST_CMD_SN + 1, 0, num_blocks), read(3, FIRST_CMD_SN + 2, 0, 1))
    answers = peer.gets()
    assert [isinstance(answer, DataIn) for answer in answers] == [True, True, True]
    assert [bytes(answer.data_segment) for answer in answers] == [data[:512], data[: num_blocks * 512], data[:512]]


def test_reads_are_timed_by_the_batch_under_the_grants_that_served_them() -> None:
    """Each counts once, wherever the batch ends, and whatever units it was for."""
    under_test = EngineUnderTest(make_unit(), make_unit())
    peer = under_test.log_in()
    peer.sends(*(read(tag, FIRST_CMD_SN + tag, 0, 1, lun=tag % 2) for tag in range(5)))
    peer.sends(read(9, FIRST_CMD_SN + 5, 0, 1))
    first, second = (under_test.nexus.grants[encode_lun(lun)] for lun in (0, 1))
    assert (first.timed_reads, second.timed_reads) == (first.read_commands, second.read_commands) == (4, 2)
    assert first.read_latency is not None
    assert second.read_latency is not None
    assert (first.read_latency.commands, second.read_latency.commands) == (4, 2)
    assert first.write_latency is None


def test_behind_a_single_read_the_loop_stays_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The initiator sends the next one when it has the answer; behind several it has enough to do."""
    answered: list[None] = []
    monkeypatch.setattr(Lookout, "answered", lambda _: answered.append(None))
    under_test = EngineUnderTest()
    peer = under_test.connect(under_test.open_session())
    peer.sends(read(1, FIRST_CMD_SN, 0, 1), read(2, FIRST_CMD_SN + 1, 0, 1))
    assert not answered
    peer.sends(read(3, FIRST_CMD_SN + 2, 0, 1))
    assert len(answered) == 1
