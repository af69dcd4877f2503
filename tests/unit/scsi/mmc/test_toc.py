import struct

import pytest

from isthmus.scsi.sense import Sense
from tests.support.drive import DVD_BLOCKS, bench
from tests.support.primary import data_of, in_cdb, refusal

LEAD_OUT = 0xAA


def read_toc(
    form: int = 0, start: int = 0, *, time: bool = False, old_form: int = 0, allocation_length: int = 0xFFFF
) -> bytes:
    """READ TOC/PMA/ATIP."""
    return struct.pack(">BBBxxxBHB", 0x43, time << 1, form, start, allocation_length, old_form << 6)


def track(number: int, place: bytes) -> bytes:
    """A track descriptor of a data track."""
    return bytes((0, 0x14, number, 0)) + place


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize(
    ("time", "first", "end"),
    [(False, bytes(4), bytes((0, 0, 0, 64))), (True, bytes((0, 0, 2, 0)), bytes((0, 0, 2, 64)))],
)
def test_toc(time: bool, first: bytes, end: bytes, start: int) -> None:
    """One track and the lead-out, as LBAs or as times."""
    expected = bytes((0, 18, 1, 1)) + track(1, first) + track(LEAD_OUT, end)
    assert data_of(bench().run(read_toc(0, start, time=time))) == expected


def test_lead_out() -> None:
    """From the lead-out on there is nothing else."""
    assert data_of(bench().run(read_toc(0, LEAD_OUT))) == bytes((0, 10, 1, 1)) + track(LEAD_OUT, bytes((0, 0, 0, 64)))


@pytest.mark.parametrize("cdb", [read_toc(1), read_toc(0, old_form=1), read_toc(1, 1)])
def test_session_information(cdb: bytes) -> None:
    """The first track of the last session; the format may also stand where it stood before MMC."""
    assert data_of(bench().run(cdb)) == bytes((0, 10, 1, 1)) + track(1, bytes(4))


@pytest.mark.parametrize("cdb", [read_toc(2), read_toc(2, 1), read_toc(2, time=True), read_toc(0, old_form=2)])
def test_full_toc(cdb: bytes) -> None:
    """The points of the lead-in, always in time."""
    points = [(0xA0, (1, 0, 0)), (0xA1, (1, 0, 0)), (0xA2, (0, 2, 64)), (1, (0, 2, 0))]
    entries = b"".join(bytes((1, 0x14, 0, point, 0, 0, 0, 0, *place)) for point, place in points)
    assert data_of(bench().run(cdb)) == bytes((0, 46, 1, 1)) + entries


def test_dvd() -> None:
    """A DVD has a table made up, but nothing in its lead-in to make up a full one from."""
    target = bench(DVD_BLOCKS)
    assert data_of(target.run(read_toc()))[-4:] == DVD_BLOCKS.to_bytes(4)
    assert data_of(target.run(read_toc(1)))[3] == 1
    assert refusal(target.run(read_toc(2))) == in_cdb(2, 3)


@pytest.mark.parametrize(
    ("cdb", "field"),
    [
        (read_toc(3), (2, 3)),
        (read_toc(5), (2, 3)),
        (read_toc(0, old_form=3), (9, 7)),
        (read_toc(0, 2), (6, None)),
        (read_toc(2, 2), (6, None)),
    ],
)
def test_what_there_is_not(cdb: bytes, field: tuple[int, int | None]) -> None:
    """Other formats, and tracks and sessions behind the only one."""
    assert refusal(bench().run(cdb)) == in_cdb(*field)


def test_empty_tray() -> None:
    """Without a disc there is no table."""
    assert refusal(bench(0).run(read_toc())) == (Sense.MEDIUM_NOT_PRESENT_TRAY_CLOSED, None)


def test_cut() -> None:
    """The header alone, with the length of all (as Linux asks for it)."""
    assert data_of(bench().run(read_toc(allocation_length=4))) == bytes((0, 18, 1, 1))
