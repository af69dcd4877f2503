"""Each change by a verb, and what cannot be."""

import json
from pathlib import Path

import pytest

from isthmus.cli.verbs.common import backstore_key
from isthmus.config.model import Backstore, BackstoreKey, Configuration
from isthmus.errors import ConfigurationError
from tests.support.fake_daemon import FakeDaemon
from tests.unit.cli.verbs.conftest import Run

TARGET = "iqn.2026-01.com.example:one"
HOST = "iqn.2026-01.com.example:host"

A_LIFE = f"""\
backstore create ramdisk/a --size 1M --serial of-a --attribute emulate_tpu=1
backstore resize a 2M
backstore set ramdisk/a emulate_tas=0 emulate_tpu=0
target create {TARGET} --portal 127.0.0.2 --portal [::1]:3261
portal create {TARGET} 127.0.0.3:3262
portal delete {TARGET} [::1]:3261
target add-group {TARGET}
target add-group {TARGET} --tpg 7
target remove-group {TARGET} --tpg 7
target set {TARGET} authentication=1 MaxConnections=3
target set {TARGET} --tpg 2 login_timeout=20
target disable {TARGET}
target enable {TARGET}
target chap {TARGET} --user all --secret-file SECRET
lun create {TARGET} a --lun 5
acl create {TARGET} {HOST} --no-luns
acl map {TARGET} {HOST} 5 --as 1 --read-only
acl set {TARGET} {HOST} nopin_timeout=5 tag=label
acl chap {TARGET} {HOST} --user host --secret-file SECRET --mutual-user us --mutual-secret-file SECRET
discovery chap --enable --user d --secret-file SECRET
discovery chap --disable
acl chap {TARGET} {HOST} --clear
acl unmap {TARGET} {HOST} 1
acl delete {TARGET} {HOST}
initiator-group create {TARGET} web *:web*
initiator-group create {TARGET} db
initiator-group add {TARGET} web *:www !*:x
initiator-group remove {TARGET} web !*:x
initiator-group move {TARGET} web *:www db
initiator-group map {TARGET} web 5 --as 1 --read-only
initiator-group set {TARGET} web max_sessions=3
initiator-group unmap {TARGET} web 1
initiator-group delete {TARGET} web
lun delete {TARGET} 5
backstore delete ramdisk/a
target delete {TARGET}
"""


def secret(directory: Path) -> str:
    """A file that only its owner reads."""
    path = directory / "secret"
    path.write_text("geheimgeheim1\n")
    path.chmod(0o600)
    return str(path)


def test_the_life_of_everything(daemon: FakeDaemon, run: Run, tmp_path: Path) -> None:
    """Each verb makes its change and says which; a dry run says so as well, and changes nothing; no secret is shown."""
    for line in A_LIFE.replace("SECRET", secret(tmp_path)).splitlines():
        before = daemon.running
        told = run(f"{line} --dry-run")
        assert daemon.running == before, line
        said = run(line)
        assert daemon.running != before, line
        assert said.strip(), line
        assert "geheim" not in said
        assert told == said
    assert daemon.running.backstores == {}
    assert daemon.running.targets == {}
    assert daemon.running.discovery.chap.password == "geheimgeheim1"


def test_a_change_as_json(run: Run) -> None:
    """The report of the daemon."""
    report = json.loads(run("backstore create ramdisk/a --size 1M --json"))
    assert (len(report["changes"]), report["revision"]) == (1, 2)


def test_nothing_to_change_is_said(run: Run) -> None:
    """And is no error."""
    run(f"target create {TARGET}")
    assert run(f"target enable {TARGET}") == "nothing to change\n"


def test_warnings_are_shown(daemon: FakeDaemon, run: Run) -> None:
    """On standard error."""
    daemon.warnings = ("the portal is taken",)
    assert "isthmus: warning: the portal is taken\n" in run(f"target create {TARGET}")


@pytest.mark.parametrize(
    "line", [f"target delete {TARGET}", "backstore delete a", f"lun delete {TARGET} 0", f"acl delete {TARGET} {HOST}"]
)
def test_what_is_in_use_goes_by_force_only(daemon: FakeDaemon, run: Run, line: str) -> None:
    """The refusal says who uses it."""
    run("backstore create ramdisk/a --size 1M")
    run(f"target create {TARGET}")
    run(f"lun create {TARGET} a")
    run(f"acl create {TARGET} {HOST}")
    daemon.holders = (HOST,)
    before = daemon.running
    assert f"in use by {HOST}" in run(line, status=2)
    assert daemon.running == before
    run(f"{line} --force")
    assert daemon.running != before


WRONG = f"""\
backstore
backstore no-such-verb
backstore create
backstore create a --size 1M
backstore create ramdisk/a --size ten
backstore create ramdisk/present --size 1M
backstore create ramdisk/a --size 1M --attribute emulate_tpu
backstore create ramdisk/a --size 1M --attribute nothing=1
backstore create ramdisk/a --size 1M --attribute emulate_tpu=7
backstore create ramdisk/a --size 1M --preallocate
backstore create fileio/a /nowhere/a.img --preallocate
backstore create fileio/a /nowhere/a.img --size 1M --preallocate
backstore create fileio/a /nowhere/a.img --from /nowhere/b.img
backstore create fileio/a /nowhere/a.img --from /etc/hostname --size 1
backstore resize nothing 1M
backstore resize present ten
backstore set present emulate_tpu
backstore set present emulate_tpu=7
backstore set present
backstore delete nothing
target create nonsense
target create {TARGET}
target create {TARGET}2 --portal somewhere
target create {TARGET}2 --portal 192.0.2.1:65536
target delete {TARGET}2
target set {TARGET} nothing=1
target set {TARGET} authentication=1 MaxConnections=0
target set {TARGET} --tpg 2 authentication=1
target enable {TARGET} --tpg 2
target enable {TARGET} --tpg 0
target chap {TARGET}
target chap {TARGET} --user x --secret-file /nowhere
target add-group {TARGET} --tpg 1
target remove-group {TARGET} --tpg 2
portal create {TARGET} somewhere
portal create {TARGET}2 192.0.2.1
portal delete {TARGET} 192.0.2.1
lun list nonsense
lun list {TARGET}2
lun create {TARGET} nothing
lun create {TARGET} present --lun 16384
lun create {TARGET} present
lun delete {TARGET} 7
lun delete {TARGET} one
acl create {TARGET} nonsense
acl create {TARGET} {HOST}
acl delete {TARGET} {HOST}2
acl map {TARGET} {HOST} 0
acl map {TARGET} {HOST} 7
acl unmap {TARGET} {HOST} 7
acl set {TARGET} {HOST} nothing=1
acl chap {TARGET} {HOST}
discovery chap
completion csh
""".splitlines()


@pytest.mark.parametrize("line", WRONG)
def test_what_cannot_be_is_said_in_one_line(daemon: FakeDaemon, run: Run, line: str) -> None:
    """With status 2, and nothing is changed."""
    run("backstore create ramdisk/present --size 1M")
    run(f"target create {TARGET}")
    run(f"lun create {TARGET} present")
    run(f"acl create {TARGET} {HOST}")
    before = daemon.running
    said = run(line, status=2)
    assert daemon.running == before
    if line != "backstore":  # whoever names no verb is shown which there are
        assert said.count("\n") == 1, said
        assert said.startswith("isthmus: ")


def test_a_backstore_by_its_name_alone() -> None:
    """As long as that is clear."""
    keys = [BackstoreKey(kind, name) for kind, name in (("fileio", "a"), ("block", "a"), ("block", "b"))]
    running = Configuration(backstores={key: Backstore(key=key, unit_serial=str(key)) for key in keys})
    assert backstore_key("b", running) == keys[2]
    assert backstore_key("/backstores/fileio/a", running) == keys[0]
    assert backstore_key("fileio/new") == BackstoreKey("fileio", "new")
    with pytest.raises(ConfigurationError, match="block/a or fileio/a"):
        backstore_key("a", running)
