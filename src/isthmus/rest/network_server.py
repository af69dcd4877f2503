"""The same interface on the network: only by TLS, and only for who has a token."""

import asyncio
import ssl
from asyncio import TimerHandle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from typing_extensions import override

from isthmus.errors import ConfigurationError
from isthmus.rest.http_server import HttpServer, ProblemProtocol
from isthmus.rest.tokens import Tokens, check_private, with_token
from isthmus.server.listener import bind
from isthmus.server.options import Portal

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["MAX_CONNECTIONS", "NetworkOptions", "NetworkServer"]

MAX_CONNECTIONS: Final = 256
"""At once; one more is closed."""
_REQUEST_SECONDS: Final = 10.0
"""Within which a connection has to ask for something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """Where, and with what."""

    listen: Portal
    certificate: Path
    """PEM, with the chain if there is one."""
    key: Path
    """PEM, not encrypted, for its owner and group alone."""
    tokens: Path
    """A token a line, for its owner and group alone."""


class NetworkServer:
    """Serves an application on an address; raises `ConfigurationError` if it cannot, or may not."""

    def __init__(self, app: "ASGIApp", options: NetworkOptions) -> None:
        self._options = options
        self._tokens = Tokens(options.tokens)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load_certificate()
        try:
            sock = bind(options.listen)
        except ConfigurationError as error:
            raise ConfigurationError(f"the API cannot listen on {options.listen}", error.remedy) from error
        self.address = Portal(*sock.getsockname()[:2])
        """Where it listens, with the port that was picked if any would do."""
        self._server = HttpServer(with_token(app, self._tokens), sock, protocol=_protocol(), context=self._context)

    def start(self) -> None:
        """Answer from now on."""
        self._server.start()

    async def stop(self) -> None:
        """Answer what is being asked, then no more."""
        await self._server.stop()

    def reload(self) -> None:
        """Take the certificate, its key and the tokens that are in the files now; raises `ConfigurationError`."""
        self._load_certificate()
        self._tokens.reload()

    def _load_certificate(self) -> None:
        options = self._options
        try:
            check_private(options.key, options.key.stat())
            # A password is never asked for: nobody is there to answer.
            self._context.load_cert_chain(options.certificate, options.key, password=lambda: b"")
        except OSError as error:  # also ssl.SSLError
            raise ConfigurationError(
                f"the certificate {options.certificate} cannot be used with the key {options.key}",
                error.strerror or str(error),
            ) from error


class _Bounded(ProblemProtocol):
    """One of so many connections, each of which has so much time to ask."""

    open: ClassVar[set["_Bounded"]]
    _waiting: TimerHandle | None = None

    @override
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.open) >= MAX_CONNECTIONS:
            transport.close()
            return
        self.open.add(self)
        self._waiting = asyncio.get_running_loop().call_later(_REQUEST_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if getattr(self, "cycle", None) is None:  # nothing was asked yet
            self.transport.close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.open.discard(self)
        if self._waiting is not None:
            self._waiting.cancel()
        super().connection_lost(exc)


def _protocol() -> type[_Bounded]:
    """With a count of its own."""
    return type("_Counted", (_Bounded,), {"open": set()})
