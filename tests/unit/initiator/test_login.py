import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from isthmus.initiator.errors import ConnectionLost, LoginFailed, Unreachable
from isthmus.initiator.login import MAX_REDIRECTIONS
from isthmus.initiator.raw_connection import RawConnection
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.iscsi.opcodes import LoginStatus, Stage
from isthmus.iscsi.pdu import LoginRequest, LoginResponse, NopIn, NopOut, Pdu
from isthmus.iscsi.text_format import encode_text, parse_text
from isthmus.names import IscsiName, Isid
from tests.support.patience import PATIENCE

Answer = Callable[[LoginRequest], LoginResponse | None]


class Portal:
    """A portal whose answer to each Login Request is the test's."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[LoginRequest] = []
        self.port = 0
        self.ended = asyncio.Event()
        self.connections: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One more connection."""
        self.connections.add(asyncio.create_task(self._serve(RawConnection(reader, writer))))

    async def _serve(self, raw: RawConnection) -> None:
        """Logins, then pings, until the other end closes."""
        with contextlib.suppress(ConnectionLost):
            while True:
                self._answer(raw, await raw.receive_pdu())
        self.ended.set()
        await raw.close()

    def _answer(self, raw: RawConnection, pdu: Pdu) -> None:
        if isinstance(pdu, NopOut):
            raw.send_pdu(
                NopIn(initiator_task_tag=pdu.initiator_task_tag, stat_sn=pdu.exp_stat_sn, exp_cmd_sn=1, max_cmd_sn=1)
            )
            return
        assert isinstance(pdu, LoginRequest)
        self.requests.append(pdu)
        response = self.answer(pdu)
        if response is None:
            raw.abort()
        else:
            raw.send_pdu(response)


@asynccontextmanager
async def portal(answer: Answer) -> AsyncIterator[Portal]:
    """A portal on a free loopback port."""
    running = Portal(answer)
    server = await asyncio.start_server(running.accept, "127.0.0.1", 0)
    async with server:
        running.port = server.sockets[0].getsockname()[1]
        try:
            yield running
        finally:
            await asyncio.gather(*running.connections)


DECLARED = {"InitiatorName", "InitiatorAlias", "TargetName", "SessionType", "MaxRecvDataSegmentLength"}


def accept(request: LoginRequest) -> LoginResponse:
    """Full feature phase at once, with what the initiator offers first."""
    offers = parse_text(request.data_segment)
    answers = [(key, value.split(",")[0]) for key, value in offers if key not in DECLARED and not key.startswith("X-")]
    unknown = [(key, "NotUnderstood") for key, _ in offers if key.startswith("X-")]
    own = [("TargetPortalGroupTag", "9"), ("MaxRecvDataSegmentLength", "4096")]
    return LoginResponse(
        transit=True,
        current_stage=request.current_stage,
        next_stage=Stage.FULL_FEATURE_PHASE,
        isid=request.isid,
        tsih=0x77,
        initiator_task_tag=request.initiator_task_tag,
        stat_sn=100,
        exp_cmd_sn=request.cmd_sn,
        max_cmd_sn=request.cmd_sn + 3,
        data_segment=encode_text([*own, *answers, *unknown]),
    )


def refuse(status: LoginStatus, text: bytes = b"") -> Answer:
    """The same status for every request."""
    return lambda request: LoginResponse(
        current_stage=request.current_stage,
        isid=request.isid,
        initiator_task_tag=request.initiator_task_tag,
        status=status,
        data_segment=text,
    )


def settings(port: int, timeout: float = 5.0) -> LoginSettings:
    """What logs in at that port."""
    return LoginSettings(
        host="127.0.0.1",
        port=port,
        target_name="iqn.2025-01.org.example:t",
        initiator_name=IscsiName("iqn.2025-01.org.example:i"),
        initiator_alias="tester",
        timeout=timeout,
        extra_keys=(("X-org.example.k", "v"),),
        overrides={"DefaultTime2Wait": "7"},
    )


async def test_a_login_settles_the_session() -> None:
    """Names go out; TSIH, tag, window, StatSN and parameters come back."""
    async with portal(accept) as target:
        session = await Session.login(settings(target.port), isid=Isid(0x80_0000_000007), cmd_sn=50)
        [request] = target.requests
        sent = dict(parse_text(request.data_segment))
        assert (request.isid, request.tsih, request.cid, request.cmd_sn) == (0x80_0000_000007, 0, 0, 50)
        assert sent["InitiatorName"] == "iqn.2025-01.org.example:i"
        assert sent["TargetName"] == "iqn.2025-01.org.example:t"
        assert (sent["InitiatorAlias"], sent["X-org.example.k"]) == ("tester", "v")
        assert sent["DefaultTime2Wait"] == "7"
        assert (session.tsih, session.target_portal_group_tag) == (0x77, 9)
        assert (session.window.cmd_sn, session.window.max_cmd_sn) == (50, 53)
        connection = session.connections[0]
        assert connection.parameters.max_xmit_data_segment_length == 4096
        assert connection.exp_stat_sn == 101
        await session.ping()
        await session.drop()


async def test_a_further_connection_joins() -> None:
    """It names the TSIH, a CID of its own, and the CmdSN of the moment."""
    async with portal(accept) as target:
        session = await Session.login(settings(target.port))
        await session.add_connection()
        await session.add_connection(cid=8)
        assert [(request.tsih, request.cid) for request in target.requests] == [(0, 0), (0x77, 1), (0x77, 8)]
        assert sorted(session.connections) == [0, 1, 8]
        await session.drop()


@pytest.mark.parametrize(
    "status", [LoginStatus.AUTHENTICATION_FAILURE, LoginStatus.NOT_FOUND, LoginStatus.SERVICE_UNAVAILABLE]
)
async def test_a_refusal_says_its_status(status: LoginStatus) -> None:
    """The error carries the status and its name."""
    async with portal(refuse(status)) as target:
        with pytest.raises(LoginFailed, match=status.name) as caught:
            await Session.login(settings(target.port))
        assert caught.value.status == status
        await asyncio.wait_for(target.ended.wait(), PATIENCE)


async def test_follows_a_target_that_has_moved() -> None:
    """The login goes on at the TargetAddress."""
    async with portal(accept) as there:
        moved = refuse(LoginStatus.TARGET_MOVED_TEMPORARILY, f"TargetAddress=127.0.0.1:{there.port},1\0".encode())
        async with portal(moved) as here:
            session = await Session.login(settings(here.port))
            assert (len(here.requests), len(there.requests)) == (1, 1)
            await session.drop()


async def test_does_not_follow_for_ever() -> None:
    """A target that sends one round in a circle is given up."""
    async with portal(accept) as target:
        target.answer = refuse(
            LoginStatus.TARGET_MOVED_PERMANENTLY, f"TargetAddress=127.0.0.1:{target.port},1\0".encode()
        )
        with pytest.raises(LoginFailed, match="more than"):
            await Session.login(settings(target.port))
        assert len(target.requests) == MAX_REDIRECTIONS + 1


@pytest.mark.parametrize(("text", "complaint"), [(b"", "MOVED"), (b"TargetAddress=[x\0", "not where one could follow")])
async def test_a_move_to_nowhere_is_a_failure(text: bytes, complaint: str) -> None:
    """Without an address that can be read there is nothing to follow."""
    async with portal(refuse(LoginStatus.TARGET_MOVED_TEMPORARILY, text)) as target:
        with pytest.raises(LoginFailed, match=complaint):
            await Session.login(settings(target.port))


async def test_a_connection_that_closes_is_a_failed_login() -> None:
    """It says that the login was cut short."""
    async with portal(lambda _: None) as target:
        with pytest.raises(LoginFailed, match="cut short") as caught:
            await Session.login(settings(target.port))
        assert caught.value.status is None


async def test_a_target_that_breaks_the_protocol_is_a_failed_login() -> None:
    """So is an answer for another login."""
    async with portal(lambda request: LoginResponse(isid=1, initiator_task_tag=request.initiator_task_tag)) as target:
        with pytest.raises(LoginFailed, match="another login"):
            await Session.login(settings(target.port))


async def test_a_silent_target_is_given_up() -> None:
    """After the time that the settings allow."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(LoginFailed, match=r"within 0\.05 seconds"):
        await Session.login(settings(silent.getsockname()[1], timeout=0.05))


async def test_a_failed_login_of_a_further_connection_leaves_the_session() -> None:
    """The first connection goes on."""
    async with portal(accept) as target:
        session = await Session.login(settings(target.port))
        target.answer = refuse(LoginStatus.TOO_MANY_CONNECTIONS)
        with pytest.raises(LoginFailed, match="TOO_MANY"):
            await session.add_connection()
        assert list(session.connections) == [0]
        await session.ping()
        await session.drop()


async def test_nobody_there() -> None:
    """Before any login there must be a connection."""
    async with portal(accept) as target:
        pass
    with pytest.raises(Unreachable):
        await Session.login(settings(target.port))
