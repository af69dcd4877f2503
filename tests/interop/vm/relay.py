"""A TCP relay on loopback whose connections a test can cut, as a cable or a switch does."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

__all__ = ["Relay", "running_relay"]

_RESET = struct.pack("ii", 1, 0)
_CHUNK = 65536


class Relay:
    """Connects each client to the server behind it; counts what goes to the server."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        # Bound and never listening, it keeps the port while nobody listens there.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._forwarded = 0
        self._listener = self._listen()

    @property
    def port(self) -> int:
        """Where clients connect."""
        port = self._place.getsockname()[1]
        assert isinstance(port, int)
        return port

    @property
    def forwarded(self) -> int:
        """Bytes that have gone to the server, over all connections."""
        return self._forwarded

    def wait_for(self, count: int, seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Wait until so many more bytes have gone to the server; raises `TimeoutError`, at once if `is_over`."""
        goal, deadline = self._forwarded + count, time.monotonic() + seconds
        while self._forwarded < goal:
            if is_over() or time.monotonic() > deadline:
                raise TimeoutError(f"{self._forwarded} of {goal} bytes forwarded within {seconds} s")
            time.sleep(0.002)

    def cut(self) -> int:
        """Reset all connections, on both sides; how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for side in pair:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                with contextlib.suppress(OSError):  # the peer may have been first
                    side.shutdown(socket.SHUT_RD)  # wakes the thread that reads from it
                side.close()
        return len(pairs)

    def block(self) -> None:
        """Cut all connections, and let no others through: who tries is refused, as by a server that is not there.

        One that was taken and closed at once would meet iscsid 2.1.8 in the middle of its login, and now and then it
        does not try again after that.
        """
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def unblock(self) -> None:
        """Let connections through again."""
        self._listener = self._listen()

    def close(self) -> None:
        """Take no more connections, and cut those that there are."""
        self.block()
        self._place.close()

    def _listen(self) -> socket.socket:
        listener = socket.create_server(self._place.getsockname())
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                client.close()
                continue
            with self._lock:
                if listener.fileno() < 0:  # blocked meanwhile
                    client.close()
                    server.close()
                    return
                self._pairs.append((client, server))
            threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, destination: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):  # cut, or an end of it is gone: so is the connection
            while data := source.recv(_CHUNK):
                destination.sendall(data)
                if counts:
                    self._forwarded += len(data)
        with contextlib.suppress(OSError):
            destination.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def running_relay(server_port: int) -> Iterator[Relay]:
    """A relay to that port of 127.0.0.1 until the block ends."""
    relay = Relay(server_port)
    try:
        yield relay
    finally:
        relay.close()
