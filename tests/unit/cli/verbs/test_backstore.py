import json
from pathlib import Path

import pytest

from isthmus.config.model import BackstoreKey
from isthmus.management.views import BackstoreView
from tests.support.fake_daemon import FakeDaemon
from tests.unit.cli.verbs.conftest import Run

MIB = 1 << 20
KEY = BackstoreKey("fileio", "a")


def test_a_missing_file_is_the_daemons_to_make(daemon: FakeDaemon, run: Run, tmp_path: Path) -> None:
    """The verb only names it."""
    run(f"backstore create fileio/a {tmp_path}/a.img --size 1M --write-through")
    made = daemon.running.backstores[KEY]
    assert (made.path, made.size, made.write_back) == (f"{tmp_path}/a.img", MIB, False)
    assert not (tmp_path / "a.img").exists()


def test_a_file_that_is_there_keeps_its_size(daemon: FakeDaemon, run: Run, tmp_path: Path) -> None:
    """It may hold something."""
    (tmp_path / "a.img").write_bytes(bytes(4096))
    run(f"backstore create fileio/a {tmp_path}/a.img")
    assert daemon.running.backstores[KEY].size == 4096


@pytest.mark.parametrize("device", ["/dev/sg3", "3:0:0:0"])
def test_a_scsi_device_by_any_of_its_names(daemon: FakeDaemon, run: Run, device: str) -> None:
    """An address is no file in this directory."""
    run(f"backstore create pscsi/a {device}")
    assert daemon.running.backstores[BackstoreKey("pscsi", "a")].path == device


def test_room_is_taken_before_it_is_a_disk(daemon: FakeDaemon, run: Run, tmp_path: Path) -> None:
    """So that writing to it cannot fail for want of room."""
    run(f"backstore create fileio/a {tmp_path}/a.img --size 2M --preallocate")
    assert (tmp_path / "a.img").stat().st_blocks * 512 >= 2 * MIB
    assert daemon.running.backstores[KEY].size == 2 * MIB


def test_an_image_becomes_a_disk(daemon: FakeDaemon, run: Run, tmp_path: Path) -> None:
    """With its contents, in whole blocks, or in a larger one."""
    source = tmp_path / "source.img"
    source.write_bytes(b"x" * 1000)
    run(f"backstore create fileio/a {tmp_path}/a.img --from {source}")
    run(f"backstore create fileio/b {tmp_path}/b.img --from {source} --size 1M")
    assert (tmp_path / "a.img").read_bytes() == b"x" * 1000 + bytes(24)
    assert daemon.running.backstores[KEY].size == 1024
    assert (tmp_path / "b.img").stat().st_size == MIB


@pytest.mark.parametrize("word", ["--preallocate", "--dry-run"])
def test_what_is_refused_leaves_no_file(daemon: FakeDaemon, run: Run, tmp_path: Path, word: str) -> None:
    """Nor does a dry run."""
    run("backstore create ramdisk/b --size 1M --serial taken")
    status = 0 if word == "--dry-run" else 2
    serial = "free" if word == "--dry-run" else "taken"
    run(f"backstore create fileio/a {tmp_path}/a.img --size 1M --preallocate --serial {serial} {word}", status=status)
    assert list(tmp_path.iterdir()) == []


def test_backstores_are_listed(daemon: FakeDaemon, run: Run, tmp_path: Path) -> None:
    """With the LUNs that they are, and what keeps them from running."""
    run("backstore create ramdisk/a --size 1M")
    run(f"backstore create fileio/b {tmp_path}/b.img --size 2M")
    run("target create iqn.2026-01.com.example:one")
    run("lun create iqn.2026-01.com.example:one a")
    daemon.known_backstores = (
        BackstoreView(path="/backstores/ramdisk/a", size=MIB, block_length=512, active=True),
        BackstoreView(path="/backstores/fileio/b", size=0, block_length=0, active=False, problem="it is gone"),
    )
    lines = [line.split(None, 4) for line in run("backstore list").splitlines()]
    assert lines[1] == ["fileio/b", f"{tmp_path}/b.img", "2M", "-", "it is gone"]
    assert lines[2] == ["ramdisk/a", "-", "1M", "iqn.2026-01.com.example:one/tpg1/lun0", "in use"]
    found = json.loads(run("backstore list --json"))
    assert [(row["size"], row["state"]) for row in found] == [(2 * MIB, "it is gone"), (MIB, "in use")]


def test_a_backstore_is_started(daemon: FakeDaemon, run: Run) -> None:
    """By its name alone; what is to become of damaged reservations is one of three words."""
    run("backstore create ramdisk/a --size 1M")
    assert run("backstore start a --lost-reservations=forget") == "/backstores/ramdisk/a runs\n"
    run("backstore start a --lost-reservations=guess", status=2)
    assert daemon.started == [("/backstores/ramdisk/a", "forget")]


def test_what_a_handler_is_told(daemon: FakeDaemon, run: Run) -> None:
    """Its name is a part of the kind, as LIO's users write it."""
    run("backstore create user:file/a /srv/a.img --size 1M")
    made = daemon.running.backstores[BackstoreKey("user", "a")]
    assert (made.path, made.size, made.options) == ("", MIB, {"config": "file//srv/a.img"})


def test_what_only_a_kind_has(daemon: FakeDaemon, run: Run) -> None:
    """Goes through as it is."""
    run("backstore create ramdisk/a --size 1M --option nullio=1")
    assert daemon.running.backstores[BackstoreKey("ramdisk", "a")].options == {"nullio": "1"}


def test_a_drive(daemon: FakeDaemon, run: Run, tmp_path: Path) -> None:
    """A file goes in, and out."""
    image = tmp_path / "a.iso"
    image.write_bytes(bytes(4096))
    run("backstore create fileio/a --cdrom")
    assert (daemon.running.backstores[KEY].is_drive, daemon.running.backstores[KEY].path) == (True, "")
    run(f"backstore insert fileio/a {image}")
    assert daemon.running.backstores[KEY].path == str(image)
    run("backstore eject fileio/a")
    assert daemon.running.backstores[KEY].path == ""
    run(f"backstore insert fileio/a {tmp_path}/missing.iso", status=2)
