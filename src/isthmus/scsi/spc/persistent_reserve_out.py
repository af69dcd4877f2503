"""PERSISTENT RESERVE OUT (SPC-5 §6.17): what each service action does, and what follows for the other nexuses.

A service action is decided on a copy of the state. Where the state is to outlive a loss of power (APTPL), the copy is
saved first; only then does it take effect. So there is never a GOOD status for what a restart would forget, and an
action that could not be saved has not happened. The commands take turns for that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.background import BackgroundSteps
from isthmus.scsi.cdb import Command
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_cdb, parameter_list
from isthmus.scsi.spc.persistent_reservations import Consequences, Registrant, ReservationConflict, ReservationType
from isthmus.scsi.spc.reservation_record import save_reservations
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.spc.reserve_out_actions import ACTIONS, Request
from isthmus.scsi.spc.reserve_out_parameters import (
    SHORTEST_LIST,
    ReserveOutParameters,
    parse_move_parameters,
    parse_parameters,
)
from isthmus.scsi.task import GOOD, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = ["PersistentReserveOut", "parse_persistent_reserve_out", "persistent_reserve_out"]

_LONGEST_LIST: Final = 0xFFFF
"""Bytes: room for almost 300 TransportIDs; what is longer than this is not worth the transfer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistentReserveOut(Command):
    """PERSISTENT RESERVE OUT. Only some service actions look at scope and type, so they are kept as they came."""

    action: ReserveOutAction
    scope: int
    type: int
    parameter_list_length: int

    @property
    def data_out_length(self) -> int:
        return self.parameter_list_length

    def reservation_type(self) -> ReservationType:
        """The type of the logical unit reservation that is asked for; raises `CheckCondition` for any other."""
        if self.scope:
            raise invalid_in_cdb(2, 7)
        try:
            return ReservationType(self.type)
        except ValueError:
            raise invalid_in_cdb(2, 3) from None


def parse_persistent_reserve_out(cdb: bytes, _unit: "LogicalUnit") -> PersistentReserveOut:
    """Take the CDB apart; the length is judged for good with the list, which says what is in it."""
    length = int.from_bytes(cdb[5:9])
    if not SHORTEST_LIST <= length <= _LONGEST_LIST:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    command = PersistentReserveOut(
        action=ReserveOutAction(cdb[1] & 0x1F), scope=cdb[2] >> 4, type=cdb[2] & 0x0F, parameter_list_length=length
    )
    if command.action in (ReserveOutAction.RESERVE, ReserveOutAction.REPLACE_LOST_RESERVATION):
        command.reservation_type()
    return command


def persistent_reserve_out(unit: "LogicalUnit", task: Task) -> Steps:
    """Do what the service action says, tell the other nexuses, abort what has to be aborted."""
    command = task.command
    assert isinstance(command, PersistentReserveOut)
    data = parameter_list(task)
    if command.action is ReserveOutAction.REGISTER_AND_MOVE:
        parameters: ReserveOutParameters = parse_move_parameters(data)
    else:
        parameters = parse_parameters(data, command.action)
    yield from unit.reservations.turns.in_turn(_change(unit, task, command, parameters))
    return GOOD


def _change(
    unit: "LogicalUnit", task: Task, command: PersistentReserveOut, parameters: ReserveOutParameters
) -> BackgroundSteps:
    assert task.descriptor is not None
    # Somebody else's turn may have changed what was looked at when the task was enabled.
    if unit.reservations.conflicts(task.nexus, task.descriptor, command):
        raise ReservationConflict("the reservation has changed")
    before = unit.reservations.persistent
    request = Request(unit=unit, nexus=task.nexus, command=command, parameters=parameters, state=before.copy())
    consequences = ACTIONS[command.action](request)
    if unit.reservations.always_preserved:
        request.state.preserved = True
    yield from save_reservations(unit, before, request.state)
    registrants = {nexus: unit.reservations.registrant(nexus) for nexus in unit.nexuses}
    unit.reservations.adopt(request.state)
    _bring_about(unit, task, command, consequences, registrants)


def _bring_about(
    unit: "LogicalUnit",
    task: Task,
    command: PersistentReserveOut,
    consequences: Consequences,
    registrants: Mapping["Nexus", Registrant],
) -> None:
    """What a nexus that is not there would hear, nobody hears: when it comes back, the power-on condition says it all.

    `registrants` are those that the nexuses of the unit were before.
    """
    for nexus, registrant in registrants.items():
        sense = consequences.attentions.get(registrant)
        if sense is not None:
            unit.unit_attentions.establish(nexus, sense)
    if command.action is ReserveOutAction.PREEMPT_AND_ABORT:
        preempted = {nexus for nexus, registrant in registrants.items() if registrant in consequences.preempted}
        # What a preempted nexus has prevented is allowed again (SPC-5 §5.14.11.2.6).
        unit.prevent_removal -= preempted
        unit.abort_tasks_for(task, preempted)
    unit.refresh_grants()
