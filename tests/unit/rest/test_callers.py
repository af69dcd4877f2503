from fastapi import FastAPI, Request

from isthmus.management.callers import Caller
from isthmus.rest.callers import caller_of, with_caller
from tests.support.asgi import ask


async def test_a_server_says_who_asks() -> None:
    """And without it nobody knows."""
    app = FastAPI()
    heard: list[Caller] = []

    @app.get("/")
    async def who(request: Request) -> None:
        heard.append(caller_of(request))

    me = Caller(face="a test", uid=5)
    await ask(with_caller(app, me), "GET", "/", None, {})
    assert heard == [me]


def test_nobody_knows() -> None:
    """Of a server that does not say."""
    assert caller_of(Request({"type": "http", "headers": []})) == Caller(face="unknown")
