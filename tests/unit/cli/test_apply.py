import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.cli.apply import secrets_beside
from isthmus.config.model import Backstore, BackstoreKey, Configuration
from isthmus.errors import ConfigurationError
from isthmus.management import client
from isthmus.names import IscsiName
from tests.support.daemon import running_daemon
from tests.support.fake_daemon import FakeDaemon
from tests.support.patience import PATIENCE

NAME = IscsiName("iqn.2026-01.org.example:db")
DISK = BackstoreKey("fileio", "disk01")
SECRET = "correct horse battery"
DOCUMENT = f"""\
[backstores.disk01]
kind = "fileio"
path = "disk01.img"
size = "10M"

[targets."{NAME}"]
luns = ["disk01"]
initiators = [{{ name = "iqn.2026-01.org.example:host", chap = {{ user = "alice", secret_file = "secret" }} }}]
"""
PLAN = f"""\
+ /backstores/fileio/disk01 of 10485760 bytes in DIRECTORY/disk01.img
+ /iscsi/{NAME}
+ /iscsi/{NAME}/tpg1
~ /iscsi/{NAME}/tpg1 attribute authentication: 0 -> 1
+ /iscsi/{NAME}/tpg1/luns/lun0 /backstores/fileio/disk01
+ /iscsi/{NAME}/tpg1/acls/iqn.2026-01.org.example:host
+ /iscsi/{NAME}/tpg1/acls/iqn.2026-01.org.example:host/mapped_lun0 lun0 writable
~ /iscsi/{NAME}/tpg1 enabled
"""


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    """The daemon that the commands speak to."""
    fake = FakeDaemon()
    monkeypatch.setattr(client, "Client", lambda: fake)
    return fake


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A document, with the secret that it names."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "secret").chmod(0o600)
    path = tmp_path / "san.toml"
    path.write_text(DOCUMENT)
    return path


def exported(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What `isthmus export` prints."""
    capsys.readouterr()
    assert main.run(["export", *options]) == 0
    return capsys.readouterr().out


# -- apply -------------------------------------------------------------------------------------------------------------


def test_a_document_becomes_what_runs(daemon: FakeDaemon, document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan is shown, all of it is done, and paths and secret files are those beside the document."""
    assert main.run(["apply", str(document)]) == 0
    plan = PLAN.replace("DIRECTORY", str(document.parent))
    assert capsys.readouterr() == (f"{plan}8 changes made, revision 2\n", "")
    (acl,) = daemon.running.targets[NAME].portal_groups[0].node_acls
    assert (acl.chap.userid, acl.chap.password) == ("alice", SECRET)


def test_a_second_time_nothing_changes(daemon: FakeDaemon, document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A document that runs already has nothing to change, its secrets too."""
    main.run(["apply", str(document)])
    before = daemon.running
    capsys.readouterr()
    assert main.run(["apply", str(document)]) == 0
    assert capsys.readouterr() == ("nothing to change\n", "")
    assert daemon.running is before


def test_a_dry_run_only_tells(daemon: FakeDaemon, document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run shows the plan and leaves everything as it is."""
    assert main.run(["apply", str(document), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("+ /backstores/fileio/disk01")
    assert out.endswith("8 changes to make\n")
    assert daemon.running == Configuration()


def test_only_differences_are_changed(daemon: FakeDaemon, document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another size in the document is one change, and the serial number stays."""
    main.run(["apply", str(document)])
    serial = daemon.running.backstores[DISK].unit_serial
    document.write_text(DOCUMENT.replace("10M", "20M"))
    capsys.readouterr()
    assert main.run(["apply", str(document)]) == 0
    change = "~ /backstores/fileio/disk01 size: 10485760 bytes -> 20971520 bytes\n"
    assert capsys.readouterr().out == f"{change}1 change made, revision 3\n"
    assert daemon.running.backstores[DISK].unit_serial == serial


def test_a_changed_secret_is_a_change(daemon: FakeDaemon, document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A secret file with another secret is noticed, and neither secret is shown."""
    main.run(["apply", str(document)])
    (document.parent / "secret").write_text("another secret")
    capsys.readouterr()
    assert main.run(["apply", str(document)]) == 0
    out = capsys.readouterr().out
    assert "password changed" in out
    assert "another secret" not in out
    assert SECRET not in out
    assert daemon.running.targets[NAME].portal_groups[0].node_acls[0].chap.password == "another secret"


def test_what_is_in_use_is_not_taken_away(
    daemon: FakeDaemon, document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a document does not name goes, but not while it is in use, unless forced."""
    main.run(["apply", str(document)])
    document.write_text("[backstores]\n[targets]\n")
    daemon.holders = ("iqn.2026-01.org.example:host",)
    capsys.readouterr()
    assert main.run(["apply", str(document)]) == 2
    assert capsys.readouterr().err == (
        f"isthmus: /iscsi/{NAME} is in use by iqn.2026-01.org.example:host: end that first, or force it\n"
    )
    assert daemon.running.targets
    assert main.run(["apply", str(document), "--force"]) == 0
    assert daemon.running == Configuration()


def test_somebody_else_was_quicker(daemon: FakeDaemon, document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan that is not true any more is not carried out."""
    daemon.conflicts = 1
    assert main.run(["apply", str(document)]) == 1
    assert "apply it again" in capsys.readouterr().err
    assert daemon.running == Configuration()


def test_warnings_are_told(daemon: FakeDaemon, document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was not done to the end is said on standard error, and is no failure."""
    daemon.warnings = ("a portal does not listen",)
    assert main.run(["apply", str(document)]) == 0
    assert capsys.readouterr().err == "isthmus: warning: a portal does not listen\n"


@pytest.mark.parametrize(("options", "applied", "revision"), [([], True, 2), (["--dry-run"], False, 1)])
def test_json_says_the_same(
    daemon: FakeDaemon,
    document: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    applied: bool,
    revision: int,
) -> None:
    """With --json the outcome is one object."""
    assert main.run(["apply", str(document), "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    plan = PLAN.replace("DIRECTORY", str(document.parent)).splitlines()
    assert found == {"applied": applied, "revision": revision, "changes": plan, "warnings": []}


def test_standard_input_is_a_document(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A dash is standard input, whose notation has to be said."""
    path = tmp_path / "input"
    path.write_text('{"backstores": {"a": {"kind": "ramdisk", "size": "1M"}}, "targets": {}}')
    with path.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main.run(["apply", "-", "--format", "json"]) == 0
    assert list(daemon.running.backstores) == [BackstoreKey("ramdisk", "a")]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("san.conf", b"", "FILE: its name does not say how it is written: say it with --format"),
        ("missing.toml", None, "FILE cannot be read: No such file or directory"),
        ("san.toml", b"\xff", "FILE is not UTF-8 text: byte 0 is wrong"),
        ("san.toml", b"a = = 1", "FILE:1:5: this is not TOML: Invalid value"),
        (
            "san.yaml",
            b"backstores:\n  a: 1\ntargets: {}\n",
            "FILE:2:6: backstores.a: an object with keys is wanted here",
        ),
        (
            "san.toml",
            b'[backstores]\n[targets]\n[discovery.chap]\nuser = "a"\nsecret_file = "none"\n',
            (
                "FILE: discovery.chap.secret_file: the secret file DIRECTORY/none cannot be read: "
                "No such file or directory; check its path and permissions"
            ),
        ),
        (
            "san.toml",
            b'[backstores]\n[targets]\n[discovery.chap]\nuser = "a"\nsecret = "(kept)"\n',
            "discovery has no password that could be kept: give one",
        ),
    ],
)
def test_a_wrong_document_changes_nothing(
    daemon: FakeDaemon,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    line: str,
) -> None:
    """Whatever is wrong is one line with the file and the place, and status 2."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert main.run(["apply", str(path)]) == 2
    told = line.replace("FILE", str(path)).replace("DIRECTORY", str(tmp_path))
    assert capsys.readouterr() == ("", f"isthmus: {told}\n")
    assert daemon.revision == 1


# -- export ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("notation", ["toml", "yaml", "json"])
def test_what_is_exported_changes_nothing(
    daemon: FakeDaemon, document: Path, capsys: pytest.CaptureFixture[str], notation: str
) -> None:
    """The exported document is what runs, with no secret in it; applied, it changes nothing."""
    main.run(["apply", str(document)])
    before = daemon.running
    text = exported(capsys, "--format", notation)
    assert SECRET not in text
    path = document.parent / f"exported.{notation}"
    path.write_text(text)
    assert main.run(["apply", str(path)]) == 0
    assert capsys.readouterr().out == "nothing to change\n"
    assert daemon.running is before


def test_toml_is_the_default(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --format the document is TOML."""
    daemon.running = Configuration(backstores={DISK: Backstore(key=DISK, path="/srv/a", unit_serial="1")})
    assert tomllib.loads(exported(capsys)) == {
        "backstores": {"disk01": {"kind": "fileio", "path": "/srv/a", "serial": "1"}},
        "targets": {},
    }


# -- What a document leaves open ---------------------------------------------------------------------------------------


def test_a_secret_is_a_text(tmp_path: Path) -> None:
    """The saved form can keep texts only, so a secret of other bytes is refused, and not shown."""
    (tmp_path / "secret").write_bytes(b"\xff\xfe horse")
    (tmp_path / "secret").chmod(0o600)
    with pytest.raises(ConfigurationError, match="not UTF-8 text") as caught:
        secrets_beside(tmp_path)("secret")
    assert "horse" not in str(caught.value)


def test_a_server_does_not_carry_documents() -> None:
    """What reads and writes documents is never loaded by what serves."""
    loaded = (
        "import sys, isthmus.cli.serve, isthmus.server.app;"
        "print([name for name in ('pydantic', 'yaml', 'tomli_w', 'isthmus.config.declaration') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


# -- A real daemon -----------------------------------------------------------------------------------------------------


def isthmus(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program, as people run it."""
    environment = {**os.environ, "ISTHMUS_RUN": str(directory / "run")}
    command = [sys.executable, "-m", "isthmus", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=PATIENCE)


@pytest.mark.slow
def test_a_daemon_runs_what_is_declared(tmp_path: Path, document: Path) -> None:
    """A daemon makes the disk and the target, keeps them in its export, and loses them with the document."""
    with running_daemon(tmp_path) as daemon:
        assert "\n8 changes made, revision " in isthmus(tmp_path, "apply", str(document)).stdout
        assert (tmp_path / "disk01.img").stat().st_size == 10 << 20
        assert daemon.portal_of(NAME).listening
        assert isthmus(tmp_path, "apply", str(document)).stdout == "nothing to change\n"
        (tmp_path / "exported.yaml").write_text(isthmus(tmp_path, "export", "--format", "yaml").stdout)
        assert isthmus(tmp_path, "apply", str(tmp_path / "exported.yaml")).stdout == "nothing to change\n"
        document.write_text("[backstores]\n[targets]\n")
        assert isthmus(tmp_path, "apply", str(document)).returncode == 0
        assert daemon.client.configuration()[0] == Configuration()
        assert SECRET not in daemon.log_text()
