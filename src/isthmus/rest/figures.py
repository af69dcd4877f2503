"""The routes of figures: what was read and written, and how long it took; for people and for Prometheus."""

from typing import Annotated, Final

from fastapi import FastAPI, Query
from fastapi.responses import StreamingResponse

from isthmus.management.event_log import EventLog
from isthmus.management.service import Service
from isthmus.management.views import BackstoreUsageView, SessionUsageView, VersionView
from isthmus.rest.metrics import MEDIA_TYPE, Metrics
from isthmus.rest.streams import chunks, json_list

__all__ = ["add_figures"]

_TEXT: Final = {"schema": {"type": "string"}}

Buckets = Annotated[bool, Query(description="Tell the buckets of the latencies, too.")]


def add_figures(app: FastAPI, service: Service, events: EventLog, version: VersionView) -> None:
    """Add the routes to `app`."""
    metrics = Metrics(service, events, version)

    @app.get("/v1/statistics/backstores", response_model=list[BackstoreUsageView])
    async def backstore_usage(buckets: Buckets = False) -> StreamingResponse:
        """What was done to each backstore that runs, by everybody."""
        return json_list(service.statistics.backstores(buckets=buckets))

    @app.get("/v1/statistics/sessions", response_model=list[SessionUsageView])
    async def session_usage(buckets: Buckets = False) -> StreamingResponse:
        """What each session has done, by LUN."""
        return json_list(service.statistics.sessions(buckets=buckets))

    @app.get(
        "/metrics",
        response_class=StreamingResponse,
        responses={200: {"description": "The text format of Prometheus.", "content": {"text/plain": _TEXT}}},
    )
    async def prometheus() -> StreamingResponse:
        """All metrics."""
        return StreamingResponse(chunks(metrics.text()), media_type=MEDIA_TYPE)
