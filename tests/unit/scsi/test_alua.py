from dataclasses import replace
from typing import Any

import pytest

from isthmus.errors import ConfigurationError, LocalProtocolError
from isthmus.scsi.alua import (
    ALL_SUPPORTED_STATES,
    DEFAULT_ALUA_GROUP_ID,
    DEFAULT_SUPPORTED_STATES,
    MAX_NON_OPTIMIZED_DELAY,
    MAX_TRANSITION_DELAY,
    TRANSITIONS,
    AluaAccessState,
    AluaAccessType,
    AluaInput,
    AluaPortGroup,
    AluaPortGroups,
    AluaStatusCode,
)
from isthmus.scsi.nexus import Nexus
from isthmus.scsi.sense import Sense
from tests.support.scsi import make_nexus
from tests.support.timer import FakeTimer

OPTIMIZED, NON_OPTIMIZED = AluaAccessState.ACTIVE_OPTIMIZED, AluaAccessState.ACTIVE_NON_OPTIMIZED
STANDBY, UNAVAILABLE = AluaAccessState.STANDBY, AluaAccessState.UNAVAILABLE
OFFLINE, TRANSITIONING = AluaAccessState.OFFLINE, AluaAccessState.TRANSITIONING
PRIMARY = (OPTIMIZED, NON_OPTIMIZED, STANDBY, UNAVAILABLE)
CHANGED = Sense.ASYMMETRIC_ACCESS_STATE_CHANGED
FAILED = Sense.IMPLICIT_ASYMMETRIC_ACCESS_STATE_TRANSITION_FAILED
NEXUS = make_nexus()


class Scene:
    """Groups with ports 1 (default group) and 2 (group 7), a timer, and what is announced."""

    def __init__(self, *, transition_delay: float = 0.0) -> None:
        self.announced: list[tuple[Sense | None, Nexus | None]] = []
        self.timer = FakeTimer()
        self.groups = AluaPortGroups(lambda sense, but: self.announced.append((sense, but)), self.timer.call_later)
        self.group = AluaPortGroup(alua_group_id=7, transition_delay=transition_delay)
        self.groups.create(self.group)
        self.groups.add_port(1)
        self.groups.add_port(2, 7)
        self.ends: list[bool] = []

    def start(self, state: AluaAccessState, by: Nexus | None = NEXUS) -> None:
        """A transition of group 7."""
        self.groups.start(self.group, state, by, self.ends.append)


# The table.


@pytest.mark.parametrize("state", AluaAccessState)
@pytest.mark.parametrize("alua_input", AluaInput)
def test_every_state_and_input(state: AluaAccessState, alua_input: AluaInput) -> None:
    """Each pair leads to the state of the table, or is refused and changes nothing."""
    scene = Scene()
    scene.group.state = state
    expected = TRANSITIONS.get((state, alua_input))
    if expected is None:
        with pytest.raises(LocalProtocolError, match=state.name):
            scene.groups._step(scene.group, alua_input)
        assert scene.group.state is state
    else:
        scene.groups._step(scene.group, alua_input)
        assert scene.group.state is expected


def test_no_group_is_offline_or_logical_block_dependent() -> None:
    """These two are states of no group."""
    concerned = {state for state, _ in TRANSITIONS} | set(TRANSITIONS.values())
    assert concerned == {*PRIMARY, TRANSITIONING}


# Transitions.


@pytest.mark.parametrize("before", PRIMARY)
@pytest.mark.parametrize("after", PRIMARY)
@pytest.mark.parametrize("by", [None, NEXUS])
def test_a_transition_without_delay(before: AluaAccessState, after: AluaAccessState, by: Nexus | None) -> None:
    """It is one step: everybody but who asked for it hears once that the state has changed."""
    scene = Scene()
    scene.group.state = before
    scene.start(after, by)
    assert scene.group.state is after
    assert scene.ends == [True]
    changed = before is not after
    assert scene.announced == ([(CHANGED, by)] if changed else [])
    code = AluaStatusCode.ALTERED_IMPLICITLY if by is None else AluaStatusCode.ALTERED_BY_SET_TARGET_PORT_GROUPS
    assert scene.group.status_code is (code if changed else AluaStatusCode.NO_STATUS)


def test_a_transition_with_delay() -> None:
    """The group is transitioning until the time is over; what can run changes at once, and is told at the end."""
    scene = Scene(transition_delay=2.5)
    scene.start(STANDBY)
    assert scene.groups.state_of(2) is TRANSITIONING
    assert not scene.groups.is_active(2)
    assert scene.announced == [(None, None)]
    scene.timer.advance(2.4)
    assert (scene.group.state, scene.ends) == (TRANSITIONING, [])
    scene.timer.advance(0.1)
    assert (scene.group.state, scene.ends) == (STANDBY, [True])
    assert scene.announced == [(None, None), (CHANGED, NEXUS)]
    assert scene.groups.is_active(1)


@pytest.mark.parametrize(("by", "announced"), [(NEXUS, [(CHANGED, NEXUS)]), (None, [(FAILED, None), (CHANGED, None)])])
def test_a_transition_that_fails(by: Nexus | None, announced: list[tuple[Sense | None, Nexus | None]]) -> None:
    """The group is unavailable; of an implicit transition everybody hears that it failed. The timer finds nothing."""
    scene = Scene(transition_delay=1)
    scene.start(NON_OPTIMIZED, by)
    scene.groups.fail(7)
    assert (scene.group.state, scene.ends) == (UNAVAILABLE, [False])
    assert scene.announced[1:] == announced
    scene.timer.advance(1)
    assert (scene.group.state, scene.ends) == (UNAVAILABLE, [False])


def test_what_is_in_no_transition_cannot_fail() -> None:
    """A failure without a transition is a mistake of the caller."""
    with pytest.raises(LocalProtocolError):
        Scene().groups.fail(7)


def test_a_later_transition_is_not_ended_by_the_timer_of_an_earlier_one() -> None:
    """Each transition takes its own time."""
    scene = Scene(transition_delay=2)
    scene.start(STANDBY)
    scene.timer.advance(1)
    scene.groups.fail(7)
    scene.start(OPTIMIZED)
    scene.timer.advance(1)
    assert scene.group.state is TRANSITIONING
    scene.timer.advance(1)
    assert scene.group.state is OPTIMIZED


@pytest.mark.parametrize("delay", ["transition_delay", "non_optimized_delay"])
def test_a_delay_needs_a_timer(delay: str) -> None:
    """Without a timer there is no group with a delay, and nothing can be put off."""
    options: dict[str, Any] = {delay: 1}
    with pytest.raises(ConfigurationError, match="timer"):
        AluaPortGroups(default=AluaPortGroup(alua_group_id=1, **options))
    with pytest.raises(LocalProtocolError):
        AluaPortGroups().later(1, lambda: None)


def test_commands_wait_only_while_not_optimized() -> None:
    """The delay of a group counts in active/non-optimized alone."""
    group = AluaPortGroup(alua_group_id=1, non_optimized_delay=0.1)
    assert {state for state in PRIMARY if replace(group, state=state).command_delay} == {NON_OPTIMIZED}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, False),
        ({"keep_state": True}, True),
        ({"access_type": AluaAccessType.EXPLICIT}, True),
        ({"access_type": AluaAccessType.IMPLICIT}, False),
    ],
)
def test_a_group_begins_where_it_was(options: dict[str, Any], kept: bool) -> None:
    """If it keeps its state, as it has to where only initiators set it, a new run begins with that."""
    groups = AluaPortGroups(recorded={7: STANDBY, 8: UNAVAILABLE})
    group = AluaPortGroup(alua_group_id=7, **options)
    groups.create(group)
    assert group.state is (STANDBY if kept else OPTIMIZED)
    groups.create(AluaPortGroup(alua_group_id=9, **options))
    assert groups.find(9) is not None


def test_a_recorded_state_that_is_not_supported_any_more() -> None:
    """The group begins as it is configured."""
    group = AluaPortGroup(alua_group_id=7, keep_state=True, supported_states=DEFAULT_SUPPORTED_STATES - {STANDBY})
    AluaPortGroups(recorded={7: STANDBY}).create(group)
    assert group.state is OPTIMIZED


def test_set_state() -> None:
    """The operator's transitions are implicit; one that cannot be is refused."""
    scene = Scene(transition_delay=1)
    scene.groups.set_state(7, NON_OPTIMIZED, scene.ends.append)
    with pytest.raises(ConfigurationError, match="in transition"):
        scene.groups.set_state(7, STANDBY)
    scene.timer.advance(1)
    assert scene.ends == [True]
    assert scene.group.status_code is AluaStatusCode.ALTERED_IMPLICITLY
    for state in (OFFLINE, TRANSITIONING, AluaAccessState.LOGICAL_BLOCK_DEPENDENT):
        with pytest.raises(ConfigurationError, match=state.name):
            scene.groups.set_state(7, state)
    with pytest.raises(ConfigurationError, match="no target port group 8"):
        scene.groups.set_state(8, STANDBY)


def test_set_preferred() -> None:
    """PREF is changed without a word."""
    scene = Scene()
    scene.groups.set_preferred(7, True)
    assert scene.group.preferred
    assert scene.announced == []


# Ports and groups.


def test_ports_without_a_group_are_in_the_default_group() -> None:
    """Nobody has to create a group, or to add a port."""
    groups = AluaPortGroups()
    assert [group.alua_group_id for group in groups] == [DEFAULT_ALUA_GROUP_ID]
    assert groups.group_of(99) is groups.find(DEFAULT_ALUA_GROUP_ID)
    assert groups.state_of(99) is OPTIMIZED
    groups.add_port(3)
    assert groups.members(groups.group_of(3)) == [3]


def test_members() -> None:
    """A port is in one group; to add it again leaves it there, or moves it to the group given."""
    scene = Scene()
    scene.groups.add_port(2)
    assert scene.groups.members(scene.group) == [2]
    scene.groups.add_port(1, 7)
    assert scene.groups.members(scene.group) == [1, 2]
    assert scene.announced == []
    scene.groups.remove_port(1)
    assert scene.groups.members(scene.group) == [2]
    assert [group.alua_group_id for group in scene.groups] == [0, 7]


def test_a_move_to_another_state_is_an_implicit_change() -> None:
    """Whoever uses the port hears of it."""
    scene = Scene()
    scene.start(STANDBY, None)
    scene.groups.add_port(1, 7)
    assert scene.announced[1:] == [(CHANGED, None)]


def test_a_new_port_is_no_change() -> None:
    """Nobody can have used it, whatever state it comes into."""
    scene = Scene()
    scene.start(STANDBY, None)
    scene.groups.add_port(3, 7)
    assert scene.announced == [(CHANGED, None)]


def test_delete() -> None:
    """The ports of a group that goes are in the default group again."""
    scene = Scene()
    scene.start(STANDBY, None)
    scene.groups.delete(7)
    assert scene.groups.find(7) is None
    assert scene.groups.state_of(2) is OPTIMIZED
    assert scene.announced[-1] == (CHANGED, None)


def test_what_cannot_be_deleted() -> None:
    """The default group stays, as does one in transition."""
    scene = Scene(transition_delay=1)
    with pytest.raises(ConfigurationError, match="default"):
        scene.groups.delete(0)
    scene.start(STANDBY)
    with pytest.raises(ConfigurationError, match="in transition"):
        scene.groups.delete(7)
    with pytest.raises(ConfigurationError, match="no target port group"):
        scene.groups.delete(9)


def test_an_identifier_is_used_once() -> None:
    """Two groups of one number are none."""
    with pytest.raises(ConfigurationError, match="exists"):
        Scene().groups.create(AluaPortGroup(alua_group_id=7))


@pytest.mark.parametrize("port", [0, 0x1_0000])
def test_port_numbers(port: int) -> None:
    """A relative target port identifier is 1 to 65535."""
    with pytest.raises(ConfigurationError):
        AluaPortGroups().add_port(port)


def test_offline() -> None:
    """A port goes off and comes back without its group; each change is told once."""
    scene = Scene()
    scene.groups.set_offline(2, True, NEXUS)
    scene.groups.set_offline(2, True)
    assert scene.groups.state_of(2) is OFFLINE
    assert scene.groups.offline_ports == [2]
    assert scene.group.state is OPTIMIZED
    scene.groups.set_offline(2, False)
    assert scene.groups.is_active(2)
    assert scene.announced == [(CHANGED, NEXUS), (CHANGED, None)]
    with pytest.raises(ConfigurationError, match="no target port 9"):
        scene.groups.set_offline(9, True)
    scene.groups.set_offline(2, True)
    scene.groups.remove_port(2)
    assert scene.groups.offline_ports == []


def test_nobody_has_to_listen() -> None:
    """Groups work before there is a unit."""
    groups = AluaPortGroups()
    groups.set_state(0, STANDBY)
    assert groups.state_of(1) is STANDBY


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"alua_group_id": -1}, "no target port group"),
        ({"alua_group_id": 0x1_0000}, "no target port group"),
        ({"transition_delay": -1}, "delay"),
        ({"non_optimized_delay": -1}, "delay"),
        ({"non_optimized_delay": MAX_NON_OPTIMIZED_DELAY + 1}, "delay"),
        ({"transition_delay": MAX_TRANSITION_DELAY + 1}, "delay"),
        ({"implicit_transition_time": 256}, "implicit transition time"),
        ({"state": OFFLINE, "supported_states": ALL_SUPPORTED_STATES}, "OFFLINE"),
        ({"state": TRANSITIONING}, "TRANSITIONING"),
        ({"state": STANDBY, "supported_states": DEFAULT_SUPPORTED_STATES - {STANDBY}}, "STANDBY"),
        ({"supported_states": frozenset(AluaAccessState)}, "logical block dependent"),
    ],
)
def test_groups_that_cannot_be(options: dict[str, object], problem: str) -> None:
    """A group whose values do not fit is refused."""
    with pytest.raises(ConfigurationError, match=problem):
        AluaPortGroup(**{"alua_group_id": 1, **options})  # type: ignore[arg-type]
