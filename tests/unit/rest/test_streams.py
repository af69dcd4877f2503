from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from isthmus.rest.streams import CHUNK, chunks, json_list, sliced
from tests.support.asgi import ask


@dataclass
class One:
    """A view."""

    number: int


async def body(views: Iterable[Any]) -> Any:
    """What a client gets."""
    answer = await ask(json_list(sliced(views)), "GET", "/", None, {})
    assert answer.headers["content-type"] == "application/json"
    return answer.value


async def test_a_list() -> None:
    """Of none, one, and many."""
    for count in (0, 1, 5000):
        assert await body(map(One, range(count))) == [{"number": number} for number in range(count)]


async def test_pieces_go_together() -> None:
    """What is small is not sent alone."""

    async def pieces() -> AsyncIterator[str]:
        for _ in range(CHUNK):
            yield "xy"

    lengths = [len(chunk) async for chunk in chunks(pieces())]
    assert lengths == [CHUNK, CHUNK, 0]
