"""The copy manager of a unit."""

from isthmus.scsi.copy.manager import CopyManager
from tests.support.copying import CopyBench
from tests.support.scsi import COPY_SERVICES, make_nexus


def test_copies_end_with_their_nexus_and_tokens_stay() -> None:
    """A token may have been handed on to somebody who is still there."""
    manager = CopyManager(COPY_SERVICES)
    nexus = make_nexus()
    copy = manager.operations.begin(nexus, 1, 0)
    manager.tokens.add(bytes(512), [(0, 512)], inactivity_timeout=60)
    manager.nexus_lost(nexus)
    assert copy.abort_requested
    assert manager.tokens.any_valid


def test_a_reset_ends_copies_and_tokens_stay() -> None:
    """What a token stands for does not change by a reset."""
    manager = CopyManager(COPY_SERVICES)
    copy = manager.operations.begin(make_nexus(), 1, 0)
    manager.tokens.add(bytes(512), [(0, 512)], inactivity_timeout=60)
    manager.reset()
    assert copy.abort_requested
    assert manager.tokens.any_valid


def test_each_unit_has_its_own() -> None:
    """What one unit has made is not known to another."""
    bench = CopyBench()
    bench.populate((0, 8))
    assert (bench.source.has_tokens, bench.destination.has_tokens) == (True, False)
