"""Asymmetric logical unit access: how well a logical unit can be reached through which target ports (SPC-5 §5.16.2).

The target ports of a logical unit are members of *target port groups*; here always `AluaPortGroup`, as iSCSI has target
portal groups besides, each of which is one target port. All ports of a group are in one access state. Ports that nobody
has put elsewhere are in the default group, which is always there.

A group changes its state by a transition, which the target starts by itself (implicit) or an initiator asks for with
SET TARGET PORT GROUPS (explicit). It takes `transition_delay` seconds, in which the group is TRANSITIONING, and ends in
the state that was asked for, or, if it fails, in UNAVAILABLE (§5.16.2.5). A group without a delay changes in one step:
nobody sees it TRANSITIONING. The table below is the life of a group; what it does not list cannot happen.

OFFLINE is no state of a group but of a single port, whatever its group does (§5.16.2.4.6). LOGICAL BLOCK DEPENDENT
needs referrals (SBC-4 §4.27), which there are none of.
"""

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from isthmus.errors import ConfigurationError, LocalProtocolError
from isthmus.scsi.sense import Sense

if TYPE_CHECKING:
    from isthmus.scsi.nexus import Nexus

__all__ = [
    "ALL_SUPPORTED_STATES",
    "DEFAULT_ALUA_GROUP_ID",
    "DEFAULT_SUPPORTED_STATES",
    "MAX_NON_OPTIMIZED_DELAY",
    "MAX_TRANSITION_DELAY",
    "TRANSITIONS",
    "AluaAccessState",
    "AluaAccessType",
    "AluaInput",
    "AluaPortGroup",
    "AluaPortGroups",
    "AluaStatusCode",
    "Announce",
    "CallLater",
]

DEFAULT_ALUA_GROUP_ID: Final = 0
MAX_TRANSITION_DELAY: Final = 30.0
"""Seconds: initiators give up on a path that is in transition for longer (Linux: after 60)."""
MAX_NON_OPTIMIZED_DELAY: Final = 10.0
"""Seconds: commands must not time out, which they do after 30 and more."""
_MAX_ID: Final = 0xFFFF
_MAX_IMPLICIT_TRANSITION_TIME: Final = 0xFF

CallLater = Callable[[float, Callable[[], None]], object]
"""Calls its second argument after so many seconds, on the main loop."""

Announce = Callable[["Sense | None", "Nexus | None"], None]
"""Told of every change: a unit attention for all nexuses but the one given, or None where there is nothing to be told.
What may run through which port has changed in any case."""


class AluaAccessState(enum.IntEnum):
    """The ASYMMETRIC ACCESS STATE field (SPC-5 §6.36)."""

    ACTIVE_OPTIMIZED = 0x0
    ACTIVE_NON_OPTIMIZED = 0x1
    STANDBY = 0x2
    UNAVAILABLE = 0x3
    LOGICAL_BLOCK_DEPENDENT = 0x4
    OFFLINE = 0xE
    TRANSITIONING = 0xF


class AluaAccessType(enum.IntFlag):
    """The TPGS field of the standard INQUIRY data (SPC-5 §6.7.2): who may change the access states."""

    NONE = 0
    IMPLICIT = 1
    """The target by itself."""
    EXPLICIT = 2
    """Initiators, by SET TARGET PORT GROUPS."""


class AluaStatusCode(enum.IntEnum):
    """The STATUS CODE field: what has brought a group into its state (SPC-5 §6.36)."""

    NO_STATUS = 0
    ALTERED_BY_SET_TARGET_PORT_GROUPS = 1
    ALTERED_IMPLICITLY = 2


class AluaInput(enum.Enum):
    """What can happen to a group."""

    BEGIN = "a transition begins"
    REACH_ACTIVE_OPTIMIZED = "it has reached active/optimized"
    REACH_ACTIVE_NON_OPTIMIZED = "it has reached active/non-optimized"
    REACH_STANDBY = "it has reached standby"
    REACH_UNAVAILABLE = "it has reached unavailable"
    FAIL = "it has failed"


TRANSITIONS: Final[dict[tuple[AluaAccessState, AluaInput], AluaAccessState]] = {
    (AluaAccessState.ACTIVE_OPTIMIZED, AluaInput.BEGIN): AluaAccessState.TRANSITIONING,
    (AluaAccessState.ACTIVE_NON_OPTIMIZED, AluaInput.BEGIN): AluaAccessState.TRANSITIONING,
    (AluaAccessState.STANDBY, AluaInput.BEGIN): AluaAccessState.TRANSITIONING,
    (AluaAccessState.UNAVAILABLE, AluaInput.BEGIN): AluaAccessState.TRANSITIONING,
    (AluaAccessState.TRANSITIONING, AluaInput.REACH_ACTIVE_OPTIMIZED): AluaAccessState.ACTIVE_OPTIMIZED,
    (AluaAccessState.TRANSITIONING, AluaInput.REACH_ACTIVE_NON_OPTIMIZED): AluaAccessState.ACTIVE_NON_OPTIMIZED,
    (AluaAccessState.TRANSITIONING, AluaInput.REACH_STANDBY): AluaAccessState.STANDBY,
    (AluaAccessState.TRANSITIONING, AluaInput.REACH_UNAVAILABLE): AluaAccessState.UNAVAILABLE,
    (AluaAccessState.TRANSITIONING, AluaInput.FAIL): AluaAccessState.UNAVAILABLE,
}

_REACH: Final = {
    AluaAccessState.ACTIVE_OPTIMIZED: AluaInput.REACH_ACTIVE_OPTIMIZED,
    AluaAccessState.ACTIVE_NON_OPTIMIZED: AluaInput.REACH_ACTIVE_NON_OPTIMIZED,
    AluaAccessState.STANDBY: AluaInput.REACH_STANDBY,
    AluaAccessState.UNAVAILABLE: AluaInput.REACH_UNAVAILABLE,
}
"""The states that a group can be brought into: the primary ones (SPC-5 §5.16.2.4.1)."""

_ACTIVE: Final = (AluaAccessState.ACTIVE_OPTIMIZED, AluaAccessState.ACTIVE_NON_OPTIMIZED)

DEFAULT_SUPPORTED_STATES: Final = frozenset({*_REACH, AluaAccessState.TRANSITIONING})
ALL_SUPPORTED_STATES: Final = frozenset({*DEFAULT_SUPPORTED_STATES, AluaAccessState.OFFLINE})
"""OFFLINE has to be asked for: an initiator that sets it cannot take it back, as its way to the unit is gone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Transition:
    """One that is under way. `by` asked for it; None: it is implicit."""

    goal: AluaAccessState
    by: "Nexus | None"
    done: Callable[[bool], None]


@dataclass(slots=True, kw_only=True, eq=False)
class AluaPortGroup:
    """One target port group. Change its state and its members through `AluaPortGroups` only."""

    alua_group_id: int
    """TARGET PORT GROUP: 16 bits, not used twice for one logical unit."""
    name: str = ""
    """The operator's word for it; nothing on the wire."""
    state: AluaAccessState = AluaAccessState.ACTIVE_OPTIMIZED
    status_code: AluaStatusCode = AluaStatusCode.NO_STATUS
    preferred: bool = False
    """PREF: initiators should use this group rather than others (SPC-5 §5.16.2.6)."""
    access_type: AluaAccessType = AluaAccessType.IMPLICIT | AluaAccessType.EXPLICIT
    supported_states: frozenset[AluaAccessState] = DEFAULT_SUPPORTED_STATES
    transition_delay: float = 0.0
    """Seconds that a transition takes."""
    non_optimized_delay: float = 0.0
    """Seconds that each command waits while the group is active/non-optimized, so that initiators prefer others."""
    keep_state: bool = False
    """Whether the state that initiators have set outlives a restart; it always does where only they can set it."""
    implicit_transition_time: int = 0
    """Seconds that initiators should wait for an implicit transition; 0: not specified (SPC-5 §6.36)."""
    other_ports: tuple[int, ...] = ()
    """Relative target port identifiers of another server's ports to the same logical unit. Initiators that know of both
    servers choose by them; no command comes through them here."""
    transition: _Transition | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.alua_group_id <= _MAX_ID:
            raise ConfigurationError(f"{self.alua_group_id} is no target port group", f"use 0 to {_MAX_ID}")
        if not 0 <= self.transition_delay <= MAX_TRANSITION_DELAY:
            raise ConfigurationError(
                f"a transition delay of {self.transition_delay} seconds is not supported",
                f"use 0 to {MAX_TRANSITION_DELAY:g}",
            )
        if not 0 <= self.non_optimized_delay <= MAX_NON_OPTIMIZED_DELAY:
            raise ConfigurationError(
                f"a delay of {self.non_optimized_delay} seconds is not supported",
                f"use 0 to {MAX_NON_OPTIMIZED_DELAY:g}",
            )
        if not 0 <= self.implicit_transition_time <= _MAX_IMPLICIT_TRANSITION_TIME:
            raise ConfigurationError("the implicit transition time does not fit", "use 0 to 255 seconds")
        if not self.supported_states <= ALL_SUPPORTED_STATES:
            raise ConfigurationError("logical block dependent access is not supported", "leave that state out")
        if not self.supports(self.state):
            raise ConfigurationError(f"the group cannot be {self.state.name}", "choose a primary state it supports")

    @property
    def keeps_state(self) -> bool:
        """Whether its state outlives a restart (SPC-5 §5.16.2.9)."""
        return self.keep_state or self.access_type is AluaAccessType.EXPLICIT

    @property
    def command_delay(self) -> float:
        """Seconds that a command waits now."""
        return self.non_optimized_delay if self.state is AluaAccessState.ACTIVE_NON_OPTIMIZED else 0.0

    def supports(self, state: AluaAccessState) -> bool:
        """Whether the group can be brought into `state`."""
        return state in _REACH and state in self.supported_states


class AluaPortGroups:
    """The target port groups of one logical unit, and which target port is in which."""

    def __init__(
        self,
        announce: Announce | None = None,
        call_later: CallLater | None = None,
        *,
        default: AluaPortGroup | None = None,
        recorded: Mapping[int, AluaAccessState] = MappingProxyType({}),
    ) -> None:
        """`call_later` is needed for groups with a delay. `default` is the group of all other ports.

        `recorded` are the states that groups, by identifier, were in when the last run ended.
        """
        self._announce = announce or _to_nobody
        self._call_later = call_later
        self._default = default or AluaPortGroup(alua_group_id=DEFAULT_ALUA_GROUP_ID)
        self._recorded = recorded
        self._groups: dict[int, AluaPortGroup] = {}
        self.create(self._default)
        self._ports: dict[int, AluaPortGroup] = {}
        self._offline: set[int] = set()

    # What there is.

    def __iter__(self) -> Iterator[AluaPortGroup]:
        """Every group, by its identifier."""
        return iter([self._groups[alua_group_id] for alua_group_id in sorted(self._groups)])

    def find(self, alua_group_id: int) -> AluaPortGroup | None:
        """The group of that identifier."""
        return self._groups.get(alua_group_id)

    def members(self, group: AluaPortGroup) -> list[int]:
        """The relative target port identifiers of `group`."""
        return sorted(port for port, own in self._ports.items() if own is group)

    def reported(self, group: AluaPortGroup) -> list[int]:
        """The members of `group`, and another server's ports in it, unless a port of ours has that number."""
        return sorted({*self.members(group), *(port for port in group.other_ports if port not in self._ports)})

    @property
    def ports(self) -> frozenset[int]:
        """The relative target port identifiers of all ports that are known, whatever their group."""
        return frozenset(self._ports)

    @property
    def offline_ports(self) -> list[int]:
        """The relative target port identifiers of the ports that are offline."""
        return sorted(self._offline)

    def group_of(self, relative_target_port_id: int) -> AluaPortGroup:
        """The group of a port; the default group for a port that nobody has added."""
        return self._ports.get(relative_target_port_id, self._default)

    def state_of(self, relative_target_port_id: int) -> AluaAccessState:
        """The access state of a port: OFFLINE if it is, else that of its group."""
        if relative_target_port_id in self._offline:
            return AluaAccessState.OFFLINE
        return self.group_of(relative_target_port_id).state

    def is_active(self, relative_target_port_id: int) -> bool:
        """Whether every command runs through that port."""
        return self.state_of(relative_target_port_id) in _ACTIVE

    # Who is where.

    def create(self, group: AluaPortGroup) -> None:
        """Add `group`, which has no ports yet; raises `ConfigurationError` if its identifier is taken.

        If the group keeps its state, it begins with that of the last run.
        """
        if group.alua_group_id in self._groups:
            raise ConfigurationError(f"target port group {group.alua_group_id} exists", "choose another identifier")
        if self._call_later is None and (group.transition_delay or group.non_optimized_delay):
            raise ConfigurationError(f"target port group {group.alua_group_id} needs a timer", "leave its delays at 0")
        recorded = self._recorded.get(group.alua_group_id)
        if group.keeps_state and recorded is not None and group.supports(recorded):
            group.state, group.status_code = recorded, AluaStatusCode.ALTERED_BY_SET_TARGET_PORT_GROUPS
        self._groups[group.alua_group_id] = group

    def delete(self, alua_group_id: int) -> None:
        """Remove a group; its ports go to the default group. Raises `ConfigurationError` for what cannot go."""
        group = self._known(alua_group_id)
        if group is self._default:
            raise ConfigurationError("the default target port group stays", "move its ports to other groups instead")
        if group.transition is not None:
            raise ConfigurationError(f"target port group {alua_group_id} is in transition", "wait until that is over")
        self._move(self.members(group), self._default)
        del self._groups[alua_group_id]

    def add_port(self, relative_target_port_id: int, alua_group_id: int | None = None) -> None:
        """The unit can be reached through this port; it goes to the group given, else it stays or goes to the default."""
        if not 0 < relative_target_port_id <= _MAX_ID:
            raise ConfigurationError(f"{relative_target_port_id} is no relative target port", f"use 1 to {_MAX_ID}")
        if alua_group_id is None:
            self._ports.setdefault(relative_target_port_id, self._default)
        else:
            self._move([relative_target_port_id], self._known(alua_group_id))

    def remove_port(self, relative_target_port_id: int) -> None:
        """The unit cannot be reached through this port any more."""
        self._ports.pop(relative_target_port_id, None)
        self._offline.discard(relative_target_port_id)

    def _known(self, alua_group_id: int) -> AluaPortGroup:
        group = self._groups.get(alua_group_id)
        if group is None:
            raise ConfigurationError(f"there is no target port group {alua_group_id}", "create it first")
        return group

    def _move(self, ports: Iterable[int], group: AluaPortGroup) -> None:
        ports = tuple(ports)
        # A port through which nobody could come yet has changed for nobody.
        before = {port: self.state_of(port) for port in ports if port in self._ports}
        self._ports.update(dict.fromkeys(ports, group))
        if any(self.state_of(port) is not state for port, state in before.items()):
            self._announce(Sense.ASYMMETRIC_ACCESS_STATE_CHANGED, None)

    # Transitions.

    def set_state(self, alua_group_id: int, state: AluaAccessState, done: Callable[[bool], None] | None = None) -> None:
        """Start an implicit transition; `done` hears whether it has reached `state`.

        Raises `ConfigurationError` if the group cannot go there, or is in transition already.
        """
        group = self._known(alua_group_id)
        if not group.supports(state):
            raise ConfigurationError(
                f"target port group {alua_group_id} cannot be {state.name}", "see what it supports"
            )
        if group.transition is not None:
            raise ConfigurationError(f"target port group {alua_group_id} is in transition", "wait until that is over")
        self.start(group, state, None, done or _unheard)

    def set_preferred(self, alua_group_id: int, preferred: bool) -> None:
        """Set PREF. Initiators see it when they look the next time: nothing has to be told (SPC-5 §5.16.2.6)."""
        self._known(alua_group_id).preferred = preferred

    def set_offline(self, relative_target_port_id: int, offline: bool, by: "Nexus | None" = None) -> None:
        """Take a port off, or bring it back; `by` asked for it (SPC-5 §5.16.2.4.6)."""
        if relative_target_port_id not in self._ports:
            raise ConfigurationError(f"there is no target port {relative_target_port_id}", "name one of the unit's")
        if offline is not (relative_target_port_id in self._offline):
            self._offline ^= {relative_target_port_id}
            self._announce(Sense.ASYMMETRIC_ACCESS_STATE_CHANGED, by)

    def start(
        self, group: AluaPortGroup, goal: AluaAccessState, by: "Nexus | None", done: Callable[[bool], None]
    ) -> None:
        """Bring `group`, which is in no transition, to `goal`, which it supports; `done` hears whether it got there."""
        if group.state is goal:
            done(True)
            return
        transition = _Transition(goal=goal, by=by, done=done)
        self._step(group, AluaInput.BEGIN)
        group.transition = transition
        if not group.transition_delay:
            self._finish(group, transition)
            return
        self._announce(None, None)
        self.later(group.transition_delay, lambda: self._finish(group, transition))

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` in `seconds`, on the main loop."""
        if self._call_later is None:
            raise LocalProtocolError("a group with a delay needs a timer")
        self._call_later(seconds, callback)

    def fail(self, alua_group_id: int) -> None:
        """The transition of the group cannot be brought to its end: the group is unavailable (SPC-5 §5.16.2.5)."""
        group = self._known(alua_group_id)
        transition = group.transition
        self._step(group, AluaInput.FAIL)
        assert transition is not None
        self._settle(group, transition)
        if transition.by is None:
            self._announce(Sense.IMPLICIT_ASYMMETRIC_ACCESS_STATE_TRANSITION_FAILED, None)
        self._announce(Sense.ASYMMETRIC_ACCESS_STATE_CHANGED, transition.by)
        transition.done(False)

    def _finish(self, group: AluaPortGroup, transition: _Transition) -> None:
        # A transition that has failed meanwhile is not there any more.
        if group.transition is transition:
            self._step(group, _REACH[transition.goal])
            self._settle(group, transition)
            self._announce(Sense.ASYMMETRIC_ACCESS_STATE_CHANGED, transition.by)
            transition.done(True)

    def _settle(self, group: AluaPortGroup, transition: _Transition) -> None:
        implicit = transition.by is None
        group.transition = None
        group.status_code = (
            AluaStatusCode.ALTERED_IMPLICITLY if implicit else AluaStatusCode.ALTERED_BY_SET_TARGET_PORT_GROUPS
        )

    def _step(self, group: AluaPortGroup, alua_input: AluaInput) -> None:
        state = TRANSITIONS.get((group.state, alua_input))
        if state is None:
            raise LocalProtocolError(
                f"a target port group that is {group.state.name} does not take: {alua_input.value}"
            )
        group.state = state


def _to_nobody(sense: Sense | None, but: "Nexus | None") -> None:
    """There is no unit yet whose initiators could hear of it."""
    del sense, but


def _unheard(reached: bool) -> None:
    """Whoever started the transition does not wait for its end."""
    del reached
