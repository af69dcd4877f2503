from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.config.model import Backstore, BackstoreKey, Configuration
from isthmus.errors import ConfigurationError
from isthmus.management import backstore_edits as edits
from isthmus.management.lun_edits import add_lun
from isthmus.management.target_edits import create_target, group_of
from isthmus.names import IscsiName

NAME = IscsiName("iqn.2026-05.com.example:storage01")
DISK = BackstoreKey("fileio", "disk01")

DRIVE = BackstoreKey("fileio", "cd0")


def drive(name: str, path: str) -> Backstore:
    """A drive with a file in it."""
    attributes = {"device_type": "cd"}
    return Backstore(key=BackstoreKey("fileio", name), path=path, unit_serial=name, attributes=attributes)


def with_drive(configuration: Configuration) -> Configuration:
    """And a drive."""
    return edits.create_backstore(configuration, drive("cd0", "/srv/a.iso"))


@pytest.fixture
def configuration() -> Configuration:
    """One file as a backstore."""
    return edits.create_backstore(
        Configuration(), Backstore(key=DISK, path="/srv/disk01.img", size=1 << 30, unit_serial="one")
    )


def test_attributes_are_parsed_and_merged(configuration: Configuration) -> None:
    """Those that are not named stay."""
    configuration = edits.set_backstore_attributes(configuration, DISK, {"emulate_tpu": "1"})
    configuration = edits.set_backstore_attributes(configuration, DISK, {"block_size": 4096})
    assert edits.backstore_of(configuration, DISK).attributes == {"emulate_tpu": 1, "block_size": 4096}


def test_a_resize_changes_the_size_alone(configuration: Configuration) -> None:
    """The rest of the backstore stays as it is."""
    resized = edits.set_backstore_size(configuration, DISK, 2 << 30)
    assert edits.backstore_of(resized, DISK).size == 2 << 30
    assert edits.set_backstore_size(resized, DISK, 1 << 30) == configuration


def test_a_backstore_takes_its_luns_with_it(configuration: Configuration) -> None:
    """As with LIO, deleting the storage deletes the LUNs that are it."""
    with_target = create_target(configuration, NAME)
    with_lun = add_lun(with_target, NAME, 1, DISK)
    left = edits.delete_backstore(with_lun, DISK)
    assert group_of(left, NAME, 1).luns == ()
    assert left.backstores == {}
    left.check()


WRONG: list[tuple[Callable[[Configuration], Configuration], str]] = [
    (
        lambda c: edits.create_backstore(c, Backstore(key=DISK, unit_serial="two")),
        "/backstores/fileio/disk01 is there already",
    ),
    (
        lambda c: edits.create_backstore(c, Backstore(key=BackstoreKey("fileio", "b"), unit_serial="one")),
        "has this serial number",
    ),
    (
        lambda c: edits.create_backstore(
            c, Backstore(key=BackstoreKey("fileio", "b"), path="/srv/disk01.img", unit_serial="two")
        ),
        "uses /srv/disk01.img",
    ),
    (lambda c: edits.delete_backstore(c, BackstoreKey("block", "x")), "there is no /backstores/block/x"),
    (lambda c: edits.set_backstore_attributes(c, DISK, {"emulate_tpu": 7}), "neither 1 nor 0"),
    (lambda c: edits.set_backstore_attributes(c, DISK, {"block_size": 1024}), "not one of 512, 2048, 4096"),
    (lambda c: edits.set_backstore_size(c, DISK, 0), "cannot have 0 bytes"),
    (lambda c: edits.set_backstore_medium(c, DISK, "/srv/a.iso"), "is no drive"),
    (lambda c: edits.set_backstore_size(with_drive(c), DRIVE, 4096), "is a drive"),
    (lambda c: edits.set_backstore_medium(with_drive(c), DRIVE, "/srv/disk01.img"), "uses /srv/disk01.img"),
    (lambda c: edits.create_backstore(c, drive("cd0", "/srv/disk01.img")), "uses /srv/disk01.img"),
]


@pytest.mark.parametrize(("edit", "complaint"), WRONG)
def test_what_cannot_be_done_is_refused(
    configuration: Configuration, edit: Callable[[Configuration], Configuration], complaint: str
) -> None:
    """One error that names the thing, and nothing is changed."""
    with pytest.raises(ConfigurationError, match=complaint):
        edit(configuration)


def test_another_medium(configuration: Configuration) -> None:
    """A file goes into a drive, which then has a medium again; drives may share one, as nobody writes."""
    configuration = edits.set_backstore_attributes(with_drive(configuration), DRIVE, {"medium_present": 0})
    configuration = edits.create_backstore(configuration, drive("cd1", "/srv/b.iso"))
    changed = edits.backstore_of(edits.set_backstore_medium(configuration, DRIVE, "/srv/b.iso"), DRIVE)
    assert (changed.path, changed.attribute("medium_present")) == ("/srv/b.iso", 1)
    assert edits.backstore_of(edits.set_backstore_medium(configuration, DRIVE, ""), DRIVE).path == ""


def test_names_of_scsi_devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An address is one wherever the operator is; anything else is a path from there."""
    monkeypatch.chdir(tmp_path)
    assert edits.scsi_device_name("3:0:0:0") == "3:0:0:0"
    assert edits.scsi_device_name("/dev/sg3") == "/dev/sg3"
    assert edits.scsi_device_name("sg3") == f"{tmp_path}/sg3"
    assert edits.scsi_device_name("./3:0:0:0") == f"{tmp_path}/3:0:0:0"
