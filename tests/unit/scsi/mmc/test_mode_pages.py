import pytest

from isthmus.scsi.mmc.mode_pages import DRIVE_PAGES
from isthmus.scsi.spc.mode_pages import ModePage
from isthmus.scsi.task import GOOD
from tests.support.drive import bench
from tests.support.primary import data_of, in_cdb, mode_select_10, mode_sense_6, mode_sense_10, refusal
from tests.support.scsi import Bench

PREVENT, ALLOW = bytes((0x1E, 0, 0, 0, 1, 0)), bytes((0x1E, 0, 0, 0, 0, 0))


def test_capabilities() -> None:
    """A tray that can be locked and ejected, and discs that are read."""
    data = data_of(bench().run(mode_sense_10(0x2A)))
    assert data[:8] == bytes((0, 38, 0, 0, 0, 0, 0, 0))
    page = data[8:]
    assert (page[0], page[1], page[2], page[3], page[6]) == (0x2A, 30, 0x0B, 0, 0x29)
    assert int.from_bytes(page[8:10]) == int.from_bytes(page[14:16]) == 48 * 176


def test_no_block_descriptor() -> None:
    """Neither a block descriptor nor device-specific parameters, whether they are wanted or not."""
    assert data_of(bench().run(mode_sense_6(0x1D)))[:4] == bytes((15, 0, 0, 0))


@pytest.mark.parametrize("page", DRIVE_PAGES, ids=lambda page: page.name)
def test_only_drives(page: ModePage) -> None:
    """No disk has such a page."""
    assert data_of(bench().run(mode_sense_6(page.code)))[4] & 0x3F == page.code
    assert refusal(Bench().run(mode_sense_6(page.code))) == in_cdb(2, 5)


def test_all_pages() -> None:
    """In the order of their codes, among those of every unit."""
    data = data_of(bench().run(mode_sense_10()))[8:]
    codes = []
    while data:
        codes.append(data[0] & 0x3F)
        data = data[2 + data[1] :]
    assert codes == [0x01, 0x02, 0x08, 0x0A, 0x1A, 0x1C, 0x1D, 0x2A]


def test_what_was_read_can_be_sent_back() -> None:
    """As initiators do."""
    target = bench()
    data = data_of(target.run(mode_sense_10(0x2A)))
    assert target.run(mode_select_10(len(data)), data) == GOOD


def test_lock_state() -> None:
    """It is told while the medium is locked in, and is nothing that could be set, or that spoils what is sent back."""
    target = bench()
    unlocked = data_of(target.run(mode_sense_10(0x2A)))
    target.run(PREVENT)
    locked = data_of(target.run(mode_sense_10(0x2A)))
    assert (unlocked[14], locked[14]) == (0x29, 0x2B)
    assert data_of(target.run(mode_sense_10(0x2A, control=1)))[14] == 0
    assert data_of(target.run(mode_sense_10(0x2A, control=2)))[14] == 0x29
    assert target.run(mode_select_10(len(locked)), locked) == GOOD
    assert target.run(mode_select_10(len(unlocked)), unlocked) == GOOD
    assert data_of(target.run(mode_sense_10(0x2A))) == locked
    target.run(ALLOW)
    assert data_of(target.run(mode_sense_10(0x2A))) == unlocked
