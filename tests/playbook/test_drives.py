"""What the drivers of drives ask, one command after the other, as Linux's sr and Windows's cdrom.sys do (MMC-6)."""

import struct

from isthmus.scsi.sense import Sense
from isthmus.scsi.task import GOOD
from tests.support.disk import pattern
from tests.support.drive import DVD_BLOCKS, SECTOR, bench
from tests.support.primary import data_of, inquiry, mode_sense_10, refusal
from tests.support.scsi import TEST_UNIT_READY, Bench, read_10

LOCK, UNLOCK = bytes((0x1E, 0, 0, 0, 1, 0)), bytes((0x1E, 0, 0, 0, 0, 0))
EJECT, LOAD = bytes((0x1B, 0, 0, 0, 2, 0)), bytes((0x1B, 0, 0, 0, 3, 0))
READ_CAPACITY = bytes((0x25,)) + bytes(9)
CHANGED = Sense.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED


def media_event(target: Bench) -> tuple[int, int]:
    """What has happened to the medium, and its status, as sr polls every two seconds."""
    data = data_of(target.run(bytes((0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8, 0))))
    assert data[:3] == bytes((0, 6, 4))
    return data[4], data[5]


def toc(target: Bench, byte_9: int = 0) -> bytes:
    """READ TOC with the twelve bytes that sr has room for; the format of old stands in byte 9."""
    return data_of(target.run(bytes((0x43, 0, 0, 0, 0, 0, 0, 0, 12, byte_9))))


def test_linux_finds_a_drive() -> None:
    """It is probed, its last session is looked for, and what is behind the end is asked for in vain."""
    target = bench()
    assert data_of(target.run(inquiry(allocation_length=36)))[0] == 5
    assert media_event(target) == (0, 2)
    assert target.run(TEST_UNIT_READY) == GOOD
    capabilities = data_of(target.run(mode_sense_10(0x2A, allocation_length=128)))
    length, descriptor = struct.unpack_from(">HxxxxH", capabilities)
    assert (length, descriptor) == (len(capabilities) - 2, 0)
    assert data_of(target.run(READ_CAPACITY)) == struct.pack(">II", 63, SECTOR)
    assert toc(target, 0x40) == bytes((0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0))
    assert refusal(target.run(read_10(64, 1)))[0] is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE


def test_linux_mounts_and_ejects() -> None:
    """The door is locked while the disc is read; then it opens, and the next poll hears of it once."""
    target = bench()
    assert target.run(LOCK) == GOOD
    assert data_of(target.run(read_10(16, 2))) == pattern(64 * SECTOR)[16 * SECTOR : 18 * SECTOR]
    assert refusal(target.run(EJECT)) == (Sense.MEDIUM_REMOVAL_PREVENTED, None)
    assert target.run(UNLOCK) == GOOD
    assert target.run(EJECT) == GOOD
    assert [media_event(target), media_event(target)] == [(3, 1), (0, 1)]
    assert refusal(target.run(TEST_UNIT_READY)) == (Sense.MEDIUM_NOT_PRESENT_TRAY_OPEN, None)
    assert target.run(LOAD) == GOOD
    assert [media_event(target), media_event(target)] == [(2, 2), (0, 2)]
    assert target.run(TEST_UNIT_READY) == GOOD


def test_two_initiators() -> None:
    """What one does to the drive, the other hears: by its poll and, before anything else runs, by a unit attention."""
    target = bench()
    other = target.connect(isid=2)
    target.run(EJECT)
    assert refusal(target.run(read_10(0, 1), nexus=other)) == (Sense.MEDIUM_NOT_PRESENT_TRAY_OPEN, None)
    target.run(LOAD)
    assert refusal(target.run(read_10(0, 1), nexus=other)) == (CHANGED, None)
    assert data_of(target.run(read_10(0, 1), nexus=other)) == pattern(SECTOR)


def test_windows_looks_at_a_dvd() -> None:
    """The profile, the features that are current, the disc, the track, and the format of the DVD."""
    target = bench(DVD_BLOCKS)
    configuration = data_of(target.run(bytes((0x46, 1, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0))))
    assert int.from_bytes(configuration[6:8]) == 0x0010
    assert data_of(target.run(bytes((0x51, 0, 0, 0, 0, 0, 0, 0, 34, 0))))[2] & 0x03 == 2
    track = data_of(target.run(bytes((0x52, 1, 0, 0, 0, 1, 0, 0, 36, 0))))
    assert int.from_bytes(track[24:28]) == DVD_BLOCKS
    layer = data_of(target.run(bytes((0xAD, 0, 0, 0, 0, 0, 0, 0, 0, 21, 0, 0))))
    assert int.from_bytes(layer[12:16]) - int.from_bytes(layer[8:12]) == DVD_BLOCKS - 1
    # Whether there is a region to ask for: REPORT KEY shares its opcode with the target port groups.
    assert refusal(target.run(bytes((0xA4,)) + bytes(9) + b"\x08\0"))[0] is Sense.INVALID_FIELD_IN_CDB
