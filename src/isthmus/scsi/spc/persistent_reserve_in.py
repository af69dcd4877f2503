"""PERSISTENT RESERVE IN (SPC-5 §6.16): what is registered and reserved, and what could be."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.spc.parameter_data import allocated
from isthmus.scsi.spc.persistent_reservations import PersistentReservations, Registrant, ReservationType
from isthmus.scsi.spc.transport_id import transport_id
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "PersistentReserveIn",
    "parse_persistent_reserve_in",
    "read_full_status",
    "read_keys",
    "read_reservation",
    "report_capabilities",
]

_RLR_C: Final = 0x80
_CRH: Final = 0x10
"""Compatible reservation handling: RESERVE and RELEASE keep out of the way of persistent reservations."""
_SIP_C: Final = 0x08
_ATP_C: Final = 0x04
_PTPL_C: Final = 0x01
_TMV: Final = 0x80
_ALLOW_COMMANDS: Final = 4 << 4
"""Allowed beside every reservation: TEST UNIT READY and RECEIVE COPY RESULTS; beside the write exclusive types also
MODE SENSE, READ BUFFER, the reports of supported commands and functions, and their kin (SPC-5 §6.16.4)."""
_PTPL_A: Final = 0x01
_R_HOLDER: Final = 0x01
_ALL_TG_PT: Final = 0x02


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistentReserveIn(Command):
    """PERSISTENT RESERVE IN, whatever the service action."""

    allocation_length: int


def parse_persistent_reserve_in(cdb: bytes, _unit: "LogicalUnit") -> PersistentReserveIn:
    """Take the CDB apart; each service action is a row of its own."""
    return PersistentReserveIn(allocation_length=int.from_bytes(cdb[7:9]))


def read_keys(unit: "LogicalUnit", task: Task) -> Response:
    """The key of every registration; two registrants with one key count twice (SPC-5 §6.16.2)."""
    state = unit.reservations.persistent
    keys = state.registrations.values()
    return _answer(task, _with_header(state, struct.pack(f">{len(keys)}Q", *keys)))


def read_reservation(unit: "LogicalUnit", task: Task) -> Response:
    """The reservation that is held, if one is (SPC-5 §6.16.3)."""
    state = unit.reservations.persistent
    held = state.reservation
    # Scope 0h, the logical unit, shares its byte with the type.
    descriptor = b"" if held is None else struct.pack(">QxxxxxBxx", state.reservation_key, held.type)
    return _answer(task, _with_header(state, descriptor))


def report_capabilities(unit: "LogicalUnit", task: Task) -> Response:
    """Everything there is, and all six types (SPC-5 §6.16.4)."""
    # The bits of PERSISTENT RESERVATION TYPE MASK count upwards from its first byte, one for each value of TYPE.
    type_mask = sum(1 << reservation_type for reservation_type in ReservationType).to_bytes(2, "little")
    capable = _RLR_C | _CRH | _SIP_C | _ATP_C | _PTPL_C
    activated = _PTPL_A if unit.reservations.persistent.preserved else 0
    return _answer(task, struct.pack(">HBB2sxx", 8, capable, _TMV | _ALLOW_COMMANDS | activated, type_mask))


def read_full_status(unit: "LogicalUnit", task: Task) -> Response:
    """Every registration with its key, its ports, and whether it holds the reservation (SPC-5 §6.16.5).

    An initiator port that was registered with ALL_TG_PT has one descriptor, as long as one can tell of all of its I_T
    nexuses: it is registered at every target port, everywhere with the same key and in the same role.
    """
    state = unit.reservations.persistent
    everywhere = {
        name
        for name in state.asked_for_all_target_ports
        if state.is_alike([Registrant(name, port) for port in unit.alua.ports])
    }
    descriptors: dict[object, bytes] = {}
    for registrant in state.registrations:
        if registrant.initiator_port_name in everywhere:
            descriptors.setdefault(registrant.initiator_port_name, _full_status(state, registrant, everywhere=True))
        else:
            descriptors[registrant] = _full_status(state, registrant)
    return _answer(task, _with_header(state, b"".join(descriptors.values())))


def _full_status(state: PersistentReservations, registrant: Registrant, *, everywhere: bool = False) -> bytes:
    """A full status descriptor; that of all target ports has no RELATIVE TARGET PORT IDENTIFIER."""
    held = state.reservation if state.is_holder(registrant) else None
    flags, reservation_type = (0, 0) if held is None else (_R_HOLDER, held.type)
    flags |= _ALL_TG_PT if everywhere else 0
    initiator = transport_id(registrant.initiator_port_name)
    key, port = state.registrations[registrant], 0 if everywhere else registrant.relative_target_port_id
    return struct.pack(">QxxxxBBxxxxHI", key, flags, reservation_type, port, len(initiator)) + initiator


def _with_header(state: PersistentReservations, data: bytes) -> bytes:
    return struct.pack(">II", state.generation, len(data)) + data


def _answer(task: Task, data: bytes) -> Response:
    assert isinstance(task.command, PersistentReserveIn)
    return allocated(data, task.command.allocation_length)
