"""Secrets go in, by every door, and come out by none."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from isthmus.config.model import BackstoreKey
from isthmus.initiator.errors import LoginFailed
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.iscsi.chap import ChapCredentials
from isthmus.names import IscsiName
from tests.interop.test_api import request
from tests.support.certificate import TOKEN, ApiFiles, api_files
from tests.support.daemon import Daemon, running_daemon
from tests.support.patience import PATIENCE

TARGET = IscsiName("iqn.2026-01.com.example:secrets")
HOST = IscsiName("iqn.2026-01.com.example:host")
GROUP = f"/v1/targets/{TARGET}/portal-groups/1"
SHELL, SHELL_MUTUAL, DISCOVERY = "geheim-aus-der-shell", "gegenseitig-geheim", "geheim-der-suche"
APPLIED, REST, WRONG = "geheim-aus-der-datei", "geheim-ueber-das-netz", "falsches-geheimnis"
TOO_LONG = "zu-lang-" * 40
SECRETS = (SHELL, SHELL_MUTUAL, DISCOVERY, APPLIED, REST, WRONG, TOO_LONG, TOO_LONG[:60], TOKEN)
pytestmark = pytest.mark.slow

SESSION = f"""\
set global auto_add_default_portal=false
/backstores/ramdisk create name=a size=1m
/iscsi create {TARGET}
/iscsi/{TARGET}/tpg1/luns create /backstores/ramdisk/a
/iscsi/{TARGET}/tpg1 set auth userid=u password={SHELL} mutual_userid=m mutual_password={SHELL_MUTUAL}
/iscsi/{TARGET}/tpg1 set attribute authentication=1 generate_node_acls=1
/iscsi/{TARGET}/tpg1 get auth
/iscsi set discovery_auth enable=true userid=d password={DISCOVERY}
/iscsi get discovery_auth
ls /
saveconfig
exit
"""


@dataclass
class Everything:
    """What was produced, by its source."""

    daemon: Daemon
    files: ApiFiles
    directory: Path
    produced: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, given: str = "", status: int = 0) -> str:
        """Run the program, and keep what it says."""
        environment = {**os.environ, "ISTHMUS_RUN": str(self.directory / "run"), "HOME": str(self.directory / "home")}
        done = subprocess.run(
            [sys.executable, "-m", "isthmus", *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        self.produced[f"isthmus {' '.join(arguments)} ({len(self.produced)})"] = done.stdout + done.stderr
        return done.stdout

    def ask(self, method: str, path: str, body: object = None, status: int = 200) -> None:
        """Ask the interface on the network, and keep what it says."""
        found, answer = request(self.files, self.daemon.api_address(), path, method, body=body)
        assert found == status, answer
        self.produced[f"{method} {path} ({len(self.produced)})"] = answer

    def note_processes(self) -> None:
        """What `ps` shows of the daemon."""
        directory = Path(f"/proc/{self.daemon.process.pid}")
        for name in ("cmdline", "environ"):
            self.produced[f"{name} of the daemon"] = (directory / name).read_text(errors="replace")

    def check(self) -> None:
        """Nothing says a secret."""
        self.produced["log"] = self.daemon.log_text()
        assert "level=debug" in self.produced["log"] or "login refused" in self.produced["log"]
        for source, text in self.produced.items():
            assert [secret for secret in SECRETS if secret in text] == [], source


@pytest.fixture
def everything(tmp_path: Path) -> Iterator[Everything]:
    """A daemon that tells all that it can, and what it says."""
    files = api_files(tmp_path)
    (tmp_path / "home").mkdir(mode=0o700)
    options = ("--log-level", "debug", "--api-listen", "127.0.0.1:0", *files.options)
    with running_daemon(tmp_path, *options) as daemon:
        yield Everything(daemon, files, tmp_path)


def through_the_shell(seen: Everything) -> None:
    """By standard input: what stands on a command line is there for all to see, whoever reads it."""
    out = seen.run("shell", given=SESSION)
    assert TARGET in out


def through_a_document(seen: Everything) -> None:
    """Which has the name of a file; applied, shown as a plan, exported; and secrets that are wrong, or in a wrong place."""
    document = seen.run("export", "--format", "yaml")
    assert "secret: (kept)" in document
    file = seen.directory / "secret"
    file.touch(0o600)
    named = document.replace("secret: (kept)", f"secret_file: {file}", 1)
    for text, status in ((APPLIED, 0), (TOO_LONG, 2), (f"{WRONG}\n{WRONG}\n", 2), (APPLIED, 0)):
        file.write_text(text)
        seen.run("apply", "-", "--format", "yaml", "--dry-run", given=named, status=status)
        seen.run("apply", "-", "--format", "yaml", given=named, status=status)
    seen.run("apply", "-", "--format", "yaml", given=document.replace("(kept)", WRONG), status=2)
    file.chmod(0o644)
    seen.run("apply", "-", "--format", "yaml", given=named, status=2)


def over_the_network(seen: Everything) -> None:
    """Set, shown, and wrong in each way."""
    chap = {"userid": "h", "password": REST}
    acl = f"{GROUP}/acls/{HOST}"
    seen.ask("POST", f"{GROUP}/acls", {"initiator": HOST})
    seen.ask("PATCH", acl, {"chap": chap})
    seen.ask("PATCH", acl, {"chap": {**chap, "password": TOO_LONG}}, 422)
    seen.ask("PATCH", acl, {"chap": {**chap, "password": [WRONG]}}, 422)
    seen.ask("PATCH", acl, {"chap": {"passwort": WRONG}}, 422)
    seen.ask("PATCH", acl, WRONG, 422)
    seen.ask("PUT", "/v1/configuration", [WRONG], 428)
    for path in ("/v1/configuration", "/v1/targets", f"/v1/targets/{TARGET}", "/v1/events", "/v1/audit", "/metrics"):
        seen.ask("GET", path)
    for path in ("/v1/sessions", "/v1/portals", "/v1/backstores", "/v1/version", "/v1/statistics/sessions"):
        seen.ask("GET", path)


async def by_logging_in(seen: Everything) -> None:
    """With the right secret, the wrong one, and none."""
    url = seen.daemon.url(TARGET)

    def settings(secret: str | None) -> LoginSettings:
        credentials = None if secret is None else ChapCredentials(user="h", secret=secret.encode())
        return LoginSettings(
            host=url.address, port=url.port, target_name=TARGET, initiator_name=HOST, credentials=credentials
        )

    for wrong in (WRONG, None):
        with pytest.raises(LoginFailed):
            await Session.login(settings(wrong))
    async with await Session.login(settings(REST)):
        seen.run("sessions")
        seen.run("session", "show", str(seen.daemon.client.sessions()[0].tsih))


@pytest.mark.timeout(600)  # a score of programs, one after the other
async def test_no_secret_comes_out(everything: Everything) -> None:
    """Not in the log, in an answer, in an error, in what `ps` and `ls` show, nor in a file that others can read."""
    through_the_shell(everything)
    through_a_document(everything)
    over_the_network(everything)
    await by_logging_in(everything)
    for verb in ("status", "portals", "backstores", "stats", "events", "audit"):
        everything.run(verb)
        if verb != "events":
            everything.run(verb, "--json")
    everything.note_processes()
    configuration, _ = everything.daemon.client.configuration()
    assert BackstoreKey("ramdisk", "a") in configuration.backstores
    everything.check()

    saved = everything.daemon.state / "saveconfig.json"
    assert REST in saved.read_text(), "it was kept at all"
    assert everything.daemon.stop() == 0
    for path in (everything.daemon.state, *everything.daemon.state.rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert SHELL not in (everything.daemon.state / "audit.jsonl").read_text()
    home = [path for path in (everything.directory / "home").rglob("*") if path.is_file()]
    assert [path for path in home if any(secret.encode() in path.read_bytes() for secret in SECRETS)] == []
