import pytest

from isthmus.scsi.mmc.disc import msf
from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.task import GOOD
from tests.support.disk import pattern
from tests.support.drive import SECTOR, bench
from tests.support.primary import data_of, in_cdb, refusal

CONTENT = pattern(64 * SECTOR)
OUT_OF_RANGE = Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE


def read_cd(lba: int, num_blocks: int, *, kind: int = 0, main: int = 0x10, sub: int = 0) -> bytes:
    """READ CD."""
    return bytes((0xBE, kind << 2)) + lba.to_bytes(4) + num_blocks.to_bytes(3) + bytes((main, sub, 0))


def read_cd_msf(start: bytes, end: bytes, *, kind: int = 0, main: int = 0x10) -> bytes:
    """READ CD MSF."""
    return bytes((0xB9, kind << 2, 0)) + start + end + bytes((main, 0, 0))


@pytest.mark.parametrize("kind", [0, 2])
@pytest.mark.parametrize(("lba", "num_blocks"), [(0, 1), (3, 5), (63, 1), (0, 64)])
def test_user_data(lba: int, num_blocks: int, kind: int) -> None:
    """The user data of sectors of any type, or of Mode 1."""
    expected = CONTENT[lba * SECTOR : (lba + num_blocks) * SECTOR]
    assert data_of(bench().run(read_cd(lba, num_blocks, kind=kind))) == expected
    assert data_of(bench().run(read_cd_msf(msf(lba), msf(lba + num_blocks), kind=kind))) == expected


@pytest.mark.parametrize("cdb", [read_cd(3, 0), read_cd(3, 1, main=0), read_cd_msf(msf(3), msf(3))])
def test_nothing(cdb: bytes) -> None:
    """No sectors, or nothing of them."""
    assert bench().run(cdb) == GOOD


@pytest.mark.parametrize("kind", [1, 3, 4, 5])
def test_other_types_of_sectors(kind: int) -> None:
    """The track has no audio, and no sectors of Mode 2."""
    assert refusal(bench().run(read_cd(0, 1, kind=kind))) == (Sense.ILLEGAL_MODE_FOR_THIS_TRACK, None)


@pytest.mark.parametrize(
    ("cdb", "field"),
    [
        (read_cd(0, 1, main=0xF8), (9, 7)),
        (read_cd(0, 1, main=0x20), (9, 7)),
        (read_cd(0, 1, main=0x12), (9, 1)),
        (read_cd(0, 1, sub=1), (10, 0)),
        (read_cd_msf(msf(4), msf(3)), (6, None)),
    ],
)
def test_what_an_image_does_not_have(cdb: bytes, field: tuple[int, int | None]) -> None:
    """Headers, error correction, error pointers and sub-channels; and an end before the start."""
    assert refusal(bench().run(cdb)) == in_cdb(*field)


def test_too_much_at_once() -> None:
    """A command reads no more than what READ may."""
    target = bench(20_000)
    most = target.unit.limits.max_transfer_blocks
    assert refusal(target.run(read_cd(0, most + 1))) == in_cdb(6)


@pytest.mark.parametrize(
    ("cdb", "byte"), [(read_cd(64, 1), 2), (read_cd(63, 2), 2), (read_cd_msf(bytes((0, 1, 74)), msf(1)), 3)]
)
def test_outside_the_track(cdb: bytes, byte: int) -> None:
    """Before its start and behind its end there are no sectors."""
    assert refusal(bench().run(cdb)) == (OUT_OF_RANGE, FieldPointer(byte))


@pytest.mark.parametrize("cdb", [read_cd(0, 1), read_cd_msf(msf(0), msf(1))])
def test_empty_tray(cdb: bytes) -> None:
    """A tray that is empty is not ready, rather than too short."""
    assert refusal(bench(0).run(cdb)) == (Sense.MEDIUM_NOT_PRESENT_TRAY_CLOSED, None)


def test_it_is_counted() -> None:
    """As what it is: a read, for the statistics and for the limits of the unit."""
    target = bench()
    target.run(read_cd(0, 3))
    target.run(read_cd_msf(msf(0), msf(2)))
    counts = target.unit.statistics.since_reset
    assert (counts.read_commands, counts.bytes_read) == (2, 5 * SECTOR)
