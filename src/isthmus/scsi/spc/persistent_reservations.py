"""The state machine of persistent reservations (SPC-5 §5.14): who is registered, and who holds the logical unit.

The state is small: the registrations (registrant and key), at most one reservation, PRGENERATION, and whether all that
is to outlive a loss of power. A registrant is an I_T nexus as it is known after it is gone, so registrations and the
reservation outlive the session.

The methods from `register` on are the transitions. Each changes the state at once and returns the `Consequences` for
the other nexuses, which the caller brings about. Whoever sends them has shown its key already. A caller that may still
fail works on a `copy`.

A reservation has one holder, or, with an all registrants type, every registrant is one. It ends with the registration
of its last holder.
"""

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from isthmus.errors import IsthmusError
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense

if TYPE_CHECKING:
    from isthmus.scsi.nexus import Nexus

__all__ = [
    "MAX_REGISTRATIONS",
    "Consequences",
    "PersistentReservation",
    "PersistentReservations",
    "Registrant",
    "ReservationConflict",
    "ReservationType",
]

MAX_REGISTRATIONS: Final = 2048
"""Registrations of one logical unit: initiators choose their ISIDs, so without a bound they could fill the memory."""
_LU_SCOPE: Final = 0
_GENERATION_MASK: Final = 0xFFFF_FFFF
_SERVICE_ACTION: Final = FieldPointer(1, 4)
_SERVICE_ACTION_RESERVATION_KEY: Final = FieldPointer(8, in_cdb=False)


class ReservationConflict(IsthmusError):
    """Ends a command with RESERVATION CONFLICT status, which has no sense (SAM-5 §5.3.1)."""


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

    def is_of(self, nexus: "Nexus") -> bool:
        """Whether it is a port of the same initiator at the same target port, be it with another ISID."""
        same_port = self.relative_target_port_id == nexus.relative_target_port_id
        return same_port and self.initiator_port_name.startswith(f"{nexus.initiator_name},")


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


class PersistentReservations:
    """Registrations and reservation of one logical unit."""

    def __init__(
        self,
        registrations: Mapping[Registrant, int] | None = None,
        reservation: PersistentReservation | None = None,
        *,
        preserved: bool = False,
        lost: bool = False,
    ) -> None:
        """What a record holds, or nothing; PRGENERATION begins at 0 in any case (SPC-5 §6.16.2)."""
        self._keys = dict(registrations or {})
        self._reservation = reservation
        self._generation = 0
        self.preserved = preserved
        """Whether this state outlives a loss of power: the most recent value of APTPL (SPC-5 §5.14.5.1)."""
        self._lost = lost
        self.asked_for_all_target_ports: frozenset[str] = frozenset()
        """The names of initiator ports that were registered with ALL_TG_PT; what is told of that does not outlive a restart."""

    def copy(self) -> "PersistentReservations":
        """The same state, to be changed apart."""
        other = PersistentReservations(self._keys, self._reservation, preserved=self.preserved, lost=self._lost)
        other._generation = self._generation
        registered = {registrant.initiator_port_name for registrant in self._keys}
        other.asked_for_all_target_ports = self.asked_for_all_target_ports & registered
        return other

    @property
    def registrations(self) -> Mapping[Registrant, int]:
        """The reservation key of each registrant, in the order of registration."""
        return MappingProxyType(self._keys)

    @property
    def reservation(self) -> PersistentReservation | None:
        """The reservation, if one is held."""
        return self._reservation

    @property
    def generation(self) -> int:
        """PRGENERATION: counts what changes registrations, modulo 2^32 (SPC-5 §6.16.2)."""
        return self._generation

    @property
    def lost(self) -> bool:
        """Whether nobody knows any more what was registered and reserved (SPC-5 §5.14.5.3)."""
        return self._lost

    @property
    def reservation_key(self) -> int:
        """The key of the holder; 0 with an all registrants type (SPC-5 §6.16.3)."""
        if self._reservation is None or self._reservation.holder is None:
            return 0
        return self._keys[self._reservation.holder]

    def is_holder(self, registrant: Registrant) -> bool:
        """Whether `registrant` is a persistent reservation holder (SPC-5 §5.14.10)."""
        if self._reservation is None or registrant not in self._keys:
            return False
        return self._reservation.type.all_registrants or self._reservation.holder == registrant

    def is_alike(self, registrants: Collection[Registrant]) -> bool:
        """Whether all of them are registered, with one key, and all of them hold the reservation, or none."""
        states = {(self._keys.get(registrant), self.is_holder(registrant)) for registrant in registrants}
        return len(states) == 1 and (None, False) not in states

    def has_access(self, registrant: Registrant) -> bool:
        """Whether a reservation is held that lets `registrant` do everything."""
        if self._reservation is None or registrant not in self._keys:
            return False
        return self._reservation.type.admits_registrants or self._reservation.holder == registrant

    # Registering.

    def register(self, registrant: Registrant, key: int, also: Collection[Registrant] = ()) -> Consequences:
        """Register `registrant`, change its key, or (key 0) remove its registration (SPC-5 §5.14.7).

        What it asks for `also`, it gets in the same step: the same initiator port at other target ports (ALL_TG_PT), or
        other initiator ports (SPEC_I_PT).
        """
        everyone = dict.fromkeys((registrant, *also))
        if key == 0:
            return self._unregister(registrant, [one for one in everyone if one in self._keys])
        self._add(everyone, key)
        self._count()
        return _NO_CONSEQUENCES

    def _add(self, registrants: Iterable[Registrant], key: int) -> None:
        added = dict.fromkeys(registrants, key)
        if len(self._keys.keys() | added.keys()) > max(MAX_REGISTRATIONS, len(self._keys)):
            raise CheckCondition(Sense.INSUFFICIENT_REGISTRATION_RESOURCES)
        self._keys |= added

    def _unregister(self, registrant: Registrant, leaving: Collection[Registrant]) -> Consequences:
        if not leaving:
            return _NO_CONSEQUENCES
        held = self._reservation
        self._forget(leaving)
        if held is None or (self._keys if held.holder is None else held.holder in self._keys):
            return _NO_CONSEQUENCES
        self._reservation = None
        # A plain reservation concerned its holder alone; of the end of the others the registrants hear (§5.14.11.2.3).
        return self._released(held, but=registrant)

    def check_can_move(self, registrant: Registrant, key: int) -> None:
        """Whether `registrant` can give its reservation to another nexus with `key` (SPC-5 §5.14.8).

        Raises `CheckCondition` where nothing is reserved or for key 0, and `ReservationConflict` where `registrant` is
        not the only holder.
        """
        if self._reservation is None:
            raise CheckCondition(Sense.INVALID_FIELD_IN_CDB, field=_SERVICE_ACTION)
        if self._reservation.holder != registrant:
            raise ReservationConflict("only a single holder can give the reservation away")
        if key == 0:
            raise CheckCondition(Sense.INVALID_FIELD_IN_PARAMETER_LIST, field=_SERVICE_ACTION_RESERVATION_KEY)

    def move(self, registrant: Registrant, key: int, destination: Registrant, *, unregister: bool) -> Consequences:
        """Register `destination`, another nexus, with `key` and give it the reservation (SPC-5 §5.14.8).

        With `unregister` the registration of `registrant` goes. Raises like `check_can_move`.
        """
        self.check_can_move(registrant, key)
        assert self._reservation is not None
        assert destination != registrant
        self._add((destination,), key)
        self._hold(destination, self._reservation.type)
        if unregister:
            del self._keys[registrant]
        self._count()
        return _NO_CONSEQUENCES

    def replace_lost(self, registrant: Registrant, key: int, reservation_type: ReservationType) -> Consequences:
        """Begin anew with `registrant` as the only one, where the state was lost (SPC-5 §5.14.11.3)."""
        if not self._lost:
            raise CheckCondition(Sense.INVALID_RELEASE_OF_PERSISTENT_RESERVATION)
        if key == 0:
            raise CheckCondition(Sense.INVALID_FIELD_IN_PARAMETER_LIST, field=_SERVICE_ACTION_RESERVATION_KEY)
        self._lost = False
        self._keys = {registrant: key}
        self._hold(registrant, reservation_type)
        self._generation = 0
        return _NO_CONSEQUENCES

    # Reserving and releasing.

    def reserve(self, registrant: Registrant, reservation_type: ReservationType) -> None:
        """Take the reservation; a holder may ask again for what it has (SPC-5 §5.14.9)."""
        if self._reservation is None:
            self._hold(registrant, reservation_type)
        elif not self.is_holder(registrant) or self._reservation.type is not reservation_type:
            raise ReservationConflict("another reservation is held")

    def release(self, registrant: Registrant, *, scope: int, reservation_type: int) -> Consequences:
        """Give the reservation up; nothing happens if `registrant` is no holder (SPC-5 §5.14.11.2.2).

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
        """Remove the reservation and every registration (SPC-5 §5.14.11.2.7)."""
        others = self._others(registrant)
        self._keys.clear()
        self._reservation = None
        self._count()
        return Consequences(attentions=dict.fromkeys(others, Sense.RESERVATIONS_PREEMPTED))

    # Preempting.

    def takes_over(self, key: int) -> bool:
        """Whether PREEMPT of `key` takes the reservation, and does not only remove registrations (SPC-5 table 72).

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

        Only for a `key` that `takes_over`; 0 stands for all registrants (SPC-5 §5.14.11.2.4.3).
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
        """Remove the registrations with `key`, be it that of `registrant` itself (SPC-5 §5.14.11.2.5)."""
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
