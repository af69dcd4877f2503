import asyncio
import json
import socket

from fastapi import FastAPI

from isthmus.rest.http_server import HttpServer
from tests.support.patience import PATIENCE


async def exchange(request: bytes) -> tuple[str, str]:
    """The head and the body of the answer to `request`."""
    app = FastAPI()

    @app.get("/")
    async def root() -> str:
        return "here"

    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    server = HttpServer(app, sock)
    server.start()
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    writer.write(request)
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
        writer.close()
        await server.stop()
    head, _, body = answer.decode().partition("\r\n\r\n")
    return head, body


async def test_an_application_answers() -> None:
    """Until the server is stopped."""
    head, body = await exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    assert json.loads(body) == "here"


async def test_what_is_not_http_is_a_problem_too() -> None:
    """As every other error, and the connection ends."""
    head, body = await exchange(b"what is this\r\n\r\n")
    assert head.startswith("HTTP/1.1 400")
    assert "content-type: application/problem+json" in head
    assert json.loads(body)["status"] == 400
