"""Who may use a logical unit: persistent reservations (SPC-5 §5.14) and RESERVE/RELEASE (SPC-2 §5.5.1, as SPC-4 keeps it).

A persistent reservation lets through its holder, the registrants if its type says so, and of everybody else what
neither writes nor, for the exclusive access types, reads. How it comes and goes stands in `persistent_reservations`.
An SPC-2 reservation lets through its holder; it belongs to the session and goes with it. The two kinds exclude each other.

Commands that change reservations take turns (`turns`): each is decided only when the one before it has taken effect,
which may have to wait for its record to be durable.
"""

import enum
from typing import TYPE_CHECKING, Final

from isthmus.scsi.opcodes import CommandDescriptor, ReservationClass
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.persistent_reservations import PersistentReservations, Registrant
from isthmus.scsi.turns import Turns

if TYPE_CHECKING:
    from isthmus.scsi.cdb import Command
    from isthmus.scsi.nexus import Nexus

__all__ = ["Reservations", "ReserveOutAction"]


class ReserveOutAction(enum.IntEnum):
    """The service actions of PERSISTENT RESERVE OUT (SPC-5 §6.17.2)."""

    REGISTER = 0x00
    RESERVE = 0x01
    RELEASE = 0x02
    CLEAR = 0x03
    PREEMPT = 0x04
    PREEMPT_AND_ABORT = 0x05
    REGISTER_AND_IGNORE_EXISTING_KEY = 0x06
    REGISTER_AND_MOVE = 0x07
    REPLACE_LOST_RESERVATION = 0x08


_RELEASE_OPCODES: Final = frozenset({0x17, 0x57})
_PERSISTENT_RESERVE: Final = frozenset({0x5E, 0x5F})
_ALLOWED_BESIDE_SPC2_RESERVATION: Final = frozenset(
    {
        (0x03, None),  # REQUEST SENSE
        (0x12, None),  # INQUIRY
        (0x1B, None),  # START STOP UNIT, when it only starts
        (0x1E, None),  # PREVENT ALLOW MEDIUM REMOVAL, when it allows
        (0x25, None),  # READ CAPACITY (10)
        (0x4D, None),  # LOG SENSE
        (0x9E, 0x10),  # READ CAPACITY (16)
        (0xA0, None),  # REPORT LUNS
        (0xA3, 0x05),  # REPORT IDENTIFYING INFORMATION, then REPORT DEVICE IDENTIFIER
    }
)
"""(opcode, service action) that run although another nexus has reserved the unit (SPC-2 table 9, SBC-2 table 3)."""

_ALLOWED_UNREGISTERED: Final = frozenset({ReserveOutAction.REGISTER, ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY})
"""The only ways into the club (SPC-5 table 66)."""

_ALLOWED_WHILE_LOST: Final = frozenset(
    {
        (0x03, None),  # REQUEST SENSE
        (0x12, None),  # INQUIRY
        (0x3B, None),  # WRITE BUFFER
        (0x3C, None),  # READ BUFFER (10)
        (0x4D, None),  # LOG SENSE
        (0x5F, ReserveOutAction.REPLACE_LOST_RESERVATION),
        (0x9B, None),  # READ BUFFER (16)
        (0xA0, None),  # REPORT LUNS
        (0xA3, 0x0A),  # REPORT TARGET PORT GROUPS
    }
)
"""(opcode, service action) that run while nobody knows who has reserved the unit (SPC-5 §5.14.5.3.2)."""
_START_STOP_UNIT: Final = 0x1B


class Reservations:
    """The reservations of one logical unit."""

    def __init__(self, persistent: PersistentReservations | None = None) -> None:
        self._persistent = persistent or PersistentReservations()
        self._spc2_holder: Nexus | None = None
        self.by_initiator = False
        """A registration counts for its initiator, whatever the ISID of the session, and not only for one port of it."""
        self.always_preserved = False
        """What changes from now on outlives a loss of power, whether APTPL asks for that or not."""
        self.turns = Turns()
        """For whatever changes reservations."""

    @property
    def persistent(self) -> PersistentReservations:
        """What is registered and reserved now."""
        return self._persistent

    def registrant(self, nexus: "Nexus") -> Registrant:
        """The registrant that `nexus` is, or would be."""
        own = Registrant.of(nexus)
        if not self.by_initiator or own in self._persistent.registrations:
            return own
        known = (one for one in self._persistent.registrations if one.is_of(nexus))
        return next(known, own)

    def adopt(self, persistent: PersistentReservations) -> None:
        """From now on this is registered and reserved."""
        self._persistent = persistent

    def is_held_by(self, nexus: "Nexus") -> bool:
        """Whether `nexus` has reserved the unit, in whichever way."""
        return self._spc2_holder is nexus or self._persistent.is_holder(self.registrant(nexus))

    # What stands in the way of a command.

    def conflicts(self, nexus: "Nexus", descriptor: CommandDescriptor, command: "Command") -> bool:
        """Whether the command ends with RESERVATION CONFLICT (SPC-5 tables 65 and 66, SBC-4 table 13).

        Raises `CheckCondition` if nobody can say, because it is lost what was reserved.
        """
        reservation_class = command.reservation_class or descriptor.reservation
        if self._persistent.lost:
            return self._refused_while_lost(descriptor, reservation_class)
        if reservation_class is ReservationClass.SPC2_RESERVE:
            return self._spc2_command_conflicts(nexus, descriptor)
        if self._spc2_holder is not None:
            return self._conflicts_with_spc2(nexus, descriptor, reservation_class)
        if reservation_class is ReservationClass.PERSISTENT_RESERVE_OUT:
            registered = self.registrant(nexus) in self._persistent.registrations
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
        persistent = self._persistent
        reservation = persistent.reservation
        if persistent.lost:
            return True
        if reservation is None or (reading and not reservation.type.excludes_reads):
            return False
        return not persistent.has_access(self.registrant(nexus))

    def _refused_while_lost(self, descriptor: CommandDescriptor, reservation_class: ReservationClass) -> bool:
        starts = descriptor.opcode == _START_STOP_UNIT and reservation_class is ReservationClass.ALWAYS
        if starts or (descriptor.opcode, descriptor.service_action) in _ALLOWED_WHILE_LOST:
            return False
        raise CheckCondition(Sense.PERSISTENT_RESERVATION_INFORMATION_LOST)

    def _reserved_by_other(self, nexus: "Nexus") -> bool:
        return self._spc2_holder is not None and self._spc2_holder is not nexus

    def _conflicts_with_spc2(
        self, nexus: "Nexus", descriptor: CommandDescriptor, reservation_class: ReservationClass
    ) -> bool:
        # The two kinds of reservation do not mix: PERSISTENT RESERVE IN and OUT conflict even for the holder.
        if descriptor.opcode in _PERSISTENT_RESERVE:
            return True
        if not self._reserved_by_other(nexus):
            return False
        allowed = (descriptor.opcode, descriptor.service_action) in _ALLOWED_BESIDE_SPC2_RESERVATION
        return not (allowed and reservation_class is ReservationClass.ALWAYS)

    def _spc2_command_conflicts(self, nexus: "Nexus", descriptor: CommandDescriptor) -> bool:
        if self._persistent.registrations:
            return not self.tolerates_spc2(nexus)
        return self._reserved_by_other(nexus) and descriptor.opcode not in _RELEASE_OPCODES

    # RESERVE and RELEASE.

    def tolerates_spc2(self, nexus: "Nexus") -> bool:
        """Whether RESERVE and RELEASE through `nexus` do nothing and succeed (CRH; SPC-5 §5.14.3).

        So it is for whoever has the access already that RESERVE would give it.
        """
        return self._persistent.has_access(self.registrant(nexus))

    def spc2_reserve(self, nexus: "Nexus") -> None:
        """Reserve the unit for `nexus`, unless it has the access by a persistent reservation already."""
        if not self._persistent.registrations:
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
