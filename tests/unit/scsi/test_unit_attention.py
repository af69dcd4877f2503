from itertools import permutations

import pytest

from isthmus.scsi.nexus import Nexus
from isthmus.scsi.sense import Sense, SenseKey
from isthmus.scsi.unit_attention import UnitAttentions, is_reset
from tests.support.scsi import make_nexus

RESETS = [
    Sense.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED,
    Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED,
    Sense.I_T_NEXUS_LOSS_OCCURRED,
]


def attached(*nexuses: Nexus) -> UnitAttentions:
    """The unit attentions of a unit that `nexuses` reach."""
    attentions = UnitAttentions()
    for nexus in nexuses:
        attentions.attach(nexus)
    return attentions


def all_taken(attentions: UnitAttentions, nexus: Nexus) -> list[Sense]:
    """What `nexus` hears, one command after the other."""
    taken = []
    while (sense := attentions.take(nexus)) is not None:
        taken.append(sense)
    return taken


def test_taking_clears() -> None:
    """A unit attention is reported once."""
    nexus = make_nexus()
    attentions = attached(nexus)
    attentions.establish(nexus, Sense.MODE_PARAMETERS_CHANGED)
    assert attentions.pending(nexus) is Sense.MODE_PARAMETERS_CHANGED
    assert attentions.pending(nexus) is Sense.MODE_PARAMETERS_CHANGED
    assert attentions.take(nexus) is Sense.MODE_PARAMETERS_CHANGED
    assert attentions.take(nexus) is None


def test_events_are_reported_in_their_order_and_once() -> None:
    """Two events are two reports; the same event twice is one."""
    nexus = make_nexus()
    attentions = attached(nexus)
    events = [Sense.CAPACITY_DATA_HAS_CHANGED, Sense.MODE_PARAMETERS_CHANGED, Sense.CAPACITY_DATA_HAS_CHANGED]
    for sense in events:
        attentions.establish(nexus, sense)
    assert all_taken(attentions, nexus) == events[:2]


def test_each_nexus_hears_for_itself() -> None:
    """One nexus that has heard does not take it from the other; the one who did it hears nothing."""
    first, second, doer = make_nexus(isid=1), make_nexus(isid=2), make_nexus(isid=3)
    attentions = attached(first, second, doer)
    attentions.establish_for_all(Sense.MODE_PARAMETERS_CHANGED, but=doer)
    assert attentions.take(first) is Sense.MODE_PARAMETERS_CHANGED
    assert attentions.pending(second) is Sense.MODE_PARAMETERS_CHANGED
    assert attentions.pending(doer) is None


def test_a_nexus_that_is_not_attached_hears_nothing() -> None:
    """What is established for a nexus that is gone does not come back with the next one."""
    nexus = make_nexus()
    attentions = attached(nexus)
    attentions.establish(nexus, Sense.MODE_PARAMETERS_CHANGED)
    attentions.detach(nexus)
    attentions.establish(nexus, Sense.MODE_PARAMETERS_CHANGED)
    attentions.attach(nexus)
    assert attentions.pending(nexus) is None


@pytest.mark.parametrize("order", list(permutations(RESETS)))
def test_the_highest_reset_stands_for_the_lower_ones(order: tuple[Sense, ...]) -> None:
    """Whatever the order of the events, the reset that tells most is reported, and alone."""
    nexus = make_nexus()
    attentions = attached(nexus)
    for sense in order:
        attentions.establish(nexus, sense)
    assert all_taken(attentions, nexus) == [RESETS[0]]


@pytest.mark.parametrize("reset", RESETS[1:])
def test_a_reset_goes_before_other_events(reset: Sense) -> None:
    """A reset is reported first, and the events before it are not lost."""
    nexus = make_nexus()
    attentions = attached(nexus)
    attentions.establish(nexus, Sense.CAPACITY_DATA_HAS_CHANGED)
    attentions.establish(nexus, reset)
    attentions.establish(nexus, Sense.MODE_PARAMETERS_CHANGED)
    assert all_taken(attentions, nexus) == [reset, Sense.CAPACITY_DATA_HAS_CHANGED, Sense.MODE_PARAMETERS_CHANGED]


def test_power_on_clears_everything() -> None:
    """After a power on there is nothing else to tell."""
    nexus = make_nexus()
    attentions = attached(nexus)
    attentions.establish(nexus, Sense.CAPACITY_DATA_HAS_CHANGED)
    attentions.establish(nexus, Sense.POWER_ON_OCCURRED)
    assert all_taken(attentions, nexus) == [Sense.POWER_ON_OCCURRED]


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("reset_first", [True, False])
def test_a_reset_says_that_commands_were_cleared(reset: Sense, reset_first: bool) -> None:
    """COMMANDS CLEARED BY ANOTHER INITIATOR adds nothing to a reset."""
    nexus = make_nexus()
    attentions = attached(nexus)
    events = [reset, Sense.COMMANDS_CLEARED_BY_ANOTHER_INITIATOR]
    for sense in events if reset_first else reversed(events):
        attentions.establish(nexus, sense)
    assert all_taken(attentions, nexus) == [reset]


def test_one_sense_can_be_discarded() -> None:
    """What was told by other means is not reported again; the rest is."""
    nexus = make_nexus()
    attentions = attached(nexus)
    attentions.establish(nexus, Sense.REPORTED_LUNS_DATA_HAS_CHANGED)
    attentions.establish(nexus, Sense.MODE_PARAMETERS_CHANGED)
    attentions.discard(nexus, Sense.REPORTED_LUNS_DATA_HAS_CHANGED)
    attentions.discard(nexus, Sense.CAPACITY_DATA_HAS_CHANGED)
    assert all_taken(attentions, nexus) == [Sense.MODE_PARAMETERS_CHANGED]


def test_clear() -> None:
    """Clearing takes all that is pending for one nexus, which goes on hearing."""
    nexus, other = make_nexus(isid=1), make_nexus(isid=2)
    attentions = attached(nexus, other)
    attentions.establish_for_all(Sense.MODE_PARAMETERS_CHANGED)
    attentions.clear(nexus)
    assert attentions.pending(nexus) is None
    assert attentions.pending(other) is Sense.MODE_PARAMETERS_CHANGED
    attentions.establish(nexus, Sense.CAPACITY_DATA_HAS_CHANGED)
    assert attentions.pending(nexus) is Sense.CAPACITY_DATA_HAS_CHANGED


def test_changes_are_told() -> None:
    """Whoever depends on what is pending hears when it begins and when it ends, with the new state in place."""
    nexus = make_nexus()
    seen: list[Sense | None] = []
    attentions = UnitAttentions(lambda: seen.append(attentions.pending(nexus)))
    attentions.attach(nexus)
    attentions.establish(nexus, Sense.MODE_PARAMETERS_CHANGED)
    attentions.take(nexus)
    assert seen == [Sense.MODE_PARAMETERS_CHANGED, None]


@pytest.mark.parametrize("sense", [sense for sense in Sense if sense.key is SenseKey.UNIT_ATTENTION])
def test_resets_are_those_of_asc_29h(sense: Sense) -> None:
    """ASC 29h is what the precedence of statuses is about."""
    assert is_reset(sense) == (sense.asc == 0x29)
