import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest
from fastapi import FastAPI, Request

from isthmus.errors import ConfigurationError
from isthmus.rest import unix_server
from isthmus.rest.unix_server import ControlServer, open_control_socket
from tests.support.patience import PATIENCE


def test_the_socket_is_the_owners_alone(tmp_path: Path) -> None:
    """So is a directory that is made for it."""
    path = tmp_path / "run" / "control.sock"
    before = os.umask(0)
    try:
        with open_control_socket(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_what_a_dead_daemon_left_is_replaced(tmp_path: Path) -> None:
    """One that lives is not."""
    path = tmp_path / "control.sock"
    open_control_socket(path).close()
    with open_control_socket(path), pytest.raises(ConfigurationError, match="a daemon answers"):
        open_control_socket(path)


def test_a_group_that_is_not_there(tmp_path: Path) -> None:
    """Nothing is made."""
    with pytest.raises(ConfigurationError, match="no group"):
        open_control_socket(tmp_path / "control.sock", "no-such-group")
    assert not list(tmp_path.iterdir())


async def asked(path: Path) -> bytes:
    """The answer to a request."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    return answer


def who_app() -> FastAPI:
    """It says who asks."""
    app = FastAPI()

    @app.get("/")
    async def who(request: Request) -> str:
        assert request.client is not None
        return f"{request.client.host} {request.client.port}"

    return app


async def test_the_application_hears_who_asks(tmp_path: Path) -> None:
    """By the credentials that the system vouches for."""
    path = tmp_path / "control.sock"
    server = ControlServer(who_app(), open_control_socket(path))
    server.start()
    assert f'"uid {os.geteuid()}"'.encode() in await asked(path)
    async with asyncio.timeout(PATIENCE):
        await server.stop()


async def test_a_stranger_is_told_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user than the daemon's, who is not root, and in no group that is let in."""
    path = tmp_path / "control.sock"
    server = ControlServer(who_app(), open_control_socket(path))
    server.start()
    stranger = unix_server._CREDENTIALS.pack(1, 4711, 4711)
    monkeypatch.setattr(unix_server, "_credentials", lambda _sock: unix_server._CREDENTIALS.unpack(stranger))
    answer = await asked(path)
    assert answer.startswith(b"HTTP/1.1 403 Forbidden")
    assert b"uid" not in answer
    async with asyncio.timeout(PATIENCE):
        await server.stop()


async def test_the_members_of_a_group_are_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the group is named."""
    own = next(iter({os.getegid(), *os.getgroups()}))
    monkeypatch.setattr(unix_server, "_group_id", lambda _name: own)
    path = tmp_path / "control.sock"
    server = ControlServer(who_app(), open_control_socket(path, "operators"), "operators")
    server.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    monkeypatch.setattr(unix_server, "_credentials", lambda _sock: (1, 4711, own))
    assert b'"uid 4711"' in await asked(path)
    async with asyncio.timeout(PATIENCE):
        await server.stop()


def test_supplementary_groups_count() -> None:
    """As the system tells them of the peer."""
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert set(unix_server._groups(one)) == set(os.getgroups())
