import struct

import pytest

from isthmus.scsi.sense import Sense
from tests.support.drive import DVD_BLOCKS, bench
from tests.support.primary import data_of, in_cdb, refusal

ONE_LAYER = 2_295_104


def disc_structure(form: int, *, media: int = 0, layer: int = 0, allocation_length: int = 0xFFFF) -> bytes:
    """READ DISC STRUCTURE."""
    return struct.pack(">BBIBBHxx", 0xAD, media, 0, layer, form, allocation_length)


@pytest.mark.parametrize(
    ("num_blocks", "layers", "end_of_first"),
    [(DVD_BLOCKS, 0x01, 0), (ONE_LAYER, 0x01, 0), (ONE_LAYER + 1, 0x31, 0x03_0000 + (ONE_LAYER + 2) // 2 - 1)],
)
def test_physical_format(num_blocks: int, layers: int, end_of_first: int) -> None:
    """A DVD-ROM of 120 mm, whose sectors begin at 30000h; of two layers where one does not hold them all."""
    data = data_of(bench(num_blocks).run(disc_structure(0)))
    assert len(data) == 2052
    expected = struct.pack(
        ">HxxBBBBIII", 2050, 0x01, 0x0F, layers, 0, 0x03_0000, 0x03_0000 + num_blocks - 1, end_of_first
    )
    assert data[: len(expected)] == expected
    assert not any(data[len(expected) :])


def test_copyright() -> None:
    """No protection, and every region."""
    assert data_of(bench(DVD_BLOCKS).run(disc_structure(1))) == bytes((0, 6, 0, 0, 0, 0, 0, 0))


def test_list() -> None:
    """Which structures there are, and how long each is."""
    expected = bytes((0, 10, 0, 0)) + struct.pack(">BBHBBH", 0, 0x40, 2052, 1, 0x40, 8)
    assert data_of(bench(DVD_BLOCKS).run(disc_structure(0xFF))) == expected


def test_cd() -> None:
    """A CD is not in a format that has structures."""
    assert refusal(bench().run(disc_structure(0))) == (Sense.CANNOT_READ_MEDIUM_INCOMPATIBLE_FORMAT, None)


def test_empty_tray() -> None:
    """Neither has a disc that is not there."""
    assert refusal(bench(0).run(disc_structure(0))) == (Sense.MEDIUM_NOT_PRESENT_TRAY_CLOSED, None)


@pytest.mark.parametrize(
    ("cdb", "field"),
    [
        (disc_structure(0, media=1), (1, 3)),
        (disc_structure(0, layer=1), (6, None)),
        (disc_structure(4), (7, None)),
    ],
)
def test_what_there_is_not(cdb: bytes, field: tuple[int, int | None]) -> None:
    """Discs of another kind, further layers, other structures."""
    assert refusal(bench(DVD_BLOCKS).run(cdb)) == in_cdb(*field)


def test_second_layer() -> None:
    """Where there is one, it may be asked for."""
    assert len(data_of(bench(ONE_LAYER + 1).run(disc_structure(0, layer=1)))) == 2052
