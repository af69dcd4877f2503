"""tgtd's socket: who may connect is settled by the peer's credentials, and each connection has one request."""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from isthmus.compat.tgt.errors import Status, WireViolation
from isthmus.compat.tgt.face import Face
from isthmus.compat.tgt.wire import Request, RequestReader, Response
from isthmus.errors import ConfigurationError
from isthmus.management.callers import Caller

__all__ = ["TgtServer", "open_tgt_socket"]

_CREDENTIALS: Final = struct.Struct("3i")
"""struct ucred: process, user and group (unix(7))."""
_BACKLOG: Final = 32
_REQUEST_SECONDS: Final = 10.0
"""A peer that takes longer to say what it wants is no tgtadm."""
_DIRECTORY_MODE: Final = 0o755
_ONLY_OWNER: Final = 0o177

_log = structlog.get_logger()


def open_tgt_socket(prefix: str) -> socket.socket:
    """A listening socket at `prefix`.0, where tgtadm looks (TGT_IPC_SOCKET). Raises `ConfigurationError`.

    A socket that nobody listens on is replaced. It is never removed: after a system delete, tgtadm waits until its
    connections are refused, which they are only while there is a socket.
    """
    path = Path(f"{prefix}.0")
    _refuse_second(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        if path.is_socket():
            path.unlink()
        before = os.umask(_ONLY_OWNER)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ConfigurationError(f"tgtadm's socket {path} cannot be made", error.strerror or str(error)) from error
    return sock


def _refuse_second(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be tgtadm's socket", error.strerror or str(error)) from error
    raise ConfigurationError(f"something answers at {path} already", "stop tgtd, or choose another --tgt-socket")


class TgtServer:
    """Answers at one socket, on the running loop."""

    def __init__(self, sock: socket.socket, face: Face) -> None:
        """Nothing is answered yet."""
        self._socket = sock
        self._face = face
        self._end_daemon: Callable[[], None] = lambda: None
        self._accepting: asyncio.Task[None] | None = None
        self._peers: set[asyncio.Task[None]] = set()

    def start(self, end_daemon: Callable[[], None]) -> None:
        """Answer from now on. `end_daemon` is called once a system delete has been answered."""
        self._end_daemon = end_daemon
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def stop(self) -> None:
        """Listen no more; what is being answered is answered first."""
        if self._accepting is not None:
            self._accepting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._accepting
        self._socket.close()
        if self._peers:
            await asyncio.wait(self._peers, timeout=_REQUEST_SECONDS)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, _ = await loop.sock_accept(self._socket)
            except OSError as error:
                _log.warning("tgtadm's connection not accepted", reason=str(error))
                await asyncio.sleep(1)
                continue
            task = loop.create_task(self._serve(peer))
            self._peers.add(task)
            task.add_done_callback(self._peers.discard)

    async def _serve(self, peer: socket.socket) -> None:
        ends = False
        with peer:
            try:
                caller = _caller(peer)
                if caller is None:
                    return
                async with asyncio.timeout(_REQUEST_SECONDS):
                    request = await _received(peer)
                if request is not None:
                    response = await self._answer(request, caller)
                    ends = self._face.ends(request, response)
                    if ends and self._accepting is not None:
                        self._accepting.cancel()
                        self._socket.close()
                    await asyncio.get_running_loop().sock_sendall(peer, response.encode())
            except (OSError, TimeoutError, WireViolation) as error:
                _log.warning("tgtadm's connection closed", reason=str(error) or type(error).__name__)
        if ends:
            self._end_daemon()

    async def _answer(self, request: Request, caller: Caller) -> Response:
        try:
            return await self._face.answer(request, caller)
        except Exception:  # noqa: BLE001  see below
            # Whatever nobody thought of costs the asker an answer, and not the daemon its life.
            _log.exception("tgtadm's request failed")
            return Response(Status.UNKNOWN_ERROR)


def _caller(peer: socket.socket) -> Caller | None:
    """Who asks; None: nobody who may. As with tgtd, that is the daemon's own user; root may, too."""
    peer.setblocking(False)
    pid, uid, gid = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if uid not in {0, os.geteuid()}:
        _log.warning("refused at tgtadm's socket", uid=uid, gid=gid, pid=pid)
        return None
    return Caller(face="tgtadm", uid=uid, gid=gid, pid=pid)


async def _received(peer: socket.socket) -> Request | None:
    """One request; None: the peer has gone before it was complete."""
    reader = RequestReader()
    while wanted := reader.wanted:
        data = await asyncio.get_running_loop().sock_recv(peer, wanted)
        if not data:
            return None
        request = reader.feed(data)
        if request is not None:
            return request
    return None
