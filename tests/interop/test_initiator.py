"""The initiator of this package against the running server, from discovery to logout."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isthmus.initiator import cdb
from isthmus.initiator.connection_state import ConnectionState
from isthmus.initiator.discovery import discover, send_targets
from isthmus.initiator.errors import ConnectionLost, LoginFailed, ScsiError, TaskAborted
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.raw_connection import RawConnection
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings, digest_offer, random_isid
from isthmus.initiator.stream import ByteRange, read_range, write_range
from isthmus.initiator.target_address import TargetAddress
from isthmus.initiator.task import Residual
from isthmus.initiator.task_management import abort_task, logical_unit_reset, manage
from isthmus.iscsi.chap import ChapCredentials
from isthmus.iscsi.opcodes import (
    AsyncEvent,
    LoginStatus,
    LogoutReason,
    LogoutResponseCode,
    TaskManagementFunction,
    TaskManagementResponseCode,
)
from isthmus.iscsi.parameters import Offers
from isthmus.iscsi.pdu import AsyncMessage, DataOut, Pdu, ScsiCommand
from isthmus.names import SerialNumber
from isthmus.scsi.sense import Sense
from isthmus.scsi.status import Status
from tests.support.patience import PATIENCE
from tests.support.server import Serve, Server, Url, running_server

BLOCK = 512
MIB = 1024 * 1024
SECRETS = {"in": b"a secret of the initiator", "out": b"another one of the target"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with a memory disk and a file, for all tests that leave it as they found it."""
    directory = tmp_path_factory.mktemp("initiator")
    medium = directory / "medium.img"
    arguments: list[str | Path] = [medium, "--size", "16M", "--ram", "16M", "--portal", "127.0.0.1:0"]
    with running_server(arguments, directory, ready_lines=2) as running:
        yield running


def settings_for(url: Url, **fields: Any) -> LoginSettings:
    """What logs in to the target of `url`."""
    return LoginSettings(host=url.address, port=url.port, target_name=url.iqn, **fields)


async def unit_of(session: Session, lun: int = 0) -> LogicalUnit:
    """A unit whose unit attentions have been taken."""
    unit = LogicalUnit(session, lun)
    await unit.become_ready()
    return unit


# -- discovery ---------------------------------------------------------------------------------------------------------


async def test_discovery_finds_the_target_and_its_portal(server: Server) -> None:
    """SendTargets=All gives the name and the address that was asked."""
    settings = settings_for(server.url)
    [target] = await discover(settings)
    assert target.name == server.url.iqn
    assert TargetAddress(server.url.address, server.url.port, 1) in target.addresses


async def test_discovery_of_one_name(server: Server) -> None:
    """By name, and in a normal session by the empty value (RFC 7143 Appendix C)."""
    settings = settings_for(server.url)
    assert [target.name for target in await discover(settings, targets=server.url.iqn)] == [server.url.iqn]
    assert await discover(settings, targets="iqn.2025-01.org.example:absent") == []
    async with await Session.login(settings) as session:
        assert [target.name for target in await send_targets(session, "")] == [server.url.iqn]


async def test_a_target_that_is_not_there(server: Server) -> None:
    """Login status 0203h."""
    settings = replace(settings_for(server.url), target_name="iqn.2025-01.org.example:absent")
    with pytest.raises(LoginFailed) as caught:
        await Session.login(settings)
    assert caught.value.status == LoginStatus.NOT_FOUND


# -- reading and writing -----------------------------------------------------------------------------------------------


async def write_and_compare(session: Session, *, lun: int, seed: int, outstanding: int = 8) -> None:
    """Random data of odd sizes at odd offsets, in a unit and in memory; then the whole unit must equal memory."""
    source = random.Random(seed)
    unit = await unit_of(session, lun)
    whole = await ByteRange.of(unit, chunk_length=64 * 1024)
    size = whole.capacity.size
    expected = bytearray(await content_of(whole, outstanding))
    for _ in range(12):
        offset = source.randrange(size - 1)
        data = source.randbytes(min(source.choice((1, 511, 512, 4097, 65_536, 300_001)), size - offset))
        await write_range(whole, reader(data), offset=offset, outstanding=outstanding)
        expected[offset : offset + len(data)] = data
    await unit.synchronize_cache()
    assert await content_of(whole, outstanding) == expected


async def content_of(whole: ByteRange, outstanding: int) -> bytes:
    """All bytes of a unit."""
    pieces = read_range(whole, offset=0, length=whole.capacity.size, outstanding=outstanding)
    return b"".join([piece async for piece in pieces])


def reader(data: bytes) -> Any:
    """`data` as a source that gives as much as it is asked for."""
    position = 0

    async def read_some(length: int) -> bytes:
        nonlocal position
        position += length
        return data[position - length : position]

    return read_some


NEGOTIATIONS = {
    "defaults": Offers(),
    "digests": Offers(header_digest=digest_offer(True), data_digest=digest_offer(True)),
    "r2t only": Offers(initial_r2t=True, immediate_data=False, max_outstanding_r2t=4),
    "small": Offers(max_recv_data_segment_length=512, first_burst_length=512, max_burst_length=1024),
    "unsolicited": Offers(initial_r2t=False, immediate_data=False, first_burst_length=8192),
}


@pytest.mark.parametrize("offers", NEGOTIATIONS.values(), ids=NEGOTIATIONS)
@pytest.mark.parametrize("lun", [0, 1], ids=["file", "memory"])
async def test_odd_sizes_at_odd_offsets(server: Server, lun: int, offers: Offers) -> None:
    """Whatever was negotiated, what is read is what was written."""
    async with await Session.login(settings_for(server.url, offers=offers)) as session:
        parameters = next(iter(session.connections.values())).parameters
        assert parameters.header_digest == parameters.data_digest == (offers is NEGOTIATIONS["digests"])
        await write_and_compare(session, lun=lun, seed=lun)


async def test_many_commands_in_flight(server: Server) -> None:
    """500 at once: the command window holds back what the target does not take, and each gets its own data."""
    async with await Session.login(settings_for(server.url)) as session:
        unit = await unit_of(session)
        await asyncio.gather(
            *(unit.write(lba.to_bytes(2) * (BLOCK // 2), lba=lba, block_length=BLOCK) for lba in range(500))
        )
        blocks = await asyncio.gather(*(unit.read(lba=lba, num_blocks=1, block_length=BLOCK) for lba in range(500)))
        assert blocks == [lba.to_bytes(2) * (BLOCK // 2) for lba in range(500)]


async def test_four_connections_in_one_session(server: Server) -> None:
    """Commands spread over all connections, and any of them may carry the next."""
    async with await Session.login(settings_for(server.url)) as session:
        for _ in range(3):
            await session.add_connection()
        assert sorted(session.connections) == [0, 1, 2, 3]
        await write_and_compare(session, lun=0, seed=4, outstanding=32)
        unit = await unit_of(session)
        reads = [
            session.execute(0, cdb.read_16(lba=lba, num_blocks=8), data_in_length=4096, connection=connection)
            for lba in range(0, 400, 8)
            for connection in session.connections.values()
        ]
        results = await asyncio.gather(*reads)
        assert {result.status for result in results} == {Status.GOOD}
        for index in range(0, len(results), 4):
            assert len({result.data_in for result in results[index : index + 4]}) == 1
        await unit.test_unit_ready()


# -- commands and their answers ----------------------------------------------------------------------------------------


async def test_a_cdb_of_32_bytes_is_answered(server: Server) -> None:
    """The AHS arrives whole: an unknown service action is refused as such, and the session goes on."""
    async with await Session.login(settings_for(server.url)) as session:
        unit = await unit_of(session)
        result = await session.execute(0, cdb.extended_32(service_action=0xFFFF))
        assert result.status == Status.CHECK_CONDITION
        assert result.decoded_sense is not None
        assert result.decoded_sense.sense in {Sense.INVALID_COMMAND_OPERATION_CODE, Sense.INVALID_FIELD_IN_CDB}
        await unit.test_unit_ready()


@pytest.mark.parametrize(
    ("expected", "residual"),
    [(4096, Residual()), (8192, Residual(underflow=4096)), (1024, Residual(overflow=3072))],
)
async def test_residuals_of_a_read(server: Server, expected: int, residual: Residual) -> None:
    """A READ of 4096 bytes into room for more, and for less (RFC 7143 §11.4.5)."""
    async with await Session.login(settings_for(server.url)) as session:
        unit = await unit_of(session)
        data = random.Random(1).randbytes(4096)
        await unit.write(data, lba=0, block_length=BLOCK)
        result = await session.execute(0, cdb.read_16(lba=0, num_blocks=8), data_in_length=expected)
        assert (result.status, result.residual) == (Status.GOOD, residual)
        assert result.data_in == data[:expected]


async def test_the_residual_of_a_write_with_too_much_data(server: Server) -> None:
    """What the CDB does not ask for stays where it is, and is counted."""
    async with await Session.login(settings_for(server.url)) as session:
        unit = await unit_of(session)
        await unit.write(bytes(8192), lba=0, block_length=BLOCK)
        result = await session.execute(0, cdb.write_16(lba=0, num_blocks=8), data_out=b"x" * 8192)
        assert (result.status, result.residual) == (Status.GOOD, Residual(underflow=4096))
        assert await unit.read(lba=0, num_blocks=16, block_length=BLOCK) == b"x" * 4096 + bytes(4096)


async def test_the_end_of_the_medium(server: Server) -> None:
    """A READ beyond it is LOGICAL BLOCK ADDRESS OUT OF RANGE."""
    async with await Session.login(settings_for(server.url)) as session:
        unit = await unit_of(session)
        capacity = await unit.read_capacity()
        with pytest.raises(ScsiError) as caught:
            await unit.read(lba=capacity.num_blocks - 1, num_blocks=2, block_length=BLOCK)
        assert caught.value.sense is not None
        assert caught.value.sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE


async def test_the_helpers_of_a_unit(server: Server) -> None:
    """REPORT LUNS, INQUIRY, UNMAP and GET LBA STATUS say what is so."""
    async with await Session.login(settings_for(server.url)) as session:
        unit = await unit_of(session)
        assert await unit.report_luns() == [0, 1 << 48]
        assert (await unit.inquiry()).vendor == "ISTHMUS"
        assert (await unit.read_capacity()).size == 16 * MIB
        await unit.write(b"x" * 8192, lba=1024, block_length=BLOCK)
        await unit.unmap([(1024, 16)])
        assert await unit.read(lba=1024, num_blocks=16, block_length=BLOCK) == bytes(8192)
        [first, *_] = await unit.lba_status(lba=1024)
        assert (first.lba, first.provisioning_status) == (1024, 1)
        assert (await LogicalUnit(session, 9).inquiry()).is_connected is False


async def test_a_ping_comes_back(server: Server) -> None:
    """NOP-Out with data, on every connection."""
    async with await Session.login(settings_for(server.url)) as session:
        await session.add_connection()
        for connection in session.connections.values():
            assert await session.ping(b"are you there?", connection=connection) == b"are you there?"


# -- task management ---------------------------------------------------------------------------------------------------


class HeldBack:
    """A hook that keeps Data-Out from going out, so that a write stays in progress."""

    def __init__(self) -> None:
        self.held: list[DataOut] = []
        self.something = asyncio.Event()

    def __call__(self, pdu: Pdu) -> Pdu | None:
        if not isinstance(pdu, DataOut):
            return pdu
        self.held.append(pdu)
        self.something.set()
        return None


R2T_ONLY = Offers(initial_r2t=True, immediate_data=False)


async def test_an_aborted_task_writes_nothing(server: Server) -> None:
    """ABORT TASK of a write whose data never came: complete, unanswered, and the medium as before."""
    async with await Session.login(settings_for(server.url, offers=R2T_ONLY)) as session:
        unit = await unit_of(session)
        await unit.write(bytes(4096), lba=0, block_length=BLOCK)
        hold = session.connections[0].raw.tamper = HeldBack()
        task = session.start(0, cdb.write_16(lba=0, num_blocks=8), data_out=b"x" * 4096)
        await hold.something.wait()
        assert await abort_task(session, task) == TaskManagementResponseCode.FUNCTION_COMPLETE
        with pytest.raises(TaskAborted):
            await task
        assert await unit.read(lba=0, num_blocks=8, block_length=BLOCK) == bytes(4096)
        assert await manage(session, TaskManagementFunction.ABORT_TASK, referenced=task) == (
            TaskManagementResponseCode.TASK_DOES_NOT_EXIST
        )


async def test_a_reset_ends_tasks_and_tells_the_others(server: Server) -> None:
    """LOGICAL UNIT RESET ends the write in progress; another nexus learns of it by a unit attention."""
    settings = settings_for(server.url, offers=R2T_ONLY)
    async with await Session.login(settings) as session, await Session.login(settings) as other:
        unit, witness = await unit_of(session), await unit_of(other)
        hold = session.connections[0].raw.tamper = HeldBack()
        task = session.start(0, cdb.write_16(lba=0, num_blocks=8), data_out=b"x" * 4096)
        await hold.something.wait()
        assert await logical_unit_reset(session, 0) == TaskManagementResponseCode.FUNCTION_COMPLETE
        with pytest.raises(TaskAborted):
            await task
        with pytest.raises(ScsiError) as caught:
            await witness.test_unit_ready()
        assert caught.value.sense is not None
        assert caught.value.sense.asc == 0x29
        await unit.become_ready()


@pytest.mark.parametrize(
    ("function", "response"),
    [
        (TaskManagementFunction.ABORT_TASK_SET, TaskManagementResponseCode.FUNCTION_COMPLETE),
        (TaskManagementFunction.CLEAR_TASK_SET, TaskManagementResponseCode.FUNCTION_COMPLETE),
        (TaskManagementFunction.TARGET_WARM_RESET, TaskManagementResponseCode.FUNCTION_COMPLETE),
    ],
)
async def test_functions_of_wider_scope(
    server: Server, function: TaskManagementFunction, response: TaskManagementResponseCode
) -> None:
    """Each ends a write that waits for its data, on a connection other than its own."""
    async with await Session.login(settings_for(server.url, offers=R2T_ONLY)) as session:
        await unit_of(session)
        second = await session.add_connection()
        hold = session.connections[0].raw.tamper = HeldBack()
        task = session.start(
            0, cdb.write_16(lba=0, num_blocks=8), data_out=b"x" * 4096, connection=session.connections[0]
        )
        await hold.something.wait()
        assert await manage(session, function, lun=0, connection=second) == response
        with pytest.raises(TaskAborted):
            await task
        await unit_of(session)


# -- sessions and connections ------------------------------------------------------------------------------------------


async def test_logout_of_one_connection_by_another(server: Server) -> None:
    """The one goes, the session stays."""
    async with await Session.login(settings_for(server.url)) as session:
        second = await session.add_connection()
        response = await session.logout(LogoutReason.CLOSE_CONNECTION, cid=0, connection=second)
        assert response.response == LogoutResponseCode.CLOSED_SUCCESSFULLY
        assert list(session.connections.values()) == [second]
        await unit_of(session)


async def test_logout_of_the_connection_itself(server: Server) -> None:
    """Closing one's own connection leaves the others of the session."""
    async with await Session.login(settings_for(server.url)) as session:
        second = await session.add_connection()
        response = await session.logout(LogoutReason.CLOSE_CONNECTION, connection=second)
        assert response.response == LogoutResponseCode.CLOSED_SUCCESSFULLY
        assert second.state is ConnectionState.FREE
        await unit_of(session)


async def test_logouts_that_cannot_be(server: Server) -> None:
    """An unknown CID is not found; recovery is not for ErrorRecoveryLevel 0 (RFC 7143 §11.15.1)."""
    async with await Session.login(settings_for(server.url)) as session:
        first = session.connections[0]
        response = await session.logout(LogoutReason.CLOSE_CONNECTION, cid=77, connection=first)
        assert response.response == LogoutResponseCode.CID_NOT_FOUND
        await session.add_connection(cid=5)
        response = await session.logout(LogoutReason.REMOVE_CONNECTION_FOR_RECOVERY, cid=5, connection=first)
        assert response.response == LogoutResponseCode.RECOVERY_NOT_SUPPORTED
        await unit_of(session)


async def test_a_session_is_reinstated_by_its_isid(server: Server) -> None:
    """The second login with one ISID ends the first session (RFC 7143 §6.3.5)."""
    settings, isid = settings_for(server.url), random_isid()
    first = await Session.login(settings, isid=isid)
    async with await Session.login(settings, isid=isid) as second:
        await unit_of(second)
        with pytest.raises(ConnectionLost):
            await first.ping()
        assert first.connections == {}


async def test_a_connection_is_reinstated_by_its_cid(server: Server) -> None:
    """A login with the CID of a connection takes its place; the session goes on (RFC 7143 §6.3.4)."""
    async with await Session.login(settings_for(server.url)) as session:
        await session.add_connection(cid=1)
        old = session.connections[1]
        new = await session.add_connection(cid=1)
        assert old.state is ConnectionState.FREE
        assert session.connections[1] is new
        assert await session.ping(b"x", connection=new) == b"x"
        await unit_of(session)


async def test_a_connection_too_many(serve: Serve) -> None:
    """Beyond MaxConnections the login is refused with 0206h."""
    url = serve("--ram", "1M", "--max-connections", "2").url
    async with await Session.login(settings_for(url)) as session:
        await session.add_connection()
        with pytest.raises(LoginFailed) as caught:
            await session.add_connection()
        assert caught.value.status == LoginStatus.TOO_MANY_CONNECTIONS
        await unit_of(session)


async def test_chap_both_ways(serve: Serve, tmp_path: Path) -> None:
    """Right secrets get in and are proved; a wrong one on either side ends the login."""
    files = {}
    for name, secret in SECRETS.items():
        files[name] = tmp_path / name
        files[name].touch(mode=0o600)
        files[name].write_bytes(secret)
    url = serve(
        *("--ram", "1M", "--chap-user", "ini", "--chap-secret-file", files["in"]),
        *("--mutual-user", "tgt", "--mutual-secret-file", files["out"]),
    ).url
    right = ChapCredentials(user="ini", secret=SECRETS["in"], target_user="tgt", target_secret=SECRETS["out"])
    async with await Session.login(settings_for(url, credentials=right)) as session:
        await unit_of(session)
    for credentials in (None, replace(right, secret=b"wrong, but long enough"), replace(right, user="nobody")):
        with pytest.raises(LoginFailed) as caught:
            await Session.login(settings_for(url, credentials=credentials))
        assert caught.value.status == LoginStatus.AUTHENTICATION_FAILURE
    with pytest.raises(LoginFailed, match="response is wrong") as caught:
        await Session.login(settings_for(url, credentials=replace(right, target_secret=b"not the target's one")))
    assert caught.value.status is None
    with pytest.raises(LoginFailed):
        await discover(settings_for(url))
    assert len(await discover(settings_for(url, credentials=right))) == 1


async def test_a_stopping_server_asks_for_a_logout(tmp_path: Path) -> None:
    """SIGTERM: Async Message, logout, and an exit with status 0 well within its time."""
    with ExitStack() as stack:
        server = stack.enter_context(running_server(["--ram", "1M", "--portal", "127.0.0.1:0"], tmp_path))
        session = await Session.login(settings_for(server.url))
        await session.add_connection()
        stopping = asyncio.create_task(asyncio.to_thread(stack.close))
        message = await asyncio.wait_for(session.events.get(), PATIENCE)
        assert isinstance(message, AsyncMessage)
        assert message.async_event == AsyncEvent.LOGOUT_REQUESTED
        await stopping
        assert server.log_text().count("event=logout") == 2
        await session.close()


# -- wrong on purpose --------------------------------------------------------------------------------------------------


async def test_a_bad_data_digest_writes_nothing(server: Server) -> None:
    """The connection ends, the medium is as before, and others are not touched (RFC 7143 §7.8)."""
    digests = Offers(header_digest=digest_offer(True), data_digest=digest_offer(True))
    async with await Session.login(settings_for(server.url)) as witness:
        unit = await unit_of(witness)
        await unit.write(bytes(4096), lba=0, block_length=BLOCK)
        session = await Session.login(settings_for(server.url, offers=digests))
        await unit_of(session)
        session.connections[0].raw.tamper_encoded = lambda pdu, pieces: (
            [*pieces[:-1], b"\0\0\0\0"] if isinstance(pdu, ScsiCommand) else pieces
        )
        with pytest.raises(ConnectionLost):
            await session.execute(0, cdb.write_16(lba=0, num_blocks=8), data_out=b"x" * 4096)
        await session.close()
        assert await unit.read(lba=0, num_blocks=8, block_length=BLOCK) == bytes(4096)


async def test_a_connection_cut_in_the_middle_of_a_burst(server: Server) -> None:
    """Half a burst is no data: nothing is written."""
    async with await Session.login(settings_for(server.url)) as witness:
        unit = await unit_of(witness)
        await unit.write(bytes(65536), lba=0, block_length=BLOCK)
        session = await Session.login(settings_for(server.url, offers=replace(R2T_ONLY, max_burst_length=65536)))
        await unit_of(session)
        raw = session.connections[0].raw
        raw.tamper_encoded = lambda pdu, pieces: (
            [pieces[0], memoryview(pieces[1])[:1000]] if isinstance(pdu, DataOut) else pieces
        )
        task = session.start(0, cdb.write_16(lba=0, num_blocks=128), data_out=b"x" * 65536)
        await asyncio.sleep(0)
        await session.ping()
        await session.drop()
        with pytest.raises(ConnectionLost):
            await task
        assert await unit.read(lba=0, num_blocks=128, block_length=BLOCK) == bytes(65536)


async def test_a_command_outside_the_window_is_ignored(server: Server) -> None:
    """Its CmdSN makes it invisible; the next with the right one runs (RFC 7143 §4.2.2.1)."""
    async with await Session.login(settings_for(server.url)) as session:
        unit = await unit_of(session)
        connection = session.connections[0]
        stray = ScsiCommand(initiator_task_tag=0x7777, cmd_sn=SerialNumber(session.window.max_cmd_sn + 1000))
        connection.send_pdu(stray)
        await unit.test_unit_ready()
        assert await session.ping(b"still here") == b"still here"


async def test_garbage_instead_of_a_login(server: Server) -> None:
    """The connection is closed, the server lives."""
    raw = await RawConnection.open(server.url.address, server.url.port)
    raw.send_bytes(random.Random(3).randbytes(4096))
    await raw.receive_end(timeout=PATIENCE)
    raw.abort()
    async with await Session.login(settings_for(server.url)) as session:
        await unit_of(session)
    assert "Traceback" not in server.log_text()
