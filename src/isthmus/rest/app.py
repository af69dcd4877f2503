"""The routes of the control socket."""

import dataclasses
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, HTTPException, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

import isthmus
from isthmus.config.document import Dumper, read
from isthmus.config.json_text import parse
from isthmus.errors import ConfigurationError
from isthmus.management.callers import Caller
from isthmus.management.event_log import EventLog
from isthmus.management.patch import apply_patch, read_patch
from isthmus.management.secrets import hide_secrets
from isthmus.management.service import Service
from isthmus.management.views import ApplyReport, BackstoreView, PortalView, SessionView, VersionView
from isthmus.rest.callers import caller_of
from isthmus.rest.changing import DryRun, Force, IfMatch, expected_revision
from isthmus.rest.figures import add_figures
from isthmus.rest.happenings import add_happenings
from isthmus.rest.problems import RESPONSES, add_handlers
from isthmus.rest.resources import add_resources
from isthmus.rest.streams import json_list, sliced
from isthmus.server.blocking import in_thread

__all__ = ["create_app"]

_READ_SECONDS: Final = 30.0
"""For taking a document apart, on a thread: a large one takes longer than an initiator should wait."""

Reload = Callable[[Caller], Awaitable[ApplyReport]]


def create_app(service: Service, version: VersionView, reload: Reload, events: EventLog | None = None) -> FastAPI:
    """The application over `service`; `reload` reads the saved file again, for who asks. `events`: what can be heard."""
    app = FastAPI(title="Isthmus", version=isthmus.__version__, responses=RESPONSES, redoc_url=None, docs_url=None)
    add_handlers(app)
    _add_configuration(app, service, reload)
    _add_state(app, service, version)
    add_resources(app, service)
    events = events or EventLog()
    add_happenings(app, service, events)
    add_figures(app, service, events, version)
    _describe_tokens(app)
    return app


def _describe_tokens(app: FastAPI) -> None:
    """Let the description of the interface say what the network wants beside what the unix socket does."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        document = describe()
        about = "On the network. On the unix socket, the kernel says who asks."
        document["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": about}
        }
        document["security"] = [{}, {"token": []}]
        return document

    app.openapi = described  # type: ignore[method-assign]  # the way that FastAPI documents


def _add_configuration(app: FastAPI, service: Service, reload: Reload) -> None:
    dumper = Dumper()

    @app.get("/v1/configuration", responses={304: {"description": "It has not changed."}})
    async def configuration(if_none_match: Annotated[str | None, Header()] = None) -> Response:
        """The running configuration, in the form of saveconfig.json. For secrets that are set it has a marker."""
        etag = f'"{service.revision}"'
        if if_none_match == etag:
            return Response(status_code=304, headers={"ETag": etag})
        running = service.configuration
        text = await in_thread(lambda: dumper.dump(hide_secrets(running)), timeout=_READ_SECONDS)
        return Response(text, media_type="application/json", headers={"ETag": etag})

    @app.put("/v1/configuration", response_model=ApplyReport, openapi_extra=_body("The whole configuration."))
    async def replace(
        request: Request, if_match: IfMatch = None, force: Force = False, dry_run: DryRun = False
    ) -> Response:
        """Make another configuration the running one: all of it, or nothing."""
        revision = _stated(if_match)
        new = await _parsed(service, request, lambda document: read(document)[0])
        return await _told(await service.replace(new, revision, force=force, dry_run=dry_run, who=caller_of(request)))

    @app.patch(
        "/v1/configuration",
        response_model=ApplyReport,
        openapi_extra=_body("What is other: backstores and targets as a whole."),
    )
    async def change(
        request: Request, if_match: IfMatch = None, force: Force = False, dry_run: DryRun = False
    ) -> Response:
        """Replace, add and (`removed`) remove backstores and targets; the others stay."""
        revision = _stated(if_match)
        patch = await _parsed(service, request, read_patch)
        edit = partial(apply_patch, patch=patch)
        return await _told(await service.edit(edit, revision, force=force, dry_run=dry_run, who=caller_of(request)))

    @app.post("/v1/configuration/reload", response_model=ApplyReport)
    async def reload_saved(request: Request) -> Response:
        """Read the saved file again, and make it the running configuration."""
        return await _told(await reload(caller_of(request)))


def _add_state(app: FastAPI, service: Service, version: VersionView) -> None:
    @app.get("/v1/sessions", response_model=list[SessionView])
    async def sessions() -> StreamingResponse:
        """Every session, discovery sessions too."""
        return json_list(sliced(service.sessions.each()))

    @app.delete("/v1/sessions/{tsih}", status_code=204)
    async def end_session(
        request: Request,
        tsih: Annotated[int, Path(ge=1, le=0xFFFF)],
        ask: Annotated[bool, Query(description="Ask the initiator to log out first.")] = True,
    ) -> None:
        """End a session."""
        await service.sessions.end(tsih, ask=ask, who=caller_of(request))

    @app.get("/v1/portals", response_model=list[PortalView])
    async def portals() -> StreamingResponse:
        """Every portal, and whether it listens."""
        return json_list(sliced(service.each_portal()))

    @app.get("/v1/backstores", response_model=list[BackstoreView])
    async def backstores() -> StreamingResponse:
        """Every backstore, as it runs."""
        return json_list(sliced(service.each_backstore()))

    @app.get("/v1/version")
    async def show_version() -> VersionView:
        """Who answers."""
        return version


def _body(description: str) -> dict[str, Any]:
    schema = {"type": "object", "description": description}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


async def _parsed(service: Service, request: Request, take: Callable[[Any], Any]) -> Any:
    """What `take` makes of the JSON value of the body."""
    body = await request.body()

    def parsed() -> Any:
        try:
            document = parse(body)
        except (ValueError, RecursionError):
            raise HTTPException(400, "the body is not JSON") from None
        if not isinstance(document, dict):
            raise ConfigurationError("the body is not an object", "send the form of saveconfig.json")
        return take(document)

    with service.collector.rests():
        return await in_thread(parsed, timeout=_READ_SECONDS)


async def _told(report: ApplyReport) -> Response:
    """The report, which has a line for each of thousands of changes, made on a thread."""
    text = await in_thread(lambda: json.dumps(dataclasses.asdict(report)), timeout=_READ_SECONDS)
    return Response(text, media_type="application/json")


def _stated(if_match: str | None) -> int | None:
    """The revision that was edited: who replaces a whole must say what it replaces. None: any."""
    if if_match is None:
        raise HTTPException(428, "send the ETag of the configuration that was edited as If-Match, or If-Match: *")
    return expected_revision(if_match)
