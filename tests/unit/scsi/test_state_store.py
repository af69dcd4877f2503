"""The memory that outlives a restart, as far as the SCSI layer knows it."""

from isthmus.backstores.operations import WOULD_BLOCK
from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.scsi.state_store import MODE_PAGES, RESERVATIONS, MemoryStateStore, SaveState


class FileLikeStore:
    """A store that may block."""

    def __init__(self) -> None:
        self.saved: list[bytes | None] = []

    def load(self, unit_serial: str, record: str) -> bytes | None:
        return self.saved[-1] if self.saved else None

    def save(self, unit_serial: str, record: str, data: bytes | None) -> None:
        self.saved.append(data)


def test_records_are_apart() -> None:
    """A record belongs to one unit and one purpose."""
    store = MemoryStateStore()
    store.save("one", MODE_PAGES, b"pages")
    assert store.load("one", MODE_PAGES) == b"pages"
    assert store.load("one", RESERVATIONS) is None
    assert store.load("two", MODE_PAGES) is None


def test_remove() -> None:
    """None removes a record, and removing what is not there is no error."""
    store = MemoryStateStore()
    store.save("one", MODE_PAGES, b"pages")
    store.save("one", MODE_PAGES, None)
    store.save("one", MODE_PAGES, None)
    assert store.load("one", MODE_PAGES) is None


def test_memory_saves_at_once() -> None:
    """A store in memory needs no worker."""
    store = MemoryStateStore()
    SaveState(store, "one", MODE_PAGES, b"pages").run_inline(RamdiskBackstore("disk", 512))
    assert store.load("one", MODE_PAGES) == b"pages"


def test_others_need_a_worker() -> None:
    """Any other store may block, even if the backstore never does."""
    store = FileLikeStore()
    operation = SaveState(store, "one", MODE_PAGES, b"pages")
    backstore = RamdiskBackstore("disk", 512)
    assert operation.run_inline(backstore) is WOULD_BLOCK
    assert store.saved == []
    operation.run(backstore)
    assert store.saved == [b"pages"]
