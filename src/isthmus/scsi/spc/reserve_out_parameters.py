"""The parameter lists of PERSISTENT RESERVE OUT: the basic one, and that of REGISTER AND MOVE (SPC-5 §6.17.3, §6.17.4)."""

import struct
from dataclasses import dataclass
from typing import Final

from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_list
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.spc.transport_id import TransportId, parse_transport_ids

__all__ = ["SHORTEST_LIST", "MoveParameters", "ReserveOutParameters", "parse_move_parameters", "parse_parameters"]

SHORTEST_LIST: Final = 24
"""Bytes of either list without TransportIDs."""
_REGISTERS: Final = frozenset({ReserveOutAction.REGISTER, ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY})
_FLAGS_BYTE: Final = 20
_SPEC_I_PT: Final = 0x08
_ALL_TG_PT: Final = 0x04
_APTPL: Final = 0x01
_TRANSPORT_IDS: Final = 28
"""Where the TransportIDs begin, behind the length of them all."""
_SHORTEST_TRANSPORT_ID: Final = 24

_MOVE: Final = struct.Struct(">QQxBHI")
_UNREG: Final = 0x02
_MOVE_LENGTH_BYTE: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveOutParameters:
    """The basic list: the key that the nexus has, and the key that the service action is about."""

    reservation_key: int
    service_action_reservation_key: int
    activate_persist: bool = False
    """APTPL."""
    all_target_ports: bool = False
    """ALL_TG_PT, where it counts."""
    transport_ids: tuple[TransportId, ...] | None = None
    """Those of SPEC_I_PT; None without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveParameters(ReserveOutParameters):
    """The list of REGISTER AND MOVE."""

    unregister: bool
    """UNREG: the nexus that asks gives up its registration, too."""
    relative_target_port_id: int
    transport_id: TransportId


def parse_parameters(data: bytes, action: ReserveOutAction) -> ReserveOutParameters:
    """Take the basic list apart; raises `CheckCondition` for a length that is wrong, and for flags of other actions."""
    flags = data[_FLAGS_BYTE]
    if flags & _SPEC_I_PT and action is not ReserveOutAction.REGISTER:
        raise invalid_in_list(_FLAGS_BYTE, 3)
    if flags & _ALL_TG_PT and action is ReserveOutAction.REPLACE_LOST_RESERVATION:
        raise invalid_in_list(_FLAGS_BYTE, 2)
    if not flags & _SPEC_I_PT and len(data) != SHORTEST_LIST:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    reservation_key, service_action_reservation_key = struct.unpack_from(">QQ", data)
    return ReserveOutParameters(
        reservation_key=reservation_key,
        service_action_reservation_key=service_action_reservation_key,
        activate_persist=bool(flags & _APTPL),
        all_target_ports=bool(flags & _ALL_TG_PT) and action in _REGISTERS,
        transport_ids=_specified_initiator_ports(data) if flags & _SPEC_I_PT else None,
    )


def _specified_initiator_ports(data: bytes) -> tuple[TransportId, ...]:
    """Those of as many bytes as the list says; it must be that long."""
    end = _TRANSPORT_IDS + int.from_bytes(data[SHORTEST_LIST:_TRANSPORT_IDS])
    if len(data) < end:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    return parse_transport_ids(data[:end], _TRANSPORT_IDS)


def parse_move_parameters(data: bytes) -> MoveParameters:
    """Take the list of REGISTER AND MOVE apart, which names one initiator port."""
    key, action_key, flags, relative_target_port_id, length = _MOVE.unpack_from(data)
    if len(data) < SHORTEST_LIST + length:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    if length < _SHORTEST_TRANSPORT_ID:
        raise invalid_in_list(_MOVE_LENGTH_BYTE)
    transport_ids = parse_transport_ids(data[: SHORTEST_LIST + length], SHORTEST_LIST)
    if len(transport_ids) > 1:
        raise invalid_in_list(_MOVE_LENGTH_BYTE)
    if transport_ids[0].isid is None:
        # A device may have many ports, and only one of them can have the reservation (SPC-5 §7.6.4.6: may be rejected).
        raise invalid_in_list(SHORTEST_LIST, 7)
    return MoveParameters(
        reservation_key=key,
        service_action_reservation_key=action_key,
        activate_persist=bool(flags & _APTPL),
        unregister=bool(flags & _UNREG),
        relative_target_port_id=relative_target_port_id,
        transport_id=transport_ids[0],
    )
