"""One connection's bytes: the socket in full feature phase, cut into PDUs and filled with answers.

Receiving: everything comes into the engine's one receive buffer, which serves all connections in turn; what is left of
an incomplete header is kept here. When the data segment of a PDU is not here yet, it gets a buffer of its own, and the
rest of it is received straight into that: so data-out is never copied between buffers.

Sending: what the protocol has queued goes out with one `sendmsg` a turn. While the peer takes less than we have for it,
no more of its PDUs are looked at: that is the back-pressure.
"""

import contextlib
import socket
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from typing_extensions import Buffer

from isthmus.engine.read_path import serve_reads
from isthmus.engine.write_path import serve_writes
from isthmus.iscsi.codec import DIGEST_LENGTH, decode, digest
from isthmus.iscsi.connection import Connection
from isthmus.iscsi.errors import ConnectionViolation, DigestError
from isthmus.iscsi.opcodes import BHS_LENGTH, padded
from isthmus.iscsi.parameters import Keepalive
from isthmus.scsi.fast_path_grant import FastPathGrant

if TYPE_CHECKING:
    from isthmus.engine.reference import ReferenceEngine

__all__ = ["Stream"]

IOV_MAX: Final = 1024
"""Buffers in one sendmsg (limits.h)."""
_KEEPALIVE: Final = Keepalive()
HIGH_WATER: Final = 4 << 20
"""Bytes waiting to be sent beyond which nothing more is taken from the peer."""


class Stream:
    """The socket of one connection, and where its bytes stand."""

    __slots__ = (
        "_consuming",
        "_counted",
        "_filled",
        "_header",
        "_held",
        "_queued",
        "_reading",
        "_rest",
        "_segment",
        "_writing",
        "active",
        "closing",
        "connection",
        "engine",
        "grants",
        "idle_ticks",
        "keepalive",
        "peer",
        "socket",
    )

    def __init__(
        self,
        engine: "ReferenceEngine",
        sock: socket.socket,
        connection: Connection,
        grants: dict[int, FastPathGrant],
        *,
        rest: bytes,
        peer: str,
    ) -> None:
        """`rest` was received during login and belongs to full feature phase; `peer` is for the log."""
        self.engine = engine
        self.socket = sock
        self.connection = connection
        self.grants = grants
        self.peer = peer
        self.active = True
        """Whether something was received since the last tick."""
        self.idle_ticks = 0
        self.keepalive = _KEEPALIVE
        self.closing = False
        self._rest = rest
        self._header = b""
        self._segment: bytearray | None = None
        self._filled = 0
        self._consuming = False
        self._reading = False
        """Whether what the peer sends is looked at; if not, `_rest` may hold whole PDUs."""
        self._held = False
        """Whether that waits for answers to writes, see `hold`."""
        self._writing = False
        self._counted = 0
        """Pieces of the outbox whose bytes are in `_queued`."""
        self._queued = 0

    @property
    def backlog(self) -> int:
        """Bytes queued and not sent."""
        return sum(memoryview(piece).nbytes for piece in self.connection.outbox)

    # -- Receiving -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin: first what came with the login, then the socket."""
        self._resume()

    def readable(self) -> None:
        """The socket has something."""
        self.active = True
        self._receive()

    def look_again(self) -> None:
        """Receive what is there although the loop has said nothing, if what the peer sends is looked at now.

        When the peer resets the connection while there are bytes of it to be read, uvloop says so once, and no more.
        """
        while self._reading and not self.closing and self._receive():
            pass

    def hold(self) -> None:
        """Look at nothing more from the peer until some of its writes are answered, or take long.

        To be woken for each command that comes meanwhile costs more than the command. What has come by then is one batch.
        """
        if self._reading and not self._held:
            self._held = True
            self.engine.held.add(self)
            self.engine.loop.remove_reader(self.socket)

    def release(self) -> None:
        """Look at what has come meanwhile, and go on."""
        if not self._held:
            return
        self._held = False
        self.engine.held.discard(self)
        if self._reading and not self.closing:
            self.active = True
            self._receive()
        if self._reading and not self._held and not self.closing:
            self.engine.loop.add_reader(self.socket, self.readable)

    def _receive(self) -> bool:
        """Receive once; False if there was nothing."""
        if self._segment is None:
            return self._receive_pdus()
        return self._receive_segment(self._segment)

    def _receive_pdus(self) -> bool:
        view = self.engine.receive_view
        start = len(self._rest)
        if start:
            view[:start] = self._rest
            self._rest = b""
        try:
            received = self.socket.recv_into(view[start:] if start else view)
        except (BlockingIOError, InterruptedError):
            self._rest = bytes(view[:start])
            return False
        except OSError as error:
            self.engine.lose(self, f"receive: {error.strerror}")
            return False
        if not received:
            self.engine.lose(self, "closed by the initiator")
            return False
        self._consume(start + received)
        if received <= BHS_LENGTH:
            self.engine.lookout.answered()
        return True

    def _receive_segment(self, segment: bytearray) -> bool:
        view = self.engine.receive_view
        missing = len(segment) - self._filled
        try:
            received = self.socket.recvmsg_into((memoryview(segment)[self._filled :], view))[0]
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self.engine.lose(self, f"receive: {error.strerror}")
            return False
        if not received:
            self.engine.lose(self, "closed by the initiator in the middle of a PDU")
            return False
        if received < missing:
            self._filled += received
            return True
        self._segment = None
        self._consume(received - missing, memoryview(segment))
        return True

    def _consume(self, end: int, segment: memoryview | None = None) -> None:
        """Take the PDU of `segment` if that is now complete, and those in the first `end` bytes of the receive buffer."""
        position = 0
        self._counted = self._queued = 0
        self._consuming = True
        self.engine.received_at = perf_counter_ns()
        try:
            if segment is not None:
                self._deliver(self._header, segment)
            while position < end and not self.closing:
                served = serve_writes(self, serve_reads(self, position, end), end)
                if served > position:
                    position = served
                    continue  # Behind writes there may be reads.
                taken = self._take_pdu(position, end)
                position += taken
                if not taken:
                    break
                if self._congested():
                    self._pause()
                    break
        except ConnectionViolation as error:
            self.engine.violated(self, error)
            return
        except Exception as error:  # noqa: BLE001  a bug of ours costs no more than this connection
            self.engine.failed(self, error)
            return
        finally:
            self._consuming = False
        if not self.closing:
            self._rest = bytes(self.engine.receive_view[position:end])
            self.flush()

    def output_ready(self) -> None:
        """The protocol has queued something; if no receive is under way that ends with a flush, arrange for one."""
        if not self._consuming:
            self.engine.flush_soon(self)

    def _congested(self) -> bool:
        """Whether to stop looking at what the peer wants: it does not take what it has asked for.

        Called for each PDU that `_consume` takes, so it looks only at what has been queued since the last one.
        """
        outbox = self.connection.outbox
        for piece in outbox[self._counted :]:
            self._queued += memoryview(piece).nbytes
        self._counted = len(outbox)
        if self._queued <= HIGH_WATER:
            return False
        self._counted = self._queued = 0
        return not self.flush()

    def _take_pdu(self, position: int, end: int) -> int:
        """Take one PDU the long way; gives the bytes used, 0 if its header is not complete."""
        view = self.engine.receive_view
        available = end - position
        if available < BHS_LENGTH:
            return 0
        digests = self.connection.digests
        header_length = BHS_LENGTH + view[position + 4] * 4
        data_start = header_length + (DIGEST_LENGTH if digests.header else 0)
        if available < data_start:
            return 0
        header = bytes(view[position : position + header_length])
        if digests.header and digest(header) != view[position + header_length : position + data_start]:
            raise DigestError("header digest error")
        data_length = int.from_bytes(header[5:8])
        if data_length > self.connection.parameters.max_recv_data_segment_length:
            raise ConnectionViolation(f"a data segment of {data_length} bytes is longer than declared (§13.12)")
        total = padded(data_length) + (DIGEST_LENGTH if digests.data and data_length else 0)
        body = view[position + data_start : min(end, position + data_start + total)]
        if len(body) < total:
            self._begin_segment(header, total, body)
        else:
            self._deliver(header, memoryview(bytes(body)))
        return data_start + len(body)

    def _begin_segment(self, header: bytes, total: int, body: memoryview) -> None:
        self._header = header
        self._segment = bytearray(total)
        self._filled = len(body)
        self._segment[: self._filled] = body

    def _deliver(self, header: bytes, body: memoryview) -> None:
        """Check the data digest of a PDU and hand it to the protocol."""
        data_length = int.from_bytes(header[5:8])
        if self.connection.digests.data and data_length:
            body, received_digest = body[:-DIGEST_LENGTH], body[-DIGEST_LENGTH:]
            if digest(body) != received_digest:
                raise DigestError("data digest error")
        self.connection.receive(decode(header[:BHS_LENGTH], header[BHS_LENGTH:], body[:data_length]))

    # -- Sending -------------------------------------------------------------------------------------------------------

    def send_arena(self, length: int) -> bool:
        """Send the first `length` bytes of the arena; what the socket does not take is kept. True if it took all."""
        view = self.engine.arena_view[:length]
        try:
            sent = self.socket.send(view)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._send_failed(error)
            return True
        if sent == length:
            return True
        self.connection.outbox.append(bytes(view[sent:]))
        self._watch_writable()
        return False

    def flush(self) -> bool:
        """Send what is queued; True if nothing is left."""
        outbox = self.connection.outbox
        while outbox:
            try:
                sent = self.socket.sendmsg(outbox[:IOV_MAX])
            except (BlockingIOError, InterruptedError):
                self._watch_writable()
                return False
            except OSError as error:
                outbox.clear()
                self._send_failed(error)
                break
            _drop(outbox, sent)
            if self.connection.unsent_reads:
                self.connection.sent(sent if outbox else self.connection.unsent_reads)
        if self.connection.closing and not self.closing:
            self.engine.finish(self)
        return True

    def _send_failed(self, error: OSError) -> None:
        """The connection is dead, and ends when whoever is sending is through."""
        self.engine.loop.call_soon(self.engine.lose, self, f"send: {error.strerror}")

    def _watch_writable(self) -> None:
        if not self._writing and not self.closing:
            self._writing = True
            self.engine.loop.add_writer(self.socket, self._writable)

    def _pause(self) -> None:
        self._reading = False
        self.engine.loop.remove_reader(self.socket)

    def _writable(self) -> None:
        self.active = True  # It takes what is sent, and may have no more to say.
        if self.flush() and self._writing and not self.closing:
            self._writing = False
            self.engine.loop.remove_writer(self.socket)
            if not self._reading:
                self._resume()

    def _resume(self) -> None:
        """Go on with the PDUs that are here already, then with the socket unless those were too many again."""
        rest, self._rest = self._rest, b""
        self.engine.receive_view[: len(rest)] = rest
        self._reading = True
        self._consume(len(rest))
        if self._reading and not self._held and not self.closing:
            self.engine.loop.add_reader(self.socket, self.readable)

    def close(self) -> None:
        """Let go of the socket; what is queued is lost."""
        if self.closing:
            return
        self.closing = True
        self.engine.held.discard(self)
        self.connection.sent(self.connection.unsent_reads)
        self.engine.loop.remove_reader(self.socket)
        self.engine.loop.remove_writer(self.socket)
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        self.socket.close()


def _drop(outbox: list[Buffer], sent: int) -> None:
    """Take the first `sent` bytes off the queue, and the pieces that are sent."""
    index = 0
    for piece in outbox:
        size = memoryview(piece).nbytes
        if size > sent:
            if sent:
                outbox[index] = memoryview(piece)[sent:]
            break
        sent -= size
        index += 1
    del outbox[:index]
