"""The stream over sockets of the system, on the loop that the server runs on."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from isthmus.engine import reference
from isthmus.engine.interface import Handover, NormalSession
from isthmus.engine.reference import ReferenceEngine
from isthmus.engine.stream import HIGH_WATER
from isthmus.iscsi.codec import Digests, PduReader, encode
from isthmus.iscsi.parameters import ConnectionParameters, SessionParameters
from isthmus.iscsi.pdu import DataIn, NopIn, NopOut, Pdu, ScsiResponse
from isthmus.iscsi.session import Session
from isthmus.iscsi.text import TextExchange
from isthmus.scsi.task_router import TaskRouter
from tests.support.engine import FIRST_CMD_SN, TARGET, NoTargets, login, read, write
from tests.support.patience import PATIENCE
from tests.support.scsi import make_nexus, make_unit

KIB = 1024
MIB = 1024 * 1024


class Wire:
    """The initiator's end of a connection of the system."""

    def __init__(self, sock: socket.socket, digests: Digests) -> None:
        self.socket = sock
        self.digests = digests
        self._reader = PduReader(max_data_segment_length=1 << 24, digests=digests)

    async def sends(self, *pdus: Pdu) -> None:
        data = b"".join(bytes(piece) for pdu in pdus for piece in encode(pdu, self.digests))
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def gets(self, count: int, at_once: int = 1 << 20) -> list[Pdu]:
        """The next PDUs, received in pieces of so many bytes."""
        pdus: list[Pdu] = []
        while len(pdus) < count:
            if (pdu := self._reader.next_pdu()) is not None:
                pdus.append(pdu)
                continue
            data = await asyncio.get_running_loop().sock_recv(self.socket, at_once)
            assert data, "the connection was closed"
            self._reader.feed(data)
        return pdus

    async def is_closed(self) -> bool:
        try:
            return not await asyncio.get_running_loop().sock_recv(self.socket, 1 << 20)
        except ConnectionResetError:
            return True


class Bench:
    """An engine with one unit of 8 MiB, and as many sessions as a test opens."""

    def __init__(self) -> None:
        self.engine = ReferenceEngine(asyncio.get_running_loop())
        self.unit = make_unit(8 * MIB)
        self.router = TaskRouter(self.engine.workers)
        self.ended: list[Session] = []
        self._ends: list[socket.socket] = []

    def connect(self, isid: int = 1, **parameters: Any) -> Wire:
        """A session with one connection over TCP on the loopback."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            ours = socket.create_connection(server.getsockname())
            theirs, _ = server.accept()
        for end in (ours, theirs):
            end.setblocking(False)
        self._ends.append(ours)
        nexus = make_nexus(self.unit, isid=isid)
        target = NormalSession(router=self.router, nexus=nexus, on_cold_reset=lambda: None)
        settled = ConnectionParameters(**parameters)
        session_parameters = SessionParameters(
            first_burst_length=256 * KIB, max_burst_length=MIB, default_time2retain=0
        )
        completed = login(isid=isid, session_parameters=session_parameters, connection_parameters=settled)
        session = self.engine.open_session(completed, isid, target, self.ended.append)
        self.unit.unit_attentions.clear(nexus)
        completed = login(session, isid=isid, connection_parameters=settled)
        directory: Any = NoTargets()
        text = TextExchange(directory=directory, session_target=TARGET, parameters=settled)
        self.engine.adopt(theirs, completed, text, Handover(to_send=b"", received=b""))
        return Wire(ours, Digests(header=settled.header_digest, data=settled.data_digest))

    def close(self) -> None:
        self.engine.end_all("the test is over")
        self.engine.workers.close()
        for end in self._ends:
            end.close()


def on_uvloop(test: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    """Run a test on the loop of the server."""

    async def run() -> None:
        bench = Bench()
        try:
            async with asyncio.timeout(PATIENCE):
                await test(bench)
        finally:
            bench.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


@pytest.mark.parametrize("digests", [False, True])
def test_large_segments_both_ways(digests: bool) -> None:
    """256 KiB in one PDU, out and back, several at once."""

    async def test(bench: Bench) -> None:
        wire = bench.connect(
            max_recv_data_segment_length=256 * KIB,
            max_xmit_data_segment_length=256 * KIB,
            header_digest=digests,
            data_digest=digests,
        )
        data = [bytes([number + 1]) * (256 * KIB) for number in range(8)]
        await wire.sends(*(write(tag, FIRST_CMD_SN + tag, tag * 512, data[tag]) for tag in range(8)))
        answers = await wire.gets(8)
        assert {type(pdu) for pdu in answers} == {ScsiResponse}
        await wire.sends(*(read(tag, FIRST_CMD_SN + 8 + tag, tag * 512, 512) for tag in range(8)))
        assert [bytes(pdu.data_segment) for pdu in await wire.gets(8, at_once=10_000)] == data

    on_uvloop(test)


def test_a_peer_that_does_not_read_holds_up_nobody_else() -> None:
    """It asks for 32 MiB; others are served meanwhile; then it gets all of it without asking again."""

    async def test(bench: Bench) -> None:
        bench.unit.backstore.write(0, (bytes(range(256)) * (32 * KIB),))
        greedy = bench.connect(isid=1, max_xmit_data_segment_length=256 * KIB)
        other = bench.connect(isid=2)
        await greedy.sends(*(read(tag, FIRST_CMD_SN + tag, tag, 512) for tag in range(128)))
        (stream, _) = bench.engine._streams.values()
        for number in range(50):
            await other.sends(NopOut(is_immediate=True, initiator_task_tag=number, cmd_sn=FIRST_CMD_SN))
            assert isinstance((await other.gets(1))[0], NopIn)
            assert stream.backlog <= HIGH_WATER + 2 * MIB
        assert stream.backlog > 0, "the socket took everything: nothing was tested"
        answers = await greedy.gets(128, at_once=50_000)
        assert [pdu.initiator_task_tag for pdu in answers] == list(range(128))
        assert all(isinstance(pdu, DataIn) and len(memoryview(pdu.data_segment)) == 256 * KIB for pdu in answers)

    # The buffers of the system are as large as they may be, so what is asked for must be more than they hold.
    on_uvloop(test)


@pytest.mark.parametrize("sent", [0, 17, 48, 5000])
def test_closing_amid_anything(sent: int) -> None:
    """Whether the peer ends in order, between PDUs or in one."""

    async def test(bench: Bench) -> None:
        wire = bench.connect(max_recv_data_segment_length=256 * KIB)
        data = b"".join(bytes(piece) for piece in encode(write(1, FIRST_CMD_SN, 0, bytes(64 * KIB))))
        await asyncio.get_running_loop().sock_sendall(wire.socket, data[:sent])
        wire.socket.shutdown(socket.SHUT_WR)
        assert await wire.is_closed()
        assert await bench.engine.wait_idle(PATIENCE)
        assert len(bench.ended) == 1

    on_uvloop(test)


@pytest.mark.parametrize("answers", [True, False])
def test_a_reset_connection_is_lost(answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With answers under way to it, and with bytes of it that nobody has read (uvloop says nothing of the reset then)."""
    monkeypatch.setattr(reference, "TICK", PATIENCE if answers else 0.01)

    async def test(bench: Bench) -> None:
        wire = bench.connect(max_recv_data_segment_length=256 * KIB, max_xmit_data_segment_length=256 * KIB)
        if answers:
            await wire.sends(*(read(tag, FIRST_CMD_SN + tag, tag, 512) for tag in range(128)))
        else:
            # A part of a PDU that is longer than what one receive takes.
            header = bytes(encode(write(1, FIRST_CMD_SN, 0, bytes(256 * KIB)))[0])
            await asyncio.get_running_loop().sock_sendall(wire.socket, header + bytes(240 * KIB))
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.socket.close()
        assert await bench.engine.wait_idle(PATIENCE / 2)
        assert len(bench.ended) == 1

    on_uvloop(test)


def test_the_clock_of_the_engine_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent peer is asked, and lost when it does not answer."""
    monkeypatch.setattr(reference, "TICK", 0.01)

    async def test(bench: Bench) -> None:
        wire = bench.connect()
        (stream,) = bench.engine._streams.values()
        stream.keepalive = type(stream.keepalive)(ping_after=0.03, lost_after=0.1)
        (ping,) = await wire.gets(1)
        assert isinstance(ping, NopIn)
        assert await wire.is_closed()

    on_uvloop(test)
