"""The other end of the control socket: what the shell and the verbs speak to the daemon through.

Who wants to change something fetches the configuration, edits the value with the pure functions beside this module, and
puts it back under the revision that it was fetched with. Secrets are not in what is fetched: `KEPT` stands for them, and
puts them back.
"""

import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from typing_extensions import override

from isthmus.config.document import Remark, dump, read
from isthmus.config.model import BackstoreKey, Configuration
from isthmus.errors import ConfigurationError
from isthmus.management.errors import BusyError, DaemonError, DaemonUnreachableError, RevisionConflictError
from isthmus.management.patch import difference, dump_patch
from isthmus.management.places import client_socket
from isthmus.management.secrets import hide_secrets
from isthmus.management.views import (
    ApplyReport,
    BackstoreUsageView,
    BackstoreView,
    EventView,
    PortalView,
    SessionUsageView,
    SessionView,
    VersionView,
)
from isthmus.names import IscsiName

__all__ = ["TIMEOUT", "Client"]

TIMEOUT: Final = 300.0
"""Seconds that an answer may take: longer than any operation of the daemon, on a machine that is busy with something else
too. Who gives up before knows nothing of what becomes of the change."""
_RETRIES: Final = 10
"""How often `Client.change` starts again because somebody else was quicker."""


class Client:
    """Speaks to one daemon. Every method may raise `DaemonUnreachableError` and `DaemonError`."""

    def __init__(self, path: Path | None = None, *, timeout: float = TIMEOUT) -> None:
        """`path` is the control socket; None: the one in the run directory, or the system's. `timeout` is seconds for each answer."""
        self._path = path or client_socket()
        self._timeout = timeout
        self._fetched: tuple[Configuration, int] | None = None

    # -- The configuration ---------------------------------------------------------------------------------------------

    def configuration(self) -> tuple[Configuration, int]:
        """The running configuration, without secrets (see `secrets.KEPT`), and its revision.

        One that has not changed since the last call is the very same object, and costs next to nothing.
        """
        headers = {"If-None-Match": _etag(self._fetched[1])} if self._fetched else {}
        status, answer, answered = self._exchange("GET", "/v1/configuration", headers=headers)
        if status != http.client.NOT_MODIFIED or self._fetched is None:
            configuration, _ = read(answer)
            self._fetched = configuration, _revision(answered.get("ETag", ""))
        return self._fetched

    def replace(
        self, configuration: Configuration, revision: int, *, force: bool = False, dry_run: bool = False
    ) -> ApplyReport:
        """Make `configuration`, edited from the one of `revision`, the running one. All of it is done, or nothing.

        `dry_run` only tells what would be done; `force` also takes away what is in use. Raises `RevisionConflictError`
        if another configuration runs by now, `BusyError` (without `force`) for something in use, and
        `ConfigurationError` if it cannot be.
        """
        headers = {"If-Match": _etag(revision)}
        query = urlencode({"force": str(force).lower(), "dry_run": str(dry_run).lower()})
        if self._fetched and self._fetched[1] == revision:
            patch = dump_patch(difference(self._fetched[0], configuration))
            _, answer, _ = self._exchange("PATCH", f"/v1/configuration?{query}", patch, headers)
        else:
            document = json.loads(dump(configuration))
            _, answer, _ = self._exchange("PUT", f"/v1/configuration?{query}", document, headers)
        report = ApplyReport.read(answer)
        if not dry_run:
            self._fetched = hide_secrets(configuration), report.revision
        return report

    def change(
        self, edit: Callable[[Configuration], Configuration], *, force: bool = False, dry_run: bool = False
    ) -> ApplyReport:
        """Fetch, `edit`, put back; again if somebody else was quicker. Raises what `replace` and `edit` raise."""
        for _ in range(_RETRIES):
            configuration, revision = self.configuration()
            try:
                return self.replace(edit(configuration), revision, force=force, dry_run=dry_run)
            except RevisionConflictError:
                continue
        raise RevisionConflictError(f"the configuration was changed by others {_RETRIES} times in a row")

    def check(self, document: Mapping[str, Any]) -> tuple[Configuration, list[Remark]]:
        """What a saved form means, for `replace`: see `config.document.read`. Asks nobody."""
        return read(document)

    def reload(self) -> ApplyReport:
        """Have the daemon read its saved file again, as SIGHUP does."""
        _, answer, _ = self._exchange("POST", "/v1/configuration/reload")
        return ApplyReport.read(answer)

    # -- What runs -----------------------------------------------------------------------------------------------------

    def sessions(self) -> list[SessionView]:
        """Every session, discovery sessions too."""
        return [SessionView.read(session) for session in self._list("/v1/sessions")]

    def end_session(self, tsih: int, *, ask: bool = True) -> None:
        """End a session: `ask` its initiator to log out, and drop it only if it does not; else drop it at once.

        Raises `ConfigurationError` if there is none of that TSIH.
        """
        self._exchange("DELETE", f"/v1/sessions/{quote(str(tsih))}?{urlencode({'ask': str(ask).lower()})}")

    def portals(self) -> list[PortalView]:
        """Every portal, and whether it listens."""
        return [PortalView.read(portal) for portal in self._list("/v1/portals")]

    def backstores(self) -> list[BackstoreView]:
        """Every backstore, as it runs."""
        return [BackstoreView.read(store) for store in self._list("/v1/backstores")]

    def start_backstore(self, key: BackstoreKey, lost_reservations: str = "refuse") -> None:
        """Start a backstore that does not run; `lost_reservations`: `refuse`, `replace` or `forget` damaged ones.

        Raises `ConfigurationError` if it still cannot run.
        """
        path = f"/v1/backstores/{quote(key.kind, safe='')}/{quote(key.name, safe='')}/start"
        self._exchange("POST", path, {"lost_reservations": lost_reservations})

    def tag_acls(self, target: IscsiName, tag: int, who: str, label: str, *, force: bool = False) -> ApplyReport:
        """See `acl_tags.tag_acls`, which the daemon does: it has the secrets that those who join are to get."""
        place = f"/v1/targets/{quote(target, safe='')}/portal-groups/{tag}/acl-tags"
        query = urlencode({"force": str(force).lower()})
        return ApplyReport.read(self._exchange("POST", f"{place}?{query}", {"who": who, "tag": label})[1])

    def restore_alua_state(self, key: BackstoreKey, group: str) -> None:
        """Bring an ALUA group back to its configured state; raises `ConfigurationError` if that cannot be now."""
        place = "/".join(quote(part, safe="") for part in (key.kind, key.name, "alua-groups", group))
        self._exchange("POST", f"/v1/backstores/{place}/restore")

    def version(self) -> VersionView:
        """Who answers."""
        return VersionView.read(self._exchange("GET", "/v1/version")[1])

    def backstore_usage(self, *, buckets: bool = False) -> list[BackstoreUsageView]:
        """What was done to each backstore that runs; with the `buckets` of its latencies if they are asked for."""
        query = urlencode({"buckets": str(buckets).lower()})
        return [BackstoreUsageView.read(usage) for usage in self._list(f"/v1/statistics/backstores?{query}")]

    def session_usage(self, *, buckets: bool = False) -> list[SessionUsageView]:
        """What each normal session has done, by LUN."""
        query = urlencode({"buckets": str(buckets).lower()})
        return [SessionUsageView.read(usage) for usage in self._list(f"/v1/statistics/sessions?{query}")]

    def metrics(self) -> str:
        """What Prometheus would get."""
        connection = _UnixConnection(self._path, self._timeout)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(self._path, error) from error
        finally:
            connection.close()

    # -- What happens --------------------------------------------------------------------------------------------------

    def events(self, recent: int = 100) -> list[EventView]:
        """The last `recent` events, the oldest of them first."""
        return [EventView.read(event) for event in self._list(f"/v1/events?{urlencode({'recent': recent})}")]

    def follow_events(self, recent: int = 0) -> Iterator[EventView]:
        """The last `recent` events, then each as it happens; ends when the daemon does."""
        connection = _UnixConnection(self._path, self._timeout)
        try:
            connection.request("GET", f"/v1/events/stream?{urlencode({'recent': recent})}")
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise _error(response.status, _parsed(response.read()))
            for line in response:
                name, _, value = line.decode().partition(": ")
                if name == "data":
                    yield EventView.read(_parsed(value.encode()))
        except http.client.IncompleteRead:
            return
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(self._path, error) from error
        finally:
            connection.close()

    def audit(self, limit: int = 100) -> list[Mapping[str, Any]]:
        """The last `limit` entries of the audit trail, the oldest of them first."""
        return self._list(f"/v1/audit?{urlencode({'limit': limit})}")

    # -- HTTP ----------------------------------------------------------------------------------------------------------

    def _list(self, path: str) -> list[Mapping[str, Any]]:
        answer: list[Mapping[str, Any]] = self._exchange("GET", path)[1]
        return answer

    def _exchange(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """Status, JSON value and headers of an answer that is not an error."""
        content = None if body is None else json.dumps(body).encode()
        fields = {"Content-Type": "application/json", **(headers or {})}
        # A connection for each question: one that is kept may be closed by the other end just when the next one is sent,
        # and nobody could tell whether that has been read.
        connection = _UnixConnection(self._path, self._timeout)
        try:
            connection.request(method, path, content, fields)
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(self._path, error) from error
        finally:
            connection.close()
        value = _parsed(data)
        if response.status >= http.client.BAD_REQUEST:
            raise _error(response.status, value)
        return response.status, value, response.headers


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except BaseException:
            self.close()
            raise


def _etag(revision: int) -> str:
    return f'"{revision}"'


def _revision(etag: str) -> int:
    try:
        return int(etag.strip('"'))
    except ValueError:
        raise DaemonError(f"the daemon's answer has no revision, but {etag!r}") from None


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data) if data else None
    except ValueError:
        raise DaemonError("the daemon's answer is not JSON") from None


def _unreachable(path: Path, error: Exception) -> DaemonUnreachableError:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return DaemonUnreachableError(f"no daemon answers at {path}: start it with isthmus daemon")
    if isinstance(error, PermissionError):
        return DaemonUnreachableError(f"the daemon at {path} is another user's: ask as that user, or as root")
    if isinstance(error, TimeoutError):
        return DaemonUnreachableError(f"the daemon at {path} has not answered in time")
    return DaemonUnreachableError(f"the daemon at {path} cannot be asked: {error}")


def _error(status: int, problem: Any) -> Exception:
    """The error that a problem (RFC 9457) stands for."""
    problem = problem if isinstance(problem, dict) else {}
    detail = str(problem.get("detail") or problem.get("title") or f"HTTP status {status}")
    if status in {http.client.PRECONDITION_FAILED, http.client.PRECONDITION_REQUIRED}:
        return RevisionConflictError(detail)
    if status == http.client.CONFLICT:
        return BusyError(str(problem.get("busy", detail)), tuple(problem.get("holders", ())))
    if status == http.client.FORBIDDEN:
        return DaemonUnreachableError(detail)
    if status < http.client.INTERNAL_SERVER_ERROR:
        return ConfigurationError(detail, str(problem.get("remedy", "")))
    return DaemonError(detail)
