import pytest

from isthmus.iscsi.opcodes import LogoutReason, RejectReason
from isthmus.iscsi.parameters import ConnectionParameters
from isthmus.iscsi.pdu import LoginRequest, LogoutRequest, NopIn, NopOut, Reject, ScsiResponse
from isthmus.iscsi.task import CommandResult
from tests.support.full_feature import FIRST_CMD_SN, FIRST_STAT_SN, SessionUnderTest, command


def test_a_connection_that_is_lost_twice_leaves_its_successor_alone() -> None:
    """Its CID may belong to another connection by then (RFC 7143 §6.3.4)."""
    under_test = SessionUnderTest()
    old = under_test.connect(1)
    old.connection.lost()
    new = under_test.connect(1)
    old.connection.lost()
    assert under_test.session.connections == {1: new.connection}


@pytest.mark.parametrize(
    "request_", [LogoutRequest(reason=LogoutReason.CLOSE_SESSION), NopOut(data_segment=b"echo")], ids=["logout", "nop"]
)
def test_a_request_whose_connection_is_lost_before_its_turn_only_counts(request_: LogoutRequest | NopOut) -> None:
    """Nobody is there who could be answered, and the requests behind it go on."""
    under_test = SessionUnderTest(max_connections=2)
    one, two = under_test.connect(1), under_test.connect(2)
    request_.initiator_task_tag, request_.cmd_sn = 9, FIRST_CMD_SN + 1
    one.sends(request_)
    one.connection.lost()
    two.sends(command(1, FIRST_CMD_SN), command(2, FIRST_CMD_SN + 2))
    assert (one.logouts, one.gets()) == ([], [])
    assert under_test.sink.submitted == [1, 2]
    assert under_test.session.window.max_cmd_sn == FIRST_CMD_SN + 8


@pytest.mark.parametrize("discovery", [True, False])
def test_a_request_that_is_out_of_place_takes_its_number(discovery: bool) -> None:
    """It is rejected, and the one behind it is not held up."""
    under_test = SessionUnderTest()
    peer = under_test.connect(discovery=discovery)
    misplaced = command(1, FIRST_CMD_SN) if discovery else LoginRequest(is_immediate=False, cmd_sn=FIRST_CMD_SN)
    peer.sends(misplaced, NopOut(initiator_task_tag=2, cmd_sn=FIRST_CMD_SN + 1))
    reject, echo = peer.gets()
    assert isinstance(reject, Reject)
    assert reject.reason == RejectReason.PROTOCOL_ERROR
    assert isinstance(echo, NopIn)


def test_stat_sn_has_no_gap_and_wraps() -> None:
    """Each PDU that carries status takes the next one (RFC 7143 §4.2.2.2)."""
    under_test = SessionUnderTest(window_depth=64)
    peer = under_test.connect()
    peer.connection.stat_sn = 0xFFFF_FFFE
    for number in range(4):
        peer.sends(command(number, FIRST_CMD_SN + number))
        peer.connection.commands.respond(under_test.sink.ready[number], CommandResult(status=0))
    assert [pdu.stat_sn for pdu in peer.gets() if isinstance(pdu, ScsiResponse)] == [0xFFFF_FFFE, 0xFFFF_FFFF, 0, 1]


def test_what_the_initiator_has_acknowledged_is_known() -> None:
    """ExpStatSN comes with each request (RFC 7143 §4.2.2.2)."""
    peer = SessionUnderTest().connect()
    assert peer.connection.exp_stat_sn == FIRST_STAT_SN
    peer.sends(NopOut(is_immediate=True, cmd_sn=FIRST_CMD_SN, exp_stat_sn=FIRST_STAT_SN + 7))
    assert peer.connection.exp_stat_sn == FIRST_STAT_SN + 7


@pytest.mark.parametrize(("declared", "burst", "longest"), [(8192, 65536, 8192), (1 << 20, 65536, 65536)])
def test_the_longest_read_in_one_pdu(declared: int, burst: int, longest: int) -> None:
    """The initiator's MaxRecvDataSegmentLength and MaxBurstLength bound it, the former may be declared anew."""
    under_test = SessionUnderTest(max_burst_length=burst)
    connection = under_test.connect().connection
    connection.use_parameters(ConnectionParameters(max_xmit_data_segment_length=declared))
    assert connection.max_read_length == longest


def test_after_a_logout_nobody_is_asked_to_log_out() -> None:
    """The answer to the logout is the last PDU."""
    peer = SessionUnderTest().connect()
    peer.sends(LogoutRequest(initiator_task_tag=5, cmd_sn=FIRST_CMD_SN))
    peer.gets()
    peer.connection.ask_logout(3)
    assert not peer.connection.ping()
    assert peer.gets() == []


def test_what_is_sent_is_counted_as_long_as_memory_is_held() -> None:
    """Bytes beyond what holds memory count for nothing."""
    peer = SessionUnderTest().connect()
    told: list[int] = []
    peer.connection.on_reads_sent = told.append
    peer.connection.unsent_reads = 100
    for length in (60, 60, 60):
        peer.connection.sent(length)
    assert (told, peer.connection.unsent_reads) == ([60, 40, 0], 0)
