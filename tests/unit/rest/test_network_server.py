import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI, Request

from isthmus.errors import ConfigurationError
from isthmus.rest import network_server
from isthmus.rest.callers import caller_of
from isthmus.rest.network_server import NetworkOptions, NetworkServer
from isthmus.server.options import Portal
from tests.support.certificate import TOKEN, ApiFiles, api_files
from tests.support.patience import PATIENCE


@pytest.fixture
def files(tmp_path: Path) -> ApiFiles:
    """A certificate, its key, and a token."""
    return api_files(tmp_path)


def options(files: ApiFiles) -> NetworkOptions:
    """On any free port."""
    return NetworkOptions(
        listen=Portal("127.0.0.1", 0), certificate=files.certificate, key=files.key, tokens=files.tokens
    )


def who_app() -> FastAPI:
    """It says who asks."""
    app = FastAPI()

    @app.get("/")
    async def root(request: Request) -> str:
        return str(caller_of(request))

    return app


@pytest.fixture
async def server(files: ApiFiles) -> AsyncIterator[NetworkServer]:
    """One that answers."""
    made = NetworkServer(who_app(), options(files))
    made.start()
    yield made
    async with asyncio.timeout(PATIENCE):
        await made.stop()


async def connect(server: NetworkServer, files: ApiFiles) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """By TLS, with a certificate that is trusted."""
    context = ssl.create_default_context(cafile=files.certificate)
    return await asyncio.open_connection(server.address.address, server.address.port, ssl=context)


async def asked(server: NetworkServer, files: ApiFiles, token: str = TOKEN) -> str:
    """The answer to a request."""
    reader, writer = await connect(server, files)
    writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        answer = (await reader.read()).decode()
    writer.close()
    return answer


async def test_who_has_a_token_is_answered(server: NetworkServer, files: ApiFiles) -> None:
    """And known by the address."""
    answer = await asked(server, files)
    assert answer.startswith("HTTP/1.1 200")
    assert '"REST 127.0.0.1:' in answer


async def test_who_has_none_is_not(server: NetworkServer, files: ApiFiles) -> None:
    """Whatever is asked for."""
    assert (await asked(server, files, "some-other-token-than-ours")).startswith("HTTP/1.1 401")


async def test_without_tls_nothing_is_said(server: NetworkServer) -> None:
    """Not even to who has the token."""
    reader, writer = await asyncio.open_connection(server.address.address, server.address.port)
    writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        assert b"HTTP" not in await reader.read()
    writer.close()


async def test_old_versions_of_tls_are_refused(server: NetworkServer, files: ApiFiles) -> None:
    """TLS 1.2 is the oldest that is taken."""
    assert server._context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_tokens_are_read_again(server: NetworkServer, files: ApiFiles) -> None:
    """The certificate too; a file that is wrong by then changes nothing."""
    files.tokens.write_text("the-next-token-of-all\n")
    server.reload()
    assert (await asked(server, files)).startswith("HTTP/1.1 401")
    assert (await asked(server, files, "the-next-token-of-all")).startswith("HTTP/1.1 200")
    files.certificate.write_text("nonsense")
    with pytest.raises(ConfigurationError):
        server.reload()
    files.certificate.write_text(api_files(files.certificate.parent).certificate.read_text())


async def test_connections_are_bounded(server: NetworkServer, files: ApiFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is closed; so is one that asks for nothing."""
    monkeypatch.setattr(network_server, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(network_server, "_REQUEST_SECONDS", 0.2)
    reader, writer = await connect(server, files)
    second, other = await connect(server, files)
    async with asyncio.timeout(PATIENCE):
        assert await second.read() == b""
        assert await reader.read() == b""
    writer.close()
    other.close()


@pytest.mark.parametrize("name", ["certificate", "key", "tokens"])
async def test_a_file_that_is_missing(files: ApiFiles, name: str, tmp_path: Path) -> None:
    """The error names it."""
    with pytest.raises(ConfigurationError, match="No such file"):
        NetworkServer(who_app(), options(replace(files, **{name: tmp_path / "nothing"})))


@pytest.mark.parametrize("name", ["key", "tokens"])
async def test_a_secret_file_that_is_open_to_others(files: ApiFiles, name: str) -> None:
    """Is refused."""
    getattr(files, name).chmod(0o644)
    with pytest.raises(ConfigurationError, match="open to every user"):
        NetworkServer(who_app(), options(files))


async def test_a_certificate_that_is_none(files: ApiFiles) -> None:
    """Or not of this key."""
    files.certificate.write_text("nonsense")
    with pytest.raises(ConfigurationError, match="cannot be used with the key"):
        NetworkServer(who_app(), options(files))


async def test_an_address_that_is_taken(server: NetworkServer, files: ApiFiles) -> None:
    """The error says what is to be done."""
    with pytest.raises(ConfigurationError, match="the API cannot listen on"):
        NetworkServer(who_app(), replace(options(files), listen=server.address))
