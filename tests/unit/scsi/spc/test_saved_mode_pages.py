"""Saved mode pages between runs."""

import pytest

from isthmus.errors import ConfigurationError
from isthmus.scsi.background import BackgroundRun
from isthmus.scsi.spc.mode_pages import PageControl
from isthmus.scsi.spc.saved_mode_pages import load_mode_pages, save_mode_pages
from isthmus.scsi.state_store import MODE_PAGES, MemoryStateStore
from tests.support.scsi import HeldExecutor, make_unit

CONTROL = (0x0A, 0)


def test_round_trip() -> None:
    """What was saved is loaded; what was never saved, or saved as it is by default, is not there."""
    store = MemoryStateStore()
    unit = make_unit(state=store)
    assert load_mode_pages(store, unit.identity.serial) == {}
    page = bytearray(unit.mode.page(CONTROL, PageControl.CURRENT))
    page[4] |= 0x08
    unit.mode.change(CONTROL, bytes(page))
    for expected in ({CONTROL: bytes(page)}, {}):
        unit.mode.save()
        executor = HeldExecutor()
        BackgroundRun(unit, executor, save_mode_pages(unit), lambda *_: None).start()
        executor.finish_all()
        assert load_mode_pages(store, unit.identity.serial) == expected
        assert bool(store.load(unit.identity.serial, MODE_PAGES)) is bool(expected)
        unit.mode.revert()


def test_two_at_once() -> None:
    """Whichever of two saves ends last, the newer values are saved."""
    store = MemoryStateStore()
    unit = make_unit(state=store)
    executor = HeldExecutor()
    for flag in (0x08, 0x00):
        page = bytearray(unit.mode.page(CONTROL, PageControl.CURRENT))
        page[4] = page[4] & ~0x08 | flag
        unit.mode.change(CONTROL, bytes(page))
        unit.mode.save()
        BackgroundRun(unit, executor, save_mode_pages(unit), lambda *_: None).start()
    executor.finish(1)
    executor.finish_all()
    assert load_mode_pages(store, unit.identity.serial) == {}


@pytest.mark.parametrize("record", [b"\x0a", b"\x0a\0\0\5\x8a\x0a", b"\x0a\0\0\1xyz"])
def test_unknown_record(record: bytes) -> None:
    """A record that is cut is refused."""
    store = MemoryStateStore()
    store.save("serial", MODE_PAGES, record)
    with pytest.raises(ConfigurationError, match="unknown form"):
        load_mode_pages(store, "serial")
