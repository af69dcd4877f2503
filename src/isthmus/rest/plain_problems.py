"""Problem details (RFC 9457) for who is refused before anybody has looked at what is asked."""

import json
from http import HTTPStatus
from typing import Final

__all__ = ["MEDIA_TYPE", "body"]

MEDIA_TYPE: Final = "application/problem+json"


def body(status: int, detail: str) -> bytes:
    """As text."""
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return json.dumps(problem, separators=(",", ":")).encode()
