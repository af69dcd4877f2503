import pytest

from isthmus.scsi.mmc.disc import MAX_CD_BLOCKS, Profile, address, msf, msf_to_lba, profile_of
from tests.support.drive import drive


@pytest.mark.parametrize(
    ("lba", "time"),
    [
        (0, (0, 2, 0)),
        (74, (0, 2, 74)),
        (75, (0, 3, 0)),
        (4350, (1, 0, 0)),
        (359_999, (80, 1, 74)),
        (449_849, (99, 59, 74)),
    ],
)
def test_time(lba: int, time: tuple[int, int, int]) -> None:
    """LBA 0 is two seconds behind the start, and a second has 75 sectors."""
    assert msf(lba) == bytes(time)
    assert msf_to_lba(bytes(time)) == lba


def test_time_that_cannot_be_told() -> None:
    """Where minutes do not fit into a byte, the last time stands for all."""
    assert msf(256 * 60 * 75 - 151) == bytes((255, 59, 74))
    assert msf(256 * 60 * 75 - 150) == bytes((255, 59, 74))


def test_time_before_the_track() -> None:
    """The two seconds before LBA 0 have no LBA that could be read."""
    assert msf_to_lba(bytes((0, 1, 74))) == -1


def test_address() -> None:
    """Four bytes, as an LBA or as a time."""
    assert address(75, in_time=False) == bytes((0, 0, 0, 75))
    assert address(75, in_time=True) == bytes((0, 0, 3, 0))


@pytest.mark.parametrize(
    ("num_blocks", "profile"),
    [
        (0, Profile.NONE),
        (1, Profile.CD_ROM),
        (MAX_CD_BLOCKS, Profile.CD_ROM),
        (MAX_CD_BLOCKS + 1, Profile.DVD_ROM),
    ],
)
def test_profile(num_blocks: int, profile: Profile) -> None:
    """What is longer than any CD is a DVD."""
    assert profile_of(drive(num_blocks)) is profile
