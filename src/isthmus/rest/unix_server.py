"""HTTP on a unix socket: who may connect is settled by the socket's mode, and by the credentials of the peer."""

import asyncio
import grp
import os
import socket
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from typing_extensions import override

from isthmus import events
from isthmus.errors import ConfigurationError
from isthmus.management.callers import Caller
from isthmus.rest.callers import with_caller
from isthmus.rest.http_server import HttpServer, ProblemProtocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["ControlServer", "open_control_socket"]

_OWNER_ONLY: Final = 0o600
_WITH_GROUP: Final = 0o660
_CREDENTIALS: Final = struct.Struct("3i")
"""struct ucred: process, user and group (unix(7))."""
_SO_PEERGROUPS: Final = 59
_GROUPS_LENGTH: Final = 1024
"""Bytes: the most that Python asks of a socket for."""
_FORBIDDEN: Final = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
_FORBIDDEN_BODY: Final = (
    b'{"type":"about:blank","title":"Forbidden","status":403,"detail":"this daemon is another user\'s"}'
)
FACE: Final = "control socket"
_STRANGER_SECONDS: Final = 5.0


def open_control_socket(path: Path, group: str | None = None) -> socket.socket:
    """A listening socket at `path`, for this user and root, and the members of `group`, if one is named.

    What a dead daemon left there is replaced; raises `ConfigurationError` if one that lives is there.
    """
    gid = -1 if group is None else _group_id(group)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(mode=0o711 if group else 0o700, parents=True, exist_ok=True)
        _refuse_strangers(path.parent)
        _refuse_second(path)
        _unlink_socket(path)
        before = os.umask(0o177)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        if group is not None:
            if path.stat().st_gid != gid:  # With its own group, a service needs no right to give files away.
                os.chown(path, -1, gid)
            path.chmod(_WITH_GROUP)
        sock.listen(64)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ConfigurationError(f"the control socket {path} cannot be made", error.strerror or str(error)) from error
    except ConfigurationError:
        sock.close()
        raise
    return sock


def _refuse_strangers(directory: Path) -> None:
    """Somebody else's directory, in a place where anybody may make one, could hold somebody else's socket tomorrow."""
    if directory.stat().st_uid not in {0, os.geteuid()}:
        raise ConfigurationError(f"{directory} belongs to another user", "name another run directory (ISTHMUS_RUN)")


def _unlink_socket(path: Path) -> None:
    """Take away what a dead daemon has left, and nothing else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigurationError(f"the control socket {path} cannot be made", "something that is no socket is there")
    path.unlink()


def _group_id(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigurationError(f"there is no group {name!r}", "name one of the system's groups") from None


def _refuse_second(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return
    raise ConfigurationError(f"a daemon answers at {path} already", "stop it, or choose another --run directory")


class ControlServer:
    """Serves an application on a listening unix socket, on the running loop."""

    def __init__(self, app: "ASGIApp", sock: socket.socket, group: str | None = None) -> None:
        gid = None if group is None else _group_id(group)
        self._server = HttpServer(app, sock, protocol=_checked(gid))

    def start(self) -> None:
        """Answer from now on."""
        self._server.start()

    async def stop(self) -> None:
        """Answer what is being asked, then no more."""
        await self._server.stop()


class _PeerChecked(ProblemProtocol):
    """Takes the credentials of the peer for the audit trail, and as its address: ("uid", its number)."""

    group: ClassVar[int | None] = None
    """Whose members may ask, beside this user and root."""

    @override
    def connection_made(self, transport: Any) -> None:
        sock = transport.get_extra_info("socket")
        pid, uid, gid = _credentials(sock)
        if uid not in {0, os.geteuid()} and self.group not in {gid, *_groups(sock)}:
            events.emit(events.CONTROL_REFUSED, uid=uid, gid=gid, pid=pid, reason="the daemon is another user's")
            self.transport = transport
            # Who asks is answered; who does not has nothing to wait for here.
            asyncio.get_running_loop().call_later(_STRANGER_SECONDS, transport.close)
            return
        super().connection_made(transport)
        self.client = ("uid", uid)
        self.app = with_caller(self.app, Caller(face=FACE, uid=uid, gid=gid, pid=pid))

    @override
    def data_received(self, data: bytes) -> None:
        if self.client is not None:
            super().data_received(data)
        elif not self.transport.is_closing():
            self.transport.write(_FORBIDDEN % (len(_FORBIDDEN_BODY), _FORBIDDEN_BODY))
            self.transport.close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self.client is not None:
            super().connection_lost(exc)


def _checked(group: int | None) -> type[_PeerChecked]:
    """The protocol that also lets in the members of `group`."""
    return type("_GroupChecked", (_PeerChecked,), {"group": group})


def _credentials(sock: Any) -> tuple[int, ...]:
    """Process, user and group of the peer, as they were when it connected (unix(7), SO_PEERCRED)."""
    return _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))


def _groups(sock: socket.socket) -> tuple[int, ...]:
    """The supplementary groups of the peer (unix(7), SO_PEERGROUPS); none of a user who is in more than 256."""
    try:
        found = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_LENGTH)
    except OSError:
        return ()
    return struct.unpack(f"{len(found) // 4}I", found)
