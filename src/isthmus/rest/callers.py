"""Who a request is from: a server that knows says so, for the audit trail."""

from typing import TYPE_CHECKING

from isthmus.management.callers import Caller

if TYPE_CHECKING:
    from fastapi import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["SCOPE_KEY", "caller_of", "with_caller"]

SCOPE_KEY = "isthmus.caller"
"""Where a request has its caller."""


def with_caller(app: "ASGIApp", caller: Caller) -> "ASGIApp":
    """`app` for the requests of one connection."""

    async def called(scope: "Scope", receive: "Receive", send: "Send") -> None:
        await app({**scope, SCOPE_KEY: caller}, receive, send)

    return called


def caller_of(request: "Request") -> Caller:
    """Who has sent `request`."""
    caller = request.scope.get(SCOPE_KEY)
    return caller if isinstance(caller, Caller) else Caller(face="unknown")
