import asyncio

import pytest

from isthmus.initiator.errors import ConnectionLost
from isthmus.initiator.session import MAX_EVENTS, Session, lun_field
from isthmus.iscsi.opcodes import AsyncEvent, LogoutReason, LogoutResponseCode
from isthmus.iscsi.pdu import (
    AsyncMessage,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    ScsiCommand,
    ScsiResponse,
    TextRequest,
    TextResponse,
)
from isthmus.names import SerialNumber
from tests.support.fake_target import FIRST_CMD_SN, session_pair
from tests.support.patience import PATIENCE

TEST_UNIT_READY = bytes(6)


def test_a_lun_is_a_number_or_a_field() -> None:
    """Numbers are encoded; what is too big for one is the field itself."""
    assert lun_field(3) == 3 << 48
    assert lun_field(300) == (0x4000 | 300) << 48
    assert lun_field(0xC101_0000_0000_0000) == 0xC101_0000_0000_0000


async def test_spreads_commands_over_its_connections() -> None:
    """CmdSN runs through all connections; each command takes the one with the fewest tasks."""
    async with session_pair(connections=3) as (session, targets):
        for _ in range(6):
            _ = session.start(0, TEST_UNIT_READY)
        numbers = [[SerialNumber((await target.expect(ScsiCommand)).cmd_sn) for _ in range(2)] for target in targets]
        expected = [SerialNumber(FIRST_CMD_SN + index) for index in range(6)]
        assert {number for pair in numbers for number in pair} == set(expected)
        assert all(first - second < 0 for first, second in numbers)


async def test_no_two_tasks_share_a_tag() -> None:
    """Tags in use are passed over when the counter comes round, and the reserved one never comes."""
    async with session_pair() as (session, _):
        first = session.start(0, TEST_UNIT_READY)
        session._tags = iter([first.initiator_task_tag, 0xFFFF_FFFF, 7])  # type: ignore[assignment]
        assert session.new_tag() == 0
        session._tags = iter([first.initiator_task_tag, 7])  # type: ignore[assignment]
        assert session.new_tag() == 7


async def test_ping_gives_the_data_back() -> None:
    """NOP-Out with data, NOP-In with the same."""
    async with session_pair() as (session, [target]):
        ping = asyncio.ensure_future(session.ping(b"hello"))
        request = await target.expect(NopOut)
        target.send(NopIn(initiator_task_tag=request.initiator_task_tag, data_segment=request.data_segment))
        assert await ping == b"hello"


async def test_text_negotiates() -> None:
    """Pairs go out, pairs come back."""
    async with session_pair() as (session, [target]):
        text = asyncio.ensure_future(session.text([("MaxRecvDataSegmentLength", "4096")]))
        request = await target.expect(TextRequest)
        assert bytes(request.data_segment) == b"MaxRecvDataSegmentLength=4096\0"
        target.send(TextResponse(initiator_task_tag=request.initiator_task_tag, data_segment=b"A=b\0"))
        assert await text == [("A", "b")]


async def test_closing_the_session_closes_every_connection() -> None:
    """One Logout Request for all."""
    async with session_pair(connections=2) as (session, targets):
        closing = asyncio.ensure_future(session.close())
        assert (await targets[0].answer_logout()).reason == LogoutReason.CLOSE_SESSION
        await closing
        assert session.connections == {}
        for target in targets:
            assert await target.raw.receive_end(timeout=PATIENCE) == b""


async def test_one_connection_logs_out_another() -> None:
    """The connection named goes, the one that carried the request stays (RFC 7143 §11.14)."""
    async with session_pair(connections=2) as (session, targets):
        carrier = session.connections[0]
        logout = asyncio.ensure_future(session.logout(LogoutReason.CLOSE_CONNECTION, cid=1, connection=carrier))
        request = await targets[0].answer_logout()
        assert (request.reason, request.cid) == (LogoutReason.CLOSE_CONNECTION, 1)
        await logout
        assert list(session.connections.values()) == [carrier]
        assert carrier.is_usable


async def test_a_refused_logout_changes_nothing_for_others() -> None:
    """CID not found: the answer is handed out, and both connections stay."""
    async with session_pair(connections=2) as (session, targets):
        logout = asyncio.ensure_future(
            session.logout(LogoutReason.CLOSE_CONNECTION, cid=9, connection=session.connections[0])
        )
        request = await targets[0].expect(LogoutRequest)
        targets[0].send(
            LogoutResponse(initiator_task_tag=request.initiator_task_tag, response=LogoutResponseCode.CID_NOT_FOUND)
        )
        assert (await logout).response == LogoutResponseCode.CID_NOT_FOUND
        assert len(session.connections) == 2


async def test_losing_one_connection_leaves_the_others() -> None:
    """Its tasks fail; the session goes on."""
    async with session_pair(connections=2) as (session, targets):
        lost = session.start(0, TEST_UNIT_READY, connection=session.connections[0])
        targets[0].raw.abort()
        with pytest.raises(ConnectionLost):
            await lost
        task = session.start(0, TEST_UNIT_READY)
        command = await targets[1].expect(ScsiCommand)
        targets[1].send(ScsiResponse(initiator_task_tag=command.initiator_task_tag))
        assert (await task).status == 0


async def test_a_block_ends_with_a_logout() -> None:
    """`async with` logs out, also when the body raises."""
    async with session_pair() as (session, [target]):
        answering = asyncio.ensure_future(target.answer_logout())
        with pytest.raises(ValueError, match="body"):
            async with session:
                raise ValueError("body")
        assert (await answering).reason == LogoutReason.CLOSE_SESSION


async def test_events_are_bounded() -> None:
    """Of more events than anybody reads, the oldest are lost."""
    async with session_pair() as (session, [target]):
        task = session.start(0, TEST_UNIT_READY)
        command = await target.expect(ScsiCommand)
        for index in range(MAX_EVENTS + 1):
            target.send(AsyncMessage(async_event=AsyncEvent.SCSI_ASYNC_EVENT, parameter1=index))
        target.send(ScsiResponse(initiator_task_tag=command.initiator_task_tag))
        await task
        assert session.events.qsize() == MAX_EVENTS
        first = session.events.get_nowait()
        assert isinstance(first, AsyncMessage)
        assert first.parameter1 == 1


async def test_knows_a_discovery_session() -> None:
    """It is one without a target name."""
    async with session_pair() as (session, _):
        assert not session.is_discovery
        assert isinstance(session, Session)
