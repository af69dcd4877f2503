import asyncio

import pytest

from isthmus.initiator.connection_state import ConnectionState
from isthmus.initiator.errors import ConnectionLost, TaskAborted
from isthmus.iscsi.opcodes import RESERVED_TAG, AsyncEvent, LogoutReason
from isthmus.iscsi.pdu import AsyncMessage, LogoutRequest, NopOut, ScsiCommand, ScsiResponse, TextRequest, TextResponse
from tests.support.fake_target import FakeTarget, session_pair
from tests.support.patience import PATIENCE

TEST_UNIT_READY = bytes(6)


def ask_logout(target: FakeTarget, seconds: int = 5) -> None:
    """The target asks for a logout within `seconds`."""
    target.send(AsyncMessage(async_event=AsyncEvent.LOGOUT_REQUESTED, parameter3=seconds))


async def test_logs_out_when_asked_to() -> None:
    """The last connection closes the session."""
    async with session_pair() as (session, [target]):
        ask_logout(target)
        assert (await target.answer_logout()).reason == LogoutReason.CLOSE_SESSION
        assert await target.raw.receive_end(timeout=PATIENCE) == b""
        assert session.connections == {}


async def test_finishes_its_tasks_before_the_logout() -> None:
    """What is on its way gets its answer first; new commands are refused."""
    async with session_pair() as (session, [target]):
        task = session.start(0, TEST_UNIT_READY)
        command = await target.expect(ScsiCommand)
        ask_logout(target)
        message = await session.events.get()
        assert isinstance(message, AsyncMessage)
        assert session.connections[0].state is ConnectionState.LOGOUT_REQUESTED
        with pytest.raises(ConnectionLost, match="asked for a logout"):
            _ = session.start(0, TEST_UNIT_READY)
        target.send(ScsiResponse(initiator_task_tag=command.initiator_task_tag))
        assert (await task).status == 0
        await target.answer_logout()


async def test_does_not_wait_longer_than_the_target() -> None:
    """Without time to finish, the logout goes out over an unfinished task."""
    async with session_pair() as (session, [target]):
        task = session.start(0, TEST_UNIT_READY)
        await target.expect(ScsiCommand)
        ask_logout(target, seconds=0)
        await target.answer_logout()
        with pytest.raises(ConnectionLost, match="logged out"):
            await task


async def test_one_of_several_connections_closes_alone() -> None:
    """The others carry on."""
    async with session_pair(connections=2) as (session, targets):
        ask_logout(targets[0])
        request = await targets[0].answer_logout()
        assert (request.reason, request.cid) == (LogoutReason.CLOSE_CONNECTION, 0)
        assert await targets[0].raw.receive_end(timeout=PATIENCE) == b""
        assert list(session.connections) == [1]


async def test_can_be_told_not_to_oblige() -> None:
    """A test may want to see what the target does then."""
    async with session_pair() as (session, [target]):
        session.obliges = False
        ask_logout(target)
        await session.events.get()
        logout = asyncio.ensure_future(session.logout())
        await target.expect(LogoutRequest)
        logout.cancel()


async def test_drops_the_connection_that_the_target_dropped() -> None:
    """Parameter1 names it (RFC 7143 §11.9.1)."""
    async with session_pair(connections=2) as (session, targets):
        targets[0].send(AsyncMessage(async_event=AsyncEvent.CONNECTION_DROPPED, parameter1=1))
        assert await targets[1].raw.receive_end(timeout=PATIENCE) == b""
        assert list(session.connections) == [0]


async def test_negotiates_when_asked_to() -> None:
    """An empty Text Request is what the target waits for."""
    async with session_pair() as (session, [target]):
        target.send(AsyncMessage(async_event=AsyncEvent.NEGOTIATION_REQUESTED, parameter3=5))
        request = await target.expect(TextRequest)
        assert bytes(request.data_segment) == b""
        target.send(TextResponse(initiator_task_tag=request.initiator_task_tag))
        assert (await session.events.get()).async_event == AsyncEvent.NEGOTIATION_REQUESTED  # type: ignore[union-attr]


async def test_acknowledges_terminated_tasks() -> None:
    """The tasks of the unit end, and a NOP-Out with its LUN tells the target (RFC 7143 §4.2.3.4)."""
    async with session_pair() as (session, [target]):
        ended, other = session.start(1, TEST_UNIT_READY), session.start(2, TEST_UNIT_READY)
        await target.expect(ScsiCommand)
        await target.expect(ScsiCommand)
        target.send(AsyncMessage(async_event=AsyncEvent.TASKS_TERMINATED, lun=1 << 48))
        answer = await target.expect(NopOut)
        assert (answer.initiator_task_tag, answer.lun) == (RESERVED_TAG, 1 << 48)
        assert answer.exp_stat_sn == target.stat_sn
        with pytest.raises(TaskAborted):
            await ended
        target.send(ScsiResponse(initiator_task_tag=other.initiator_task_tag))
        assert (await other).status == 0
