"""What each parameter of a portal group makes of a login: one test for each, named after it (see test_settings_effects)."""

from typing import Any

import pytest

from isthmus.initiator import cdb
from isthmus.initiator.errors import LoginFailed
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.raw_connection import RawConnection
from isthmus.initiator.session import Session
from isthmus.iscsi.chap import ChapCredentials
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.parameters import CRC32C, NONE, Offers, SessionParameters
from isthmus.iscsi.pdu import DataIn, LoginRequest, LoginResponse, Pdu, ReadyToTransfer
from isthmus.iscsi.text_format import encode_text, parse_text
from tests.support.effects import BLOCK, login_status
from tests.support.patience import PATIENCE
from tests.support.service import running_service
from tests.unit.server.test_group_rules_effects import CREDENTIALS, OPEN, SECRET, one_disk

GENEROUS = Offers(
    max_connections=8,
    max_burst_length=1 << 20,
    first_burst_length=1 << 20,
    default_time2wait=0,
    default_time2retain=3600,
    max_outstanding_r2t=64,
    max_recv_data_segment_length=1 << 20,
)
"""Of an initiator that takes whatever the target wants."""


async def settled(offers: Offers = GENEROUS, **parameters: Any) -> SessionParameters:
    """What a login comes to, as the target has it."""
    async with running_service() as running:
        await running.put(one_disk(attributes=OPEN, parameters=parameters))
        async with await Session.login(running.settings(offers=offers)) as session:
            [own] = running.server.engine.sessions
            assert session.parameters == own.parameters
            return own.parameters


async def method(parameters: dict[str, Any], credentials: ChapCredentials | None) -> int | None:
    """With which status a login is refused."""
    async with running_service() as running:
        await running.put(one_disk(attributes=OPEN, parameters=parameters, chap=SECRET))
        return await login_status(running, credentials=credentials)


async def test_authmethod() -> None:
    """CHAP alone is required; with None beside it, both ways are open; None alone knows no CHAP."""
    assert await method({"AuthMethod": "CHAP"}, None) == LoginStatus.AUTHENTICATION_FAILURE
    assert await method({"AuthMethod": "CHAP"}, CREDENTIALS) is None
    assert await method({}, None) is None
    assert await method({}, CREDENTIALS) is None
    wrong = ChapCredentials(user="host", secret=b"another, of 12")
    assert await method({}, wrong) == LoginStatus.AUTHENTICATION_FAILURE
    assert await method({"AuthMethod": "None"}, wrong) is None


async def digests(which: str) -> None:
    """The target insists on a digest, refuses it, or lets the initiator choose."""
    parameter, offer = f"{which.title()}Digest", f"{which}_digest"
    async with running_service() as running:
        for allowed, offered, result in (
            ("CRC32C,None", (NONE, CRC32C), False),
            ("CRC32C,None", (CRC32C, NONE), True),
            ("CRC32C", (NONE, CRC32C), True),
            ("None", (CRC32C, NONE), False),
        ):
            await running.put(one_disk(attributes=OPEN, parameters={parameter: allowed}))
            offers: dict[str, Any] = {offer: offered}
            async with await Session.login(running.settings(offers=Offers(**offers))) as session:
                assert getattr(session.connection().parameters, offer) is result
                await LogicalUnit(session, 0).become_ready()
        await running.put(one_disk(attributes=OPEN, parameters={parameter: "CRC32C"}))
        none: dict[str, Any] = {offer: (NONE,)}
        with pytest.raises(LoginFailed):
            await Session.login(running.settings(offers=Offers(**none)))


async def test_headerdigest() -> None:
    """Of headers."""
    await digests("header")


async def test_datadigest() -> None:
    """Of data."""
    await digests("data")


async def test_maxconnections() -> None:
    """As many connections as the lesser of both sides has."""
    assert (await settled()).max_connections == 1
    async with running_service() as running:
        await running.put(one_disk(attributes=OPEN, parameters={"MaxConnections": 2}))
        async with await Session.login(running.settings(offers=GENEROUS)) as session:
            await session.add_connection()
            with pytest.raises(LoginFailed) as caught:
                await session.add_connection()
            assert caught.value.status == LoginStatus.TOO_MANY_CONNECTIONS


async def test_targetalias() -> None:
    """The target says it in its first answer."""
    async with running_service() as running:
        await running.put(one_disk(attributes=OPEN, parameters={"TargetAlias": "the alias"}))
        heard = await received_keys(running)
        assert heard["TargetAlias"] == "the alias"


async def received_keys(running: Any) -> dict[str, str]:
    """What the target sends in a login."""
    settings = running.settings()
    connection = await RawConnection.open(settings.host, settings.port)
    keys = [("InitiatorName", settings.initiator_name), ("TargetName", settings.target_name), ("SessionType", "Normal")]
    connection.send_pdu(LoginRequest(current_stage=1, next_stage=1, isid=1, data_segment=encode_text(keys)))
    answer = await connection.receive_pdu(timeout=PATIENCE)
    await connection.close()
    assert isinstance(answer, LoginResponse)
    return dict(parse_text(bytes(answer.data_segment)))


async def test_initialr2t() -> None:
    """No lets an initiator that wants to send more than immediate data unasked."""
    assert (await settled()).initial_r2t is True
    assert (await settled(InitialR2T="No")).initial_r2t is False


async def test_immediatedata() -> None:
    """No keeps data out of the command."""
    assert (await settled()).immediate_data is True
    assert (await settled(ImmediateData="No")).immediate_data is False


async def test_maxrecvdatasegmentlength() -> None:
    """So much an initiator may send in one PDU."""
    async with running_service() as running:
        for length in (8192, 65536):
            await running.put(one_disk(attributes=OPEN, parameters={"MaxRecvDataSegmentLength": length}))
            async with await Session.login(running.settings()) as session:
                assert session.connection().parameters.max_xmit_data_segment_length == length


async def pdus_of(kind: type[Pdu], parameters: dict[str, Any], command: bytes, **fields: Any) -> list[Any]:
    """The PDUs of this kind that a command brings from the target."""
    seen: list[Any] = []
    async with running_service() as running:
        await running.put(one_disk(attributes=OPEN, parameters=parameters))
        async with await Session.login(running.settings(offers=GENEROUS)) as session:
            await LogicalUnit(session, 0).become_ready()
            task = session.start(0, command, **fields)
            real = task.receive

            def receive(pdu: Any) -> Any:
                seen.append(pdu)
                return real(pdu)

            task.receive = receive  # type: ignore[method-assign]
            await task
    return [pdu for pdu in seen if isinstance(pdu, kind)]


async def test_maxxmitdatasegmentlength() -> None:
    """So much the target sends in one, though the initiator takes more."""
    read = cdb.read_16(lba=0, num_blocks=64)
    for length, count in ((262144, 1), (4096, 8)):
        found = await pdus_of(DataIn, {"MaxXmitDataSegmentLength": length}, read, data_in_length=64 * BLOCK)
        assert len(found) == count


async def test_maxburstlength() -> None:
    """And so much it asks for at once."""
    assert (await settled(MaxBurstLength=16384, FirstBurstLength=8192)).max_burst_length == 16384
    write = cdb.write_16(lba=0, num_blocks=128)
    parameters = {"MaxBurstLength": 16384, "FirstBurstLength": 8192, "ImmediateData": "No"}
    found = await pdus_of(ReadyToTransfer, parameters, write, data_out=bytes(128 * BLOCK))
    assert [r2t.desired_data_transfer_length for r2t in found] == [16384] * 4


async def test_firstburstlength() -> None:
    """So much may come unasked."""
    assert (await settled(FirstBurstLength=4096)).first_burst_length == 4096
    assert (await settled()).first_burst_length == 65536


async def test_defaulttime2wait() -> None:
    """The longer of both sides' wishes."""
    assert (await settled()).default_time2wait == 2
    assert (await settled(DefaultTime2Wait=9)).default_time2wait == 9


async def test_defaulttime2retain() -> None:
    """The shorter: so long a session that lost its connections stays."""
    assert (await settled()).default_time2retain == 20
    assert (await settled(DefaultTime2Retain=0)).default_time2retain == 0


async def test_maxoutstandingr2t() -> None:
    """So many R2Ts are out at once for a command."""
    assert (await settled()).max_outstanding_r2t == 1
    assert (await settled(MaxOutstandingR2T=4)).max_outstanding_r2t == 4
