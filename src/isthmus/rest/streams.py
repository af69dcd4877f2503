"""Long answers, made and sent piece by piece, so that nobody's commands wait for them."""

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Iterable
from importlib import import_module
from typing import Any, Final

from fastapi.responses import StreamingResponse

from isthmus.server.blocking import Slices

__all__ = ["CHUNK", "chunks", "json_list", "sliced"]

# What a streamed response runs on is looked for by the first one, which would be on the loop.
with contextlib.suppress(ImportError):
    import_module("anyio._backends._asyncio")

CHUNK: Final = 1 << 15
"""Characters that are sent together."""


async def sliced(views: Iterable[Any]) -> AsyncIterator[Any]:
    """`views`, with room for others between them."""
    slices = Slices()
    for view in views:
        yield view
        await slices.pause()


async def chunks(pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    """The same text in fewer pieces."""
    held: list[str] = []
    length = 0
    async for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= CHUNK:
            yield "".join(held)
            held, length = [], 0
    yield "".join(held)


def json_list(views: AsyncIterator[Any]) -> StreamingResponse:
    """A JSON array of views."""

    async def pieces() -> AsyncIterator[str]:
        before = "["
        async for view in views:
            yield before + json.dumps(dataclasses.asdict(view))
            before = ","
        yield "[]" if before == "[" else "]"

    return StreamingResponse(chunks(pieces()), media_type="application/json")
