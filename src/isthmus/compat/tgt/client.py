"""The other end of tgtd's socket: what tgtadm does when it asks."""

import contextlib
import os
import socket
import time
from pathlib import Path
from typing import Final

from isthmus.compat.tgt.errors import Status, WireViolation
from isthmus.compat.tgt.wire import Mode, Operation, Request, Response
from isthmus.errors import ConfigurationError
from isthmus.management.errors import DaemonError, DaemonUnreachableError

__all__ = ["DEFAULT_PREFIX", "TgtClient"]

DEFAULT_PREFIX: Final = "/var/run/tgtd/socket"
_PREFIX_VARIABLE: Final = "TGT_IPC_SOCKET"
_SECONDS: Final = 60.0
_CHUNK: Final = 65536
_END_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.1


class TgtClient:
    """Asks what listens at one control port."""

    def __init__(self, control_port: int = 0, prefix: str | None = None) -> None:
        """`prefix`: of the socket; None: as TGT_IPC_SOCKET says, or where tgtd has it."""
        self._path = Path(f"{prefix or os.environ.get(_PREFIX_VARIABLE) or DEFAULT_PREFIX}.{control_port}")

    def ask(self, request: Request) -> Response:
        """The answer. Raises `DaemonUnreachableError`, `DaemonError`, or `ConfigurationError` for too long a request."""
        try:
            message = request.encode()
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        with self._connected() as sock:
            try:
                sock.sendall(message)
                data = b"".join(iter(lambda: sock.recv(_CHUNK), b""))
            except OSError as error:
                raise DaemonError(f"{self._path} does not answer: {error}") from error
        if not data:
            raise DaemonError("tgtd closed the socket")
        try:
            response = Response.decode(data)
        except WireViolation as error:
            raise DaemonError(str(error)) from None
        if (request.mode, request.operation) == (Mode.SYSTEM, Operation.DELETE) and response.status == Status.SUCCESS:
            self._wait_for_end()
        return response

    def _connected(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(_SECONDS)
        try:
            sock.connect(str(self._path))
        except OSError as error:
            sock.close()
            raise DaemonUnreachableError(
                f"nothing answers at {self._path} ({error.strerror}): start isthmus daemon --tgt-socket {self._path.with_suffix('')}"
            ) from error
        return sock

    def _wait_for_end(self) -> None:
        """A daemon that ends may take connections for a while."""
        deadline = time.monotonic() + _END_SECONDS
        with contextlib.suppress(DaemonUnreachableError):
            while time.monotonic() < deadline:
                self._connected().close()
                time.sleep(_POLL_SECONDS)
