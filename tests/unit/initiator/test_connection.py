import asyncio

import pytest

from isthmus.errors import LocalProtocolError
from isthmus.initiator.connection import Connection
from isthmus.initiator.connection_state import ConnectionState
from isthmus.initiator.errors import ConnectionLost, RequestRejected
from isthmus.iscsi.codec import encode
from isthmus.iscsi.opcodes import LogoutReason, RejectReason
from isthmus.iscsi.parameters import ConnectionParameters
from isthmus.iscsi.pdu import (
    DataOut,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    ReadyToTransfer,
    Reject,
    ScsiCommand,
    ScsiResponse,
    TextResponse,
)
from isthmus.names import SerialNumber
from tests.support.fake_target import FIRST_CMD_SN, FIRST_STAT_SN, session_pair
from tests.support.patience import PATIENCE

TEST_UNIT_READY = bytes(6)


async def test_numbers_commands_and_acknowledges_status() -> None:
    """CmdSN goes up by one a command, ExpStatSN is one more than the last StatSN."""
    async with session_pair() as (session, [target]):
        for index in range(3):
            task = session.start(0, TEST_UNIT_READY)
            command = await target.expect(ScsiCommand)
            assert command.cmd_sn == SerialNumber(FIRST_CMD_SN + index)
            assert command.exp_stat_sn == SerialNumber(FIRST_STAT_SN + index)
            target.send(ScsiResponse(initiator_task_tag=command.initiator_task_tag))
            assert (await task).status == 0


async def test_commands_wait_for_the_window() -> None:
    """Beyond MaxCmdSN nothing is sent until an answer opens the window."""
    async with session_pair(window=1) as (session, [target]):
        tasks = [session.start(0, TEST_UNIT_READY) for _ in range(3)]
        for index, task in enumerate(tasks):
            assert session.window.waiting == 2 - index
            command = await target.expect(ScsiCommand)
            target.send(ScsiResponse(initiator_task_tag=command.initiator_task_tag))
            assert (await task).status == 0


async def test_an_immediate_command_passes_a_closed_window() -> None:
    """It carries the current CmdSN and uses none up (RFC 7143 §4.2.2.1)."""
    async with session_pair(window=0) as (session, [target]):
        _ = session.start(0, TEST_UNIT_READY, is_immediate=True)
        command = await target.expect(ScsiCommand)
        assert command.is_immediate
        assert command.cmd_sn == FIRST_CMD_SN == session.window.cmd_sn


async def test_a_waiter_that_gives_up_takes_its_unsent_command_along() -> None:
    """A command that is not on its way yet is not sent, and its CmdSN goes to the next."""
    async with session_pair(window=0) as (session, [target]):
        first = asyncio.ensure_future(session.execute(0, TEST_UNIT_READY))
        second = session.start(3, TEST_UNIT_READY)
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        session.window.update(exp_cmd_sn=FIRST_CMD_SN, max_cmd_sn=FIRST_CMD_SN)
        command = await target.expect(ScsiCommand)
        assert command.initiator_task_tag == second.initiator_task_tag
        assert command.cmd_sn == FIRST_CMD_SN


async def test_unsolicited_and_solicited_data_go_out() -> None:
    """Immediate data, unsolicited Data-Out, then what R2Ts ask for, several at once."""
    parameters = ConnectionParameters(max_xmit_data_segment_length=512)
    data = bytes(index % 251 for index in range(4096))
    async with session_pair(parameters=parameters, initial_r2t=False, first_burst_length=1024) as (session, [target]):
        task = session.start(0, b"\x8a", data_out=data)
        command = await target.expect(ScsiCommand)
        assert (bytes(command.data_segment), command.final) == (data[:512], False)
        unsolicited = await target.expect(DataOut)
        assert (bytes(unsolicited.data_segment), unsolicited.final) == (data[512:1024], True)
        for r2t_sn, offset in enumerate((1024, 2048, 3072)):
            target.send(
                ReadyToTransfer(
                    initiator_task_tag=command.initiator_task_tag,
                    target_transfer_tag=r2t_sn,
                    r2t_sn=r2t_sn,
                    buffer_offset=offset,
                    desired_data_transfer_length=1024,
                )
            )
        received = [await target.expect(DataOut) for _ in range(6)]
        assert b"".join(bytes(pdu.data_segment) for pdu in received) == data[1024:]
        assert [pdu.target_transfer_tag for pdu in received] == [0, 0, 1, 1, 2, 2]
        target.send(ScsiResponse(initiator_task_tag=command.initiator_task_tag, exp_data_sn=3))
        assert (await task).status == 0


async def test_answers_a_ping() -> None:
    """A NOP-In with a target transfer tag gets an immediate NOP-Out that copies tag and LUN (RFC 7143 §11.18)."""
    async with session_pair() as (session, [target]):
        target.send(NopIn(target_transfer_tag=0x55, lun=3 << 48))
        answer = await target.expect(NopOut)
        assert (answer.target_transfer_tag, answer.lun, answer.is_immediate) == (0x55, 3 << 48, True)
        assert answer.initiator_task_tag == 0xFFFF_FFFF
        assert session.window.cmd_sn == FIRST_CMD_SN


async def test_a_nop_in_without_tags_asks_for_nothing() -> None:
    """It only brings the numbers, and uses up no StatSN."""
    async with session_pair(window=0) as (session, [target]):
        task = session.start(0, TEST_UNIT_READY)
        target.window = 1
        target.send(NopIn())
        command = await target.expect(ScsiCommand)
        assert command.exp_stat_sn == FIRST_STAT_SN
        target.send(ScsiResponse(initiator_task_tag=command.initiator_task_tag))
        await task


@pytest.mark.parametrize(
    ("pdu", "complaint"),
    [
        (NopIn(initiator_task_tag=9), "not in progress"),
        (ScsiResponse(initiator_task_tag=9), "not in progress"),
        (TextResponse(initiator_task_tag=1), "answers a SCSI Command"),
    ],
)
async def test_a_violation_ends_the_connection_and_its_tasks(pdu: NopIn, complaint: str) -> None:
    """What no target may send costs it the connection, and the tasks say why."""
    async with session_pair() as (session, [target]):
        task = session.start(0, TEST_UNIT_READY)
        assert task.initiator_task_tag == 1
        target.send(pdu)
        with pytest.raises(ConnectionLost, match=complaint):
            await task
        assert session.connections == {}


async def test_a_gap_in_stat_sn_ends_the_connection() -> None:
    """At ErrorRecoveryLevel 0 a lost status cannot be asked for again."""
    async with session_pair() as (session, [target]):
        task = session.start(0, TEST_UNIT_READY)
        target.send(ScsiResponse(initiator_task_tag=task.initiator_task_tag), stat_sn=SerialNumber(FIRST_STAT_SN + 1))
        with pytest.raises(ConnectionLost, match="StatSN"):
            await task


async def test_a_request_from_a_target_ends_the_connection() -> None:
    """A target sends no NOP-Out."""
    async with session_pair() as (session, [target]):
        task = session.start(0, TEST_UNIT_READY)
        target.raw.send_pdu(NopOut())
        with pytest.raises(ConnectionLost, match="sends no NopOut"):
            await task


async def test_a_lost_connection_fails_sent_and_waiting_tasks() -> None:
    """Both kinds end, and later ones are refused with the reason."""
    async with session_pair(window=1) as (session, [target]):
        connection = session.connections[0]
        tasks = [session.start(0, TEST_UNIT_READY) for _ in range(2)]
        target.raw.abort()
        for task in tasks:
            with pytest.raises(ConnectionLost):
                await task
        assert connection.state is ConnectionState.FREE
        assert session.window.waiting == 0
        with pytest.raises(ConnectionLost, match="no connection left"):
            _ = session.start(0, TEST_UNIT_READY)
        with pytest.raises(ConnectionLost, match="not logged in"):
            _ = session.start(0, TEST_UNIT_READY, connection=connection)


async def test_a_reject_ends_the_task_that_it_quotes() -> None:
    """The reason comes with the error."""
    async with session_pair() as (session, [target]):
        task = session.start(0, TEST_UNIT_READY)
        command = await target.expect(ScsiCommand)
        header = encode(command)[0]
        target.send(Reject(reason=RejectReason.COMMAND_NOT_SUPPORTED, data_segment=header))
        with pytest.raises(RequestRejected, match="COMMAND NOT SUPPORTED") as caught:
            await task
        assert caught.value.header == header
        assert session.events.empty()


async def test_the_reject_of_a_data_out_leaves_its_command() -> None:
    """Its command still gets a response (RFC 7143 §7.3); the Reject is an event."""
    async with session_pair() as (session, [target]):
        task = session.start(0, TEST_UNIT_READY)
        command = await target.expect(ScsiCommand)
        quoted = encode(DataOut(initiator_task_tag=command.initiator_task_tag))[0]
        target.send(Reject(reason=RejectReason.DATA_DIGEST_ERROR, data_segment=quoted))
        target.send(ScsiResponse(initiator_task_tag=command.initiator_task_tag, status=2))
        assert (await task).status == 2
        event = session.events.get_nowait()
        assert isinstance(event, RequestRejected)
        assert event.reason == RejectReason.DATA_DIGEST_ERROR


async def test_a_logout_closes_the_connection() -> None:
    """IN_LOGOUT until the answer, FREE after it."""
    async with session_pair() as (session, [target]):
        connection = session.connections[0]
        logout = asyncio.ensure_future(session.logout())
        request = await target.expect(LogoutRequest)
        assert (request.reason, request.is_immediate) == (LogoutReason.CLOSE_SESSION, True)
        states = [connection.state]
        with pytest.raises(ConnectionLost):
            _ = session.start(0, TEST_UNIT_READY, connection=connection)
        target.send(LogoutResponse(initiator_task_tag=request.initiator_task_tag, time2wait=2))
        assert (await logout).time2wait == 2
        states.append(connection.state)
        assert states == [ConnectionState.IN_LOGOUT, ConnectionState.FREE]
        assert await target.raw.receive_end(timeout=PATIENCE) == b""


async def test_knows_nothing_before_login() -> None:
    """The layer beneath is there only after the login."""
    async with session_pair() as (session, _):
        connection = Connection(session, 9)
        with pytest.raises(LocalProtocolError):
            _ = connection.raw
        with pytest.raises(LocalProtocolError):
            _ = session.start(0, TEST_UNIT_READY, connection=connection)
