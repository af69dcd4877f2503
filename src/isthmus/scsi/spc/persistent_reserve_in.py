"""PERSISTENT RESERVE IN (SPC-5 §6.16): what is registered and reserved, and what could be."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.spc.parameter_data import allocated
from isthmus.scsi.spc.reservations import Registrant, Reservations, ReservationType
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
    "transport_id",
]

_CRH: Final = 0x10
"""Compatible reservation handling: RESERVE and RELEASE keep out of the way of persistent reservations."""
_TMV: Final = 0x80
_ALLOW_COMMANDS: Final = 5 << 4
"""Allowed beside every reservation: TEST UNIT READY and the reports of supported commands and functions; beside the
write exclusive types also MODE SENSE and its kin."""
_R_HOLDER: Final = 0x01
_ISCSI_INITIATOR_PORT: Final = 0x45
"""Format 01b, iSCSI name with ISID, and protocol identifier 5h (SPC-5 §7.6.4.6)."""
_SHORTEST_NAME: Final = 20
"""Bytes: a TransportID has at least 24 (SPC-5 §7.6.4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistentReserveIn(Command):
    """PERSISTENT RESERVE IN, whatever the service action."""

    allocation_length: int


def parse_persistent_reserve_in(cdb: bytes, _unit: "LogicalUnit") -> PersistentReserveIn:
    """Take the CDB apart; each service action is a row of its own."""
    return PersistentReserveIn(allocation_length=int.from_bytes(cdb[7:9]))


def read_keys(unit: "LogicalUnit", task: Task) -> Response:
    """The key of every registration; two registrants with one key count twice (SPC-5 §6.16.2)."""
    keys = unit.reservations.registrations.values()
    return _answer(task, _with_header(unit.reservations, struct.pack(f">{len(keys)}Q", *keys)))


def read_reservation(unit: "LogicalUnit", task: Task) -> Response:
    """The reservation that is held, if one is (SPC-5 §6.16.3)."""
    reservations = unit.reservations
    held = reservations.reservation
    # Scope 0h, the logical unit, shares its byte with the type.
    descriptor = b"" if held is None else struct.pack(">QxxxxxBxx", reservations.reservation_key, held.type)
    return _answer(task, _with_header(reservations, descriptor))


def report_capabilities(_unit: "LogicalUnit", task: Task) -> Response:
    """All six types; not SPEC_I_PT, ALL_TG_PT, APTPL nor REPLACE LOST RESERVATION (SPC-5 §6.16.4)."""
    # The bits of PERSISTENT RESERVATION TYPE MASK count upwards from its first byte, one for each value of TYPE.
    type_mask = sum(1 << reservation_type for reservation_type in ReservationType).to_bytes(2, "little")
    return _answer(task, struct.pack(">HBB2sxx", 8, _CRH, _TMV | _ALLOW_COMMANDS, type_mask))


def read_full_status(unit: "LogicalUnit", task: Task) -> Response:
    """Every registration with its key, its port, and whether it holds the reservation (SPC-5 §6.16.5)."""
    descriptors = [_full_status(unit.reservations, registrant) for registrant in unit.reservations.registrations]
    return _answer(task, _with_header(unit.reservations, b"".join(descriptors)))


def _full_status(reservations: Reservations, registrant: Registrant) -> bytes:
    held = reservations.reservation if reservations.is_holder(registrant) else None
    flags, reservation_type = (0, 0) if held is None else (_R_HOLDER, held.type)
    initiator = transport_id(registrant.initiator_port_name)
    key, port = reservations.registrations[registrant], registrant.relative_target_port_id
    return struct.pack(">QxxxxBBxxxxHI", key, flags, reservation_type, port, len(initiator)) + initiator


def transport_id(initiator_port_name: str) -> bytes:
    """The TransportID of an iSCSI initiator port: its name, ended by a null, filled up with nulls (SPC-5 §7.6.4.6)."""
    name = initiator_port_name.encode() + b"\0"
    name = (name + bytes(-len(name) % 4)).ljust(_SHORTEST_NAME, b"\0")
    return struct.pack(">BxH", _ISCSI_INITIATOR_PORT, len(name)) + name


def _with_header(reservations: Reservations, data: bytes) -> bytes:
    return struct.pack(">II", reservations.generation, len(data)) + data


def _answer(task: Task, data: bytes) -> Response:
    assert isinstance(task.command, PersistentReserveIn)
    return allocated(data, task.command.allocation_length)
