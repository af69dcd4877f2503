"""An application on a listening socket, on the loop of the daemon, which alone starts and stops it."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import h11
import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from isthmus.rest import plain_problems

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["HttpServer", "ProblemProtocol"]

_STOP_SECONDS: Final = 2


class ProblemProtocol(H11Protocol):
    """Says also of what is not HTTP in the form of all other errors (RFC 9457) that it cannot be understood."""

    @override
    def send_400_response(self, msg: str) -> None:
        body = plain_problems.body(400, msg)
        headers = [
            ("content-type", plain_problems.MEDIA_TYPE),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class HttpServer:
    """Serves `app`; with `context` by TLS."""

    def __init__(
        self,
        app: "ASGIApp",
        sock: socket.socket,
        *,
        protocol: type[H11Protocol] = ProblemProtocol,
        context: ssl.SSLContext | None = None,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        config.load()
        config.ssl = context
        # Who starts and stops is the daemon; it says so itself.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        self._socket = sock
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Answer from now on."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve([self._socket]))

    async def stop(self) -> None:
        """Answer what is being asked, then no more."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task


class _Server(uvicorn.Server):
    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the daemon's own business."""
        yield
