"""PERSISTENT RESERVE OUT (SPC-5 §6.17): the parameter list, the keys, and what follows for the other nexuses.

Not offered, and refused where it is asked for: SPEC_I_PT, ALL_TG_PT, APTPL and REGISTER AND MOVE. REPORT CAPABILITIES
says the same.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_cdb, invalid_in_list, parameter_list
from isthmus.scsi.spc.reservations import (
    Consequences,
    Registrant,
    ReservationConflict,
    ReservationType,
    ReserveOutAction,
)
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["PersistentReserveOut", "parse_persistent_reserve_out", "persistent_reserve_out"]

_LIST_LENGTH: Final = 24
_LONGEST_LIST: Final = 0xFFFF
"""Bytes: a list with SPEC_I_PT may be longer than 24; what is longer than this is not worth the transfer."""
_SPEC_I_PT: Final = 0x08
_ALL_TG_PT: Final = 0x04
_APTPL: Final = 0x01
_FLAGS_BYTE: Final = 20


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parameters:
    """The parameter list: the key that the nexus has, and the key that the service action is about."""

    reservation_key: int
    service_action_reservation_key: int


def parse_persistent_reserve_out(cdb: bytes, _unit: "LogicalUnit") -> PersistentReserveOut:
    """Take the CDB apart; the length is judged for good with the list, which says whether SPEC_I_PT is set."""
    length = int.from_bytes(cdb[5:9])
    if not _LIST_LENGTH <= length <= _LONGEST_LIST:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    command = PersistentReserveOut(
        action=ReserveOutAction(cdb[1] & 0x1F), scope=cdb[2] >> 4, type=cdb[2] & 0x0F, parameter_list_length=length
    )
    if command.action is ReserveOutAction.RESERVE:
        command.reservation_type()
    return command


def persistent_reserve_out(unit: "LogicalUnit", task: Task) -> Response:
    """Do what the service action says, tell the other nexuses, abort what has to be aborted."""
    command = task.command
    assert isinstance(command, PersistentReserveOut)
    parameters = _parse_parameters(command, parameter_list(task))
    consequences = _ACTIONS[command.action](unit, Registrant.of(task.nexus), command, parameters)
    for nexus in unit.nexuses:
        sense = consequences.attentions.get(Registrant.of(nexus))
        if sense is not None:
            unit.unit_attentions.establish(nexus, sense)
    # What a preempted nexus has prevented is allowed again (SPC-5 §5.14, preempting).
    preempted = {nexus for nexus in unit.nexuses if Registrant.of(nexus) in consequences.preempted}
    unit.prevent_removal -= preempted
    if command.action is ReserveOutAction.PREEMPT_AND_ABORT:
        unit.abort_tasks_for(task, preempted)
    unit.refresh_grants()
    return GOOD


def _parse_parameters(command: PersistentReserveOut, data: bytes) -> _Parameters:
    flags = data[_FLAGS_BYTE]
    registers = command.action in (ReserveOutAction.REGISTER, ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY)
    if registers and flags & _SPEC_I_PT:
        raise invalid_in_list(_FLAGS_BYTE, 3)
    if len(data) != _LIST_LENGTH:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    if registers and flags & _ALL_TG_PT:
        raise invalid_in_list(_FLAGS_BYTE, 2)
    if registers and flags & _APTPL:
        raise invalid_in_list(_FLAGS_BYTE, 0)
    reservation_key, service_action_reservation_key = struct.unpack_from(">QQ", data)
    return _Parameters(reservation_key=reservation_key, service_action_reservation_key=service_action_reservation_key)


# The service actions.

_Action = Callable[["LogicalUnit", Registrant, PersistentReserveOut, _Parameters], Consequences]


def _check_key(unit: "LogicalUnit", registrant: Registrant, parameters: _Parameters) -> None:
    """Only who is registered, and knows its key, may change anything (SPC-5 §6.17.3)."""
    if unit.reservations.registrations.get(registrant) != parameters.reservation_key:
        raise ReservationConflict("the reservation key is not that of the registration")


def _register(
    unit: "LogicalUnit", registrant: Registrant, _command: PersistentReserveOut, parameters: _Parameters
) -> Consequences:
    # A nexus without a registration has the key 0, so to say.
    if unit.reservations.registrations.get(registrant, 0) != parameters.reservation_key:
        raise ReservationConflict("the reservation key is not that of the registration")
    return unit.reservations.register(registrant, parameters.service_action_reservation_key)


def _register_and_ignore_existing_key(
    unit: "LogicalUnit", registrant: Registrant, _command: PersistentReserveOut, parameters: _Parameters
) -> Consequences:
    return unit.reservations.register(registrant, parameters.service_action_reservation_key)


def _reserve(
    unit: "LogicalUnit", registrant: Registrant, command: PersistentReserveOut, parameters: _Parameters
) -> Consequences:
    _check_key(unit, registrant, parameters)
    unit.reservations.reserve(registrant, command.reservation_type())
    return Consequences()


def _release(
    unit: "LogicalUnit", registrant: Registrant, command: PersistentReserveOut, parameters: _Parameters
) -> Consequences:
    _check_key(unit, registrant, parameters)
    return unit.reservations.release(registrant, scope=command.scope, reservation_type=command.type)


def _clear(
    unit: "LogicalUnit", registrant: Registrant, _command: PersistentReserveOut, parameters: _Parameters
) -> Consequences:
    _check_key(unit, registrant, parameters)
    return unit.reservations.clear(registrant)


def _preempt(
    unit: "LogicalUnit", registrant: Registrant, command: PersistentReserveOut, parameters: _Parameters
) -> Consequences:
    """Scope and type count only if a reservation is taken over (SPC-5 §5.14, preempting)."""
    _check_key(unit, registrant, parameters)
    key = parameters.service_action_reservation_key
    if unit.reservations.takes_over(key):
        return unit.reservations.preempt(registrant, key, command.reservation_type())
    return unit.reservations.remove_registrations(registrant, key)


_ACTIONS: Final[dict[ReserveOutAction, _Action]] = {
    ReserveOutAction.REGISTER: _register,
    ReserveOutAction.RESERVE: _reserve,
    ReserveOutAction.RELEASE: _release,
    ReserveOutAction.CLEAR: _clear,
    ReserveOutAction.PREEMPT: _preempt,
    ReserveOutAction.PREEMPT_AND_ABORT: _preempt,
    ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY: _register_and_ignore_existing_key,
}
