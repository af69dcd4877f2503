"""The ALUA target port groups of the configuration, on the units that run.

The configuration says where a group begins. Later its state is the configuration's only when that changes: initiators
may have set another meanwhile.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from isthmus.config.model import DEFAULT_ALUA_GROUP, AluaGroup, Backstore
from isthmus.config.settings import ALUA_GROUP_PARAMETERS
from isthmus.scsi.alua import DEFAULT_ALUA_GROUP_ID, AluaAccessState, AluaAccessType, AluaPortGroup, AluaStatusCode
from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["DEFAULT_GROUP", "alua_port_group", "apply_groups", "place_port", "restore_state"]

DEFAULT_GROUP: Final = DEFAULT_ALUA_GROUP
_MILLISECONDS: Final = 1000
_SUPPORT: Final = {
    "alua_support_active_optimized": AluaAccessState.ACTIVE_OPTIMIZED,
    "alua_support_active_nonoptimized": AluaAccessState.ACTIVE_NON_OPTIMIZED,
    "alua_support_standby": AluaAccessState.STANDBY,
    "alua_support_unavailable": AluaAccessState.UNAVAILABLE,
    "alua_support_offline": AluaAccessState.OFFLINE,
    "alua_support_transitioning": AluaAccessState.TRANSITIONING,
}


def alua_port_group(settings: AluaGroup) -> AluaPortGroup:
    """The group that `settings` describe; raises `ConfigurationError` for one that cannot be."""
    return AluaPortGroup(
        alua_group_id=_identifier(settings),
        name=settings.name,
        state=_state(settings),
        status_code=_status(settings),
        preferred=bool(_parameter(settings, "preferred")),
        access_type=AluaAccessType(_parameter(settings, "alua_access_type")),
        supported_states=frozenset(state for name, state in _SUPPORT.items() if _parameter(settings, name)),
        transition_delay=_parameter(settings, "trans_delay_msecs") / _MILLISECONDS,
        non_optimized_delay=_parameter(settings, "nonop_delay_msecs") / _MILLISECONDS,
        keep_state=bool(_parameter(settings, "alua_write_metadata")),
        implicit_transition_time=_parameter(settings, "implicit_trans_secs"),
        other_ports=_other_ports(settings),
    )


def apply_groups(unit: LogicalUnit, settings: Backstore, before: Backstore | None = None) -> None:
    """Give `unit` the groups of `settings`; `before` are the settings that it had, None for a unit that is new.

    Raises `ConfigurationError` for a group that cannot be, or that is in transition and cannot change now.
    """
    wanted = {_identifier(group): group for group in settings.alua_groups}
    known = {} if before is None else {_identifier(group): group for group in before.alua_groups}
    made = {number: alua_port_group(group) for number, group in wanted.items()}
    if DEFAULT_ALUA_GROUP_ID in known.keys() - wanted.keys():
        made[DEFAULT_ALUA_GROUP_ID] = AluaPortGroup(alua_group_id=DEFAULT_ALUA_GROUP_ID)
    for alua_group_id in _surplus(unit, wanted):
        unit.alua.delete(alua_group_id)
    for alua_group_id, group in made.items():
        present = unit.alua.find(alua_group_id)
        if present is None:
            unit.alua.create(group)
        else:
            _update(present, group)
            old = known.get(alua_group_id)
            if old is None or _status(old) is not group.status_code:
                present.status_code = group.status_code
            if old is None or _state(old) is not group.state:
                unit.alua.set_state(alua_group_id, group.state)
    unit.refresh_grants()


def restore_state(unit: LogicalUnit, group: AluaGroup) -> None:
    """Bring a group to where the configuration has it, whoever has set another state since.

    Raises `ConfigurationError` if it is in transition.
    """
    unit.alua.set_state(_identifier(group), _state(group))
    unit.refresh_grants()


def place_port(unit: LogicalUnit, relative_target_port_id: int, settings: Backstore, group_name: str) -> None:
    """Let `unit` be reached through a target port that is in the group of that name, or else in the default group."""
    found = (group.alua_group_id for group in settings.alua_groups if group.name == group_name != DEFAULT_GROUP)
    unit.alua.add_port(relative_target_port_id, next(found, DEFAULT_ALUA_GROUP_ID))


def _identifier(settings: AluaGroup) -> int:
    return DEFAULT_ALUA_GROUP_ID if settings.name == DEFAULT_GROUP else settings.alua_group_id


def _parameter(settings: AluaGroup, name: str) -> int:
    return int(settings.parameters.get(name, ALUA_GROUP_PARAMETERS[name].default))


def _other_ports(settings: AluaGroup) -> tuple[int, ...]:
    text = str(settings.parameters.get("other_ports", ""))
    return tuple(map(int, text.split(","))) if text else ()


def _state(settings: AluaGroup) -> AluaAccessState:
    """The state that the operator wants. A whole group that is offline can be reached no better than an unavailable one."""
    state = AluaAccessState(_parameter(settings, "alua_access_state"))
    return AluaAccessState.UNAVAILABLE if state is AluaAccessState.OFFLINE else state


def _status(settings: AluaGroup) -> AluaStatusCode:
    return AluaStatusCode(_parameter(settings, "alua_access_status"))


def _surplus(unit: LogicalUnit, wanted: Mapping[int, AluaGroup]) -> Iterable[int]:
    present = [group.alua_group_id for group in unit.alua]
    return [number for number in present if number not in wanted and number != DEFAULT_ALUA_GROUP_ID]


def _update(present: AluaPortGroup, wanted: AluaPortGroup) -> None:
    """Everything but the state, which takes a transition."""
    present.name = wanted.name
    present.preferred = wanted.preferred
    present.access_type = wanted.access_type
    present.supported_states = wanted.supported_states
    present.transition_delay = wanted.transition_delay
    present.non_optimized_delay = wanted.non_optimized_delay
    present.keep_state = wanted.keep_state
    present.implicit_transition_time = wanted.implicit_transition_time
    present.other_ports = wanted.other_ports
