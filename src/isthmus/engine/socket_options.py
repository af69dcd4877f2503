"""What the engine asks of a socket."""

import socket
import struct
from pathlib import Path
from typing import Final

__all__ = ["BUFFER_LENGTH", "octets", "prepare"]

BUFFER_LENGTH: Final = 4 << 20
"""Bytes asked for in each direction: a batch of answers should fit, or it waits for acknowledgements for milliseconds."""

_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_TCP_INFO: Final = struct.Struct("=128xQ64xQQ")
"""tcpi_bytes_received, tcpi_bytes_sent, tcpi_bytes_retrans."""
_LIMITS: Final = Path("/proc/sys/net/core")


def prepare(sock: socket.socket) -> None:
    """Send small PDUs at once, and buffer large batches."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _enlarge(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF, _LIMITS / "wmem_max")
    _enlarge(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF, _LIMITS / "rmem_max")


def octets(sock: socket.socket) -> tuple[int, int]:
    """Bytes that have come and gone on a connection, each once (tcp(7), TCP_INFO): the kernel counts them anyway."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:
        return 0, 0  # It is closed, or another kind of socket.
    if len(info) < _TCP_INFO.size:
        return 0, 0
    received, sent, sent_again = _TCP_INFO.unpack(info)
    return received, sent - sent_again


def _enlarge(sock: socket.socket, force: int, option: int, limit: Path) -> None:
    """Ask for `BUFFER_LENGTH`, unless it would be cut: the kernel's own tuning, which asking ends, may give more."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, force, BUFFER_LENGTH)
    except PermissionError:
        if _number_in(limit) >= BUFFER_LENGTH:
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_LENGTH)


def _number_in(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
