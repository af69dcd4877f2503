"""The tokens that open the interface on the network: lines of a file that is nobody else's to read."""

import hmac
import os
import stat
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from isthmus import events
from isthmus.errors import ConfigurationError
from isthmus.management.callers import Caller
from isthmus.rest import plain_problems
from isthmus.rest.callers import with_caller
from isthmus.server.listener import format_address

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["FACE", "MIN_LENGTH", "Tokens", "check_private", "with_token"]

MIN_LENGTH: Final = 16
"""Characters of a token: shorter ones could be guessed."""
FACE: Final = "REST"
_MAX_FILE: Final = 64 << 10


class Tokens:
    """Those that are in a file; an empty line or one with # says nothing. Several, so that one can replace another."""

    def __init__(self, path: Path) -> None:
        """Raises `ConfigurationError` for a file that others may read, or that has no token in it."""
        self._path = path
        self._digests = _read(path)

    def reload(self) -> None:
        """Take what is in the file now; raises `ConfigurationError`, and those before stay."""
        self._digests = _read(self._path)

    def known(self, token: bytes) -> bool:
        """Whether it is one of them. How long this takes says nothing about how close it comes."""
        found = False
        digest = sha256(token).digest()
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return found


def _read(path: Path) -> tuple[bytes, ...]:
    try:
        with path.open("rb") as file:
            check_private(path, os.fstat(file.fileno()))
            lines = file.read(_MAX_FILE).splitlines()
    except OSError as error:
        raise ConfigurationError(f"the token file {path} cannot be read", error.strerror or str(error)) from error
    tokens = [stripped for line in lines if (stripped := line.strip()) and not stripped.startswith(b"#")]
    if not tokens:
        raise ConfigurationError(f"the token file {path} is empty", "write a token into it, as one line")
    if any(len(token) < MIN_LENGTH or not token.isascii() or b" " in token for token in tokens):
        raise ConfigurationError(
            f"a token in {path} is not one word of {MIN_LENGTH} or more ASCII characters",
            "make one: openssl rand -hex 32",
        )
    return tuple(sha256(token).digest() for token in tokens)


def check_private(path: Path, status: os.stat_result) -> None:
    """Raise `ConfigurationError` if others than the owner and the group may get at a file with a secret."""
    if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IRWXO:
        raise ConfigurationError(f"{path} is open to every user", f"close it (chmod o= {path})")


def with_token(app: "ASGIApp", tokens: Tokens) -> "ASGIApp":
    """`app` for those who show one of `tokens` (RFC 6750 §2.1); to others it says nothing, not even what there is."""

    async def guarded(scope: "Scope", receive: "Receive", send: "Send") -> None:
        client = scope.get("client")
        address = format_address(*client) if client else ""
        refusal = _refusal(dict(scope.get("headers", ())), tokens)
        if not refusal:
            await with_caller(app, Caller(face=FACE, address=address))(scope, receive, send)
            return
        events.emit(events.CONTROL_REFUSED, address=address, reason=refusal)
        body = plain_problems.body(401, "show a token: Authorization: Bearer TOKEN")
        headers = {
            "content-type": plain_problems.MEDIA_TYPE,
            "content-length": str(len(body)),
            "www-authenticate": "Bearer",
            "connection": "close",
        }
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 401, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    return guarded


def _refusal(headers: dict[bytes, bytes], tokens: Tokens) -> str:
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer":
        return "no token"
    return "" if tokens.known(token.strip()) else "wrong token"
