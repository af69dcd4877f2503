"""Traces of what is not a command: NOP, logout, Reject, Async Message (RFC 7143 §11.9, §11.14, §11.17 to §11.19)."""

import pytest

from isthmus.iscsi.connection_state import ConnectionState
from isthmus.iscsi.opcodes import AsyncEvent, LogoutReason, LogoutResponseCode, RejectReason
from isthmus.iscsi.pdu import (
    AsyncMessage,
    LoginRequest,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    Pdu,
    Reject,
    SnackRequest,
    TaskManagementRequest,
    UnknownPdu,
)
from tests.support.full_feature import FIRST_CMD_SN, FIRST_STAT_SN, SessionUnderTest, command


def test_our_ping_is_asked_once_and_answered() -> None:
    """No second NOP-In goes out before the first is answered; it takes no StatSN."""
    peer = SessionUnderTest().connect()
    assert peer.connection.ping()
    assert not peer.connection.ping()
    ping = peer.gets_one()
    assert isinstance(ping, NopIn)
    assert (ping.initiator_task_tag, ping.stat_sn) == (0xFFFF_FFFF, FIRST_STAT_SN)
    peer.sends(NopOut(is_immediate=True, cmd_sn=FIRST_CMD_SN, target_transfer_tag=ping.target_transfer_tag))
    assert peer.gets() == []
    assert peer.connection.ping()
    assert peer.connection.stat_sn == FIRST_STAT_SN


def test_logout_of_the_session() -> None:
    """The response is the last PDU, and nothing behind the request counts."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(LogoutRequest(initiator_task_tag=5, cmd_sn=FIRST_CMD_SN, reason=LogoutReason.CLOSE_SESSION, cid=1))
    answer = peer.gets_one()
    assert isinstance(answer, LogoutResponse)
    assert answer.response == LogoutResponseCode.CLOSED_SUCCESSFULLY
    assert peer.logouts == [(LogoutReason.CLOSE_SESSION, 1)]
    assert (peer.connection.closing, peer.connection.state) == (True, ConnectionState.IN_LOGOUT)
    peer.sends(command(1, FIRST_CMD_SN + 1))
    assert under_test.sink.submitted == []


def test_logout_of_another_connection() -> None:
    """The one that asks stays open."""
    under_test = SessionUnderTest(max_connections=2)
    peer, _ = under_test.connect(1), under_test.connect(2)
    peer.sends(LogoutRequest(initiator_task_tag=5, cmd_sn=FIRST_CMD_SN, reason=LogoutReason.CLOSE_CONNECTION, cid=2))
    assert isinstance(peer.gets_one(), LogoutResponse)
    assert peer.logouts == [(LogoutReason.CLOSE_CONNECTION, 2)]
    assert not peer.connection.closing


@pytest.mark.parametrize(
    ("reason", "cid", "code"),
    [
        (LogoutReason.CLOSE_CONNECTION, 9, LogoutResponseCode.CID_NOT_FOUND),
        (LogoutReason.REMOVE_CONNECTION_FOR_RECOVERY, 1, LogoutResponseCode.RECOVERY_NOT_SUPPORTED),
    ],
)
def test_logouts_that_end_nothing(reason: LogoutReason, cid: int, code: LogoutResponseCode) -> None:
    """An unknown CID and recovery have their own response codes, and the connection goes on."""
    peer = SessionUnderTest().connect()
    peer.sends(LogoutRequest(initiator_task_tag=5, cmd_sn=FIRST_CMD_SN, reason=reason, cid=cid))
    answer = peer.gets_one()
    assert isinstance(answer, LogoutResponse)
    assert answer.response == code
    assert (peer.logouts, peer.connection.closing) == ([], False)


def test_logout_for_an_unknown_reason_is_rejected() -> None:
    """A reason that the RFC does not define is an invalid field."""
    peer = SessionUnderTest().connect()
    peer.sends(LogoutRequest(initiator_task_tag=5, cmd_sn=FIRST_CMD_SN, reason=99))
    reject = peer.gets_one()
    assert isinstance(reject, Reject)
    assert reject.reason == RejectReason.INVALID_PDU_FIELD


@pytest.mark.parametrize(
    ("pdu", "reason"),
    [
        (SnackRequest(), RejectReason.SNACK_REJECT),
        (LoginRequest(), RejectReason.PROTOCOL_ERROR),
        (NopIn(), RejectReason.PROTOCOL_ERROR),
        (UnknownPdu.from_bhs(b"\x1c" + bytes(47)), RejectReason.COMMAND_NOT_SUPPORTED),
    ],
)
def test_what_does_not_belong_here_is_rejected_with_its_header(pdu: Pdu, reason: RejectReason) -> None:
    """The connection goes on, and the initiator sees what it has sent (RFC 7143 §11.17)."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(pdu)
    reject = peer.gets_one()
    assert isinstance(reject, Reject)
    assert (reject.reason, reject.initiator_task_tag) == (reason, 0xFFFF_FFFF)
    assert reject.data_segment == pdu.to_bhs()
    peer.sends(command(1, FIRST_CMD_SN))
    assert under_test.sink.submitted == [1]


def test_the_target_asks_for_a_logout() -> None:
    """Async event 1 names the seconds; the initiator's logout follows (RFC 7143 §11.9.1)."""
    peer = SessionUnderTest().connect()
    peer.connection.ask_logout(3)
    message = peer.gets_one()
    assert isinstance(message, AsyncMessage)
    assert (message.async_event, message.parameter3) == (AsyncEvent.LOGOUT_REQUESTED, 3)
    states = [peer.connection.state]
    peer.sends(LogoutRequest(initiator_task_tag=5, cmd_sn=FIRST_CMD_SN, cid=1))
    states.append(peer.connection.state)
    assert states == [ConnectionState.LOGOUT_REQUESTED, ConnectionState.IN_LOGOUT]


def test_the_target_tells_of_a_scsi_event() -> None:
    """Async event 0 names the LUN, and its data are a sense length and the sense (RFC 7143 §11.9.1, §11.9.4)."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    under_test.session.report_event(0x0005 << 48, b"\x70sense")
    message = peer.gets_one()
    assert isinstance(message, AsyncMessage)
    assert (message.async_event, message.lun) == (AsyncEvent.SCSI_ASYNC_EVENT, 0x0005 << 48)
    assert bytes(message.data_segment) == b"\0\x06\x70sense"


def test_nothing_comes_behind_the_answer_to_a_logout() -> None:
    """Also no event (RFC 7143 §11.15)."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.sends(LogoutRequest(initiator_task_tag=5, cmd_sn=FIRST_CMD_SN, cid=1))
    assert isinstance(peer.gets_one(), LogoutResponse)
    peer.connection.report_event(0, b"sense")
    assert peer.gets() == []


def test_a_session_without_a_connection_hears_of_no_event() -> None:
    """Its unit attentions wait until it comes back."""
    under_test = SessionUnderTest()
    peer = under_test.connect()
    peer.connection.lost()
    under_test.session.report_event(0, b"sense")
    assert peer.gets() == []


@pytest.mark.parametrize("pdu", [command(1, FIRST_CMD_SN), TaskManagementRequest(function=2, initiator_task_tag=3)])
def test_a_discovery_session_has_no_commands(pdu: Pdu) -> None:
    """Commands and task management are protocol errors there (RFC 7143 §4.3)."""
    under_test = SessionUnderTest()
    peer = under_test.connect(discovery=True)
    peer.sends(pdu)
    reject = peer.gets_one()
    assert isinstance(reject, Reject)
    assert reject.reason == RejectReason.PROTOCOL_ERROR
    assert (under_test.sink.submitted, under_test.sink.functions) == ([], [])
