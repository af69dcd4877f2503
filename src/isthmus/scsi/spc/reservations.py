"""Who may use a logical unit: persistent reservations (SPC-5 §5.14) and RESERVE/RELEASE (SPC-2 §5.5.1, as SPC-4 keeps it).

The state is small: the registrations (registrant and key), at most one persistent reservation, PRGENERATION, and at
most one SPC-2 reservation. A registrant is an I_T nexus as it is known after it is gone, so registrations and the
reservation outlive the session; an SPC-2 reservation belongs to the session and goes with it.

The methods below `register` are the transitions. Each changes the state at once and returns the `Consequences` for the
other nexuses, which the caller brings about. Whoever sends them has shown its key already (`persistent_reserve_out`).

A persistent reservation lets through its holder, the registrants if `_TYPES` says so, and of everybody else what
neither writes nor, for the exclusive access types, reads. With an all registrants type every registrant is a holder.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from isthmus.errors import IsthmusError
from isthmus.scsi.opcodes import CommandDescriptor, ReservationClass
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense

if TYPE_CHECKING:
    from isthmus.scsi.cdb import Command
    from isthmus.scsi.nexus import Nexus

__all__ = [
    "MAX_REGISTRATIONS",
    "Consequences",
    "PersistentReservation",
    "Registrant",
    "ReservationConflict",
    "ReservationType",
    "Reservations",
    "ReserveOutAction",
]

MAX_REGISTRATIONS: Final = 2048
"""Registrations of one logical unit: initiators choose their ISIDs, so without a bound they could fill the memory."""
_LU_SCOPE: Final = 0
_GENERATION_MASK: Final = 0xFFFF_FFFF
_SERVICE_ACTION_RESERVATION_KEY: Final = FieldPointer(8, in_cdb=False)


class ReservationConflict(IsthmusError):
    """Ends a command with RESERVATION CONFLICT status, which has no sense (SAM-5 §5.3.1)."""


class ReserveOutAction(enum.IntEnum):
    """The service actions of PERSISTENT RESERVE OUT (SPC-5 §6.17.2)."""

    REGISTER = 0x00
    RESERVE = 0x01
    RELEASE = 0x02
    CLEAR = 0x03
    PREEMPT = 0x04
    PREEMPT_AND_ABORT = 0x05
    REGISTER_AND_IGNORE_EXISTING_KEY = 0x06


class ReservationType(enum.IntEnum):
    """The TYPE field (SPC-5 §6.16.3)."""

    WRITE_EXCLUSIVE = 1
    EXCLUSIVE_ACCESS = 3
    WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5
    EXCLUSIVE_ACCESS_REGISTRANTS_ONLY = 6
    WRITE_EXCLUSIVE_ALL_REGISTRANTS = 7
    EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 8

    @property
    def excludes_reads(self) -> bool:
        """Whether nobody else may even read."""
        return _TYPES[self][0]

    @property
    def admits_registrants(self) -> bool:
        """Whether every registrant may do what the holder may."""
        return _TYPES[self][1]

    @property
    def all_registrants(self) -> bool:
        """Whether every registrant is a holder."""
        return _TYPES[self][2]


_TYPES: Final[Mapping[ReservationType, tuple[bool, bool, bool]]] = {
    #                                                    excludes  admits       all registrants
    #                                                    reads     registrants  are holders
    ReservationType.WRITE_EXCLUSIVE: (False, False, False),
    ReservationType.EXCLUSIVE_ACCESS: (True, False, False),
    ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY: (False, True, False),
    ReservationType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY: (True, True, False),
    ReservationType.WRITE_EXCLUSIVE_ALL_REGISTRANTS: (False, True, True),
    ReservationType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS: (True, True, True),
}


@dataclass(frozen=True, slots=True)
class Registrant:
    """An I_T nexus by its lasting names (SPC-5 §5.14)."""

    initiator_port_name: str
    relative_target_port_id: int

    @classmethod
    def of(cls, nexus: "Nexus") -> Self:
        """The registrant that `nexus` is, or would be."""
        return cls(nexus.initiator_port_name, nexus.relative_target_port_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistentReservation:
    """The persistent reservation that is held; its scope is the logical unit, the only one there is."""

    type: ReservationType
    holder: Registrant | None
    """None for the all registrants types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequences:
    """What a transition means for nexuses other than the one that asked for it."""

    attentions: Mapping[Registrant, Sense] = field(default_factory=dict)
    preempted: frozenset[Registrant] = frozenset()
    """Who has lost a registration or the reservation to a PREEMPT; PREEMPT AND ABORT aborts its tasks."""


_NO_CONSEQUENCES: Final = Consequences()

_RELEASE_OPCODES: Final = frozenset({0x17, 0x57})
_ALLOWED_BESIDE_SPC2_RESERVATION: Final = frozenset(
    {
        (0x03, None),  # REQUEST SENSE
        (0x12, None),  # INQUIRY
        (0x1B, None),  # START STOP UNIT, when it only starts
        (0x1E, None),  # PREVENT ALLOW MEDIUM REMOVAL, when it allows
        (0x25, None),  # READ CAPACITY (10)
        (0x9E, 0x10),  # READ CAPACITY (16)
        (0xA0, None),  # REPORT LUNS
    }
)
"""(opcode, service action) that run although another nexus has reserved the unit (SPC-2 table 9, SBC-2 table 3)."""

_ALLOWED_UNREGISTERED: Final = frozenset({ReserveOutAction.REGISTER, ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY})
"""The only ways into the club (SPC-5 §5.14.1)."""


class Reservations:
    """The reservations of one logical unit."""

    def __init__(self) -> None:
        self._keys: dict[Registrant, int] = {}
        self._reservation: PersistentReservation | None = None
        self._generation = 0
        self._spc2_holder: Nexus | None = None

    @property
    def registrations(self) -> Mapping[Registrant, int]:
        """The reservation key of each registrant, in the order of registration."""
        return MappingProxyType(self._keys)

    @property
    def reservation(self) -> PersistentReservation | None:
        """The persistent reservation, if one is held."""
        return self._reservation

    @property
    def generation(self) -> int:
        """PRGENERATION: counts what changes registrations, modulo 2^32 (SPC-5 §6.16.2)."""
        return self._generation

    @property
    def reservation_key(self) -> int:
        """The key of the holder; 0 with an all registrants type (SPC-5 §6.16.3)."""
        if self._reservation is None or self._reservation.holder is None:
            return 0
        return self._keys[self._reservation.holder]

    def is_holder(self, registrant: Registrant) -> bool:
        """Whether `registrant` is a persistent reservation holder (SPC-5 §5.14)."""
        if self._reservation is None or registrant not in self._keys:
            return False
        return self._reservation.type.all_registrants or self._reservation.holder == registrant

    # What stands in the way of a command.

    def conflicts(self, nexus: "Nexus", descriptor: CommandDescriptor, command: "Command") -> bool:
        """Whether the command ends with RESERVATION CONFLICT (SPC-5 §5.14.1, SBC-4 §4.15)."""
        reservation_class = command.reservation_class or descriptor.reservation
        if reservation_class is ReservationClass.SPC2_RESERVE:
            return self._spc2_command_conflicts(nexus, descriptor)
        if self._spc2_holder is not None:
            return self._conflicts_with_spc2(nexus, descriptor, reservation_class)
        if reservation_class is ReservationClass.PERSISTENT_RESERVE_OUT:
            registered = Registrant.of(nexus) in self._keys
            return not registered and descriptor.service_action not in _ALLOWED_UNREGISTERED
        if reservation_class is ReservationClass.WRITE:
            return self._excluded(nexus)
        return reservation_class is ReservationClass.READ and self._excluded(nexus, reading=True)

    def excludes_reads(self, nexus: "Nexus") -> bool:
        """Whether `nexus` may not read the medium."""
        return self._reserved_by_other(nexus) or self._excluded(nexus, reading=True)

    def excludes_writes(self, nexus: "Nexus") -> bool:
        """Whether `nexus` may not write to the medium."""
        return self._reserved_by_other(nexus) or self._excluded(nexus)

    def _excluded(self, nexus: "Nexus", *, reading: bool = False) -> bool:
        reservation = self._reservation
        if reservation is None or (reading and not reservation.type.excludes_reads):
            return False
        registrant = Registrant.of(nexus)
        admitted = registrant in self._keys and reservation.type.admits_registrants
        return not admitted and reservation.holder != registrant

    def _reserved_by_other(self, nexus: "Nexus") -> bool:
        return self._spc2_holder is not None and self._spc2_holder is not nexus

    def _conflicts_with_spc2(
        self, nexus: "Nexus", descriptor: CommandDescriptor, reservation_class: ReservationClass
    ) -> bool:
        # The two kinds of reservation do not mix: PERSISTENT RESERVE IN and OUT conflict even for the holder.
        if descriptor.opcode in (0x5E, 0x5F):
            return True
        if not self._reserved_by_other(nexus):
            return False
        allowed = (descriptor.opcode, descriptor.service_action) in _ALLOWED_BESIDE_SPC2_RESERVATION
        return not (allowed and reservation_class is ReservationClass.ALWAYS)

    def _spc2_command_conflicts(self, nexus: "Nexus", descriptor: CommandDescriptor) -> bool:
        if self._keys:
            return not self.tolerates_spc2(nexus)
        return self._reserved_by_other(nexus) and descriptor.opcode not in _RELEASE_OPCODES

    # RESERVE and RELEASE.

    def tolerates_spc2(self, nexus: "Nexus") -> bool:
        """Whether RESERVE and RELEASE through `nexus` do nothing and succeed (CRH; SPC-4 §5.13.3).

        So it is for whoever has the access already that RESERVE would give it.
        """
        registrant = Registrant.of(nexus)
        if self._reservation is None or registrant not in self._keys:
            return False
        return self._reservation.type.admits_registrants or self._reservation.holder == registrant

    def spc2_reserve(self, nexus: "Nexus") -> None:
        """Reserve the unit for `nexus`, unless it has the access by a persistent reservation already."""
        if not self._keys:
            self._spc2_holder = nexus

    def spc2_release(self, nexus: "Nexus") -> None:
        """End the SPC-2 reservation if `nexus` has it; otherwise nothing happens (SPC-2 §5.5.1)."""
        if self._spc2_holder is nexus:
            self._spc2_holder = None

    def nexus_lost(self, nexus: "Nexus") -> None:
        """The SPC-2 reservation of `nexus` goes (SPC-2 §5.5.1); registrations stay (SPC-5 §5.14.1)."""
        self.spc2_release(nexus)

    def reset(self) -> None:
        """Logical unit reset: the SPC-2 reservation goes; registrations and persistent reservation stay."""
        self._spc2_holder = None

    # Persistent reservations: the transitions.

    def register(self, registrant: Registrant, key: int) -> Consequences:
        """Register `registrant`, change its key, or (key 0) remove its registration (SPC-5 §5.14, registering and unregistering)."""
        if key == 0:
            return self._unregister(registrant)
        if registrant not in self._keys and len(self._keys) >= MAX_REGISTRATIONS:
            raise CheckCondition(Sense.INSUFFICIENT_REGISTRATION_RESOURCES)
        self._keys[registrant] = key
        self._count()
        return _NO_CONSEQUENCES

    def _unregister(self, registrant: Registrant) -> Consequences:
        if registrant not in self._keys:
            return _NO_CONSEQUENCES
        held = self._reservation if self.is_holder(registrant) else None
        del self._keys[registrant]
        self._count()
        if held is None or (held.type.all_registrants and self._keys):
            return _NO_CONSEQUENCES
        self._reservation = None
        # A plain reservation concerned its holder alone; of the end of the others the registrants hear (§5.14).
        return self._released(held, but=registrant)

    def reserve(self, registrant: Registrant, reservation_type: ReservationType) -> None:
        """Take the reservation; a holder may ask again for what it has (SPC-5 §5.14, reserving)."""
        if self._reservation is None:
            self._hold(registrant, reservation_type)
        elif not self.is_holder(registrant) or self._reservation.type is not reservation_type:
            raise ReservationConflict("another reservation is held")

    def release(self, registrant: Registrant, *, scope: int, reservation_type: int) -> Consequences:
        """Give the reservation up; nothing happens if `registrant` is no holder (SPC-5 §5.14, releasing).

        Raises `CheckCondition` if the SCOPE and TYPE fields are not those of the reservation.
        """
        held = self._reservation
        if held is None or not self.is_holder(registrant):
            return _NO_CONSEQUENCES
        if (scope, reservation_type) != (_LU_SCOPE, held.type):
            raise CheckCondition(Sense.INVALID_RELEASE_OF_PERSISTENT_RESERVATION)
        self._reservation = None
        return self._released(held, but=registrant)

    def clear(self, registrant: Registrant) -> Consequences:
        """Remove the reservation and every registration (SPC-5 §5.14, clearing)."""
        others = self._others(registrant)
        self._keys.clear()
        self._reservation = None
        self._count()
        return Consequences(attentions=dict.fromkeys(others, Sense.RESERVATIONS_PREEMPTED))

    def takes_over(self, key: int) -> bool:
        """Whether PREEMPT of `key` takes the reservation, and does not only remove registrations (SPC-5 §5.14).

        Raises `CheckCondition` for key 0 where that does not stand for all registrants.
        """
        if self._reservation is None:
            return False
        if self._reservation.type.all_registrants:
            return key == 0
        if key == 0:
            raise CheckCondition(Sense.INVALID_FIELD_IN_PARAMETER_LIST, field=_SERVICE_ACTION_RESERVATION_KEY)
        return key == self.reservation_key

    def preempt(self, registrant: Registrant, key: int, reservation_type: ReservationType) -> Consequences:
        """Take the reservation from whoever holds it with `key`, and remove the registrations with `key`.

        Only for a `key` that `takes_over`; 0 stands for all registrants (SPC-5 §5.14, preempting).
        """
        held = self._reservation
        preempted = [other for other in self._others(registrant) if key in (0, self._keys[other])]
        self._forget(preempted)
        self._hold(registrant, reservation_type)
        attentions = dict.fromkeys(preempted, Sense.REGISTRATIONS_PREEMPTED)
        if held is not None and held.type is not reservation_type:
            attentions |= dict.fromkeys(self._others(registrant), Sense.RESERVATIONS_RELEASED)
        return Consequences(attentions=attentions, preempted=frozenset(preempted))

    def remove_registrations(self, registrant: Registrant, key: int) -> Consequences:
        """Remove the registrations with `key`, be it that of `registrant` itself (SPC-5 §5.14, removing registrations)."""
        preempted = [other for other, its_key in self._keys.items() if its_key == key]
        if not preempted:
            raise ReservationConflict("no registration has the key")
        self._forget(preempted)
        if not self._keys:
            self._reservation = None
        others = [other for other in preempted if other != registrant]
        return Consequences(
            attentions=dict.fromkeys(others, Sense.REGISTRATIONS_PREEMPTED), preempted=frozenset(preempted)
        )

    def _forget(self, registrants: Iterable[Registrant]) -> None:
        for registrant in registrants:
            del self._keys[registrant]
        self._count()

    def _hold(self, registrant: Registrant, reservation_type: ReservationType) -> None:
        holder = None if reservation_type.all_registrants else registrant
        self._reservation = PersistentReservation(type=reservation_type, holder=holder)

    def _released(self, held: PersistentReservation, *, but: Registrant) -> Consequences:
        if not held.type.admits_registrants:
            return _NO_CONSEQUENCES
        return Consequences(attentions=dict.fromkeys(self._others(but), Sense.RESERVATIONS_RELEASED))

    def _others(self, registrant: Registrant) -> list[Registrant]:
        return [other for other in self._keys if other != registrant]

    def _count(self) -> None:
        self._generation = (self._generation + 1) & _GENERATION_MASK
