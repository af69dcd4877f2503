"""The service actions of PERSISTENT RESERVE OUT: who may ask for them, and which transitions they are (SPC-5 §5.14)."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.nexus import Nexus
from isthmus.scsi.spc.parameter_data import invalid_in_list
from isthmus.scsi.spc.persistent_reservations import (
    Consequences,
    PersistentReservations,
    Registrant,
    ReservationConflict,
)
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.spc.reserve_out_parameters import MoveParameters, ReserveOutParameters
from isthmus.scsi.spc.transport_id import TransportId

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.spc.persistent_reserve_out import PersistentReserveOut

__all__ = ["ACTIONS", "Request"]

_RESERVATION_KEY: Final = 0
_SPEC_I_PT: Final = (20, 3)
_MOVE_RELATIVE_TARGET_PORT: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A service action on its way: who asks for what, and the copy of the state that it changes."""

    unit: "LogicalUnit"
    nexus: Nexus
    command: "PersistentReserveOut"
    parameters: ReserveOutParameters
    state: PersistentReservations

    @property
    def registrant(self) -> Registrant:
        """Who asks."""
        return self.unit.reservations.registrant(self.nexus)

    @property
    def key(self) -> int:
        """SERVICE ACTION RESERVATION KEY."""
        return self.parameters.service_action_reservation_key

    @property
    def target_ports(self) -> frozenset[int]:
        """The relative target port identifiers of all target ports of the unit that are known."""
        return self.unit.alua.ports | {self.nexus.relative_target_port_id}


def _check_key(request: Request) -> None:
    """Only who is registered, and knows its key, may change anything (SPC-5 §6.17.3)."""
    if request.state.registrations.get(request.registrant) != request.parameters.reservation_key:
        raise ReservationConflict("the reservation key is not that of the registration")


# Registering.


def _register(request: Request) -> Consequences:
    """SPC-5 table 67."""
    transport_ids = request.parameters.transport_ids
    registered = request.registrant in request.state.registrations
    # A nexus without a registration has the key 0, so to say.
    if request.state.registrations.get(request.registrant, 0) != request.parameters.reservation_key:
        raise ReservationConflict("the reservation key is not that of the registration")
    if transport_ids is None or not (registered or request.key):
        return _apply_registration(request, ())
    if registered:
        raise invalid_in_list(*_SPEC_I_PT)
    return _apply_registration(request, transport_ids)


def _register_and_ignore_existing_key(request: Request) -> Consequences:
    return _apply_registration(request, ())


def _apply_registration(request: Request, transport_ids: Collection[TransportId]) -> Consequences:
    """Register the nexuses of SPC-5 table 69, or unregister them. Where there is nothing to do, APTPL is not heeded."""
    own = request.registrant
    ports = request.target_ports if request.parameters.all_target_ports else {own.relative_target_port_id}
    everyone = [Registrant(own.initiator_port_name, port) for port in sorted(ports)]
    for transport_id in transport_ids:
        everyone += _specified(request, transport_id, ports)
    if request.key or any(one in request.state.registrations for one in everyone):
        request.state.preserved = request.parameters.activate_persist
    if request.parameters.all_target_ports:
        request.state.asked_for_all_target_ports |= {one.initiator_port_name for one in everyone}
    return request.state.register(own, request.key, also=everyone)


def _specified(request: Request, transport_id: TransportId, ports: Collection[int]) -> list[Registrant]:
    """The nexuses that one TransportID stands for; none of them may be registered yet (SPC-5 table 67)."""
    name = transport_id.initiator_port_name
    names = _known_ports(request.unit, transport_id) if name is None else [name]
    specified = [Registrant(name, port) for name in names for port in sorted(ports)]
    if not specified or any(one in request.state.registrations for one in specified):
        raise invalid_in_list(transport_id.offset)
    return specified


def _known_ports(unit: "LogicalUnit", transport_id: TransportId) -> list[str]:
    """The names of the ports of an initiator device through which the unit is reached now (SPC-5 §7.6.4.6)."""
    own = (nexus for nexus in unit.nexuses if nexus.initiator_name == transport_id.iscsi_name)
    return sorted({nexus.initiator_port_name for nexus in own})


def _register_and_move(request: Request) -> Consequences:
    """SPC-5 table 70."""
    _check_key(request)
    parameters = request.parameters
    assert isinstance(parameters, MoveParameters)
    request.state.check_can_move(request.registrant, request.key)
    name = parameters.transport_id.initiator_port_name
    if name is None or name == request.registrant.initiator_port_name:
        raise invalid_in_list(parameters.transport_id.offset)
    if parameters.relative_target_port_id not in request.target_ports:
        raise invalid_in_list(_MOVE_RELATIVE_TARGET_PORT)
    request.state.preserved = parameters.activate_persist
    destination = Registrant(name, parameters.relative_target_port_id)
    return request.state.move(request.registrant, request.key, destination, unregister=parameters.unregister)


def _replace_lost_reservation(request: Request) -> Consequences:
    if request.state.lost and request.parameters.reservation_key:
        raise invalid_in_list(_RESERVATION_KEY)
    consequences = request.state.replace_lost(request.registrant, request.key, request.command.reservation_type())
    request.state.preserved = request.parameters.activate_persist
    return consequences


# Reserving, releasing, preempting.


def _reserve(request: Request) -> Consequences:
    _check_key(request)
    request.state.reserve(request.registrant, request.command.reservation_type())
    return Consequences()


def _release(request: Request) -> Consequences:
    _check_key(request)
    command = request.command
    return request.state.release(request.registrant, scope=command.scope, reservation_type=command.type)


def _clear(request: Request) -> Consequences:
    _check_key(request)
    return request.state.clear(request.registrant)


def _preempt(request: Request) -> Consequences:
    """Scope and type count only if a reservation is taken over (SPC-5 §5.14.11.2.4)."""
    _check_key(request)
    if request.state.takes_over(request.key):
        return request.state.preempt(request.registrant, request.key, request.command.reservation_type())
    return request.state.remove_registrations(request.registrant, request.key)


ACTIONS: Final[Mapping[ReserveOutAction, Callable[[Request], Consequences]]] = {
    ReserveOutAction.REGISTER: _register,
    ReserveOutAction.RESERVE: _reserve,
    ReserveOutAction.RELEASE: _release,
    ReserveOutAction.CLEAR: _clear,
    ReserveOutAction.PREEMPT: _preempt,
    ReserveOutAction.PREEMPT_AND_ABORT: _preempt,
    ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY: _register_and_ignore_existing_key,
    ReserveOutAction.REGISTER_AND_MOVE: _register_and_move,
    ReserveOutAction.REPLACE_LOST_RESERVATION: _replace_lost_reservation,
}
