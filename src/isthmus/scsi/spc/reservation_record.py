"""The record of persistent reservations that outlive a loss of power (APTPL; SPC-5 §5.14.5.1).

A JSON object, so that an operator can read who holds a disk. `load_reservations` takes exactly what `save_reservations`
writes: a record that says anything else, or contradicts itself, is refused, as a wrong guess lets two hosts write to one
disk. PRGENERATION is not kept, it begins at 0 with each power on (§6.16.2).
"""

import json
from typing import TYPE_CHECKING, Any, Final

from isthmus.errors import BackstoreError, ConfigurationError, IsthmusError
from isthmus.scsi.background import BackgroundSteps
from isthmus.scsi.spc.persistent_reservations import (
    MAX_REGISTRATIONS,
    PersistentReservation,
    PersistentReservations,
    Registrant,
    ReservationType,
)
from isthmus.scsi.state_store import RESERVATIONS, SaveState, UnitStateStore

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["decode", "encode", "forget_damaged_reservations", "load_reservations", "save_reservations"]

_VERSION: Final = 1
_REMEDY: Final = "restore it from a backup"
_ACCEPT: Final = (
    "accept the loss (--replace-lost-reservations; of a daemon, isthmus backstore start --lost-reservations)"
)


def save_reservations(
    unit: "LogicalUnit", before: PersistentReservations, after: PersistentReservations
) -> BackgroundSteps:
    """Make `after` durable where that, or that it is not to be kept any more, has to outlive a loss of power.

    Raises `IsthmusError` if it cannot be saved; then neither is the state changed.
    """
    data = encode(after) if after.preserved else None
    saved = encode(before) if before.preserved else None
    if data == saved and not before.lost:
        return
    try:
        yield SaveState(unit.state, unit.identity.serial, RESERVATIONS, data)
    except BackstoreError as error:
        raise IsthmusError(f"the reservations stay as they are: {error}") from error


def load_reservations(store: UnitStateStore, unit_serial: str, *, accept_loss: bool = False) -> PersistentReservations:
    """The state as it was saved last, or nothing registered and reserved.

    Raises `ConfigurationError` for a record that cannot be read; with `accept_loss`, the state then is that it is lost.
    """
    try:
        data = store.load(unit_serial, RESERVATIONS)
        return PersistentReservations() if data is None else decode(data)
    except ConfigurationError as error:
        if not accept_loss:
            raise ConfigurationError(f"unit {unit_serial}: {error.problem}", f"{error.remedy}, or {_ACCEPT}") from error
        return PersistentReservations(lost=True)


def forget_damaged_reservations(store: UnitStateStore, unit_serial: str) -> None:
    """Remove the record of a unit if it cannot be read; one that can be stays. May block; raises `BackstoreError`."""
    try:
        load_reservations(store, unit_serial)
    except ConfigurationError:
        store.save(unit_serial, RESERVATIONS, None)


def encode(state: PersistentReservations) -> bytes:
    """The record of `state`."""
    held = state.reservation
    record = {
        "version": _VERSION,
        "registrations": [[*_fields(registrant), f"{key:016x}"] for registrant, key in state.registrations.items()],
        "reservation": held and {"type": held.type.name, "holder": held.holder and _fields(held.holder)},
    }
    return json.dumps(record, indent=1, ensure_ascii=False).encode() + b"\n"


def _fields(registrant: Registrant) -> list[Any]:
    return [registrant.initiator_port_name, registrant.relative_target_port_id]


def decode(data: bytes) -> PersistentReservations:
    """The state in a record; raises `ConfigurationError` if it is none of this version, or cannot be true."""
    try:
        record = json.loads(data)
        if record["version"] != _VERSION:
            raise ConfigurationError(
                f"the saved reservations have the form {record['version']!r}, and this program knows {_VERSION}",
                "use the program that wrote them",
            )
        state = _state(record)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ConfigurationError("the saved reservations are damaged", _REMEDY) from error
    if encode(state) != data:
        raise ConfigurationError("the saved reservations are damaged", _REMEDY)
    return state


def _state(record: dict[str, Any]) -> PersistentReservations:
    keys = {Registrant(str(name), int(port)): int(key, 16) for name, port, key in record["registrations"]}
    if not all(0 < key < 1 << 64 for key in keys.values()) or len(keys) > MAX_REGISTRATIONS:
        raise ValueError("keys are 64 bits and not 0")
    held = record["reservation"]
    reservation = None if held is None else _reservation(held)
    if reservation is not None and (not keys or reservation.holder not in (None, *keys)):
        raise ValueError("nobody holds the reservation")
    return PersistentReservations(keys, reservation, preserved=True)


def _reservation(held: dict[str, Any]) -> PersistentReservation:
    reservation_type = ReservationType[held["type"]]
    holder = None if held["holder"] is None else Registrant(str(held["holder"][0]), int(held["holder"][1]))
    if (holder is None) is not reservation_type.all_registrants:
        raise ValueError("the holder does not fit the type")
    return PersistentReservation(type=reservation_type, holder=holder)
