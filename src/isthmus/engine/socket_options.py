"""What the engine asks of a socket."""

import socket
from pathlib import Path
from typing import Final

__all__ = ["BUFFER_LENGTH", "prepare"]

BUFFER_LENGTH: Final = 4 << 20
"""Bytes asked for in each direction: a batch of answers should fit, or it waits for acknowledgements for milliseconds."""

_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_LIMITS: Final = Path("/proc/sys/net/core")


def prepare(sock: socket.socket) -> None:
    """Send small PDUs at once, and buffer large batches."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _enlarge(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF, _LIMITS / "wmem_max")
    _enlarge(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF, _LIMITS / "rmem_max")


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
