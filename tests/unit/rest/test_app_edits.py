"""What an edit over the socket has to say, and what it cannot be."""

import json

import pytest

from isthmus.config.document import dump
from isthmus.config.model import Configuration
from isthmus.initiator.session import Session
from isthmus.management.patch import difference, dump_patch
from isthmus.management.views import ApplyReport
from tests.support.api import BEFORE, REPORT, running_api
from tests.support.service import HOST, ONE, TWO, disk, target

CONFIGURATION = "/v1/configuration"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        (None, 428),
        ("2", 412),
        ('"two"', 412),
        ('"-2"', 412),
        ('"1"', 412),
        pytest.param(f'"{"9" * 5000}"', 412, id="more digits than Python converts"),
        ('"2"', 200),
        (' W/"2" ', 200),
        ("*", 200),
    ],
)
async def test_an_edit_says_what_was_edited(method: str, if_match: str | None, status: int) -> None:
    """Whoever edited another revision, or does not say which, changes nothing."""
    async with running_api() as api:
        after = target(disk("b"), name=TWO)
        body = json.loads(dump(after)) if method == "PUT" else dump_patch(difference(BEFORE, after))
        headers = {} if if_match is None else {"if_match": if_match}
        assert (await api.ask(method, CONFIGURATION, body, **headers)).status == status
        assert api.configuration == (after if status == 200 else BEFORE)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"\xff", 400), (b"[" * 100_000, 400), (b"[]", 422), (b'{"targets": 5}', 422)],
    ids=["empty", "cut off", "no text", "deep", "a list", "no targets"],
)
async def test_a_body_that_is_no_configuration_is_refused(method: str, body: bytes, status: int) -> None:
    """With a problem, whatever it is; what runs stays."""
    async with running_api() as api:
        answer = await api.ask(method, CONFIGURATION, body, if_match="*")
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert api.configuration == BEFORE


async def test_a_patch_takes_away_what_it_names() -> None:
    """And nothing else."""
    async with running_api() as api:
        more = target(disk("b"), name=TWO)
        await api.ask("PATCH", CONFIGURATION, dump_patch(difference(Configuration(), more)), if_match="*")
        assert set(api.configuration.targets) == {ONE, TWO}
        removed = await api.ask("PATCH", CONFIGURATION, dump_patch(difference(more, Configuration())), if_match="*")
        assert (removed.status, api.configuration) == (200, BEFORE)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_what_is_in_use_goes_only_by_force(method: str) -> None:
    """The problem names who uses it."""
    async with running_api() as api:
        await Session.login(api.running.settings())
        nothing = Configuration()
        body = json.loads(dump(nothing)) if method == "PUT" else dump_patch(difference(BEFORE, nothing))
        refused = await api.ask(method, CONFIGURATION, body, if_match="*")
        assert (refused.status, refused.value["holders"], api.configuration) == (409, [HOST], BEFORE)
        forced = await api.ask(method, f"{CONFIGURATION}?force=true", body, if_match="*")
        assert (forced.status, api.configuration) == (200, nothing)


async def test_another_etag_gets_the_configuration() -> None:
    """Only the present one spares it."""
    async with running_api() as api:
        assert (await api.ask("GET", CONFIGURATION, if_none_match='"1"')).value == json.loads(dump(BEFORE))


async def test_the_saved_file_is_read_again_for_who_asks() -> None:
    """The report comes back, and the audit trail has the user."""
    async with running_api() as api:
        answer = await api.ask("POST", f"{CONFIGURATION}/reload")
        assert (answer.status, ApplyReport.read(answer.value)) == (200, REPORT)
        assert api.reloaded_by == ["control socket uid 1000 pid 42"]


async def test_a_session_is_ended_by_its_tsih() -> None:
    """Once: then it is not there any more."""
    async with running_api() as api:
        await Session.login(api.running.settings())
        [shown] = (await api.ask("GET", "/v1/sessions")).value
        path = f"/v1/sessions/{shown['tsih']}?ask=false"
        ended = await api.ask("DELETE", path)
        assert (ended.status, ended.text) == (204, "")
        assert (await api.ask("GET", "/v1/sessions")).value == []
        assert (await api.ask("DELETE", path)).status == 404


@pytest.mark.parametrize("tsih", ["65536", "-1", "one"])
async def test_what_cannot_be_a_tsih_is_refused(tsih: str) -> None:
    """It has 16 bits (RFC 7143 §11.12.6)."""
    async with running_api() as api:
        assert (await api.ask("DELETE", f"/v1/sessions/{tsih}")).status == 422
