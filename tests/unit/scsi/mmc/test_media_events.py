from isthmus.scsi.mmc.media_events import MediaEvent, MediaEvents
from tests.support.scsi import make_nexus


def test_each_nexus_hears_once() -> None:
    """An event is told to each nexus that it was for, once."""
    events, first, second, late = MediaEvents(), make_nexus(isid=1), make_nexus(isid=2), make_nexus(isid=3)
    events.tell((first, second), MediaEvent.NEW_MEDIA)
    assert (events.pending(first), events.pending(late)) == (True, False)
    assert events.take(first) is MediaEvent.NEW_MEDIA
    assert events.take(first) is MediaEvent.NO_CHANGE
    assert events.take(second) is MediaEvent.NEW_MEDIA
    assert events.take(late) is MediaEvent.NO_CHANGE


def test_only_the_latest() -> None:
    """What was before the latest event is history."""
    events, nexus = MediaEvents(), make_nexus()
    events.tell((nexus,), MediaEvent.MEDIA_REMOVAL)
    events.tell((nexus,), MediaEvent.NEW_MEDIA)
    assert events.take(nexus) is MediaEvent.NEW_MEDIA
    assert not events.pending(nexus)


def test_a_nexus_that_goes() -> None:
    """Nothing stays of it."""
    events, nexus = MediaEvents(), make_nexus()
    events.tell((nexus,), MediaEvent.EJECT_REQUEST)
    events.forget(nexus)
    assert not events.pending(nexus)
