import errno
from pathlib import Path

import pytest

from isthmus.backstores.base import Backstore
from isthmus.backstores.fileio import FileBackstore
from isthmus.backstores.operations import ChangeKey
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.backstores.registry import BackstoreSpec
from isthmus.errors import BackstoreError, ConfigurationError
from isthmus.scsi.state_store import MEDIA_KEY, MemoryStateStore
from isthmus.server.media_keys import keyed
from isthmus.server.state_directory import StateDirectory
from tests.support.backstore_model import contents

SERIAL = "disk-1"
SIZE = 4 << 20


def file(directory: Path) -> FileBackstore:
    """A file disk, made if it is not there."""
    path = str(directory / "disk.img")
    return FileBackstore.open(BackstoreSpec(kind="fileio", path=path, size=SIZE, create=True))


def written(storage: Backstore) -> None:
    """Put something on the disk, and close it."""
    storage.write(0, [b"data" * 128])
    storage.close()


def test_a_blank_disk_gets_a_key_and_keeps_it(tmp_path: Path) -> None:
    """The same one is used after a restart."""
    store = StateDirectory(tmp_path / "state")
    written(keyed(file(tmp_path), store, SERIAL, encrypt=True))
    assert b"data" not in (tmp_path / "disk.img").read_bytes()
    again = keyed(file(tmp_path), StateDirectory(tmp_path / "state"), SERIAL, encrypt=True)
    assert contents(again, 0, 512) == b"data" * 128
    again.close()


def test_the_key_is_changed_where_it_is_kept(tmp_path: Path) -> None:
    """After an erase no restart brings the data back."""
    store = StateDirectory(tmp_path / "state")
    disk = keyed(file(tmp_path), store, SERIAL, encrypt=True)
    disk.write(0, [b"data" * 128])
    before = store.load(SERIAL, MEDIA_KEY)
    ChangeKey().run(disk)
    garbage = contents(disk, 0, 512)
    disk.close()
    assert store.load(SERIAL, MEDIA_KEY) != before
    again = keyed(file(tmp_path), store, SERIAL, encrypt=True)
    assert contents(again, 0, 512) == garbage != b"data" * 128
    again.close()


def test_each_disk_has_a_key_of_its_own() -> None:
    """No two are alike."""
    store = MemoryStateStore()
    storage = RamdiskBackstore("x", SIZE)
    storage.volatile = False
    for serial in ("a", "b"):
        keyed(storage, store, serial, encrypt=True)
    first, second = store.load("a", MEDIA_KEY), store.load("b", MEDIA_KEY)
    assert first is not None
    assert second is not None
    assert len(first) == len(second) == 64
    assert first != second
    assert first[:32] != first[32:]


@pytest.mark.parametrize("offset", [0, SIZE - 512])
def test_a_disk_that_holds_something_is_no_new_one(tmp_path: Path, offset: int) -> None:
    """Its key is lost, or it never had one: it is refused, and stays as it is."""
    disk = file(tmp_path)
    disk.write(offset, [b"x" * 512])
    store = MemoryStateStore()
    with pytest.raises(ConfigurationError, match="bring back the state directory"):
        keyed(disk, store, SERIAL, encrypt=True)
    assert store.load(SERIAL, MEDIA_KEY) is None
    disk.close()


def test_an_encrypted_disk_is_not_served_plain() -> None:
    """What it holds would be taken for garbage, and overwritten."""
    store = MemoryStateStore()
    storage = RamdiskBackstore("x", SIZE)
    storage.volatile = False
    keyed(storage, store, SERIAL, encrypt=True)
    with pytest.raises(ConfigurationError, match="disk-1 is encrypted"):
        keyed(storage, store, SERIAL, encrypt=False)
    assert keyed(storage, store, "another", encrypt=False) is storage


def test_a_key_of_another_form() -> None:
    """It is of a version to come, and no key is made out of it."""
    store = MemoryStateStore()
    store.save(SERIAL, MEDIA_KEY, b"short")
    storage = RamdiskBackstore("x", SIZE)
    storage.volatile = False
    with pytest.raises(ConfigurationError, match="unknown form"):
        keyed(storage, store, SERIAL, encrypt=True)


def test_a_key_that_cannot_be_kept() -> None:
    """Then nothing is encrypted with it."""

    class Full(MemoryStateStore):
        def save(self, unit_serial: str, record: str, data: bytes | None) -> None:
            raise BackstoreError(errno.ENOSPC, "no room")

    storage = RamdiskBackstore("x", SIZE)
    storage.volatile = False
    with pytest.raises(ConfigurationError, match="cannot be encrypted: no room"):
        keyed(storage, Full(), SERIAL, encrypt=True)


def test_the_key_of_memory_is_in_memory() -> None:
    """Nothing of it outlives the process."""
    store = MemoryStateStore()
    disk = keyed(RamdiskBackstore("x", SIZE), store, SERIAL, encrypt=True)
    disk.write(0, [b"data" * 128])
    assert contents(disk, 0, 512) == b"data" * 128
    ChangeKey().run(disk)
    assert contents(disk, 0, 512) != b"data" * 128
    assert store.load(SERIAL, MEDIA_KEY) is None
