"""Errors as problem details (RFC 9457)."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from isthmus.errors import ConfigurationError, IsthmusError
from isthmus.management.errors import BusyError, NotFoundError, RevisionConflictError
from isthmus.rest.plain_problems import MEDIA_TYPE

__all__ = ["MEDIA_TYPE", "RESPONSES", "Problem", "add_handlers", "respond"]


class Problem(BaseModel):
    """What went wrong (RFC 9457 §3.1)."""

    type: str = "about:blank"
    title: str
    """Of the status."""
    status: int
    detail: str
    """What is wrong with this request."""
    remedy: str = ""
    """What to do instead."""
    busy: str = ""
    """What is in use."""
    holders: list[str] = []
    """By whom."""


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}}
    for status in (400, 401, 404, 405, 409, 412, 413, 422, 428, 500, 503, 504)
}
"""The errors of every route, for OpenAPI."""

_STATUSES: Final[tuple[tuple[type[IsthmusError], int], ...]] = (
    (NotFoundError, 404),
    (BusyError, 409),
    (RevisionConflictError, 412),
    (ConfigurationError, 422),
    (IsthmusError, 500),
)
"""The status of each kind of error; the first that fits counts."""


def respond(status: int, detail: str, **more: Any) -> JSONResponse:
    """A problem as a response."""
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, **more)
    return JSONResponse(
        problem.model_dump(exclude_defaults=True) | {"type": problem.type}, status, media_type=MEDIA_TYPE
    )


def add_handlers(app: FastAPI) -> None:
    """Have every error of `app` answered as a problem."""
    handlers: dict[type[Exception], Callable[[Request, Any], Awaitable[JSONResponse]]] = {
        IsthmusError: _known,
        RequestValidationError: _malformed,
        HTTPException: _of_http,
        TimeoutError: _too_late,
        Exception: _unexpected,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _known(_request: Request, error: IsthmusError) -> JSONResponse:
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    if isinstance(error, BusyError):
        return respond(status, str(error), busy=error.what, holders=list(error.holders), remedy=error.remedy)
    if isinstance(error, ConfigurationError):
        return respond(status, error.problem, remedy=error.remedy)
    return respond(status, str(error))


async def _too_late(_request: Request, _error: TimeoutError) -> JSONResponse:
    return respond(504, "it was not done in time, and may be done yet: look again")


async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    """A bug of ours: the log has it, and nobody else."""
    return respond(500, "an internal error: the daemon's log has it")


async def _malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
    """Says where it is wrong, and never with what: that may be a secret."""
    places = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return respond(422, "; ".join(places))


async def _of_http(_request: Request, error: HTTPException) -> JSONResponse:
    response = respond(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response
