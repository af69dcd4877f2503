"""The interface for programs, as programs meet it: described truly, whatever they send, and only theirs who may."""

import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from isthmus.config.model import Chap, NodeAcl
from tests.support.certificate import TOKEN, ApiFiles, api_files
from tests.support.daemon import running_daemon
from tests.support.patience import PATIENCE
from tests.support.service import HOST, ONE, disk, target

"""That requests are made up for."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
pytestmark = pytest.mark.slow


def request(
    files: ApiFiles, address: str, path: str, method: str = "GET", token: str = TOKEN, body: object = None
) -> tuple[int, str]:
    """Status and body of an answer."""
    context = ssl.create_default_context(cafile=files.certificate)
    content = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"https://{address}{path}", content, headers, method=method)
    try:
        with urllib.request.urlopen(asked, context=context, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        assert error.headers["Content-Type"] == "application/problem+json"  # noqa: PT017  whatever the error is
        return error.code, error.read().decode()


@pytest.mark.timeout(600)
def test_the_interface_is_as_it_describes_itself(tmp_path: Path) -> None:
    """Requests made up from its description, right ones and wrong ones, find no internal error and no other answer."""
    files = api_files(tmp_path)
    work = tmp_path / "work"  # What is created under any name is created here.
    work.mkdir()
    acl = NodeAcl(name=HOST, chap=Chap(userid="me", password="a secret of mine"))
    parameters = {"kind": "ramdisk", "name": ONE, "tag": 1, "initiator": HOST, "lun": 0}
    lines = [f'"path.{name}" = {json.dumps(value)}' for name, value in parameters.items()]
    (work / "schemathesis.toml").write_text("[parameters]\n" + "\n".join(lines) + "\n")
    with running_daemon(tmp_path, "--api-listen", "127.0.0.1:0", *files.options, cwd=work) as daemon:
        daemon.client.change(lambda _: target(disk("a"), node_acls=(acl,)))
        url = f"https://{daemon.api_address()}/openapi.json"
        command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", url]
        command += ["--tls-verify", "false", "-H", f"Authorization: Bearer {TOKEN}", "--max-time", "20"]
        # A stream of events has no end, so that no tool could say whether it is whole.
        command += ["--exclude-path", "/v1/events/stream", "--checks", ",".join(CHECKS), "--no-color", "-n", "20"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=work, timeout=240, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "generated" in done.stdout
        assert daemon.process.poll() is None
        assert "Traceback" not in daemon.log_text()
        assert daemon.stop() == 0


def test_only_who_has_a_token_gets_in(tmp_path: Path) -> None:
    """Who has one can do everything; it is told who that was."""
    files = api_files(tmp_path)
    with running_daemon(tmp_path, "--api-listen", "127.0.0.1:0", *files.options) as daemon:
        address = daemon.api_address()
        assert request(files, address, "/v1/version", token="not-the-token-at-all")[0] == 401
        assert request(files, address, "/metrics", token="not-the-token-at-all")[0] == 401
        assert request(files, address, "/v1/version")[0] == 200
        assert "isthmus_targets 0" in request(files, address, "/metrics")[1]
        assert request(files, address, "/nothing")[0] == 404
        assert request(files, address, "/v1/version", "DELETE")[0] == 405
        status, answer = request(files, address, "/v1/targets", "POST", body={"name": ONE})
        assert status == 200, answer
        [entry] = daemon.client.audit()
        assert entry["who"] == "REST"
        assert str(entry["address"]).startswith("127.0.0.1:")
        refusals = [view for view in daemon.client.events() if view.event == "control refused"]
        assert [view.values["reason"] for view in refusals] == ["wrong token"] * 2
        assert TOKEN not in daemon.log_text()


@pytest.mark.parametrize("name", ["key", "tokens"])
def test_a_secret_that_others_can_read_keeps_the_daemon_from_starting(tmp_path: Path, name: str) -> None:
    """In one line."""
    files = api_files(tmp_path)
    getattr(files, name).chmod(0o644)
    command = [sys.executable, "-m", "isthmus", "daemon", "--state", str(tmp_path / "s"), "--run", str(tmp_path / "r")]
    command += ["--api-listen", "127.0.0.1:0", *files.options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "is open to every user: close it (chmod o=" in done.stderr
