from pathlib import Path

import pytest

from isthmus.errors import ConfigurationError
from isthmus.names import IscsiName
from isthmus.scsi.device_type import CD_DVD, DISK
from isthmus.server import app
from isthmus.server.listener import bind
from isthmus.server.options import ChapCredential, FileUnit, MemoryUnit, Portal, Secret, ServeOptions, Unit
from isthmus.server.units import close_units, open_units, withdraw_units

NAME = IscsiName("iqn.2026-01.com.example:disks")


def options(*units: Unit, state: Path, name: IscsiName = NAME, **more: object) -> ServeOptions:
    """What to serve."""
    return ServeOptions(
        units=units or (MemoryUnit(size=1 << 20),),
        target_name=name,
        portals=(Portal("127.0.0.1", 0),),
        state_directory=state,
        **more,  # type: ignore[arg-type]
    )


def serial(chosen: ServeOptions) -> str:
    """The serial number of the first unit."""
    backstores = open_units(chosen)
    try:
        return app.make_units(chosen, backstores)[0].identity.serial
    finally:
        withdraw_units(backstores)


def test_a_disk_is_the_same_after_a_restart_and_no_other_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two disks that look alike would be joined as paths to one, and ruined."""
    image = tmp_path / "a.img"
    image.write_bytes(bytes(1 << 20))
    chosen = options(FileUnit(path=image), state=tmp_path)
    first = serial(chosen)
    assert serial(chosen) == first
    other_target = options(FileUnit(path=image), state=tmp_path, name=IscsiName("iqn.2026-01.com.example:other"))
    monkeypatch.setattr(app, "machine_identity", lambda: "another machine")
    assert len({first, serial(chosen), serial(other_target)}) == 3


def test_a_disk_is_named_like_those_of_the_daemon(tmp_path: Path) -> None:
    """By NAA 6h, which udev, multipath and scsi_id all make the name of the disk from."""
    chosen = options(state=tmp_path)
    backstores = open_units(chosen)
    identity = app.make_units(chosen, backstores)[0].identity
    withdraw_units(backstores)
    assert identity.naa_designator.hex() == "6001405" + identity.serial[:25]


def test_a_start_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """The port is taken: the file that would have been made is not there, and the one line says why."""
    image = tmp_path / "new.img"
    with bind(Portal("127.0.0.1", 0)) as taken:
        chosen = ServeOptions(
            units=(FileUnit(path=image, size=1 << 20),),
            target_name=NAME,
            portals=(Portal("127.0.0.1", taken.getsockname()[1]),),
            state_directory=tmp_path / "state",
        )
        with pytest.raises(ConfigurationError, match="another program has this port"):
            app.run(chosen)
    assert list(tmp_path.iterdir()) == []


def test_a_portal_that_fails_lets_go_of_those_before_it() -> None:
    """Else a second try would find its own port taken."""
    with bind(Portal("127.0.0.1", 0)) as taken:
        free = bind(Portal("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        with pytest.raises(ConfigurationError):
            app._bind_all((Portal("127.0.0.1", port), Portal("127.0.0.1", taken.getsockname()[1])))
    bind(Portal("127.0.0.1", port)).close()


def test_chap_is_asked_for_if_there_is_a_credential(tmp_path: Path) -> None:
    """One user, one secret; nobody else is known."""
    assert not app._authentication(options(state=tmp_path)).required
    chap = ChapCredential(user="db", secret=Secret(b"secretsecret"))
    mutual = ChapCredential(user="disks", secret=Secret(b"othersecrets"))
    asked = app._authentication(options(state=tmp_path, chap=chap, mutual_chap=mutual))
    assert asked.required
    assert asked.lookup is not None
    assert (asked.lookup("db"), asked.lookup("web")) == (b"secretsecret", None)
    assert (asked.mutual_user, asked.mutual_secret) == ("disks", b"othersecrets")


def test_a_disc_is_in_a_drive(tmp_path: Path) -> None:
    """Beside a disk, each is what it is."""
    image = tmp_path / "a.iso"
    image.write_bytes(bytes(4096))
    chosen = options(MemoryUnit(size=4096), FileUnit(path=image, in_drive=True), state=tmp_path)
    backstores = open_units(chosen)
    disk, drive = app.make_units(chosen, backstores)
    assert (disk.device_type, disk.identity.product, disk.num_blocks) == (DISK, "VIRTUAL-DISK", 8)
    assert (drive.device_type, drive.identity.product, drive.num_blocks) == (CD_DVD, "VIRTUAL-CDROM", 2)
    close_units(backstores)
