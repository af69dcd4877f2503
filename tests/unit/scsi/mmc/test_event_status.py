import struct

import pytest

from isthmus.errors import ConfigurationError
from isthmus.scsi import online_change
from isthmus.scsi.power_conditions import PowerCondition
from isthmus.scsi.sense import Sense
from isthmus.scsi.task import GOOD
from tests.support.drive import bench
from tests.support.primary import data_of, in_cdb, refusal

EJECT = bytes((0x1B, 0, 0, 0, 2, 0))
LOAD = bytes((0x1B, 0, 0, 0, 3, 0))
PREVENT = bytes((0x1E, 0, 0, 0, 1, 0))
MEDIA = 1 << 4
SUPPORTED = 0x56


def event_status(classes: int = MEDIA, *, polled: bool = True, allocation_length: int = 8) -> bytes:
    """GET EVENT STATUS NOTIFICATION."""
    return struct.pack(">BBxxBxxHx", 0x4A, polled, classes, allocation_length)


def media(event: int, status: int) -> bytes:
    """The answer with a media event."""
    return bytes((0, 6, 4, SUPPORTED, event, status, 0, 0))


def test_nothing_has_happened() -> None:
    """No event, and a medium."""
    assert data_of(bench().run(event_status())) == media(0, 2)


def test_empty_tray() -> None:
    """No event, and no medium."""
    assert data_of(bench(0).run(event_status())) == media(0, 0)


def test_eject_and_load() -> None:
    """Every nexus hears once that the medium went, with the tray open, and once that one came."""
    target = bench()
    other = target.connect(isid=2)
    assert target.run(EJECT) == GOOD
    assert data_of(target.run(event_status())) == media(3, 1)
    assert data_of(target.run(event_status())) == media(0, 1)
    assert data_of(target.run(event_status(), nexus=other)) == media(3, 1)
    assert target.run(LOAD) == GOOD
    assert data_of(target.run(event_status())) == media(2, 2)
    assert data_of(target.run(event_status(), nexus=other)) == media(2, 2)
    assert data_of(target.run(event_status(), nexus=other)) == media(0, 2)


def test_beside_a_unit_attention() -> None:
    """The command passes a unit attention, and leaves it."""
    target = bench()
    other = target.connect(isid=2)
    target.run(EJECT)
    target.run(LOAD)
    assert data_of(target.run(event_status(), nexus=other)) == media(2, 2)
    changed = Sense.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED
    assert refusal(target.run(bytes(6), nexus=other))[0] is changed


def test_operator_wants_it_out() -> None:
    """A medium that is locked in stays, and initiators are asked to let it go."""
    target = bench()
    target.run(PREVENT)
    with pytest.raises(ConfigurationError, match="prevents the removal"):
        online_change.change_medium(target.unit, present=False)
    assert data_of(target.run(event_status())) == media(1, 2)


def test_event_without_room() -> None:
    """Where the header alone fits, the event stays for the next time."""
    target = bench()
    target.run(EJECT)
    assert data_of(target.run(event_status(allocation_length=4))) == bytes((0, 6, 4, SUPPORTED))
    assert data_of(target.run(event_status())) == media(3, 1)


@pytest.mark.parametrize(("classes", "told"), [(0x02, 1), (0x04, 2), (0x40, 6), (0x56, 1), (0x54, 2), (0x50, 4)])
def test_classes_without_events(classes: int, told: int) -> None:
    """The first class that was asked for says how things stand."""
    data = data_of(bench().run(event_status(classes)))
    assert data[:5] == bytes((0, 6, told, SUPPORTED, 0))


def test_a_media_event_goes_first() -> None:
    """An event is told before the state of classes in which there is none."""
    target = bench()
    target.run(EJECT)
    assert data_of(target.run(event_status(0x56))) == media(3, 1)
    assert data_of(target.run(event_status(0x56)))[2] == 1


@pytest.mark.parametrize(
    ("condition", "status"), [(PowerCondition.ACTIVE, 1), (PowerCondition.IDLE_A, 2), (PowerCondition.STANDBY_Z, 3)]
)
def test_power(condition: PowerCondition, status: int) -> None:
    """The Power Management class tells the power condition."""
    target = bench()
    target.unit.power.command(condition)
    assert data_of(target.run(event_status(0x04)))[4:6] == bytes((0, status))


@pytest.mark.parametrize("classes", [0, 0x01, 0x28, 0x80])
def test_unknown_classes(classes: int) -> None:
    """Of classes that are not there no event is available."""
    assert data_of(bench().run(event_status(classes))) == bytes((0, 2, 0x80, SUPPORTED))


def test_asynchronous() -> None:
    """To wait for an event is refused."""
    assert refusal(bench().run(event_status(polled=False))) == in_cdb(1, 0)
