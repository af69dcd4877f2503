"""The routes, asked without a socket."""

import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from isthmus.config.document import dump
from isthmus.config.model import Chap, Configuration, DiscoveryAuthentication
from isthmus.errors import ConfigurationError
from isthmus.management.callers import Caller
from isthmus.management.patch import difference, dump_patch
from isthmus.management.secrets import KEPT
from isthmus.management.views import ApplyReport, VersionView
from isthmus.rest.app import create_app
from tests.support.asgi import Answer, ask
from tests.support.service import Running, disk, running_service, target

VERSION = VersionView(version="1", pid=1, started=0.0, state_directory="/x", loaded_from="")
SECRET = DiscoveryAuthentication(enable=True, chap=Chap(userid="me", password="geheimgeheim"))
GROUP = "/v1/targets/{name}/portal-groups/{tag}"


class Api:
    """The application over a running service."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.app = create_app(running.service, VERSION, self._reload)

    async def _reload(self, who: Caller) -> ApplyReport:
        assert str(who) == "control socket uid 1000 pid 42"
        raise ConfigurationError("there is no saved configuration", "what runs stays as it is")

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request."""
        return await ask(self.app, method, path, body, headers)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """Over a service with one target."""
    async with running_service() as running:
        await running.put(target(disk("a")))
        yield Api(running)


async def test_the_configuration_and_its_revision(api: Api) -> None:
    """Asked again with its ETag, nothing is sent."""
    answer = await api.ask("GET", "/v1/configuration")
    assert (answer.status, answer.headers["etag"]) == (200, '"2"')
    assert answer.text == dump(api.running.service.configuration)
    again = await api.ask("GET", "/v1/configuration", if_none_match='"2"')
    assert (again.status, again.text) == (304, "")


async def test_a_whole_configuration_is_put(api: Api) -> None:
    """Its secrets are not in any answer."""
    answer = await api.ask(
        "PUT", "/v1/configuration", json.loads(dump(Configuration(discovery=SECRET))), if_match='"2"'
    )
    assert (answer.status, answer.value["revision"]) == (200, 3)
    assert answer.value["changes"][-1] == "- /backstores/ramdisk/a"
    assert api.running.service.configuration == Configuration(discovery=SECRET)
    shown = await api.ask("GET", "/v1/configuration")
    assert "geheim" not in answer.text + shown.text
    assert shown.value["fabric_modules"][0]["discovery_password"] == KEPT


async def test_a_part_is_put(api: Api) -> None:
    """The rest stays; a dry run changes nothing."""
    before = api.running.service.configuration
    patch = dump_patch(difference(before, dataclasses.replace(before, discovery=SECRET)))
    plan = await api.ask("PATCH", "/v1/configuration?dry_run=true", patch, if_match="*")
    assert (len(plan.value["changes"]), api.running.service.revision) == (1, 2)
    done = await api.ask("PATCH", "/v1/configuration", patch, if_match="*")
    assert done.value["revision"] == 3
    assert api.running.service.configuration.targets == before.targets


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "text"),
    [
        ("PUT", "/v1/configuration", {}, {}, 428, "If-Match"),
        ("PUT", "/v1/configuration", {}, {"if_match": '"1"'}, 412, "fetch it again"),
        ("PUT", "/v1/configuration", {}, {"if_match": "x"}, 412, "not an ETag"),
        ("PUT", "/v1/configuration", b"{", {"if_match": "*"}, 400, "not JSON"),
        ("PUT", "/v1/configuration", [], {"if_match": "*"}, 422, "not an object"),
        ("PUT", "/v1/configuration?force=perhaps", {}, {"if_match": "*"}, 422, "query.force"),
        ("POST", "/v1/configuration/reload", None, {}, 422, "no saved configuration"),
        ("DELETE", "/v1/sessions/3", None, {}, 404, "TSIH 3"),
        ("DELETE", "/v1/sessions/0", None, {}, 422, "path.tsih"),
        ("GET", "/v2", None, {}, 404, "Not Found"),
        ("POST", "/v1/sessions", None, {}, 405, "Method Not Allowed"),
    ],
)
async def test_what_is_wrong_is_a_problem(
    api: Api, method: str, path: str, body: Any, headers: dict[str, str], status: int, text: str
) -> None:
    """With its status, and what is wrong in words (RFC 9457)."""
    answer = await api.ask(method, path, body, **headers)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.value["status"] == status
    assert text in answer.value["detail"]


async def test_what_runs_is_listed(api: Api) -> None:
    """Each view under its path."""
    assert (await api.ask("GET", "/v1/sessions")).value == []
    [portal] = (await api.ask("GET", "/v1/portals")).value
    [store] = (await api.ask("GET", "/v1/backstores")).value
    assert (portal["listening"], portal["is_default"]) == (True, True)
    assert (store["path"], store["size"]) == ("/backstores/ramdisk/a", 1 << 20)
    assert (await api.ask("GET", "/v1/version")).value["version"] == "1"


async def test_the_interface_describes_itself(api: Api) -> None:
    """As OpenAPI 3.1, with every route."""
    document = (await api.ask("GET", "/openapi.json")).value
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/v1/configuration",
        "/v1/configuration/reload",
        "/v1/sessions",
        "/v1/sessions/{tsih}",
        "/v1/portals",
        "/v1/backstores",
        "/v1/version",
        "/v1/events",
        "/v1/events/stream",
        "/v1/audit",
        "/v1/backstores/{kind}/{name}",
        "/v1/backstores/{kind}/{name}/alua-groups/{group}/restore",
        "/v1/backstores/{kind}/{name}/start",
        "/v1/discovery",
        "/v1/targets",
        "/v1/targets/{name}",
        "/v1/targets/{name}/portal-groups",
        GROUP,
        f"{GROUP}/portals",
        f"{GROUP}/portals/{{address}}/{{port}}",
        f"{GROUP}/luns",
        f"{GROUP}/luns/{{lun}}",
        f"{GROUP}/acls",
        f"{GROUP}/acl-tags",
        f"{GROUP}/acls/{{initiator}}",
        f"{GROUP}/acls/{{initiator}}/luns",
        f"{GROUP}/acls/{{initiator}}/luns/{{lun}}",
        f"{GROUP}/initiator-groups",
        f"{GROUP}/initiator-groups/{{group}}",
        f"{GROUP}/initiator-groups/{{group}}/luns",
        f"{GROUP}/initiator-groups/{{group}}/luns/{{lun}}",
        "/v1/statistics/backstores",
        "/v1/statistics/sessions",
        "/metrics",
    }
