import struct

import pytest

from isthmus.scsi.sense import FieldPointer, Sense
from tests.support.drive import bench
from tests.support.primary import data_of, in_cdb, refusal

LBA, TRACK, SESSION = range(3)


def disc_information(data_type: int = 0, allocation_length: int = 0xFFFF) -> bytes:
    """READ DISC INFORMATION."""
    return struct.pack(">BBxxxxxHx", 0x51, data_type, allocation_length)


def track_information(kind: int, number: int, allocation_length: int = 0xFFFF) -> bytes:
    """READ TRACK INFORMATION."""
    return struct.pack(">BBIxHx", 0x52, kind, number, allocation_length)


def test_disc() -> None:
    """A disc that is complete, with one session and one track."""
    data = data_of(bench().run(disc_information()))
    assert len(data) == 34
    assert data[:9] == bytes((0, 32, 0x0E, 1, 1, 1, 1, 0x20, 0))
    assert data[9:16] == bytes(7)
    assert data[16:24] == b"\xff" * 8
    assert data[24:] == bytes(10)


@pytest.mark.parametrize("data_type", [1, 2, 7])
def test_other_data_types(data_type: int) -> None:
    """What is only known of discs that can be written is refused."""
    assert refusal(bench().run(disc_information(data_type))) == in_cdb(1, 2)


@pytest.mark.parametrize(("kind", "number"), [(LBA, 0), (LBA, 63), (TRACK, 1), (SESSION, 1)])
def test_track(kind: int, number: int) -> None:
    """Whatever leads to the track, it is one of data, and as long as the disc."""
    data = data_of(bench().run(track_information(kind, number)))
    assert len(data) == 36
    assert data[:8] == bytes((0, 34, 1, 1, 0, 4, 1, 0))
    assert struct.unpack_from(">6I", data, 8) == (0, 0, 0, 0, 64, 0)
    assert data[32:] == bytes(4)


@pytest.mark.parametrize(("kind", "number"), [(TRACK, 0), (TRACK, 2), (TRACK, 0xFF), (SESSION, 0), (SESSION, 2)])
def test_tracks_that_there_are_not(kind: int, number: int) -> None:
    """There is no other track, and no track that is not complete."""
    assert refusal(bench().run(track_information(kind, number))) == in_cdb(2)


def test_behind_the_track() -> None:
    """An LBA that is on no track."""
    expected = Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, FieldPointer(2)
    assert refusal(bench().run(track_information(LBA, 64))) == expected


def test_reserved_address_type() -> None:
    """11b is reserved."""
    assert refusal(bench().run(track_information(3, 1))) == in_cdb(1, 1)


@pytest.mark.parametrize("cdb", [disc_information(), track_information(LBA, 0), track_information(TRACK, 1)])
def test_empty_tray(cdb: bytes) -> None:
    """Without a disc there is nothing to tell of."""
    assert refusal(bench(0).run(cdb)) == (Sense.MEDIUM_NOT_PRESENT_TRAY_CLOSED, None)


def test_cut() -> None:
    """The allocation length cuts, and the length stays."""
    assert data_of(bench().run(disc_information(allocation_length=2))) == bytes((0, 32))
    assert data_of(bench().run(track_information(TRACK, 1, 2))) == bytes((0, 34))
