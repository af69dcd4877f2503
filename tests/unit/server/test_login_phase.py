import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from isthmus.engine.interface import Handover
from isthmus.iscsi.codec import PduReader, encode
from isthmus.iscsi.errors import LoginRefused
from isthmus.iscsi.login_policy import Admission, DiscoveryView, ExistingSession, LoginCompleted, TargetView
from isthmus.iscsi.opcodes import LoginStatus
from isthmus.iscsi.pdu import LoginRequest, LoginResponse, NopOut, Pdu
from isthmus.iscsi.text import TextExchange
from isthmus.names import Cid, IscsiName, Isid, Tsih
from isthmus.server.login_phase import LoginPhase
from tests.support.patience import PATIENCE

TARGET = IscsiName("iqn.2026-01.com.example:disks")
MOVED = IscsiName("iqn.2026-01.com.example:moved")


class Policy:
    """Lets everybody in."""

    login_timeout = 5.0

    def target(self, initiator_name: IscsiName, target_name: IscsiName) -> TargetView:
        if target_name == MOVED:
            raise LoginRefused(LoginStatus.TARGET_MOVED_TEMPORARILY, "moved", address="192.0.2.9:3260")
        if target_name != TARGET:
            raise LoginRefused(LoginStatus.NOT_FOUND, "there is no such target here")
        return TargetView(name=TARGET, target_portal_group_tag=1)

    def discovery(self, initiator_name: IscsiName) -> DiscoveryView:
        return DiscoveryView()

    def joining(
        self, tsih: Tsih, isid: Isid, initiator_name: IscsiName, target: TargetView, cid: Cid
    ) -> ExistingSession:
        raise LoginRefused(LoginStatus.SESSION_DOES_NOT_EXIST, "there is none")

    def admit(self, login: LoginCompleted) -> Admission:
        return Admission(tsih=Tsih(9))


@dataclass
class FakeEngine:
    """Keeps what is handed over."""

    adopted: list[tuple[LoginCompleted, Handover]] = field(default_factory=list)

    def adopt(self, sock: socket.socket, login: LoginCompleted, text: TextExchange, handover: Handover) -> None:
        self.adopted.append((login, handover))


class Ends:
    """Both ends of a connection, and a login on one of them."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.settimeout(PATIENCE)
        self.engine = FakeEngine()
        self.phase = LoginPhase(
            self.ours,
            "192.0.2.7:5000",
            Policy(),
            self.engine,  # type: ignore[arg-type]
            lambda login: TextExchange.__new__(TextExchange),
        )

    def received(self) -> list[Pdu]:
        """What was sent to the other end, up to its close."""
        reader = PduReader(max_data_segment_length=8192)
        while data := self.theirs.recv(65536):
            reader.feed(data)
        pdus = []
        while (pdu := reader.next_pdu()) is not None:
            pdus.append(pdu)
        return pdus


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A connection just accepted."""
    made = Ends()
    yield made
    made.ours.close()
    made.theirs.close()


def request(target: str = TARGET) -> bytes:
    """A whole login in one request."""
    text = f"InitiatorName=iqn.2026-01.com.example:host\0TargetName={target}\0SessionType=Normal\0AuthMethod=None\0"
    pdu = LoginRequest(
        transit=True, current_stage=0, next_stage=3, isid=0x80_0000_000001, cid=1, cmd_sn=5, data_segment=text.encode()
    )
    return b"".join(bytes(piece) for piece in encode(pdu))


async def test_a_login_hands_over_with_what_came_behind_it(ends: Ends, capsys: pytest.CaptureFixture[str]) -> None:
    """The last response is still to be sent, and bytes of full feature phase are not lost."""
    behind = b"".join(bytes(piece) for piece in encode(NopOut(initiator_task_tag=1)))
    ends.theirs.sendall(request() + behind)
    await ends.phase.run()
    ((login, handover),) = ends.engine.adopted
    assert (login.tsih, login.target and login.target.name) == (9, TARGET)
    assert handover.received == behind
    response = LoginResponse.from_bhs(handover.to_send[:48])
    assert (response.status, response.tsih) == (LoginStatus.SUCCESS, 9)
    assert ends.ours.fileno() >= 0
    said = capsys.readouterr().out
    assert "192.0.2.7:5000" in said
    assert "iqn.2026-01.com.example:host" in said


async def test_a_login_may_come_byte_by_byte(ends: Ends) -> None:
    """TCP cuts where it likes."""
    running = asyncio.ensure_future(ends.phase.run())
    for byte in request():
        ends.theirs.send(bytes([byte]))
        await asyncio.sleep(0)
    await running
    assert len(ends.engine.adopted) == 1


async def test_a_refusal_is_told_logged_and_closed(ends: Ends, capsys: pytest.CaptureFixture[str]) -> None:
    """The initiator gets the status; the reason is for the log."""
    ends.theirs.sendall(request("iqn.2026-01.com.example:nowhere"))
    await ends.phase.run()
    (response,) = ends.received()
    assert isinstance(response, LoginResponse)
    assert response.status == LoginStatus.NOT_FOUND
    said = capsys.readouterr().out
    assert "there is no such target here" in said
    assert ends.engine.adopted == []


async def test_a_redirection_is_no_refusal(ends: Ends) -> None:
    """It is told as what it is, once, with where to."""
    ends.theirs.sendall(request(MOVED))
    with capture_logs() as logs:
        await ends.phase.run()
    (response,) = ends.received()
    assert isinstance(response, LoginResponse)
    assert response.status == LoginStatus.TARGET_MOVED_TEMPORARILY
    assert [(line["event"], line["to"], line["target"]) for line in logs] == [
        ("login redirected", "192.0.2.9:3260", MOVED)
    ]


@pytest.mark.parametrize("sent", [b"", b"\x43" + bytes(10)], ids=["nothing", "half a header"])
async def test_a_peer_that_leaves_is_let_go(ends: Ends, sent: bytes) -> None:
    """Whatever it had sent."""
    ends.theirs.sendall(sent)
    ends.theirs.shutdown(socket.SHUT_WR)
    await ends.phase.run()
    assert ends.received() == []
    assert ends.ours.fileno() == -1


async def test_a_segment_longer_than_a_login_may_have_ends_it(ends: Ends) -> None:
    """8192 bytes hold during login, whatever is declared (RFC 7143 §6.3)."""
    ends.theirs.sendall(b"\x43\x87\0\0\0\0\x20\x01" + bytes(40))
    await ends.phase.run()
    assert ends.received() == []
    assert ends.engine.adopted == []


async def test_a_login_that_takes_too_long_is_closed(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Holding a connection open without logging in is bounded in time."""
    monkeypatch.setattr(Policy, "login_timeout", 0.01)
    await ends.phase.run()
    assert "login timed out" in capsys.readouterr().out
    assert ends.ours.fileno() == -1


async def test_cancelling_closes(ends: Ends) -> None:
    """A login that gives way to others lets go of its socket."""
    running = asyncio.ensure_future(ends.phase.run())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ends.ours.fileno() == -1
