"""REPORT TARGET PORT GROUPS and SET TARGET PORT GROUPS (SPC-5 §6.36, §6.44)."""

import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.errors import BackstoreError
from isthmus.scsi.alua import AluaAccessState, AluaAccessType, AluaPortGroup, AluaPortGroups, AluaStatusCode
from isthmus.scsi.alua_record import save_access_states
from isthmus.scsi.cdb import Command
from isthmus.scsi.countdown import Countdown
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb, invalid_in_list, parameter_list
from isthmus.scsi.task import GOOD, Response, Task
from isthmus.scsi.waiting import Until

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = [
    "OFFLINE_ALUA_GROUP_ID",
    "ParameterDataFormat",
    "ReportTargetPortGroups",
    "SetTargetPortGroups",
    "is_explicit",
    "parse_report_target_port_groups",
    "parse_set_target_port_groups",
    "report_target_port_groups",
    "set_target_port_groups",
]

OFFLINE_ALUA_GROUP_ID: Final = 0xFFFF
"""The secondary target port group: the ports that are offline (SPC-5 §5.16.2.1). No primary group is called so."""
_PREF: Final = 0x80
_MOST_PORTS: Final = 0xFF
"""TARGET PORT COUNT has eight bits (SPC-5 §6.36)."""
_SUPPORTED: Final = {
    AluaAccessState.TRANSITIONING: 0x80,
    AluaAccessState.OFFLINE: 0x40,
    AluaAccessState.UNAVAILABLE: 0x08,
    AluaAccessState.STANDBY: 0x04,
    AluaAccessState.ACTIVE_NON_OPTIMIZED: 0x02,
    AluaAccessState.ACTIVE_OPTIMIZED: 0x01,
}
"""T_SUP, O_SUP, U_SUP, S_SUP, AN_SUP, AO_SUP."""
_EXTENDED_HEADER: Final = 0x10
_HEADER_LENGTH: Final = 4
_DESCRIPTOR_LENGTH: Final = 4


class ParameterDataFormat(enum.IntEnum):
    """The PARAMETER DATA FORMAT field (SPC-5 §6.36)."""

    LENGTH_ONLY_HEADER = 0
    EXTENDED_HEADER = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTargetPortGroups(Command):
    """REPORT TARGET PORT GROUPS."""

    parameter_data_format: ParameterDataFormat
    allocation_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTargetPortGroups(Command):
    """SET TARGET PORT GROUPS."""

    parameter_list_length: int

    @property
    def data_out_length(self) -> int:
        return self.parameter_list_length


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """One set target port group descriptor; `offset` is its place in the parameter list."""

    state: AluaAccessState
    number: int
    """TARGET PORT GROUP OR TARGET PORT."""
    offset: int


# REPORT TARGET PORT GROUPS.


def parse_report_target_port_groups(cdb: bytes, _unit: "LogicalUnit") -> ReportTargetPortGroups:
    """Take the CDB apart."""
    try:
        parameter_data_format = ParameterDataFormat(cdb[1] >> 5)
    except ValueError:
        raise invalid_in_cdb(1, 7) from None
    return ReportTargetPortGroups(
        parameter_data_format=parameter_data_format, allocation_length=int.from_bytes(cdb[6:10])
    )


def report_target_port_groups(unit: "LogicalUnit", task: Task) -> Response:
    """Every group that has ports, then those of them that are offline."""
    command = task.command
    assert isinstance(command, ReportTargetPortGroups)
    groups = unit.alua
    descriptors = b"".join(_descriptor(group, groups) for group in groups if groups.reported(group))
    descriptors += _offline_descriptor(groups)
    header = b""
    if command.parameter_data_format is ParameterDataFormat.EXTENDED_HEADER:
        own = groups.group_of(task.nexus.relative_target_port_id)
        header = struct.pack(">BBxx", _EXTENDED_HEADER, own.implicit_transition_time)
    data = struct.pack(">I", len(header) + len(descriptors)) + header + descriptors
    return allocated(data, command.allocation_length)


def _descriptor(group: AluaPortGroup, groups: AluaPortGroups) -> bytes:
    supported = sum(bit for state, bit in _SUPPORTED.items() if state in group.supported_states)
    flags = (_PREF if group.preferred else 0) | group.state
    return _group(flags, supported, group.alua_group_id, group.status_code, groups.reported(group))


def _offline_descriptor(groups: AluaPortGroups) -> bytes:
    ports = groups.offline_ports
    if not ports:
        return b""
    supported = _SUPPORTED[AluaAccessState.OFFLINE]
    return _group(AluaAccessState.OFFLINE, supported, OFFLINE_ALUA_GROUP_ID, AluaStatusCode.NO_STATUS, ports)


def _group(flags: int, supported: int, alua_group_id: int, status_code: int, ports: list[int]) -> bytes:
    ports = ports[:_MOST_PORTS]
    head = struct.pack(">BBHxBxB", flags, supported, alua_group_id, status_code, len(ports))
    return head + b"".join(struct.pack(">xxH", port) for port in ports)


# SET TARGET PORT GROUPS.


def is_explicit(unit: "LogicalUnit") -> bool:
    """Whether initiators may change some group of the unit."""
    return any(group.access_type & AluaAccessType.EXPLICIT for group in unit.alua)


def parse_set_target_port_groups(cdb: bytes, unit: "LogicalUnit") -> SetTargetPortGroups:
    """Take the CDB apart. Where no group may be changed by initiators, there is no such service action."""
    if not is_explicit(unit):
        raise invalid_in_cdb(1, 4)
    return SetTargetPortGroups(parameter_list_length=int.from_bytes(cdb[6:10]))


def set_target_port_groups(unit: "LogicalUnit", task: Task) -> Response | Steps:
    """Check every descriptor, then start all the transitions; GOOD when they are over (SPC-5 §6.44, case a)."""
    wishes = _checked_wishes(unit.alua, parameter_list(task))
    return _carry_out(unit, wishes, task.nexus) if wishes else GOOD


def _checked_wishes(groups: AluaPortGroups, data: bytes) -> list[_Wish]:
    if not data:
        # A parameter list length of zero is no error.
        return []
    if len(data) < _HEADER_LENGTH or (len(data) - _HEADER_LENGTH) % _DESCRIPTOR_LENGTH:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    wishes = [_wish(data, offset) for offset in range(_HEADER_LENGTH, len(data), _DESCRIPTOR_LENGTH)]
    seen = set()
    for wish in wishes:
        target = (wish.state is AluaAccessState.OFFLINE, wish.number)
        if target in seen:
            # Two states for one group are an invalid combination.
            raise invalid_in_list(wish.offset + 2)
        seen.add(target)
        _check(groups, wish)
    return wishes


def _wish(data: bytes, offset: int) -> _Wish:
    try:
        state = AluaAccessState(data[offset] & 0x0F)
    except ValueError:
        raise invalid_in_list(offset, 3) from None
    return _Wish(state=state, number=int.from_bytes(data[offset + 2 : offset + 4]), offset=offset)


def _check(groups: AluaPortGroups, wish: _Wish) -> None:
    group = _group_concerned(groups, wish)
    if not group.access_type & AluaAccessType.EXPLICIT:
        raise invalid_in_list(wish.offset + 2)
    if wish.state is AluaAccessState.OFFLINE:
        if wish.state not in group.supported_states:
            raise invalid_in_list(wish.offset, 3)
        return
    if not group.supports(wish.state):
        raise invalid_in_list(wish.offset, 3)
    if group.transition is not None:
        raise CheckCondition(Sense.LOGICAL_UNIT_NOT_ACCESSIBLE_ASYMMETRIC_ACCESS_STATE_TRANSITION)


def _group_concerned(groups: AluaPortGroups, wish: _Wish) -> AluaPortGroup:
    """Offline names a port, every other state a group that has ports."""
    if wish.state is AluaAccessState.OFFLINE:
        group = next((group for group in groups if wish.number in groups.members(group)), None)
    else:
        group = groups.find(wish.number)
    if group is None or not groups.reported(group):
        raise invalid_in_list(wish.offset + 2)
    return group


def _carry_out(unit: "LogicalUnit", wishes: list[_Wish], by: "Nexus") -> Steps:
    groups = unit.alua

    def begin(over: Callable[[object, Exception | None], None]) -> None:
        failed: list[bool] = []
        all_over = Countdown(len(wishes), lambda: over(not failed, None))

        def done(reached: bool) -> None:
            if not reached:
                failed.append(True)
            all_over()

        for wish in wishes:
            _start(groups, wish, by, done)

    reached = yield Until(begin)
    if not reached:
        raise CheckCondition(Sense.SET_TARGET_PORT_GROUPS_COMMAND_FAILED)
    if any(group.keeps_state for group in groups):
        try:
            yield from save_access_states(unit)
        except BackstoreError:
            raise CheckCondition(Sense.SET_TARGET_PORT_GROUPS_COMMAND_FAILED) from None
    return GOOD


def _start(groups: AluaPortGroups, wish: _Wish, by: "Nexus", done: Callable[[bool], None]) -> None:
    if wish.state is AluaAccessState.OFFLINE:
        groups.set_offline(wish.number, True, by)
        done(True)
        return
    group = groups.find(wish.number)
    assert group is not None
    groups.start(group, wish.state, by, done)
