import pytest

from isthmus.config.model import AluaGroup, Backstore, BackstoreKey
from isthmus.errors import ConfigurationError
from isthmus.scsi.alua import (
    ALL_SUPPORTED_STATES,
    DEFAULT_SUPPORTED_STATES,
    AluaAccessState,
    AluaAccessType,
    AluaStatusCode,
)
from isthmus.scsi.logical_unit import LogicalUnit
from isthmus.scsi.sense import Sense
from isthmus.server.access_groups import DEFAULT_GROUP, alua_port_group, apply_groups, place_port, restore_state
from tests.support.scsi import make_nexus, make_unit
from tests.support.timer import FakeTimer

OPTIMIZED, NON_OPTIMIZED = AluaAccessState.ACTIVE_OPTIMIZED, AluaAccessState.ACTIVE_NON_OPTIMIZED
STANDBY, UNAVAILABLE = AluaAccessState.STANDBY, AluaAccessState.UNAVAILABLE


def store(*groups: AluaGroup) -> Backstore:
    """A backstore with `groups`."""
    return Backstore(key=BackstoreKey("ramdisk", "disk"), size=1 << 20, unit_serial="1", alua_groups=groups)


def group(name: str, number: int, **parameters: int) -> AluaGroup:
    """A group as the operator has it."""
    return AluaGroup(name=name, alua_group_id=number, parameters=parameters)


def unit_with(settings: Backstore) -> LogicalUnit:
    """A unit that has just begun, reached through port 1 of the default group."""
    unit = make_unit(call_later=FakeTimer().call_later)
    apply_groups(unit, settings)
    unit.alua.add_port(1)
    return unit


def states(unit: LogicalUnit) -> dict[int, AluaAccessState]:
    """Of each group."""
    return {each.alua_group_id: each.state for each in unit.alua}


def test_defaults() -> None:
    """A group of which nothing is said is LIO's: both ways of management, every state, a delay where not optimized."""
    made = alua_port_group(group("a", 3))
    assert (made.alua_group_id, made.name, made.state) == (3, "a", OPTIMIZED)
    assert made.access_type == AluaAccessType.IMPLICIT | AluaAccessType.EXPLICIT
    assert made.supported_states == ALL_SUPPORTED_STATES
    assert (made.transition_delay, made.non_optimized_delay, made.implicit_transition_time) == (0, 0.1, 0)
    assert (made.preferred, made.keep_state, made.status_code) == (False, False, AluaStatusCode.NO_STATUS)


def test_every_parameter() -> None:
    """Each parameter reaches its field."""
    made = alua_port_group(
        group(
            "a",
            3,
            alua_access_state=2,
            alua_access_status=1,
            alua_access_type=1,
            alua_write_metadata=1,
            preferred=1,
            nonop_delay_msecs=250,
            trans_delay_msecs=1500,
            implicit_trans_secs=9,
            alua_support_offline=0,
            alua_support_unavailable=0,
        )
    )
    assert (made.state, made.access_type, made.keep_state) == (STANDBY, AluaAccessType.IMPLICIT, True)
    assert (made.transition_delay, made.non_optimized_delay, made.implicit_transition_time) == (1.5, 0.25, 9)
    assert made.status_code is AluaStatusCode.ALTERED_BY_SET_TARGET_PORT_GROUPS
    assert made.preferred
    assert ALL_SUPPORTED_STATES - made.supported_states == {AluaAccessState.OFFLINE, UNAVAILABLE}


@pytest.mark.parametrize("state", [4, 15])
def test_states_that_no_group_can_begin_with(state: int) -> None:
    """Logical block dependent and transitioning are refused."""
    with pytest.raises(ConfigurationError):
        alua_port_group(group("a", 3, alua_access_state=state))


def test_an_offline_group_is_unavailable() -> None:
    """Offline is a state of ports; nobody gets at the unit through such a group either way."""
    assert alua_port_group(group("a", 3, alua_access_state=14)).state is UNAVAILABLE


def test_groups_come_and_go() -> None:
    """A unit has the groups of its settings, and the default one."""
    unit = unit_with(store(group("a", 3), group("b", 4, alua_access_state=2)))
    assert states(unit) == {0: OPTIMIZED, 3: OPTIMIZED, 4: STANDBY}
    before = store(group("a", 3), group("b", 4, alua_access_state=2))
    apply_groups(unit, store(group("b", 4, alua_access_state=2), group("c", 9)), before)
    assert states(unit) == {0: OPTIMIZED, 4: STANDBY, 9: OPTIMIZED}


def test_the_default_group_can_be_set_as_well() -> None:
    """It is known by its name, whatever number is written beside that."""
    unit = unit_with(store(group(DEFAULT_GROUP, 0, alua_access_state=1, preferred=1)))
    assert states(unit) == {0: NON_OPTIMIZED}
    assert unit.alua.group_of(1).preferred


def test_a_changed_state_is_an_implicit_transition() -> None:
    """Initiators hear of it."""
    before = store(group("a", 3))
    unit = unit_with(before)
    nexus = make_nexus(unit)
    unit.attach(nexus)
    unit.unit_attentions.clear(nexus)
    apply_groups(unit, store(group("a", 3, alua_access_state=2)), before)
    assert states(unit)[3] is STANDBY
    assert unit.unit_attentions.pending(nexus) is Sense.ASYMMETRIC_ACCESS_STATE_CHANGED


def test_what_initiators_have_set_stays() -> None:
    """Another change of the group leaves its state."""
    before = store(group("a", 3))
    unit = unit_with(before)
    unit.alua.set_state(3, STANDBY)
    apply_groups(unit, store(group("a", 3, preferred=1, trans_delay_msecs=500)), before)
    found = unit.alua.find(3)
    assert found is not None
    assert (found.state, found.preferred, found.transition_delay) == (STANDBY, True, 0.5)


def test_a_group_that_cannot_be_changes_nothing() -> None:
    """It is refused before the others are touched."""
    unit = unit_with(store(group("a", 3)))
    with pytest.raises(ConfigurationError):
        apply_groups(unit, store(group("b", 4, alua_access_state=15)))
    assert list(states(unit)) == [0, 3]


def test_ports() -> None:
    """A port is in the group that its LUN names, and in the default group if there is none of that name."""
    settings = store(group("a", 3))
    unit = unit_with(settings)
    place_port(unit, 5, settings, "a")
    place_port(unit, 6, settings, DEFAULT_GROUP)
    place_port(unit, 7, settings, "gone")
    assert [unit.alua.group_of(port).alua_group_id for port in (1, 5, 6, 7)] == [0, 3, 0, 0]
    place_port(unit, 5, settings, DEFAULT_GROUP)
    assert unit.alua.group_of(5).alua_group_id == 0


def test_the_default_group_that_is_not_saved_any_more_is_as_new() -> None:
    """What was set of it goes with the record."""
    before = store(group(DEFAULT_GROUP, 0, alua_access_state=2, preferred=1))
    unit = unit_with(before)
    apply_groups(unit, store(), before)
    found = unit.alua.group_of(1)
    assert (found.state, found.preferred, found.non_optimized_delay) == (OPTIMIZED, False, 0)
    assert found.supported_states == DEFAULT_SUPPORTED_STATES


def test_a_state_that_initiators_have_set_is_taken_back() -> None:
    """To the configured one; again, it changes nothing, and during a transition it is refused."""
    settings = group("a", 3, alua_access_state=1)
    unit = unit_with(store(settings))
    unit.alua.set_state(3, UNAVAILABLE)
    for _ in range(2):
        restore_state(unit, settings)
        assert states(unit)[3] is NON_OPTIMIZED
    slow = group("a", 3, alua_access_state=1, trans_delay_msecs=500)
    apply_groups(unit, store(slow), store(settings))
    unit.alua.set_state(3, STANDBY)
    with pytest.raises(ConfigurationError, match="in transition"):
        restore_state(unit, slow)
