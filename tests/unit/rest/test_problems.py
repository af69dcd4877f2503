import json

import pytest
from fastapi import FastAPI

from isthmus.errors import BackstoreError, ConfigurationError, IsthmusError
from isthmus.management.errors import BusyError, DaemonError, NotFoundError, RevisionConflictError
from isthmus.rest.problems import MEDIA_TYPE, add_handlers, respond
from tests.support.asgi import ask


@pytest.mark.parametrize(
    ("error", "status", "fields"),
    [
        (ConfigurationError("wrong", "do it right"), 422, {"detail": "wrong", "remedy": "do it right"}),
        (NotFoundError("not there"), 404, {"detail": "not there"}),
        (BusyError("/x", ("iqn.a",)), 409, {"busy": "/x", "holders": ["iqn.a"]}),
        (RevisionConflictError("look again"), 412, {"detail": "look again"}),
        (DaemonError("broken"), 500, {"detail": "broken"}),
        (BackstoreError(5, "the disk is broken"), 500, {"detail": "the disk is broken"}),
    ],
)
async def test_each_error_has_its_status(error: IsthmusError, status: int, fields: dict[str, object]) -> None:
    """And says what it says."""
    app = FastAPI()
    add_handlers(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    answer = await ask(app, "GET", "/", None, {})
    assert (answer.status, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert answer.value.items() >= {**fields, "status": status, "type": "about:blank"}.items()


async def test_what_was_sent_is_not_repeated() -> None:
    """It may hold a secret."""
    app = FastAPI()
    add_handlers(app)

    @app.get("/")
    async def number(wanted: int) -> int:
        return wanted

    answer = await ask(app, "GET", "/?wanted=geheim", None, {})
    assert (answer.status, "geheim" in answer.text) == (422, False)
    assert "query.wanted" in answer.value["detail"]


def test_what_is_empty_is_left_out() -> None:
    """But for the type, which tells that it is a problem."""
    assert json.loads(bytes(respond(404, "gone").body)) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "gone",
    }
