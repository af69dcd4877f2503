import dataclasses
import errno
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from isthmus.engine.stream import HIGH_WATER
from isthmus.iscsi.codec import Digests, encode
from isthmus.iscsi.pdu import DataIn, DataOut, NopIn, NopOut, Pdu, ReadyToTransfer, ScsiCommand, ScsiResponse
from tests.support.engine import BLOCK, FIRST_CMD_SN, EngineUnderTest, Peer, read, write
from tests.support.scsi import make_unit

KIB = 1024
MIB = 1024 * 1024


def pattern(length: int) -> bytes:
    """Bytes of which no two blocks are alike."""
    return b"".join(number.to_bytes(4) * 128 for number in range(-(-length // BLOCK)))[:length]


def text_of(pdus: list[Pdu]) -> list[tuple[str, int, bytes]]:
    """What matters of answers."""
    return [(type(pdu).__name__, pdu.initiator_task_tag, bytes(pdu.data_segment)) for pdu in pdus]


# -- Cutting the stream into PDUs --------------------------------------------------------------------------------------


def conversation() -> list[Pdu]:
    """Requests of many forms: with and without data, padding, additional header segments."""
    data = pattern(3 * BLOCK)
    return [
        NopOut(initiator_task_tag=1, cmd_sn=FIRST_CMD_SN, data_segment=b"12345"),
        write(2, FIRST_CMD_SN + 1, 4, data),
        read(3, FIRST_CMD_SN + 2, 5, 2),
        ScsiCommand(initiator_task_tag=4, cmd_sn=FIRST_CMD_SN + 3, cdb=b"\x7f" + bytes(31)),
        NopOut(is_immediate=True, initiator_task_tag=5, cmd_sn=FIRST_CMD_SN + 4),
        write(6, FIRST_CMD_SN + 4, 0, data[:BLOCK], expected_data_transfer_length=BLOCK + 1, attribute=0),
        read(7, FIRST_CMD_SN + 5, 4, 3),
    ]


def answers_when_cut(digests: Digests, cuts: Iterator[int] | int | None) -> list[tuple[str, int, bytes]]:
    """The answers to `conversation` when it comes in pieces of that length, or of those lengths."""
    under_test = EngineUnderTest()
    peer = under_test.log_in(header_digest=digests.header, data_digest=digests.data)
    data = b"".join(bytes(piece) for pdu in conversation() for piece in encode(pdu, digests))
    while data:
        length = len(data) if cuts is None else cuts if isinstance(cuts, int) else next(cuts)
        peer.sends_bytes(data[:length])
        data = data[length:]
    assert not peer.socket.closed
    return text_of(peer.gets())


ALL_DIGESTS = [Digests(header=header, data=data) for header in (False, True) for data in (False, True)]


@pytest.mark.parametrize("digests", ALL_DIGESTS, ids=str)
def test_pdus_may_be_cut_anywhere(digests: Digests) -> None:
    """One cut changes no answer: at any byte of a header or a digest, or near the ends of data or amid it."""
    whole = answers_when_cut(digests, None)
    assert [(kind, tag) for kind, tag, _ in whole] == [
        ("NopIn", 1),
        ("ScsiResponse", 2),
        ("DataIn", 3),
        ("ScsiResponse", 4),
        ("NopIn", 5),
        ("ScsiResponse", 6),
        ("DataIn", 7),
    ]
    position = 0
    for piece in (memoryview(piece) for pdu in conversation() for piece in encode(pdu, digests)):
        inside = range(1, len(piece) + 1)
        for cut in inside if len(piece) < 100 else (*inside[:4], len(piece) // 2, *inside[-4:]):
            assert answers_when_cut(digests, iter((position + cut, 1 << 20))) == whole
        position += len(piece)


@pytest.mark.parametrize("digests", ALL_DIGESTS, ids=str)
@pytest.mark.parametrize("length", [1, 2, 3, 5, 47, 48, 49, 51, 52, 53, 511, 1000])
def test_pdus_may_come_in_small_pieces(length: int, digests: Digests) -> None:
    """As may many cuts at equal distances."""
    assert answers_when_cut(digests, length) == answers_when_cut(digests, None)


@given(st.sampled_from(ALL_DIGESTS), st.lists(st.integers(1, 700), min_size=1, max_size=60))
def test_pdus_may_come_in_any_pieces(digests: Digests, lengths: list[int]) -> None:
    """As may any cuts."""
    cuts = iter([*lengths, *[1 << 20]])
    assert answers_when_cut(digests, cuts) == answers_when_cut(digests, None)


def test_what_came_behind_the_login_is_taken_first() -> None:
    """The bytes that the login left over belong to full feature phase, a half PDU as well."""
    under_test = EngineUnderTest()
    requests = b"".join(
        bytes(piece)
        for tag in (1, 2, 3)
        for piece in encode(NopOut(initiator_task_tag=tag, cmd_sn=FIRST_CMD_SN + tag - 1))
    )
    peer = under_test.connect(under_test.open_session(), received=requests[:100])
    assert [pdu.initiator_task_tag for pdu in peer.gets()] == [1, 2]
    peer.sends_bytes(requests[100:])
    assert peer.gets_one().initiator_task_tag == 3


@pytest.mark.parametrize("digests", ALL_DIGESTS, ids=str)
@pytest.mark.parametrize("at_once", [1000, 70_000, None])
def test_a_long_data_segment_gets_a_buffer_of_its_own(at_once: int | None, digests: Digests) -> None:
    """It is received straight to its place, and what comes right behind it is a PDU again."""
    under_test = EngineUnderTest(make_unit(4 * MIB))
    peer = under_test.log_in(
        session={"first_burst_length": 256 * KIB, "max_burst_length": MIB},
        max_recv_data_segment_length=256 * KIB,
        header_digest=digests.header,
        data_digest=digests.data,
    )
    peer.socket.at_once = at_once
    data = pattern(256 * KIB)
    peer.sends(
        write(1, FIRST_CMD_SN, 0, data[: 200 * KIB]),
        write(2, FIRST_CMD_SN + 1, 1024, data),
        NopOut(initiator_task_tag=3, cmd_sn=FIRST_CMD_SN + 2),
    )
    assert [pdu.initiator_task_tag for pdu in peer.gets()] == [1, 2, 3]
    content = bytearray(MIB)
    under_test.units[0].backstore.read_into(0, memoryview(content))
    assert content[: 200 * KIB] == data[: 200 * KIB]
    assert content[512 * KIB : 768 * KIB] == data


def test_solicited_data_comes_the_same_way() -> None:
    """Data-Out PDUs in answer to R2Ts, each longer than what one receive gives."""
    under_test = EngineUnderTest(make_unit(4 * MIB))
    peer = under_test.log_in(
        session={"first_burst_length": 512, "max_burst_length": 256 * KIB, "max_outstanding_r2t": 4},
        max_recv_data_segment_length=256 * KIB,
    )
    peer.socket.at_once = 100_000
    data = pattern(MIB)
    peer.sends(dataclasses.replace(write(1, FIRST_CMD_SN, 0, data), data_segment=b""))
    r2ts = peer.gets()
    assert len(r2ts) == 4
    for r2t in r2ts:
        assert isinstance(r2t, ReadyToTransfer)
        end = r2t.buffer_offset + r2t.desired_data_transfer_length
        peer.sends(
            DataOut(
                initiator_task_tag=1,
                target_transfer_tag=r2t.target_transfer_tag,
                buffer_offset=r2t.buffer_offset,
                data_segment=data[r2t.buffer_offset : end],
            )
        )
    answer = peer.gets_one()
    assert isinstance(answer, ScsiResponse)
    assert answer.status == 0
    content = bytearray(MIB)
    under_test.units[0].backstore.read_into(0, memoryview(content))
    assert content == data


# -- What ends a connection --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("byte", [0, 20, 47, 48, 51])
def test_a_header_digest_that_does_not_match_ends_the_connection(byte: int) -> None:
    """Nothing of such a PDU counts (RFC 7143 §7.7)."""
    under_test = EngineUnderTest()
    peer = under_test.log_in(header_digest=True)
    wire = bytearray(b"".join(bytes(piece) for piece in encode(read(1, FIRST_CMD_SN, 0, 1), peer.digests)))
    wire[byte] ^= 0x10
    with capture_logs() as logs:
        peer.sends_bytes(bytes(wire))
    assert (peer.socket.closed, peer.gets()) == (True, [])
    assert logs[0]["reason"] == "header digest error"


@pytest.mark.parametrize("byte", [52, 52 + 511, 52 + 512, 52 + 515])
def test_a_data_digest_that_does_not_match_ends_the_connection(byte: int) -> None:
    """What was damaged is not written (RFC 7143 §7.8)."""
    under_test = EngineUnderTest()
    peer = under_test.log_in(header_digest=True, data_digest=True)
    wire = bytearray(b"".join(bytes(piece) for piece in encode(write(1, FIRST_CMD_SN, 0, b"\xff" * 512), peer.digests)))
    wire[byte] ^= 0x01
    with capture_logs() as logs:
        peer.sends_bytes(bytes(wire))
    assert (peer.socket.closed, peer.gets()) == (True, [])
    assert logs[0]["reason"] == "data digest error"
    content = bytearray(512)
    under_test.units[0].backstore.read_into(0, memoryview(content))
    assert content == bytes(512)


def test_a_longer_data_segment_than_declared_ends_the_connection() -> None:
    """Before any of it is received (RFC 7143 §13.12)."""
    peer = EngineUnderTest().log_in(max_recv_data_segment_length=1024)
    peer.sends_bytes(bytes(encode(write(1, FIRST_CMD_SN, 0, bytes(1536)))[0]))
    assert peer.socket.closed


def test_answers_before_a_violation_go_out() -> None:
    """What was asked before gets its answer, then the connection ends."""
    peer = EngineUnderTest().log_in()
    peer.sends(
        NopOut(initiator_task_tag=1, cmd_sn=FIRST_CMD_SN),
        ScsiCommand(initiator_task_tag=2, cmd_sn=FIRST_CMD_SN + 1, read=True, data_segment=b"data"),
        NopOut(initiator_task_tag=3, cmd_sn=FIRST_CMD_SN + 2),
    )
    assert [pdu.initiator_task_tag for pdu in peer.gets()] == [1]
    assert peer.socket.closed


@pytest.mark.parametrize("sent", [0, 20, 48, 100, 60_000])
def test_the_peer_may_hang_up_anywhere(sent: int) -> None:
    """Between PDUs, in a header, in a data segment: the connection is lost, and the engine knows no more of it."""
    under_test = EngineUnderTest()
    peer = under_test.log_in(session={"first_burst_length": 128 * KIB}, max_recv_data_segment_length=256 * KIB)
    wire = b"".join(bytes(piece) for piece in encode(write(1, FIRST_CMD_SN, 0, bytes(128 * KIB))))
    peer.sends_bytes(wire[:sent])
    with capture_logs() as logs:
        peer.hangs_up()
    assert peer.socket.closed
    assert [entry["event"] for entry in logs] == ["connection lost"]
    assert under_test.engine.idle
    assert (under_test.loop.readers.keys() | under_test.loop.writers.keys()) <= {
        under_test.engine.workers._bell.descriptor
    }


def test_a_bug_of_ours_costs_one_connection() -> None:
    """An exception that nobody meant to raise is logged, and does not leave a connection that hangs."""
    under_test = EngineUnderTest()
    peer, other = under_test.log_in(isid=1), under_test.log_in(isid=2)

    def fails(pdu: Pdu) -> None:
        raise RuntimeError("a bug")

    peer.stream.connection._handlers[NopOut] = fails
    with capture_logs() as logs:
        peer.sends(NopOut(initiator_task_tag=1, cmd_sn=FIRST_CMD_SN))
    assert peer.socket.closed
    assert [entry["log_level"] for entry in logs] == ["error", "info"]
    assert "internal error" in logs[0]["event"]
    other.sends(NopOut(initiator_task_tag=1, cmd_sn=FIRST_CMD_SN))
    assert isinstance(other.gets_one(), NopIn)


@pytest.mark.parametrize("granted", [True, False])
def test_a_send_that_fails_is_the_end_of_the_connection(granted: bool) -> None:
    """Whatever was to be sent is dropped; what was received with it is done, as it was before the end."""
    under_test = EngineUnderTest(granted=granted)
    peer = under_test.log_in()
    peer.socket.send_error = BrokenPipeError(errno.EPIPE, "Broken pipe")
    data = pattern(BLOCK)
    with capture_logs() as logs:
        peer.sends(read(1, FIRST_CMD_SN, 0, 1), write(2, FIRST_CMD_SN + 1, 0, data), read(3, FIRST_CMD_SN + 2, 0, 1))
    assert (peer.socket.closed, peer.stream.backlog) == (True, 0)
    assert [entry["reason"] for entry in logs] == ["send: Broken pipe"]
    content = bytearray(BLOCK)
    under_test.units[0].backstore.read_into(0, memoryview(content))
    assert content == data


def test_bytes_of_which_the_loop_says_nothing_are_found() -> None:
    """All of them, and the end behind them; a peer that merely says nothing is left alone."""
    under_test = EngineUnderTest(make_unit(4 * MIB))
    peer, silent = under_test.log_in(isid=1), under_test.log_in(isid=2)
    under_test.loop.advance(5)  # What was received with the login counts as a sign of life.
    data = pattern(6 * KIB)
    peer.socket.at_once = 1000
    for number in range(100):
        pdu = write(number, FIRST_CMD_SN + number, number * 12, data)
        peer.socket.incoming += b"".join(bytes(piece) for piece in encode(pdu))
    peer.socket.ended = True
    under_test.loop.advance(5)
    assert (peer.socket.closed, silent.socket.closed) == (True, False)
    content = bytearray(600 * KIB)
    under_test.units[0].backstore.read_into(0, memoryview(content))
    assert content == data * 100


def test_bytes_of_a_paused_connection_are_left_where_they_are() -> None:
    """They hold up the peer."""
    under_test = EngineUnderTest(make_unit(4 * MIB))
    peer = under_test.log_in(session={"max_burst_length": MIB}, max_xmit_data_segment_length=256 * KIB)
    ask_for_too_much(peer)
    peer.socket.incoming += bytes(48)
    under_test.loop.advance(10)
    assert len(peer.socket.incoming) == 48


# -- Sending and back-pressure -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("granted", [True, False])
@pytest.mark.parametrize("step", [7, 1000, 5_000])
def test_answers_survive_a_socket_that_takes_little(step: int, granted: bool) -> None:
    """Pieces are cut anywhere and go on where they were cut."""
    under_test = EngineUnderTest(granted=granted)
    under_test.units[0].backstore.write(0, (pattern(16 * KIB),))
    peer = under_test.log_in(header_digest=True, data_digest=True, max_xmit_data_segment_length=2048)
    peer.socket.room = 0
    peer.sends(*(read(tag, FIRST_CMD_SN + tag, tag, 4 + tag) for tag in range(8)))
    data: dict[int, bytes] = dict.fromkeys(range(8), b"")
    while peer.loop.writers:
        peer.socket.room = step
        peer.turn()
        for pdu in peer.gets():
            data[pdu.initiator_task_tag] += bytes(pdu.data_segment)
    assert data == {tag: pattern(16 * KIB)[tag * BLOCK : (2 * tag + 4) * BLOCK] for tag in range(8)}


def ask_for_too_much(peer: Peer, count: int = 128) -> list[ScsiCommand]:
    """Reads of 256 KiB each, sent to a socket that takes nothing."""
    peer.socket.room = 0
    reads = [read(tag, FIRST_CMD_SN + tag, tag, 512) for tag in range(count)]
    peer.sends(*reads)
    return reads


@pytest.mark.parametrize("granted", [True, False])
@pytest.mark.parametrize("step", [100_000, MIB, 5 * MIB])
def test_a_peer_that_does_not_read_waits_and_loses_nothing(step: int, granted: bool) -> None:
    """It holds so much memory and no more; once it reads, all comes without its asking for anything again."""
    under_test = EngineUnderTest(make_unit(4 * MIB), granted=granted)
    data = pattern(2 * MIB)
    under_test.units[0].backstore.write(0, (data,))
    peer = under_test.log_in(session={"max_burst_length": MIB}, max_xmit_data_segment_length=256 * KIB)
    reads = ask_for_too_much(peer)
    other = under_test.log_in(isid=2)
    answers: list[Pdu] = []
    while len(answers) < len(reads):
        assert peer.stream.backlog <= HIGH_WATER + 2 * MIB
        assert peer.loop.writers, f"{len(answers)} answers came, and no more will"
        peer.socket.room = step
        peer.turn()
        answers += peer.gets()
        other.sends(NopOut(is_immediate=True, initiator_task_tag=1, cmd_sn=FIRST_CMD_SN))
        assert isinstance(other.gets_one(), NopIn)
    assert [pdu.initiator_task_tag for pdu in answers] == list(range(128))
    for pdu in answers:
        assert isinstance(pdu, DataIn)
        start = pdu.initiator_task_tag * BLOCK
        assert pdu.data_segment == data[start : start + 256 * KIB]
    assert peer.socket in peer.loop.readers
    assert peer.socket not in peer.loop.writers


def test_while_it_is_paused_nothing_is_received() -> None:
    """The bytes stay in the socket, where they hold up the peer."""
    under_test = EngineUnderTest(make_unit(4 * MIB))
    peer = under_test.log_in(session={"max_burst_length": MIB}, max_xmit_data_segment_length=256 * KIB)
    ask_for_too_much(peer)
    peer.sends(NopOut(is_immediate=True, initiator_task_tag=500, cmd_sn=FIRST_CMD_SN))
    assert len(peer.socket.incoming) == 48


def test_a_connection_may_be_lost_while_it_is_paused() -> None:
    """Nothing is left of it."""
    under_test = EngineUnderTest(make_unit(4 * MIB))
    peer = under_test.log_in(session={"max_burst_length": MIB}, max_xmit_data_segment_length=256 * KIB)
    ask_for_too_much(peer)
    peer.socket.send_error = ConnectionResetError()
    peer.socket.ended = True
    peer.socket.room = None
    peer.turn()
    assert peer.socket.closed
    assert under_test.engine.idle
    assert not under_test.loop.writers


def test_a_peer_that_takes_its_answers_slowly_is_alive() -> None:
    """While answers leave, the connection is not taken for dead, although nothing is received."""
    under_test = EngineUnderTest(make_unit(4 * MIB))
    peer = under_test.log_in(session={"max_burst_length": MIB}, max_xmit_data_segment_length=256 * KIB)
    ask_for_too_much(peer)
    for _ in range(20):
        under_test.loop.advance(5)
        peer.socket.room = 1000
        peer.turn()
    assert not peer.socket.closed
