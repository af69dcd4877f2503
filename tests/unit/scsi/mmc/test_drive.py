import struct

import pytest

from isthmus.scsi.sense import FieldPointer, Sense
from isthmus.scsi.task import GOOD
from tests.support.drive import bench
from tests.support.primary import data_of, in_cdb, refusal

EJECT = bytes((0x1B, 0, 0, 0, 2, 0))


def mechanism_status(allocation_length: int = 8) -> bytes:
    """MECHANISM STATUS."""
    return struct.pack(">B7xHxx", 0xBD, allocation_length)


def seek(lba: int) -> bytes:
    """SEEK (10)."""
    return struct.pack(">BxIxxxx", 0x2B, lba)


def test_mechanism() -> None:
    """Idle, with no slots; the door is open after the medium was ejected."""
    target = bench()
    assert data_of(target.run(mechanism_status())) == bytes(8)
    target.run(EJECT)
    assert data_of(target.run(mechanism_status())) == bytes((0, 0x10, 0, 0, 0, 0, 0, 0))
    assert data_of(target.run(mechanism_status(2))) == bytes((0, 0x10))


def test_seek() -> None:
    """Every block of the disc can be gone to, and no other."""
    target = bench()
    assert target.run(seek(63)) == GOOD
    assert refusal(target.run(seek(64))) == (Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, FieldPointer(2))


def test_seek_without_a_disc() -> None:
    """There is nowhere to go."""
    assert refusal(bench(0).run(seek(5))) == (Sense.MEDIUM_NOT_PRESENT_TRAY_CLOSED, None)


@pytest.mark.parametrize("speed", [0, 176, 0xFFFF])
def test_speed(speed: int) -> None:
    """Any speed is taken; a rotational control that is reserved is not."""
    assert bench(0).run(struct.pack(">BxHHxxxxxx", 0xBB, speed, 0)) == GOOD
    assert refusal(bench().run(struct.pack(">BBHHxxxxxx", 0xBB, 4, speed, 0))) == in_cdb(1, 2)
