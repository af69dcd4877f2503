import pytest

from isthmus.backstores.ramdisk import RamdiskBackstore
from isthmus.errors import ConfigurationError
from isthmus.scsi.device_type import CD_DVD, DISK, DeviceType
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.mmc.media_events import MediaEvent
from isthmus.scsi.sense import Sense
from isthmus.scsi.task import GOOD
from tests.support.drive import bench
from tests.support.primary import data_of, in_cdb, inquiry, refusal
from tests.support.scsi import COPY_SERVICES, TEST_UNIT_READY, Bench, read_10

EJECT = bytes((0x1B, 0, 0, 0, 2, 0))
LOAD = bytes((0x1B, 0, 0, 0, 3, 0))


@pytest.mark.parametrize(("target", "code", "standard"), [(Bench(), 0x00, 0x04C0), (bench(), 0x05, 0x04E0)])
def test_inquiry(target: Bench, code: int, standard: int) -> None:
    """INQUIRY tells the type, and the standard of its commands."""
    data = data_of(target.run(inquiry()))
    assert data[0] == code
    assert standard in [int.from_bytes(data[start : start + 2]) for start in range(58, 74, 2)]
    assert data_of(target.run(inquiry(0x83)))[0] == code


def test_drive() -> None:
    """A drive is removable, and nobody writes and copies by it."""
    unit = LogicalUnit(RamdiskBackstore("disc", 1 << 20), device_type=CD_DVD, third_party_copy=COPY_SERVICES)
    assert (unit.block_length, unit.removable, unit.read_only, unit.copy_manager) == (2048, True, True, None)
    assert data_of(Bench(unit=unit).run(inquiry()))[1] == 0x80
    (grant,) = bench().nexus.grants.values()
    assert (grant.reads, grant.writes, grant.block_length) == (True, False, 2048)


def test_pages_of_disks() -> None:
    """What SBC says of disks, no drive says of itself; a disk does."""
    target = bench()
    assert not [code for code in data_of(target.run(inquiry(0x00)))[4:] if code >= 0x8F]
    assert refusal(target.run(inquiry(0xB0))) == in_cdb(2)
    assert 0xB0 in data_of(Bench().run(inquiry(0x00)))[4:]
    log_pages = data_of(target.run(bytes((0x4D, 0, 0x40, 0, 0, 0, 0, 0xFF, 0xFF, 0))))[4:]
    assert 0x03 in log_pages
    assert not {0x02, 0x0C, 0x15} & set(log_pages)


@pytest.mark.parametrize(("device_type", "block_length"), [(CD_DVD, 512), (CD_DVD, 4096), (DISK, 2048)])
def test_block_lengths(device_type: DeviceType, block_length: int) -> None:
    """A type has block lengths of its own."""
    with pytest.raises(ConfigurationError, match="is not supported"):
        LogicalUnit(RamdiskBackstore("disc", 1 << 20), device_type=device_type, block_length=block_length)


def reads(target: Bench) -> bool:
    """Whether the engine may read alone."""
    (grant,) = target.nexus.grants.values()
    return grant.reads


def test_tray() -> None:
    """The tray is open from when the medium is ejected until it is loaded; then it may be another one."""
    target = bench()
    other = target.connect(isid=2)
    assert target.run(EJECT) == GOOD
    assert not reads(target)
    assert refusal(target.run(TEST_UNIT_READY)) == (Sense.MEDIUM_NOT_PRESENT_TRAY_OPEN, None)
    assert refusal(target.run(read_10(99, 1))) == (Sense.MEDIUM_NOT_PRESENT_TRAY_OPEN, None)
    assert target.run(LOAD) == GOOD
    assert target.run(TEST_UNIT_READY) == GOOD
    assert reads(target)
    changed = Sense.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED
    assert refusal(target.run(TEST_UNIT_READY, nexus=other))[0] is changed


def test_empty_tray() -> None:
    """An empty tray can be opened and closed, and stays empty."""
    target = bench(0)
    other = target.connect(isid=2)
    assert refusal(target.run(TEST_UNIT_READY)) == (Sense.MEDIUM_NOT_PRESENT_TRAY_CLOSED, None)
    assert target.run(EJECT) == GOOD
    assert refusal(target.run(TEST_UNIT_READY)) == (Sense.MEDIUM_NOT_PRESENT_TRAY_OPEN, None)
    assert target.run(LOAD) == GOOD
    assert refusal(target.run(TEST_UNIT_READY)) == (Sense.MEDIUM_NOT_PRESENT_TRAY_CLOSED, None)
    assert refusal(target.run(TEST_UNIT_READY, nexus=other)) == (Sense.MEDIUM_NOT_PRESENT_TRAY_CLOSED, None)


def test_a_disc_that_grows() -> None:
    """No disc does: to initiators it is another one, if there is one at all."""
    target = bench()
    other = target.connect(isid=2)
    target.unit.capacity_changed()
    changed = Sense.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED
    for nexus in (target.nexus, other):
        assert target.unit.media_events.take(nexus) is MediaEvent.NEW_MEDIA
        assert refusal(target.run(TEST_UNIT_READY, nexus=nexus)) == (changed, None)
        assert target.run(TEST_UNIT_READY, nexus=nexus) == GOOD
    target.run(EJECT)
    target.unit.media_events.take(target.nexus)
    target.unit.capacity_changed()
    assert not target.unit.media_events.pending(target.nexus)
    assert refusal(target.run(TEST_UNIT_READY)) == (Sense.MEDIUM_NOT_PRESENT_TRAY_OPEN, None)
