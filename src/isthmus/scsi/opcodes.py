"""The shape of a row of the command table, from which dispatch, REPORT SUPPORTED OPERATION CODES and the docs derive.

The rows themselves stand beside their handlers (`spc/commands.py`, `sbc/commands.py`) and are joined in
`command_table.py`; a device type is a choice of rows.
"""

import enum
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from isthmus.backstores.operations import BlockOperation
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.cdb import Command
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.medium_work import MediumOperation

__all__ = [
    "VARIABLE_LENGTH",
    "AccessClass",
    "CommandDescriptor",
    "Handler",
    "Parser",
    "ReservationClass",
    "Steps",
    "reads_medium",
    "service_action_of",
    "writes_medium",
]

VARIABLE_LENGTH: Final = 0x7F
"""The opcode of the CDBs that say their length themselves (SPC-5 §4.2.3)."""
_SERVICE_ACTION_BITS: Final = 0x1F

Steps = Generator[BlockOperation, Any, Response]
"""A handler that needs the backstore: it yields a `BlockOperation`, gets its result (or its `BackstoreError`, raised at
the yield), and returns the response."""

Handler = Callable[["LogicalUnit", Task], "Response | Steps"]
"""Runs `task.command` on the unit; raises `CheckCondition` to fail it."""

Parser = Callable[[bytes, "LogicalUnit"], "Command"]
"""Turns CDB bytes, already checked against the usage mask, into a parsed command; does every bounds check that needs no
parameter data. Raises `CheckCondition`."""


class ReservationClass(enum.Enum):
    """What a reservation held by somebody else does to a command (SPC-5 table 66, SBC-4 table 15, SPC-2 §5.5.1)."""

    ALWAYS = "allowed in the presence of any reservation"
    READ = "conflicts with the exclusive access types, is allowed under write exclusive"
    WRITE = "conflicts with every type"
    PERSISTENT_RESERVE_OUT = "decided by the service action, in `reservations`"
    SPC2_RESERVE = "RESERVE and RELEASE: conflict with any persistent registration, see SPC-2 §5.5.1 and CRH"


class AccessClass(enum.Enum):
    """In which asymmetric access states of the target port a command runs (SPC-5 §5.16.2.4, §5.16.2.5)."""

    ACTIVE = "active/optimized and active/non-optimized only"
    STANDBY = "also standby"
    UNAVAILABLE = "also standby and unavailable"
    ALWAYS = "every state, during a transition, too"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandDescriptor:
    """One row. `usage` is the CDB usage mask: a bit is set where the CDB field is looked at (SPC-5 §6.34.3).

    The first byte of `usage` is the opcode; where there is a service action, its field of `usage` holds the action.
    Raises `ValueError` where it does not.
    """

    name: str
    """As the standard prints it, e.g. `READ (16)`."""
    service_action: int | None = None
    usage: bytes
    opcode: int = field(init=False)
    cdb_length: int = field(init=False)
    """In bytes."""
    parse: Parser
    handler: Handler
    reservation: ReservationClass
    passes_unit_attention: bool = False
    """Runs although a unit attention is pending, and leaves it (INQUIRY, REPORT LUNS; SAM-5 §5.14)."""
    needs_medium: bool = True
    """Answers NOT READY while the unit is stopped or has no medium."""
    runs_while_sanitizing: bool = False
    """Runs while a sanitize operation goes on, and after one that failed (SBC-4 §4.11.2)."""
    recovers: "frozenset[MediumOperation]" = frozenset()
    """The operations on the whole medium whose failure this command is a way out of (SBC-4 §4.11.4, §4.33)."""
    needs_discard: bool = False
    """Only a unit whose backstore can give room back has this command."""
    needs_encryption: bool = False
    """Only a unit whose backstore encrypts has this command."""
    needs_atomic_writes: bool = False
    """Only a unit that can keep the promise of an atomic write has this command."""
    needs_copy_manager: bool = False
    """Only a unit that takes part in third-party copies has this command."""
    writes_medium: bool = False
    """Answers DATA PROTECT, WRITE PROTECTED while the unit, the mapping or SWP forbids writing (SBC-4 §4.13)."""
    access: AccessClass = AccessClass.ACTIVE
    """Answers NOT READY through a target port whose asymmetric access state does not let it run."""
    offered: "Callable[[LogicalUnit], bool] | None" = None
    """Whether a unit has this command now, if that changes while it runs; where it has not, `parse` refuses it."""
    passes_aca: bool = False
    """Is accepted from other nexuses while an ACA condition is in effect (PREEMPT AND ABORT; SAM-5 §5.9)."""
    source: str = ""
    """The section of the standard, e.g. `SBC-4 §5.16`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "opcode", self.usage[0])
        object.__setattr__(self, "cdb_length", len(self.usage))
        if self.service_action is not None and self.service_action != service_action_of(self.usage):
            raise ValueError(f"the usage mask of {self.name} does not hold its service action")


def service_action_of(cdb: bytes) -> int:
    """The service action of `cdb`, or of a usage mask, whose opcode has service actions (SPC-5 §4.2.2, §4.2.3)."""
    return int.from_bytes(cdb[8:10]) if cdb[0] == VARIABLE_LENGTH else cdb[1] & _SERVICE_ACTION_BITS


def reads_medium(name: str, usage: bytes, parse: Parser, handler: Handler, source: str) -> CommandDescriptor:
    """The row of a command that looks at the medium and leaves it as it is."""
    return CommandDescriptor(
        name=name,
        usage=usage,
        parse=parse,
        handler=handler,
        reservation=ReservationClass.READ,
        source=source,
    )


def writes_medium(name: str, usage: bytes, parse: Parser, handler: Handler, source: str) -> CommandDescriptor:
    """The row of a command that changes what the medium holds."""
    return CommandDescriptor(
        name=name,
        usage=usage,
        parse=parse,
        handler=handler,
        reservation=ReservationClass.WRITE,
        writes_medium=True,
        source=source,
    )
