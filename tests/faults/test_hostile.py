"""Strangers at the door: whatever comes over TCP, the server stays up and those who are logged in are served and unharmed."""

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from tests.support.patience import PATIENCE
from tests.support.server import Server, running_server

pytestmark = pytest.mark.slow

_MIB = 1024 * 1024
_BLOCK = 512
_LOGIN_TIMEOUT_SECONDS = 15.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all of them: what one leaves behind meets the next."""
    directory = tmp_path_factory.mktemp("hostile")
    with running_server([directory / "medium.img", "--size", "16M", "--portal", "127.0.0.1:0"], directory) as running:
        yield running


class Witness:
    """An initiator that minds its own business: it writes, reads back and compares, all the time."""

    def __init__(self, unit: LogicalUnit) -> None:
        self._unit = unit
        self._rounds = asyncio.Queue[int]()
        self._working = asyncio.create_task(self._work())

    async def _work(self) -> None:
        for number in itertools.count():
            await self._verify(number)
            self._rounds.put_nowait(number)

    async def _verify(self, number: int) -> None:
        """One write and one read of 64 KiB, with data that it never wrote before."""
        data = b"".join(struct.pack(">QQ", number, word) for word in range(64 * 1024 // 16))
        lba = number % 64 * 128
        await self._unit.write(data, lba=lba, block_length=_BLOCK)
        assert await self._unit.read(lba=lba, num_blocks=128, block_length=_BLOCK) == data

    async def verify_more(self) -> None:
        """Wait until a round is done that was begun after this call; raises what stopped the work, if something did."""
        while not self._rounds.empty():
            self._rounds.get_nowait()
        async with asyncio.timeout(PATIENCE):
            for _ in range(2):
                progress = asyncio.create_task(self._rounds.get())
                await asyncio.wait({progress, self._working}, return_when=asyncio.FIRST_COMPLETED)
                if not progress.done():
                    progress.cancel()
                    await self._working

    async def stop(self) -> None:
        """End the work."""
        self._working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._working


@contextlib.asynccontextmanager
async def witness(server: Server) -> AsyncIterator[Witness]:
    """A witness at work while the block runs; at its end it must have had no error, and the server must serve on."""
    url = server.url
    settings = LoginSettings(host=url.address, port=url.port, target_name=url.iqn)
    async with await Session.login(settings) as session:
        unit = LogicalUnit(session, url.lun)
        await unit.become_ready()
        at_work = Witness(unit)
        try:
            yield at_work
            await at_work.verify_more()
        finally:
            await at_work.stop()
    assert server.is_running


def bhs(opcode: int, *, flags: int = 0x80, ahs_words: int = 0, data_length: int = 0, tail: bytes = b"") -> bytes:
    """A basic header segment (RFC 7143 §11.2) with these fields, and `tail` from byte 8 on."""
    return struct.pack(">BBxxB3s", opcode, flags, ahs_words, data_length.to_bytes(3, "big")) + tail.ljust(40, b"\0")


def login(text: bytes, *, flags: int = 0x87, data_length: int | None = None, ahs_words: int = 0) -> bytes:
    """A Login Request with ISID and CID, and this text however it looks."""
    header = bhs(
        0x43,
        flags=flags,
        ahs_words=ahs_words,
        data_length=len(text) if data_length is None else data_length,
        tail=b"\x80\0\0\0\0\1",
    )
    return header + text + bytes(-len(text) % 4)


_NAME = b"InitiatorName=iqn.2026-01.org.isthmus:stranger\0"

STRANGERS = {
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: storage\r\nUser-Agent: " + b"x" * 300 + b"\r\n\r\n",
    "a TLS client hello": bytes.fromhex("16030100c8010000c40303") + bytes(range(194)),
    "an SSH banner": b"SSH-2.0-scanner\r\n" * 10,
    "an SMB negotiation": b"\0\0\0\x2f\xffSMBr" + bytes(64),
    "zeroes": bytes(4096),
    "ones": b"\xff" * 4096,
    "one byte": b"\x43",
    "nothing": b"",
    "a NOP-Out first": bhs(0x40),
    "a SCSI command first": bhs(0x01, flags=0xC1),
    "a text request first": bhs(0x04),
    "a logout first": bhs(0x46),
    "Data-Out first": bhs(0x05, data_length=4) + b"data",
    "a target's PDU first": bhs(0x23),
    "half a header": login(_NAME)[:24],
    "a header without its text": login(_NAME)[:48],
    "half a text": login(_NAME)[:60],
    "the largest data segment announced": login(b"", data_length=0xFFFFFF) + bytes(64 * 1024),
    "the largest AHS announced": login(_NAME, ahs_words=255) + bytes(1020),
    "no InitiatorName": login(b"SessionType=Discovery\0"),
    "a name that is none": login(b"InitiatorName=\0SessionType=Discovery\0"),
    "a name of 300 bytes": login(b"InitiatorName=iqn.2026-01.org.isthmus:" + b"a" * 300 + b"\0"),
    "a name that is not text": login(b"InitiatorName=\xff\xfe\xfd\0SessionType=Discovery\0"),
    "a key without a value": login(_NAME + b"TargetName\0"),
    "a text without its end": login(b"InitiatorName=iqn.2026-01.org.isthmus:stranger"),
    "a key twice": login(_NAME + _NAME),
    "a thousand keys": login(_NAME + b"".join(b"X-key%d=1\0" % number for number in range(700))),
    "a target that is not there": login(_NAME + b"TargetName=iqn.2026-01.org.isthmus:nowhere\0SessionType=Normal\0"),
    "a version to come": login(_NAME)[:2] + b"\x07\x07" + login(_NAME)[4:],
    "a reserved stage": login(_NAME, flags=0x8A),
    "a continuation without end": login(_NAME + b"X=" + b"a" * 8000, flags=0x44) * 40,
}


async def send_and_await_end(server: Server, *pieces: bytes) -> None:
    """Send it all and half-close; the server must close its side too, whatever it answers before."""
    reader, writer = await asyncio.open_connection(server.url.address, server.url.port)
    try:
        with contextlib.suppress(ConnectionError):
            writer.writelines(pieces)
            await writer.drain()
            with contextlib.suppress(OSError):  # ENOTCONN: the server has ended it already
                writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                while await reader.read(65536):
                    pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_stranger(server: Server, stranger: str) -> None:
    """A connection that does not log in as it should ends, and nobody else notices."""
    async with witness(server):
        await send_and_await_end(server, STRANGERS[stranger])


def _full_feature_login(server: Server) -> bytes:
    return login(_NAME + b"TargetName=" + server.url.iqn.encode() + b"\0SessionType=Normal\0")


GUESTS = {
    "an unknown opcode": bhs(0x1F),
    "a target's PDU": bhs(0x31),
    "Data-Out for no task": bhs(0x05, data_length=512, tail=bytes(8) + b"\0\0\0\7" + b"\xff" * 4) + bytes(512),
    "the largest data segment announced": bhs(0x01, flags=0xA1, data_length=0xFFFFFF) + bytes(64 * 1024),
    "the largest AHS announced": bhs(0x01, flags=0xC1, ahs_words=255) + bytes(1020),
    "an AHS longer than its room": bhs(0x01, flags=0xC1, ahs_words=1) + b"\xff\xff\1\0",
    "a SNACK": bhs(0x10),
    "a second login": login(_NAME),
    "a command of both directions": bhs(0x01, flags=0xE1, tail=bytes(8) + b"\0\0\0\1" + b"\0\0\2\0"),
    "a text without its end": bhs(0x04, data_length=4, tail=bytes(8) + b"\0\0\0\1" + b"\xff" * 4) + b"Send",
    "half a command": bhs(0x01, flags=0xC1)[:20],
}


@pytest.mark.parametrize("guest", GUESTS)
async def test_guest(server: Server, guest: str) -> None:
    """One who has logged in properly can harm only its own connection."""
    async with witness(server):
        await send_and_await_end(server, _full_feature_login(server), GUESTS[guest])


async def test_half_open_connections(server: Server) -> None:
    """Two hundred connections that say nothing keep no one out, and cost little memory."""
    before = server.resident_bytes
    async with witness(server) as observed:
        with contextlib.ExitStack() as stack:
            for _ in range(200):
                stack.enter_context(socket.create_connection((server.url.address, server.url.port), PATIENCE))
            for _ in range(3):
                async with witness(server):
                    await observed.verify_more()
            assert server.resident_bytes - before < 16 * _MIB


async def test_large_announcements_take_no_memory(server: Server) -> None:
    """A length that is only announced is not memory that is taken."""
    before = server.resident_bytes
    async with witness(server):
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                connection = stack.enter_context(
                    socket.create_connection((server.url.address, server.url.port), PATIENCE)
                )
                with contextlib.suppress(ConnectionError):
                    connection.sendall(login(b"", data_length=0xFFFFFF) + bytes(4096))
            assert server.resident_bytes - before < 16 * _MIB


async def _drip(server: Server, pieces: Sequence[bytes], interval: float) -> None:
    """Send one piece after the other, slowly, until the server has had enough."""
    reader, writer = await asyncio.open_connection(server.url.address, server.url.port)
    try:
        with contextlib.suppress(ConnectionError):
            for piece in itertools.chain(pieces, itertools.repeat(b"\0")):
                writer.write(piece)
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(interval):
                        if not await reader.read(65536):
                            return
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_slow_login_ends(server: Server) -> None:
    """A login that drips in, byte by byte, is given its time and no more."""
    request = _full_feature_login(server)
    async with witness(server), asyncio.timeout(_LOGIN_TIMEOUT_SECONDS + PATIENCE):
        await asyncio.gather(*(_drip(server, [request[at : at + 1] for at in range(40)], 0.5) for _ in range(20)))
