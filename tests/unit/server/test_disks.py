import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.backstores.fileio import FileBackstore
from isthmus.backstores.registry import open_backstore
from isthmus.backstores.tray import Tray
from isthmus.config.model import Backstore, BackstoreKey
from isthmus.engine.workers import WorkerPool
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.block_executor import ImmediateExecutor
from isthmus.scsi.device_type import CD_DVD
from isthmus.scsi.spc.persistent_reservations import PersistentReservations, Registrant
from isthmus.scsi.spc.reservation_record import encode, forget_damaged_reservations
from isthmus.scsi.state_store import RESERVATIONS, MemoryStateStore
from isthmus.server import disks as module
from isthmus.server.disks import Disks, LostReservations
from tests.support.patience import PATIENCE
from tests.support.scsi import HeldExecutor, make_nexus

KEY = BackstoreKey("fileio", "a")


@pytest.fixture
async def disks() -> AsyncIterator[Disks]:
    """None yet."""
    disks = Disks(MemoryStateStore(), WorkerPool(asyncio.get_running_loop(), lambda: None))
    yield disks
    assert await disks.close() == []


def file(path: Path, **fields: Any) -> Backstore:
    """A file of 64 KiB."""
    return Backstore(key=KEY, path=str(path / "a.img"), **{"size": 65536, "unit_serial": "a", **fields})


def names_in(directory: Path) -> list[str]:
    """What is there."""
    return [path.name for path in directory.iterdir()]


async def test_a_file_is_made_when_it_is_new(disks: Disks, tmp_path: Path) -> None:
    """And a unit stands over it."""
    await disks.create(file(tmp_path))
    assert (tmp_path / "a.img").stat().st_size == 65536
    unit = disks.unit(KEY)
    assert unit is not None
    assert (unit.num_blocks, unit.identity.serial, list(disks.units)) == (128, "a", [unit])


async def test_nothing_is_made_when_it_should_be_there(disks: Disks, tmp_path: Path) -> None:
    """A file system that is not mounted must not become an empty disk."""
    await disks.load([file(tmp_path)])
    assert "does not exist" in disks[KEY].problem
    assert disks.unit(KEY) is None
    assert names_in(tmp_path) == []


async def test_a_file_that_is_there_is_taken_as_long_as_it_is(disks: Disks, tmp_path: Path) -> None:
    """Whoever has resized it meanwhile meant it."""
    (tmp_path / "a.img").write_bytes(bytes(131072))
    await disks.load([file(tmp_path)])
    unit = disks.unit(KEY)
    assert unit is not None
    assert unit.num_blocks == 256


async def test_what_was_prepared_and_not_taken_goes(disks: Disks, tmp_path: Path) -> None:
    """So does what was made before something that cannot be."""
    await disks.prepare([file(tmp_path)])
    assert (tmp_path / "a.img").exists()
    await disks.discard_prepared()
    assert not (tmp_path / "a.img").exists()
    other = dataclasses.replace(file(tmp_path), key=BackstoreKey("fileio", "b"), path=str(tmp_path / "no" / "b.img"))
    with pytest.raises(ConfigurationError):
        await disks.prepare([file(tmp_path), other])
    assert names_in(tmp_path) == []


async def test_a_last_block_that_is_not_whole_is_refused(disks: Disks, tmp_path: Path) -> None:
    """With the size that would do."""
    with pytest.raises(ConfigurationError, match="make them 4096"):
        await disks.create(file(tmp_path, size=1000, attributes={"block_size": 4096}))
    assert not (tmp_path / "a.img").exists()


async def test_storage_that_does_not_answer_is_given_up(
    disks: Disks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a bound; what opens after all is closed again."""
    go_on, undone = threading.Event(), threading.Event()
    really_open, really_withdraw = open_backstore, FileBackstore.withdraw

    def slow(spec: Any) -> Any:
        go_on.wait(PATIENCE)
        return really_open(spec)

    def withdraw(storage: FileBackstore) -> None:
        really_withdraw(storage)
        undone.set()

    monkeypatch.setattr(module, "OPEN_SECONDS", 0.01)
    monkeypatch.setattr(module, "open_backstore", slow)
    monkeypatch.setattr(FileBackstore, "withdraw", withdraw)
    with pytest.raises(ConfigurationError, match="did not open within"):
        await disks.create(file(tmp_path))
    go_on.set()
    assert await asyncio.to_thread(undone.wait, PATIENCE)
    assert not (tmp_path / "a.img").exists()


async def test_storage_that_nobody_has_come_to_is_given_up(
    disks: Disks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names it, although no thread has had time to begin with it."""

    async def in_thread(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(module, "in_thread", in_thread)
    with pytest.raises(ConfigurationError, match=f"{KEY} did not open within"):
        await disks.create(file(tmp_path))


async def test_a_disk_goes_and_its_file_stays(disks: Disks, tmp_path: Path) -> None:
    """It can be opened by others then."""
    await disks.create(file(tmp_path))
    assert await disks.delete(KEY) == ""
    assert not disks.units
    await disks.load([file(tmp_path)])
    assert disks[KEY].problem == ""


async def test_what_cannot_be_made_durable_is_a_warning(
    disks: Disks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is gone nevertheless."""
    await disks.create(file(tmp_path))
    really_close = FileBackstore.close

    def fail(storage: FileBackstore) -> None:
        really_close(storage)
        raise BackstoreError(5, "the medium is broken")

    monkeypatch.setattr(FileBackstore, "close", fail)
    assert "the medium is broken" in await disks.delete(KEY)
    assert disks.unit(KEY) is None


async def test_a_size_that_cannot_be_is_refused(disks: Disks, tmp_path: Path) -> None:
    """And the disk keeps the one that it has."""
    await disks.create(file(tmp_path))
    with pytest.raises(ConfigurationError, match="whole number"):
        await disks.resize(file(tmp_path, size=1000))
    unit = disks.unit(KEY)
    assert unit is not None
    assert (unit.num_blocks, disks[KEY].settings.size) == (128, 65536)
    await disks.resize(file(tmp_path, size=131072))
    assert (unit.num_blocks, disks[KEY].settings.size) == (256, 131072)


async def test_memory_without_memory(disks: Disks) -> None:
    """LIO's nullio: it has a size, and keeps nothing."""
    store = Backstore(key=BackstoreKey("ramdisk", "n"), size=1 << 40, unit_serial="n", options={"nullio": True})
    await disks.load([store])
    unit = disks.unit(store.key)
    assert unit is not None
    assert unit.backstore.kind == "null"


async def test_copies_can_be_switched_off(disks: Disks, tmp_path: Path) -> None:
    """Then the unit has none of their commands."""
    await disks.create(file(tmp_path, attributes={"emulate_3pc": 0}))
    unit = disks.unit(KEY)
    assert unit is not None
    assert 0x83 not in {row.opcode for row in unit.table}


async def test_attributes_of_the_medium_take_effect_at_once(disks: Disks, tmp_path: Path) -> None:
    """A medium that an initiator ejected stays out, whatever else of the disk changes."""
    await disks.create(file(tmp_path, attributes={"removable": 1, "medium_present": 0}))
    unit = disks.unit(KEY)
    assert unit is not None
    assert (unit.removable, unit.medium_present) == (True, False)
    disks.set_attributes(file(tmp_path, attributes={"removable": 1, "vendor_id": "ACME"}))
    assert (unit.medium_present, unit.identity.vendor) == (True, "ACME")
    unit.medium_present = False
    disks.set_attributes(file(tmp_path, attributes={"removable": 1, "vendor_id": "OTHER", "descriptor_sense": 1}))
    assert (unit.medium_present, unit.mode.descriptor_sense) == (False, True)


async def test_damaged_reservations_keep_a_disk_from_running_until_the_loss_is_accepted(tmp_path: Path) -> None:
    """Replaced by an initiator, or forgotten; what can be read is never given up."""
    state = MemoryStateStore()
    state.save("a", RESERVATIONS, b"damaged")
    settings = file(tmp_path)
    (tmp_path / "a.img").write_bytes(bytes(65536))
    found = Disks(state, ImmediateExecutor())
    await found.load([settings])
    assert "the saved reservations are damaged" in found[settings.key].problem
    assert "--lost-reservations" in found[settings.key].problem
    with pytest.raises(ConfigurationError, match="damaged"):
        await found.start(settings.key, LostReservations.REFUSE)
    await found.start(settings.key, LostReservations.REPLACE)
    unit = found.unit(settings.key)
    assert unit is not None
    assert unit.reservations.persistent.lost
    with pytest.raises(ConfigurationError, match="runs already"):
        await found.start(settings.key, LostReservations.FORGET)
    await found.close()

    found = Disks(state, ImmediateExecutor())
    await found.load([settings])
    await found.start(settings.key, LostReservations.FORGET)
    unit = found.unit(settings.key)
    assert unit is not None
    assert not unit.reservations.persistent.lost
    assert state.load("a", RESERVATIONS) is None
    await found.close()


async def test_a_disk_that_was_missing_is_started_when_it_is_there(disks: Disks, tmp_path: Path) -> None:
    """Its reservations, which can be read, stay whatever is said of lost ones."""
    settings = file(tmp_path)
    await disks.load([settings])
    assert disks.unit(settings.key) is None
    with pytest.raises(ConfigurationError):
        await disks.start(settings.key, LostReservations.FORGET)
    (tmp_path / "a.img").write_bytes(bytes(65536))
    await disks.start(settings.key, LostReservations.FORGET)
    assert disks.unit(settings.key) is not None
    assert disks[settings.key].problem == ""
    with pytest.raises(ConfigurationError, match="there is no"):
        await disks.start(BackstoreKey("fileio", "nobody"), LostReservations.REFUSE)


def test_a_record_that_can_be_read_is_not_forgotten() -> None:
    """Whoever holds the disk goes on holding it."""
    state = MemoryStateStore()
    whole = encode(PersistentReservations({Registrant("iqn.2026-01.com.example:host,i,0x1", 1): 7}, preserved=True))
    state.save("a", RESERVATIONS, whole)
    forget_damaged_reservations(state, "a")
    assert state.load("a", RESERVATIONS) == whole


def drive(path: Path | None, **attributes: Any) -> Backstore:
    """A drive with that file in it, or nothing."""
    name = "" if path is None else str(path)
    return Backstore(key=KEY, path=name, unit_serial="a", attributes={"device_type": "cd", **attributes})


def disc(path: Path, name: str, num_blocks: int) -> Path:
    """A file that goes into a drive."""
    (path / name).write_bytes(bytes(2048 * num_blocks))
    return path / name


async def test_what_is_in_a_drive(disks: Disks, tmp_path: Path) -> None:
    """A file, of which a last block that is not whole does not count, another, nothing, and a file again."""
    first, second = disc(tmp_path, "a.iso", 4), disc(tmp_path, "b.iso", 8)
    with first.open("ab") as file_:
        file_.write(b"x")
    await disks.create(drive(first))
    unit = disks.unit(KEY)
    assert unit is not None
    assert (unit.device_type, unit.block_length, unit.num_blocks, unit.read_only) == (CD_DVD, 2048, 4, True)
    assert (unit.removable, unit.identity.product) == (True, "a")
    for path, num_blocks in ((second, 8), (None, 0), (first, 4)):
        await disks.exchange_medium(drive(path))
        assert (unit.num_blocks, unit.medium_present) == (num_blocks, num_blocks > 0)
        assert disks[KEY].settings == drive(path)


async def test_what_cannot_be_put_in(disks: Disks, tmp_path: Path) -> None:
    """What is not there, and anything while an initiator has locked the drive: what is in there stays."""
    first, second = disc(tmp_path, "a.iso", 4), disc(tmp_path, "b.iso", 8)
    await disks.create(drive(first))
    unit = disks.unit(KEY)
    assert unit is not None
    with pytest.raises(ConfigurationError, match="does not exist"):
        await disks.exchange_medium(drive(tmp_path / "c.iso"))
    unit.prevent_removal.add(make_nexus(unit))
    with pytest.raises(ConfigurationError, match="prevents the removal"):
        await disks.exchange_medium(drive(second))
    assert (unit.num_blocks, unit.medium_present, disks[KEY].settings) == (4, True, drive(first))


async def test_a_medium_that_is_not_to_be_seen(disks: Disks, tmp_path: Path) -> None:
    """It is in there, and is found when the attribute says so."""
    first = disc(tmp_path, "a.iso", 4)
    await disks.create(drive(None, medium_present=0))
    await disks.exchange_medium(drive(first, medium_present=0))
    unit = disks.unit(KEY)
    assert unit is not None
    assert (unit.medium_present, unit.num_blocks) == (False, 4)
    disks.set_attributes(drive(first))
    assert unit.medium_present


async def test_a_disc_that_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Management does not wait for storage that does not answer; the disc changes when it has."""
    monkeypatch.setattr(module, "EXCHANGE_SECONDS", 0.01)
    first, second = disc(tmp_path, "a.iso", 4), disc(tmp_path, "b.iso", 8)
    executor = HeldExecutor()
    disks = Disks(MemoryStateStore(), executor)
    await disks.create(drive(first))
    unit = disks.unit(KEY)
    assert unit is not None
    tray = unit.backstore
    assert isinstance(tray, Tray)
    before = tray.medium
    with pytest.raises(ConfigurationError, match="is still read"):
        await disks.exchange_medium(drive(second))
    assert (tray.medium, unit.medium_present) == (before, False)
    executor.finish_all()
    assert (unit.num_blocks, unit.medium_present) == (8, True)
    assert await disks.close() == []
