"""The routes of the control socket."""

import json
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, HTTPException, Path, Query, Request, Response

import isthmus
from isthmus.config.document import Dumper, read
from isthmus.errors import ConfigurationError
from isthmus.management.patch import apply_patch, read_patch
from isthmus.management.secrets import hide_secrets
from isthmus.management.service import Service
from isthmus.management.views import ApplyReport, BackstoreView, PortalView, SessionView, VersionView
from isthmus.rest.problems import RESPONSES, add_handlers
from isthmus.server.blocking import in_thread

__all__ = ["create_app"]

_READ_SECONDS: Final = 30.0
"""For taking a document apart, on a thread: a large one takes longer than an initiator should wait."""
_ETAG: Final = re.compile(r'(?:W/)?"(\d{1,18})"')

IfMatch = Annotated[str | None, Header(description="The ETag of the configuration that was edited, or * for any.")]
Force = Annotated[bool, Query(description="Take away also what is in use.")]
DryRun = Annotated[bool, Query(description="Only tell what would be changed.")]


def create_app(service: Service, version: VersionView, reload: Callable[[str], Awaitable[ApplyReport]]) -> FastAPI:
    """The application over `service`; `reload` reads the saved file again, for who asks."""
    app = FastAPI(title="Isthmus", version=isthmus.__version__, responses=RESPONSES, redoc_url=None, docs_url=None)
    add_handlers(app)
    _add_configuration(app, service, reload)
    _add_state(app, service, version)
    return app


def _add_configuration(app: FastAPI, service: Service, reload: Callable[[str], Awaitable[ApplyReport]]) -> None:
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

    @app.put("/v1/configuration", openapi_extra=_body("The whole configuration."))
    async def replace(
        request: Request, if_match: IfMatch = None, force: Force = False, dry_run: DryRun = False
    ) -> ApplyReport:
        """Make another configuration the running one: all of it, or nothing."""
        revision = _expected(if_match)
        new = await _parsed(request, lambda document: read(document)[0])
        return await service.replace(new, revision, force=force, dry_run=dry_run, who=_who(request))

    @app.patch("/v1/configuration", openapi_extra=_body("What is other: backstores and targets as a whole."))
    async def change(
        request: Request, if_match: IfMatch = None, force: Force = False, dry_run: DryRun = False
    ) -> ApplyReport:
        """Replace, add and (`removed`) remove backstores and targets; the others stay."""
        revision = _expected(if_match)
        patch = await _parsed(request, read_patch)
        edit = partial(apply_patch, patch=patch)
        return await service.edit(edit, revision, force=force, dry_run=dry_run, who=_who(request))

    @app.post("/v1/configuration/reload")
    async def reload_saved(request: Request) -> ApplyReport:
        """Read the saved file again, and make it the running configuration."""
        return await reload(_who(request))


def _add_state(app: FastAPI, service: Service, version: VersionView) -> None:
    @app.get("/v1/sessions")
    async def sessions() -> list[SessionView]:
        """Every session, discovery sessions too."""
        return service.sessions.views()

    @app.delete("/v1/sessions/{tsih}", status_code=204)
    async def end_session(
        request: Request,
        tsih: Annotated[int, Path(ge=1, le=0xFFFF)],
        ask: Annotated[bool, Query(description="Ask the initiator to log out first.")] = True,
    ) -> None:
        """End a session."""
        await service.sessions.end(tsih, ask=ask, who=_who(request))

    @app.get("/v1/portals")
    async def portals() -> list[PortalView]:
        """Every portal, and whether it listens."""
        return service.portals()

    @app.get("/v1/backstores")
    async def backstores() -> list[BackstoreView]:
        """Every backstore, as it runs."""
        return service.backstores()

    @app.get("/v1/version")
    async def show_version() -> VersionView:
        """Who answers."""
        return version


def _body(description: str) -> dict[str, Any]:
    schema = {"type": "object", "description": description}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


async def _parsed(request: Request, take: Callable[[Any], Any]) -> Any:
    """What `take` makes of the JSON value of the body."""
    body = await request.body()

    def parse() -> Any:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise HTTPException(400, "the body is not JSON") from None
        if not isinstance(document, dict):
            raise ConfigurationError("the body is not an object", "send the form of saveconfig.json")
        return take(document)

    return await in_thread(parse, timeout=_READ_SECONDS)


def _expected(if_match: str | None) -> int | None:
    """The revision that was edited; None: any."""
    if if_match is None:
        raise HTTPException(428, "send the ETag of the configuration that was edited as If-Match, or If-Match: *")
    if if_match.strip() == "*":
        return None
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise HTTPException(412, "If-Match is not an ETag of a configuration")
    return int(match[1])


def _who(request: Request) -> str:
    """The peer, for the audit trail; the control socket puts the user's number where TCP has a port."""
    return "unknown" if request.client is None else f"{request.client.host} {request.client.port}"
