"""A TCP connection that carries PDUs and knows no other rule of iSCSI: what all else here stands on.

A test can use it alone, to say exactly what it wants to say, or hang a `tamper` hook into one that a session uses.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import Final, Self, cast

from typing_extensions import Buffer

from isthmus.initiator.errors import ConnectionLost, Unreachable
from isthmus.iscsi.codec import Digests, PduReader, encode
from isthmus.iscsi.pdu import Pdu

__all__ = ["RawConnection", "Tamper", "TamperEncoded"]

Tamper = Callable[[Pdu], Pdu | None]
"""Sees each PDU before it is encoded; gives what to send in its place, or None to send nothing."""
TamperEncoded = Callable[[Pdu, Sequence[Buffer]], Sequence[Buffer]]
"""Sees the encoded pieces of each PDU, digests included; gives the bytes to send in their place."""

LOGIN_MAX_DATA_SEGMENT_LENGTH: Final = 8192
"""Bytes: what holds until a login has declared something else (RFC 7143 §13.12)."""
_RECEIVE_LENGTH: Final = 256 * 1024
_CLOSE_SECONDS: Final = 2.0
_STREAM_LIMIT: Final = 1024 * 1024


class RawConnection:
    """Sends and receives PDUs in the form agreed on: digests and the longest data segment."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tamper: Tamper | None = None
        self.tamper_encoded: TamperEncoded | None = None
        self._reader = reader
        self._writer = writer
        self._digests = Digests()
        self._pdus = PduReader(max_data_segment_length=LOGIN_MAX_DATA_SEGMENT_LENGTH)

    @classmethod
    async def open(cls, host: str, port: int, *, timeout: float = 10.0) -> Self:
        """Connect to a portal; `timeout` is seconds. Raises `Unreachable`."""
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(host, port, limit=_STREAM_LIMIT)
        except TimeoutError as error:
            raise Unreachable(f"{host} port {port}: no answer within {timeout:g} seconds") from error
        except OSError as error:
            raise Unreachable(f"{host} port {port}: {error.strerror or error}") from error
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(reader, writer)

    @property
    def local_address(self) -> tuple[str, int]:
        """Address and port of this end."""
        address = self._writer.get_extra_info("sockname")
        return address[0], address[1]

    def use(self, *, digests: Digests, max_data_segment_length: int) -> None:
        """Change the form, as the end of a login does; `max_data_segment_length` (bytes) is what this end declared."""
        self._digests = digests
        self._pdus.digests = digests
        self._pdus.max_data_segment_length = max_data_segment_length

    def send_pdu(self, pdu: Pdu) -> None:
        """Hand one PDU to the transport, through the hooks."""
        changed = self.tamper(pdu) if self.tamper is not None else pdu
        if changed is None:
            return
        pieces: Sequence[Buffer] = encode(changed, self._digests)
        if self.tamper_encoded is not None:
            pieces = self.tamper_encoded(changed, pieces)
        self._writer.writelines(cast("Sequence[bytes]", pieces))

    def send_bytes(self, data: Buffer) -> None:
        """Hand over bytes as they are."""
        self._writer.write(memoryview(data))

    async def drain(self) -> None:
        """Wait until the transport takes more. Raises `ConnectionLost`."""
        try:
            await self._writer.drain()
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error.strerror or error}") from error

    async def receive_pdu(self, *, timeout: float | None = None) -> Pdu:
        """The next PDU; `timeout` is seconds.

        Raises `ConnectionLost` when no whole PDU is to come any more, `TimeoutError`, and what `PduReader` raises.
        """
        pdu = self._pdus.next_pdu()
        if pdu is not None:
            return pdu
        async with asyncio.timeout(timeout):
            while pdu is None:
                self._pdus.feed(await self._receive())
                pdu = self._pdus.next_pdu()
        return pdu

    async def _receive(self) -> bytes:
        try:
            data = await self._reader.read(_RECEIVE_LENGTH)
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error.strerror or error}") from error
        if not data:
            raise ConnectionLost("the target closed the connection")
        return data

    async def receive_end(self, *, timeout: float | None = None) -> bytes:
        """Wait for the target to close; gives the bytes that came before it did. Raises `TimeoutError`."""
        rest = bytearray(self._pdus.take_rest())
        async with asyncio.timeout(timeout):
            with contextlib.suppress(ConnectionLost):
                while True:
                    rest += await self._receive()
        return bytes(rest)

    async def close(self) -> None:
        """Send what is left to send, then close; a peer that takes nothing for some seconds loses the rest."""
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                # That the other end has closed or reset it before is no news to somebody who closes.
                with contextlib.suppress(OSError):
                    await self._writer.wait_closed()
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Drop the connection at once, with what is not sent yet."""
        self._writer.transport.abort()
