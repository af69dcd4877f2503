"""The routes of what happens and has happened: events, as they come or afterwards, and the audit trail."""

import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, HTTPException, Query
from fastapi.responses import StreamingResponse

from isthmus.errors import IsthmusError
from isthmus.management.event_log import CAPACITY, EventLog
from isthmus.management.service import Service
from isthmus.management.views import EventView
from isthmus.server.blocking import in_thread

__all__ = ["MAX_FOLLOWERS", "add_happenings"]

MAX_FOLLOWERS: Final = 64
"""Streams of events at once."""
_AUDIT_SECONDS: Final = 20.0
_STREAM: Final = "text/event-stream"

Recent = Annotated[int, Query(ge=0, le=CAPACITY, description="How many of the last ones.")]
Limit = Annotated[int, Query(ge=0, le=10_000, description="How many of the last ones.")]
LastEventId = Annotated[int | None, Header(ge=0, lt=1 << 63, description="The number of the last event that came.")]


def add_happenings(app: FastAPI, service: Service, events: EventLog) -> None:
    """Add the routes to `app`."""

    @app.get("/v1/events")
    async def recent_events(recent: Recent = 100) -> list[EventView]:
        """The last events, the oldest of them first."""
        return events.recent(recent)

    @app.get(
        "/v1/events/stream",
        response_class=StreamingResponse,
        responses={200: {"description": "Server-sent events, without end.", "content": {_STREAM: {}}}},
    )
    async def event_stream(recent: Recent = 0, last_event_id: LastEventId = None) -> StreamingResponse:
        """The last events, then each as it happens."""
        if events.followers >= MAX_FOLLOWERS:
            raise HTTPException(503, f"{MAX_FOLLOWERS} streams of events are open already")
        headers = {"Cache-Control": "no-store"}
        return StreamingResponse(_lines(events.follow(recent, last_event_id)), media_type=_STREAM, headers=headers)

    @app.get("/v1/audit")
    async def audit(limit: Limit = 100) -> list[dict[str, Any]]:
        """The last entries of the audit trail, the oldest of them first."""
        try:
            return await in_thread(lambda: service.audit.newest(limit), timeout=_AUDIT_SECONDS)
        except OSError as error:
            raise IsthmusError(f"the audit trail cannot be read: {error.strerror}") from error


async def _lines(views: AsyncIterator[EventView | None]) -> AsyncIterator[str]:
    """Server-sent events (WHATWG HTML, 9.2.5); a comment keeps the line open."""
    yield ":\n\n"
    async for view in views:
        if view is None:
            yield ":\n\n"
        else:
            yield f"id: {view.id}\nevent: {view.event}\ndata: {json.dumps(dataclasses.asdict(view))}\n\n"
