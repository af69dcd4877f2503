from typing import Any

import pytest
from structlog.testing import capture_logs

from isthmus.engine.reference import TICK
from isthmus.engine.stream import Stream
from isthmus.iscsi.connection_state import ConnectionState
from isthmus.iscsi.login_policy import SessionType
from isthmus.iscsi.opcodes import LogoutReason, LogoutResponseCode, TaskManagementFunction
from isthmus.iscsi.parameters import Keepalive
from isthmus.iscsi.pdu import (
    AsyncMessage,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    ReadyToTransfer,
    Reject,
    ScsiCommand,
    ScsiResponse,
    TaskManagementRequest,
    TaskManagementResponse,
)
from isthmus.iscsi.session import Session
from isthmus.iscsi.session_state import SessionInput, SessionState
from tests.support.engine import FIRST_CMD_SN, EngineUnderTest, HeldWorkers, Peer, login, write
from tests.support.scsi import make_unit

KEEPALIVE = Keepalive()


def logout(reason: LogoutReason = LogoutReason.CLOSE_SESSION, cid: int = 1) -> LogoutRequest:
    """An immediate Logout Request."""
    return LogoutRequest(is_immediate=True, initiator_task_tag=9, cmd_sn=FIRST_CMD_SN, reason=reason, cid=cid)


def nop(tag: int = 1) -> NopOut:
    """A ping from the initiator."""
    return NopOut(is_immediate=True, initiator_task_tag=tag, cmd_sn=FIRST_CMD_SN)


def state(session: Session) -> SessionState:
    """Its state at this moment."""
    return session.state


def nothing_left(under_test: EngineUnderTest) -> bool:
    """Whether the engine knows of no session and no connection, and neither does the SCSI layer."""
    engine = under_test.engine
    assert engine.sessions == ()
    assert engine._waiting == set()
    return engine.idle and not any(unit.nexuses for unit in under_test.units)


# -- Sessions that lose their last connection --------------------------------------------------------------------------


def test_a_session_is_kept_for_a_while() -> None:
    """For DefaultTime2Wait + DefaultTime2Retain seconds; then it ends, once (RFC 7143 §8.3.1)."""
    under_test = EngineUnderTest()
    peer = under_test.log_in(session={"default_time2wait": 2, "default_time2retain": 20})
    (session,) = under_test.engine.sessions
    peer.hangs_up()
    assert state(session) is SessionState.FAILED
    under_test.loop.advance(21.9)
    assert (under_test.ended, under_test.units[0].nexuses) == ([], frozenset({under_test.nexus}))
    under_test.loop.advance(0.2)
    assert under_test.ended == [session]
    assert session.state is SessionState.FREE
    assert nothing_left(under_test)
    under_test.loop.advance(100)
    assert under_test.ended == [session]


def test_a_session_that_is_continued_stays() -> None:
    """A connection that comes in time stops the clock."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    (session,) = under_test.engine.sessions
    peer.hangs_up()
    under_test.loop.advance(10)
    session.advance(SessionInput.CONTINUATION)
    again = under_test.connect(session, cid=2)
    under_test.loop.advance(30)
    assert (under_test.ended, session.state) == ([], SessionState.LOGGED_IN)
    again.sends(nop())
    assert NopIn in {type(pdu) for pdu in again.gets()}


def test_a_session_that_is_not_to_be_kept_ends_at_once() -> None:
    """DefaultTime2Retain = 0 (RFC 7143 §13.16)."""
    under_test = EngineUnderTest()
    under_test.log_in(session={"default_time2retain": 0}).hangs_up()
    assert len(under_test.ended) == 1
    assert nothing_left(under_test)


def test_the_others_keep_a_session() -> None:
    """As long as one connection is there it has not failed."""
    under_test = EngineUnderTest()
    session = under_test.open_session(max_connections=2)
    one, two = under_test.connect(session, cid=1), under_test.connect(session, cid=2)
    one.hangs_up()
    assert state(session) is SessionState.LOGGED_IN
    two.hangs_up()
    assert session.state is SessionState.FAILED


def discovery_session(under_test: EngineUnderTest) -> tuple[Session, list[Session]]:
    """A session without a target, and those that have ended."""
    ended: list[Session] = []
    completed = login(session_type=SessionType.DISCOVERY, target=None)
    return under_test.engine.open_session(completed, 1, None, ended.append), ended


def test_a_discovery_session_ends_with_its_connection() -> None:
    """There is nothing to come back to, and there are no commands in it."""
    under_test = EngineUnderTest()
    session, ended = discovery_session(under_test)
    peer = under_test.connect(session)
    peer.sends(ScsiCommand(initiator_task_tag=1, cmd_sn=FIRST_CMD_SN))
    assert isinstance(peer.gets_one(), Reject)
    peer.hangs_up()
    assert ended == [session]
    assert nothing_left(under_test)


def test_a_connection_that_was_lost_after_its_logout_ends_nothing_twice() -> None:
    """Its session has failed meanwhile for another reason."""
    under_test = EngineUnderTest()
    session = under_test.open_session(max_connections=2)
    one, two = under_test.connect(session, cid=1), under_test.connect(session, cid=2)
    one.socket.room = 0
    one.sends(logout(LogoutReason.CLOSE_CONNECTION, cid=1))
    two.hangs_up()
    under_test.loop.advance(10)
    with capture_logs() as logs:
        one.hangs_up()
    assert logs == []  # The logout was told.
    under_test.loop.advance(12.1)
    assert under_test.ended == [session]
    assert nothing_left(under_test)


# -- Reinstatement and the end -----------------------------------------------------------------------------------------


def test_a_connection_that_is_dropped_leaves_its_place() -> None:
    """Connection reinstatement: its tasks end unanswered, the session goes on (RFC 7143 §6.3.4)."""
    workers = HeldWorkers()
    unit = make_unit()
    unit.backstore.never_blocks = False
    under_test = EngineUnderTest(unit, workers=workers)
    session = under_test.open_session()
    old = under_test.connect(session)
    old.sends(write(1, FIRST_CMD_SN, 0, bytes(512)))
    under_test.engine.drop_connection(session, 1, "reinstated")
    under_test.engine.drop_connection(session, 1, "again")
    under_test.engine.drop_connection(session, 77, "unknown")
    assert (old.socket.closed, session.tasks, session.connections) == (True, {}, {})
    new = under_test.connect(session)
    workers.finish_all()
    new.sends(nop())
    assert isinstance(new.gets_one(), NopIn)
    assert old.gets() == []


def test_a_session_that_is_ended_sends_what_it_has() -> None:
    """All its connections close; what was queued goes out before."""
    under_test = EngineUnderTest()
    session = under_test.open_session(max_connections=2)
    one, two = under_test.connect(session, cid=1), under_test.connect(session, cid=2)
    one.stream.connection.send(NopIn())
    under_test.engine.end_session(session, "reinstated")
    under_test.engine.end_session(session, "again")
    assert (one.socket.closed, two.socket.closed, under_test.ended) == (True, True, [session])
    assert isinstance(one.gets_one(), NopIn)
    assert nothing_left(under_test)


def test_everything_can_be_ended() -> None:
    """Sessions with and without connections, and connections that have logged out."""
    under_test = EngineUnderTest()
    peers = [under_test.log_in(isid=isid) for isid in range(1, 5)]
    peers[0].hangs_up()
    peers[1].socket.room = 0
    peers[1].sends(logout())
    assert not under_test.engine.idle
    under_test.engine.end_all("the server stops")
    assert all(peer.socket.closed for peer in peers)
    assert len(under_test.ended) == 4
    assert nothing_left(under_test)
    assert not under_test.loop.writers


def test_a_cold_reset_is_answered_before_it_takes_effect() -> None:
    """The sessions of the target are dropped by its owner (RFC 7143 §11.5.1)."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    (session,) = under_test.engine.sessions
    under_test.on_cold_reset = lambda: under_test.engine.end_session(session, "TARGET COLD RESET")
    peer.sends(
        TaskManagementRequest(
            is_immediate=True,
            initiator_task_tag=1,
            cmd_sn=FIRST_CMD_SN,
            function=TaskManagementFunction.TARGET_COLD_RESET,
        ),
        nop(),
    )
    answer = peer.gets_one()
    assert isinstance(answer, TaskManagementResponse)
    assert (answer.response, peer.socket.closed) == (0, True)
    assert nothing_left(under_test)


# -- Logout ------------------------------------------------------------------------------------------------------------


def test_a_logout_ends_the_session() -> None:
    """The response goes out, the connections close, and nothing is kept (RFC 7143 §11.14)."""
    under_test = EngineUnderTest()
    session = under_test.open_session(max_connections=2)
    one, two = under_test.connect(session, cid=1), under_test.connect(session, cid=2)
    one.sends(logout())
    answer = one.gets_one()
    assert isinstance(answer, LogoutResponse)
    assert answer.response == LogoutResponseCode.CLOSED_SUCCESSFULLY
    assert (one.socket.closed, two.socket.closed, under_test.ended) == (True, True, [session])
    assert one.stream.connection.state is ConnectionState.FREE
    assert nothing_left(under_test)


@pytest.mark.parametrize("cid", [1, 2])
def test_a_logout_of_one_connection_leaves_the_other(cid: int) -> None:
    """Whether it is the one that asks, or not."""
    under_test = EngineUnderTest()
    session = under_test.open_session(max_connections=2)
    peers = {1: under_test.connect(session, cid=1), 2: under_test.connect(session, cid=2)}
    peers[1].sends(logout(LogoutReason.CLOSE_CONNECTION, cid=cid))
    assert isinstance(peers[1].gets_one(), LogoutResponse)
    assert [number for number, peer in peers.items() if peer.socket.closed] == [cid]
    assert (list(session.connections), under_test.ended) == ([3 - cid], [])
    peers[3 - cid].sends(nop())
    assert isinstance(peers[3 - cid].gets_one(), NopIn)


def test_a_logout_of_the_last_connection_ends_the_session() -> None:
    """Nothing is kept of a session that was closed on purpose."""
    under_test = EngineUnderTest()
    under_test.log_in().sends(logout(LogoutReason.CLOSE_CONNECTION))
    assert nothing_left(under_test)


def test_a_connection_stays_until_its_logout_is_answered() -> None:
    """However slowly the peer takes the answer."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    peer.socket.room = 10
    peer.sends(logout())
    assert not peer.socket.closed
    peer.socket.room = 1000
    peer.turn()
    assert isinstance(peer.gets_one(), LogoutResponse)
    assert nothing_left(under_test)


# -- Silence -----------------------------------------------------------------------------------------------------------


def answer_ping(peer: Peer) -> None:
    """Answer the one NOP-In that has come."""
    ping = peer.gets_one()
    assert isinstance(ping, NopIn)
    peer.sends(NopOut(is_immediate=True, cmd_sn=FIRST_CMD_SN, target_transfer_tag=ping.target_transfer_tag))


def test_the_silent_are_asked_whether_they_are_there() -> None:
    """Once, and again only after an answer (RFC 7143 §11.19)."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    for _ in range(4):
        under_test.loop.advance(KEEPALIVE.ping_after + 2 * TICK)
        answer_ping(peer)
    assert not peer.socket.closed


def test_those_who_do_not_answer_are_lost() -> None:
    """And so is their session, when they do not come back."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    under_test.loop.advance(KEEPALIVE.lost_after - TICK)
    assert not peer.socket.closed
    with capture_logs() as logs:
        under_test.loop.advance(2 * TICK)
    assert (peer.socket.closed, logs[0]["reason"]) == (True, "no answer to NOP-In")
    under_test.loop.advance(60)
    assert nothing_left(under_test)


def test_patience_may_change_while_a_session_lasts() -> None:
    """For its connections now, and for those that it gets later."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    session = peer.stream.connection.session
    under_test.engine.watch_over(session, Keepalive(ping_after=3.0, lost_after=6.0))
    under_test.loop.advance(3.0 + 2 * TICK)
    answer_ping(peer)
    under_test.loop.advance(7.0)
    assert peer.socket.closed


def test_those_who_talk_are_not_asked() -> None:
    """Any byte is a sign of life."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    for _ in range(20):
        peer.sends_bytes(b"\0")
        under_test.loop.advance(TICK)
    assert (peer.gets(), peer.socket.closed) == ([], False)


def test_the_clock_stops_with_the_last_connection() -> None:
    """And starts again with the next: an idle server does nothing."""
    under_test = EngineUnderTest()
    under_test.log_in(isid=1).sends(logout())
    under_test.loop.advance(2 * TICK)
    assert under_test.loop.timers == []
    peer = under_test.log_in(isid=2)
    under_test.loop.advance(KEEPALIVE.ping_after + 2 * TICK)
    answer_ping(peer)


# -- Stopping ----------------------------------------------------------------------------------------------------------


def test_everybody_is_asked_to_log_out() -> None:
    """By Async Message, on each connection (RFC 7143 §11.9.1, event 1)."""
    under_test = EngineUnderTest()
    peers = [under_test.log_in(isid=isid) for isid in (1, 2)]
    under_test.engine.ask_logout(3)
    under_test.loop.run_soon()
    for peer in peers:
        message = peer.gets_one()
        assert isinstance(message, AsyncMessage)
        assert (message.async_event, message.parameter3) == (1, 3)


async def test_waiting_until_all_is_over() -> None:
    """At once if it is; when the last connection goes; or not in time."""
    under_test = EngineUnderTest()
    engine = under_test.engine
    assert await engine.wait_idle(0)
    peer = under_test.log_in()
    assert not await engine.wait_idle(0.001)
    peer.sends(logout())
    assert await engine.wait_idle(0)


async def test_waiting_for_writes_of_those_who_are_gone() -> None:
    """An operation under way keeps the engine busy, although no connection is left."""
    workers = HeldWorkers()
    unit = make_unit()
    unit.backstore.never_blocks = False
    under_test = EngineUnderTest(unit, workers=workers)
    peer = under_test.log_in()
    peer.sends(write(1, FIRST_CMD_SN, 0, bytes(512)))
    under_test.engine.end_all("the server stops")
    assert not await under_test.engine.wait_idle(0)
    workers.finish_all()
    assert await under_test.engine.wait_idle(0)


# -- Output ------------------------------------------------------------------------------------------------------------


def test_what_workers_bring_back_goes_out_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One send for all answers of a batch."""
    workers = HeldWorkers()
    unit = make_unit()
    unit.backstore.never_blocks = False
    under_test = EngineUnderTest(unit, workers=workers)
    peer = under_test.log_in()
    peer.sends(*(write(tag, FIRST_CMD_SN + tag, tag * 3, bytes(512)) for tag in range(5)))
    sends: list[int] = []
    sendmsg = peer.socket.sendmsg

    def counted(buffers: Any) -> int:
        sends.append(len(buffers))
        return sendmsg(buffers)

    monkeypatch.setattr(peer.socket, "sendmsg", counted)
    workers.finish_together()
    assert sends == [5]
    assert {type(pdu) for pdu in peer.gets()} == {ScsiResponse}


def test_output_at_any_other_time_goes_out_with_the_turn_of_the_loop() -> None:
    """However much there is, one flush is arranged."""
    under_test = EngineUnderTest()
    peers = [under_test.log_in(isid=isid) for isid in (1, 2)]
    for _ in range(3):
        for peer in peers:
            peer.stream.connection.send(NopIn())
    assert len(under_test.loop.soon) == 1
    under_test.loop.run_soon()
    assert [len(peer.gets()) for peer in peers] == [3, 3]


def test_a_connection_that_is_gone_is_not_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output that was still to come is dropped with it."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    peer.stream.connection.send(NopIn())
    under_test.engine.drop_connection(peer.stream.connection.session, 1, "reinstated")
    monkeypatch.setattr(Stream, "flush", lambda stream: pytest.fail("flushed"))
    under_test.loop.run_soon()


def test_who_is_connected_is_told() -> None:
    """Sessions, and the two addresses of a connection while it lives."""
    under_test = EngineUnderTest()
    peer = under_test.log_in()
    connection = peer.stream.connection
    assert under_test.engine.sessions == (connection.session,)
    assert under_test.engine.addresses(connection) == ("192.0.2.1:49152", "192.0.2.2:3260")
    peer.hangs_up()
    assert under_test.engine.addresses(connection) == ("", "")


def test_data_that_does_not_come_ends_the_connection() -> None:
    """A command holds its part of the data-out budget only while its initiator sends; another session then gets it."""
    under_test = EngineUnderTest()
    under_test.engine.budget.limit = 4096
    hog = under_test.log_in(isid=1, session={"immediate_data": False})
    other = under_test.log_in(isid=2, session={"immediate_data": False})
    for peer in (hog, other):
        command = write(1, FIRST_CMD_SN, 0, bytes(4096))
        command.data_segment = b""
        peer.sends(command)
    assert len(hog.gets()) == 1
    assert other.gets() == []
    for _ in range(int(KEEPALIVE.data_out_within / TICK) + 1):
        under_test.loop.advance(TICK)
        for peer in (hog, other):
            if not peer.socket.closed:
                peer.sends(nop())
    assert hog.socket.closed
    assert [type(pdu) for pdu in other.gets() if not isinstance(pdu, NopIn)] == [ReadyToTransfer]
