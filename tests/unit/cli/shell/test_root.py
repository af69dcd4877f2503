import dataclasses
import json
from pathlib import Path

import pytest

from isthmus.config.document import dump, load
from isthmus.config.model import Configuration
from isthmus.config.store import FILE_NAME, ConfigurationStore
from tests.support.fake_daemon import VERSION
from tests.support.session_views import SESSION as ANY_SESSION
from tests.support.typist import Typist

SESSION = dataclasses.replace(
    ANY_SESSION,
    initiator_name="iqn.2026-05.com.example:db",
    initiator_alias="db01",
    target_name="iqn.2026-05.com.example:a",
)


def test_sessions_of_everybody_are_listed(typist: Typist) -> None:
    """Those of demo mode too, which targetcli does not see (targetcli-fb#120)."""
    assert "(no open sessions)" in typist.types("sessions")
    typist.daemon.open_sessions = (SESSION,)
    assert "alias: db01\tsid: 3 type: Normal session-state: LOGGED_IN" in typist.types("sessions list")
    detail = typist.types("sessions detail 3")
    for part in ("NOT AUTHENTICATED", "address: 192.0.2.7:50000 (TCP)  cid: 0"):
        assert part in detail


def test_a_session_shows_what_it_sees(typist: Typist) -> None:
    """By the node ACL, by the initiator group, or the LUNs as they are."""
    tpg = "/iscsi/iqn.2026-05.com.example:a/tpg1"
    typist.types(f"/backstores/ramdisk create r 1M\n/iscsi create {SESSION.target_name}")
    typist.types(f"{tpg}/luns create /backstores/ramdisk/r 4\n{tpg} set attribute demo_mode_write_protect=1")
    typist.daemon.open_sessions = (SESSION,)
    assert "mapped-lun: 4 backstore: ramdisk/r mode: r\n" in typist.types("sessions detail")
    typist.types(f"{tpg}/initiator_groups create g *\n{tpg}/initiator_groups/g create 6 4 write_protect=1")
    typist.daemon.open_sessions = (dataclasses.replace(SESSION, initiator_group="g"),)
    assert "mapped-lun: 6 backstore: ramdisk/r mode: r\n" in typist.types("sessions detail")
    typist.types(f"{tpg}/acls create {SESSION.initiator_name} false\n{tpg}/acls/{SESSION.initiator_name} create 7 4")
    assert "mapped-lun: 7 backstore: ramdisk/r mode: rw\n" in typist.types("sessions detail")


def test_saving_to_a_file(typist: Typist, tmp_path: Path) -> None:
    """Secrets and all, in place of what is there, for its owner only; without a file it says where that is anyway."""
    state, file = tmp_path / "state", tmp_path / "copy.json"
    typist.daemon.whoami = dataclasses.replace(VERSION, state_directory=str(state))
    typist.types(f"/iscsi create {SESSION.target_name}\n/iscsi set discovery_auth userid=a password=geheimgeheim1")
    ConfigurationStore(state).save(typist.daemon.running)
    file.write_text("what was there")
    file.chmod(0o644)
    said = typist.types(f"saveconfig {file}")
    assert f"Configuration saved to {file}" in said
    assert "geheim" not in said
    assert (load(file.read_text())[0], file.stat().st_mode & 0o777) == (typist.daemon.running, 0o600)
    kept = (state / FILE_NAME).stat()
    for line in ("saveconfig", f"saveconfig {state / FILE_NAME}"):
        assert f"Configuration saved to {state / FILE_NAME}" in typist.types(line)
    assert (state / FILE_NAME).stat().st_ino == kept.st_ino
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.json", "state"]


def test_a_secret_that_cannot_be_had_is_not_saved(typist: Typist, tmp_path: Path) -> None:
    """Nor is the rest without it."""
    typist.daemon.whoami = dataclasses.replace(VERSION, state_directory=str(tmp_path / "nowhere"))
    typist.types("/iscsi set discovery_auth userid=a password=geheimgeheim1")
    assert "which cannot be read" in typist.fails(f"saveconfig {tmp_path}/copy.json")
    assert list(tmp_path.iterdir()) == []


def test_restoring_a_saved_form(typist: Typist, tmp_path: Path) -> None:
    """Beside what is there, over it only if told to; what is left out is told."""
    typist.types("/backstores/ramdisk create r 1M")
    saved = json.loads(dump(typist.daemon.running))
    saved["targets"].append({"wwn": "naa.1", "fabric": "loopback", "tpgs": []})
    file = tmp_path / "saved.json"
    file.write_text(json.dumps(saved))
    assert "clear_existing=true" in typist.fails(f"restoreconfig {file}")
    said = typist.types(f"clearconfig confirm=true\n/backstores/ramdisk create s 1M\nrestoreconfig {file}")
    assert "'loopback' is left out" in said
    assert [key.name for key in typist.daemon.running.backstores] == ["s", "r"]
    typist.types(f"restoreconfig {file} clear_existing=true")
    assert [key.name for key in typist.daemon.running.backstores] == ["r"]


def test_restoring_a_part(typist: Typist, tmp_path: Path) -> None:
    """A target, or a storage object, which keeps its LUNs."""
    file, tpg = tmp_path / "saved.json", f"/iscsi/{SESSION.target_name}/tpg1"
    typist.types(f"/backstores/ramdisk create r 1M\n/iscsi create {SESSION.target_name}")
    typist.types(f"{tpg}/luns create /backstores/ramdisk/r\nsaveconfig {file}")
    before = typist.daemon.running
    typist.types("/backstores/ramdisk/r set attribute emulate_tpu=1\n/backstores/ramdisk create other 1M")
    assert "is there already" in typist.fails(f"restoreconfig {file} storage_object=r")
    typist.types(f"restoreconfig {file} clear_existing=true storage_object=r")
    assert typist.daemon.running.targets == before.targets
    assert len(typist.daemon.running.backstores) == 2
    typist.types(f"/iscsi delete {SESSION.target_name}\nrestoreconfig {file} target={SESSION.target_name}")
    assert typist.daemon.running.targets == before.targets
    assert "has no target" in typist.fails(f"restoreconfig {file} target=iqn.2026-05.com.example:none")
    assert "has no storage object" in typist.fails(f"restoreconfig {file} storage_object=none")


def test_restoring_what_the_daemon_has_saved(typist: Typist, tmp_path: Path) -> None:
    """Without a file, it is the daemon's own."""
    typist.daemon.whoami = dataclasses.replace(VERSION, state_directory=str(tmp_path))
    ConfigurationStore(tmp_path).save(Configuration())
    typist.types("/backstores/ramdisk create r 1M\nrestoreconfig clear_existing=true")
    assert typist.daemon.running == Configuration()


def test_version(typist: Typist) -> None:
    """Whose shell this is."""
    assert "isthmus version" in typist.types("version")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("clearconfig", "confirm=true"),
        ("restoreconfig /nowhere/at/all", "No such file"),
        ("saveconfig /nowhere/at/all", "No such file"),
        ("saveconfig /dev/null", "/dev/null is not a file"),
        ("restoreconfig /bin/true", "/bin/true is not text"),
        ("sessions list x", "is not a number"),
        ("sessions show", "action must be one of"),
        ("sessions list 99", "no session found with sid 99"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(typist: Typist, line: str, complaint: str) -> None:
    """And nothing is changed."""
    assert complaint in typist.fails(line)


@pytest.mark.parametrize(("action", "ask"), [("logout", True), ("drop", False)])
def test_a_session_is_ended(typist: Typist, action: str, ask: bool) -> None:
    """With `logout` its initiator is asked first."""
    typist.daemon.open_sessions = (SESSION,)
    assert f"Session {SESSION.tsih} has ended." in typist.types(f"sessions {action} {SESSION.tsih}")
    assert typist.daemon.ended == [(SESSION.tsih, ask)]
