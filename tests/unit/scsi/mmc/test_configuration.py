import struct

import pytest

from isthmus.scsi.mmc.configuration import FEATURES
from tests.support.drive import DVD_BLOCKS, bench
from tests.support.primary import data_of, in_cdb, refusal

ALL, CURRENT, ONE = range(3)
ALWAYS = [0x0000, 0x0001, 0x0002, 0x0003, 0x0100, 0x0105, 0x0108]


def get_configuration(requested: int = ALL, start: int = 0, allocation_length: int = 0xFFFF) -> bytes:
    """GET CONFIGURATION."""
    return struct.pack(">BBHxxxHx", 0x46, requested, start, allocation_length)


def features(data: bytes) -> dict[int, tuple[int, bytes]]:
    """The byte of flags and the data of each feature, by its code."""
    found = {}
    rest = data[8:]
    while rest:
        code, flags, length = struct.unpack_from(">HBB", rest)
        found[code] = flags, rest[4 : 4 + length]
        assert length % 4 == 0
        rest = rest[4 + length :]
    return found


@pytest.mark.parametrize(
    ("num_blocks", "profile", "current"),
    [(0, 0x0000, []), (64, 0x0008, [0x0010, 0x001E]), (DVD_BLOCKS, 0x0010, [0x0010, 0x001F])],
)
def test_what_is_current(num_blocks: int, profile: int, current: list[int]) -> None:
    """The disc decides on the profile, and on which features to read it are current."""
    target = bench(num_blocks)
    data = data_of(target.run(get_configuration()))
    length, told = struct.unpack_from(">IxxH", data)
    assert (length, told) == (len(data) - 4, profile)
    found = features(data)
    assert list(found) == [feature.code for feature in FEATURES] == sorted(found)
    assert [code for code, (flags, _) in found.items() if flags & 1] == sorted([*ALWAYS, *current])
    assert [code for code, (flags, _) in found.items() if flags & 2] == ALWAYS
    assert list(features(data_of(target.run(get_configuration(CURRENT))))) == sorted([*ALWAYS, *current])


def test_profile_list() -> None:
    """Both profiles, the higher number first, and which of them is current."""
    flags, profiles = features(data_of(bench().run(get_configuration())))[0]
    assert (flags, profiles) == (3, bytes((0, 0x10, 0, 0, 0, 8, 1, 0)))


def test_what_features_say() -> None:
    """Core: SCSI, and INQUIRY as in SPC. Removable Medium: a tray that loads, ejects and locks. Blocks have 2048 bytes."""
    found = features(data_of(bench().run(get_configuration())))
    assert found[0x0001] == (0x0B, bytes((0, 0, 0, 1, 2, 0, 0, 0)))
    assert found[0x0003][1][0] == 0x39
    assert found[0x0010][1] == struct.pack(">IHBB", 2048, 1, 1, 0)
    serial = bench().unit.identity.serial
    assert found[0x0108][1].decode().rstrip() == serial


def test_ecc_blocks_of_a_dvd() -> None:
    """On a DVD 16 blocks are corrected together."""
    found = features(data_of(bench(DVD_BLOCKS).run(get_configuration(ONE, 0x0010))))
    assert found[0x0010][1] == struct.pack(">IHBB", 2048, 16, 1, 0)


def test_from_a_feature_on() -> None:
    """STARTING FEATURE NUMBER leaves out what comes before it."""
    assert list(features(data_of(bench().run(get_configuration(ALL, 0x001E))))) == [
        0x001E,
        0x001F,
        0x0100,
        0x0105,
        0x0108,
    ]


@pytest.mark.parametrize(("code", "found"), [(0x0003, [0x0003]), (0x0004, []), (0xFFFF, [])])
def test_one_feature(code: int, found: list[int]) -> None:
    """One feature, or the header alone where there is no such feature."""
    assert list(features(data_of(bench().run(get_configuration(ONE, code))))) == found


def test_cut() -> None:
    """The header says how much there would have been."""
    data = data_of(bench().run(get_configuration(allocation_length=8)))
    assert len(data) == 8
    assert int.from_bytes(data[:4]) > 8


def test_reserved_type() -> None:
    """RT 11b is reserved."""
    assert refusal(bench().run(get_configuration(3))) == in_cdb(1, 1)
