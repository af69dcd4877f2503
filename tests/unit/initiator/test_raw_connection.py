import asyncio
import socket

import pytest

from isthmus.initiator.errors import ConnectionLost, Unreachable
from isthmus.initiator.raw_connection import RawConnection
from isthmus.iscsi.codec import Digests
from isthmus.iscsi.errors import ConnectionViolation, DigestError
from isthmus.iscsi.pdu import NopOut, Pdu
from tests.support.fake_target import raw_pair
from tests.support.patience import PATIENCE


async def test_carries_pdus() -> None:
    """What goes in at one end comes out at the other."""
    ours, theirs = await raw_pair()
    ours.send_pdu(NopOut(initiator_task_tag=7, data_segment=b"ping"))
    ours.send_pdu(NopOut(initiator_task_tag=8))
    first, second = await theirs.receive_pdu(), await theirs.receive_pdu()
    assert (first.initiator_task_tag, bytes(first.data_segment), second.initiator_task_tag) == (7, b"ping", 8)
    await ours.close()
    await theirs.close()


async def test_digests_are_used_once_agreed() -> None:
    """A PDU with digests is understood only by who expects them, and checked."""
    ours, theirs = await raw_pair()
    for end in (ours, theirs):
        end.use(digests=Digests(header=True, data=True), max_data_segment_length=1024)
    ours.send_pdu(NopOut(initiator_task_tag=7, data_segment=b"ping"))
    assert (await theirs.receive_pdu()).initiator_task_tag == 7
    ours.tamper_encoded = lambda _, pieces: [*pieces[:-1], b"\0\0\0\0"]
    ours.send_pdu(NopOut(initiator_task_tag=7, data_segment=b"ping"))
    with pytest.raises(DigestError, match="data digest"):
        await theirs.receive_pdu()
    ours.abort()
    theirs.abort()


async def test_tamper_changes_and_holds_back() -> None:
    """The hook's PDU is sent in place of the one given, or none at all."""
    ours, theirs = await raw_pair()

    def tamper(pdu: Pdu) -> Pdu | None:
        pdu.initiator_task_tag += 1
        return None if pdu.initiator_task_tag == 8 else pdu

    ours.tamper = tamper
    ours.send_pdu(NopOut(initiator_task_tag=7))
    ours.send_pdu(NopOut(initiator_task_tag=10))
    assert (await theirs.receive_pdu()).initiator_task_tag == 11
    await ours.close()
    await theirs.close()


async def test_sends_bytes_as_they_are() -> None:
    """Half a header goes out as half a header."""
    ours, theirs = await raw_pair()
    ours.send_bytes(b"\x00" * 20)
    await ours.drain()
    await ours.close()
    with pytest.raises(ConnectionLost, match="closed"):
        await theirs.receive_pdu()
    assert await theirs.receive_end(timeout=PATIENCE) == b"\x00" * 20
    await theirs.close()


async def test_refuses_a_segment_longer_than_declared() -> None:
    """What the other end may send is bounded."""
    ours, theirs = await raw_pair()
    theirs.use(digests=Digests(), max_data_segment_length=4)
    ours.send_pdu(NopOut(data_segment=b"12345"))
    with pytest.raises(ConnectionViolation, match="5 bytes"):
        await theirs.receive_pdu()
    await ours.close()
    await theirs.close()


async def test_waits_no_longer_than_told() -> None:
    """A PDU that does not come is a `TimeoutError`."""
    ours, theirs = await raw_pair()
    with pytest.raises(TimeoutError):
        await ours.receive_pdu(timeout=0.01)
    await ours.close()
    await theirs.close()


async def test_a_reset_is_a_lost_connection() -> None:
    """RST raises `ConnectionLost`, whatever the socket calls it."""
    server = await asyncio.start_server(lambda _reader, writer: _reset(writer), "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        raw = await RawConnection.open(host, port)
        assert raw.local_address[0] == "127.0.0.1"
        with pytest.raises(ConnectionLost):
            await raw.receive_pdu(timeout=PATIENCE)
        await raw.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def test_nobody_there_is_unreachable() -> None:
    """A port that nobody listens on raises `Unreachable` with its name."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(Unreachable, match=f"127.0.0.1 port {port}"):
            await RawConnection.open("127.0.0.1", port)


async def test_closing_twice_is_harmless() -> None:
    """So is closing after the other end has."""
    ours, theirs = await raw_pair()
    await theirs.close()
    await ours.close()
    await ours.close()
