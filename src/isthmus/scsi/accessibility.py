"""Which commands run through a target port in which asymmetric access state, by the command table (SPC-5 §5.16.2.4)."""

from typing import TYPE_CHECKING, Final

from isthmus.scsi.alua import AluaAccessState
from isthmus.scsi.opcodes import AccessClass, CommandDescriptor
from isthmus.scsi.sense import Sense, SenseData

if TYPE_CHECKING:
    from isthmus.scsi.cdb import Command
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = ["access_state_sense", "inaccessibility", "is_connected"]

_RULES: Final = {
    AluaAccessState.STANDBY: (
        frozenset({AccessClass.STANDBY, AccessClass.UNAVAILABLE, AccessClass.ALWAYS}),
        Sense.LOGICAL_UNIT_NOT_ACCESSIBLE_TARGET_PORT_IN_STANDBY_STATE,
    ),
    AluaAccessState.UNAVAILABLE: (
        frozenset({AccessClass.UNAVAILABLE, AccessClass.ALWAYS}),
        Sense.LOGICAL_UNIT_NOT_ACCESSIBLE_TARGET_PORT_IN_UNAVAILABLE_STATE,
    ),
    AluaAccessState.TRANSITIONING: (
        frozenset({AccessClass.ALWAYS}),
        Sense.LOGICAL_UNIT_NOT_ACCESSIBLE_ASYMMETRIC_ACCESS_STATE_TRANSITION,
    ),
    AluaAccessState.OFFLINE: (frozenset({AccessClass.ALWAYS}), Sense.LOGICAL_UNIT_NOT_READY_OFFLINE),
}
"""What runs in each state, and the sense of what does not. In the active states everything runs."""

_NOT_CONNECTED: Final = (AluaAccessState.UNAVAILABLE, AluaAccessState.OFFLINE)


def inaccessibility(
    unit: "LogicalUnit", nexus: "Nexus", row: CommandDescriptor, command: "Command"
) -> SenseData | None:
    """Why the command cannot run through the target port of `nexus`; None if it can."""
    port = nexus.relative_target_port_id
    if unit.alua.is_active(port):
        return None
    allowed, sense = _RULES[unit.alua.state_of(port)]
    return None if (command.access_class or row.access) in allowed else SenseData(sense=sense)


def access_state_sense(unit: "LogicalUnit", nexus: "Nexus") -> SenseData | None:
    """What there is to say of the access state of the target port of `nexus`; None if it is active (SPC-5 §6.38)."""
    rule = _RULES.get(unit.alua.state_of(nexus.relative_target_port_id))
    return None if rule is None else SenseData(sense=rule[1])


def is_connected(unit: "LogicalUnit", nexus: "Nexus") -> bool:
    """Whether the PERIPHERAL QUALIFIER is 000b through the target port of `nexus`, and not 001b (SPC-5 §5.16.2.4.5)."""
    return unit.alua.state_of(nexus.relative_target_port_id) not in _NOT_CONNECTED
