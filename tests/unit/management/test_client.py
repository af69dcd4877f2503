"""The client against an HTTP server on a unix socket that answers what it is told to, and notes what it is asked."""

import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from isthmus.config.document import dump
from isthmus.config.model import BackstoreKey, Configuration, DiscoveryAuthentication
from isthmus.errors import ConfigurationError
from isthmus.management.client import Client
from isthmus.management.errors import BusyError, DaemonError, DaemonUnreachableError, RevisionConflictError
from isthmus.management.views import AluaGroupView
from isthmus.names import IscsiName
from tests.support.patience import PATIENCE

NEW = Configuration(discovery=DiscoveryAuthentication(enable=True))
REPORT = {"revision": 8, "changes": ["~ something"], "warnings": []}


@dataclass
class Peer:
    """What the server answers, in order, and what it was asked."""

    path: Path
    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)

    def answer(self, status: int, value: Any = None, **headers: str) -> None:
        """One more answer."""
        self.answers.append((status, value, headers))

    @property
    def client(self) -> Client:
        """One that asks it."""
        return Client(self.path, timeout=PATIENCE)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    """A server in a thread."""
    peer = Peer(tmp_path / "control.sock")

    class Handler(BaseHTTPRequestHandler):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self.respond
            raise AttributeError(name)

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            peer.asked.append((self.command, self.path, dict(self.headers), json.loads(body) if body else None))
            status, value, headers = peer.answers.pop(0)
            content = value.encode() if isinstance(value, str) else b"" if value is None else json.dumps(value).encode()
            self.send_response(status)
            for name, text in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(content)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with socketserver.ThreadingUnixStreamServer(str(peer.path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield peer
        server.shutdown()
        thread.join()


def test_a_configuration_is_fetched_once(peer: Peer) -> None:
    """Asked again under its ETag, it is the very same object."""
    peer.answer(200, dump(NEW), ETag='"7"')
    peer.answer(304)
    client = peer.client
    first, again = client.configuration(), client.configuration()
    assert first == (NEW, 7)
    assert again[0] is first[0]
    assert peer.asked[1][2]["If-None-Match"] == '"7"'


STREAM = (
    ":\n\nid: 4\nevent: reset\ndata: "
    + json.dumps({"id": 4, "time": 1.0, "event": "reset", "level": "warning", "values": {"lun": 0}})
    + "\n\n:\n\n"
)


def test_events_are_followed(peer: Peer) -> None:
    """Up to the end of the daemon."""
    peer.answer(200, STREAM)
    [view] = peer.client.follow_events(recent=5)
    assert (view.id, view.event, view.values) == (4, "reset", {"lun": 0})
    assert peer.asked[0][:2] == ("GET", "/v1/events/stream?recent=5")


def test_events_that_cannot_be_followed(peer: Peer) -> None:
    """The daemon says why."""
    peer.answer(503, {"detail": "64 streams of events are open already"})
    with pytest.raises(DaemonError, match="64 streams"):
        list(peer.client.follow_events())
    peer.path.unlink()
    with pytest.raises(DaemonUnreachableError, match="no daemon"):
        list(peer.client.follow_events())


def test_what_was_done_and_has_happened(peer: Peer) -> None:
    """Lists, as the daemon has them."""
    peer.answer(200, [{"id": 4, "time": 1.0, "event": "reset", "level": "warning", "values": {}}])
    peer.answer(200, [{"action": "configuration changed"}])
    assert [view.event for view in peer.client.events(7)] == ["reset"]
    assert peer.client.audit(8) == [{"action": "configuration changed"}]
    assert [asked[1] for asked in peer.asked] == ["/v1/events?recent=7", "/v1/audit?limit=8"]


def test_usage_is_read_in_full(peer: Peer) -> None:
    """With what it consists of."""
    latency = dict.fromkeys(("commands", "mean", "p50", "p90", "p99", "p99_9", "longest"), 1) | {"buckets": [[0.5, 1]]}
    names = ("read_commands", "write_commands", "bytes_read", "bytes_written", "bytes_verified")
    usage = dict.fromkeys((*names, "read_errors", "write_errors", "verify_errors"), 2) | {"read_latency": latency}
    peer.answer(200, [{"path": "/backstores/fileio/a", "usage": usage}])
    lun = {"lun": 0, "backstore": "/backstores/fileio/a", "usage": usage}
    peer.answer(200, [{"tsih": 1, "initiator_name": "a", "target_name": "b", "usage": usage, "luns": [lun]}])
    [backstore] = peer.client.backstore_usage(buckets=True)
    assert backstore.usage.read_latency is not None
    assert (backstore.usage.read_latency.p99, backstore.usage.write_latency) == (1, None)
    [session] = peer.client.session_usage()
    assert session.luns[0].usage == session.usage == backstore.usage
    assert [asked[1] for asked in peer.asked] == [
        "/v1/statistics/backstores?buckets=true",
        "/v1/statistics/sessions?buckets=false",
    ]


def test_metrics_are_text(peer: Peer) -> None:
    """As Prometheus gets them."""
    peer.answer(200, "isthmus_targets 1\n")
    assert peer.client.metrics() == "isthmus_targets 1\n"
    peer.path.unlink()
    with pytest.raises(DaemonUnreachableError):
        peer.client.metrics()


def test_only_what_differs_is_put_back(peer: Peer) -> None:
    """Under the revision that was edited; what was put is known without asking."""
    peer.answer(200, dump(Configuration()), ETag='"7"')
    peer.answer(200, REPORT)
    peer.answer(304)
    client = peer.client
    _, revision = client.configuration()
    report = client.replace(NEW, revision, force=True)
    assert (report.revision, report.changes) == (8, ("~ something",))
    method, path, headers, body = peer.asked[1]
    assert (method, path, headers["If-Match"]) == ("PATCH", "/v1/configuration?force=true&dry_run=false", '"7"')
    assert body["fabric_modules"][0]["discovery_enable_auth"] is True
    assert client.configuration() == (NEW, 8)


def test_a_whole_configuration_is_put_where_nothing_was_fetched(peer: Peer) -> None:
    """Whatever it was made from."""
    peer.answer(200, REPORT)
    peer.client.replace(NEW, 7, dry_run=True)
    method, path, _, body = peer.asked[0]
    assert (method, path) == ("PUT", "/v1/configuration?force=false&dry_run=true")
    assert body == json.loads(dump(NEW))


def test_a_change_starts_again_when_somebody_was_quicker(peer: Peer) -> None:
    """From what runs by then."""
    for revision in ('"7"', '"8"'):
        peer.answer(200, dump(Configuration()), ETag=revision)
        peer.answer(412 if revision == '"7"' else 200, {"detail": "look again"} if revision == '"7"' else REPORT)
    assert peer.client.change(lambda _: NEW).revision == 8
    assert [asked[2].get("If-Match") for asked in peer.asked] == [None, '"7"', None, '"8"']


@pytest.mark.parametrize(
    ("status", "problem", "kind", "text"),
    [
        (412, {"detail": "look again"}, RevisionConflictError, "look again"),
        (428, {"detail": "say which"}, RevisionConflictError, "say which"),
        (409, {"busy": "/x", "holders": ["iqn.a"]}, BusyError, "/x is in use by iqn.a"),
        (422, {"detail": "wrong", "remedy": "do it right"}, ConfigurationError, "wrong: do it right"),
        (404, {"detail": "not there"}, ConfigurationError, "not there"),
        (403, {"detail": "another's"}, DaemonUnreachableError, "another's"),
        (500, {"detail": "broken"}, DaemonError, "broken"),
        (502, None, DaemonError, "HTTP status 502"),
        (200, "no json", DaemonError, "not JSON"),
    ],
)
def test_errors_are_what_they_were(peer: Peer, status: int, problem: Any, kind: type[Exception], text: str) -> None:
    """On the other side of the socket."""
    peer.answer(status, problem)
    with pytest.raises(kind, match=text) as caught:
        peer.client.version()
    assert type(caught.value) is kind


def test_nobody_is_there(tmp_path: Path) -> None:
    """The remedy is named."""
    with pytest.raises(DaemonUnreachableError, match="start it with isthmus daemon"):
        Client(tmp_path / "control.sock").version()


def test_a_session_is_ended(peer: Peer) -> None:
    """Asked or dropped."""
    peer.answer(204)
    peer.client.end_session(7, ask=False)
    assert peer.asked[0][:2] == ("DELETE", "/v1/sessions/7?ask=false")


def test_lists_are_read(peer: Peer) -> None:
    """Each entry as a view."""
    peer.answer(200, [{"path": "/backstores/ramdisk/a", "size": 512, "block_length": 512, "active": True}])
    peer.answer(200, [])
    peer.answer(200, [])
    client = peer.client
    assert [view.size for view in client.backstores()] == [512]
    assert client.sessions() == []
    assert client.portals() == []


def test_a_backstore_is_started(peer: Peer) -> None:
    """By its kind and name, and what is to become of lost reservations."""
    peer.answer(204)
    peer.client.start_backstore(BackstoreKey("fileio", "a"), "forget")
    [(method, path, _, body)] = peer.asked
    assert (method, path) == ("POST", "/v1/backstores/fileio/a/start")
    assert body == {"lost_reservations": "forget"}


def test_an_alua_state_is_restored(peer: Peer) -> None:
    """By the backstore's kind and name, and the group's name; and groups are read with their backstores."""
    peer.answer(204)
    peer.client.restore_alua_state(BackstoreKey("fileio", "a"), "b c")
    assert peer.asked[0][:2] == ("POST", "/v1/backstores/fileio/a/alua-groups/b%20c/restore")
    group = {"name": "b", "alua_group_id": 7, "state": 3, "status_code": 1}
    view = {"path": "/backstores/fileio/a", "size": 1, "block_length": 512, "active": True}
    peer.answer(200, [{**view, "alua_groups": [group]}, view])
    first, second = peer.client.backstores()
    assert first.alua_groups == (AluaGroupView(name="b", alua_group_id=7, state=3, status_code=1),)
    assert second.alua_groups == ()


def test_initiators_are_tagged(peer: Peer) -> None:
    """By the daemon, which has their secrets."""
    peer.answer(200, REPORT)
    target = IscsiName("iqn.2026-05.com.example:a")
    assert peer.client.tag_acls(target, 2, "old", "new", force=True).revision == 8
    [(method, path, _, body)] = peer.asked
    assert (method, path) == ("POST", f"/v1/targets/{quote(target)}/portal-groups/2/acl-tags?force=true")
    assert body == {"who": "old", "tag": "new"}
