"""The units that a copy goes between, as the nexus that asked for it reaches them.

A copy can do nothing that its nexus could not do itself with READ and WRITE: it finds units among the mappings of the nexus
alone (CVE-2020-28374 was a copy manager that looked further), and before each step everything is asked again that
stands in the way of such a command: reservations, access states, readiness, write protection.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from isthmus.errors import IsthmusError
from isthmus.scsi.cdb import Command
from isthmus.scsi.device_server import obstacle
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.sbc.commands import ROWS
from isthmus.scsi.sense import CheckCondition, ForwardedSense, Sense, SenseData
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.copy.manager import CopyManager
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = ["Endpoint", "EndpointFailure", "copy_manager_of", "reachable"]


class EndpointFailure(IsthmusError):
    """The source or the destination of a copy does not do its part."""

    def __init__(self, answer: Response, *, from_source: bool, sense_data: SenseData | None = None) -> None:
        """`answer` is what the endpoint would say to a command; `sense_data` its sense, if storage has failed."""
        super().__init__("the source fails" if from_source else "the destination fails")
        self.answer = answer
        self.from_source = from_source
        self.sense_data = sense_data

    @property
    def forwarded(self) -> ForwardedSense:
        """What to tell of it in the sense of the copy."""
        return ForwardedSense(from_source=self.from_source, status=self.answer.status, sense=self.answer.sense)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A logical unit behind one LUN of a nexus."""

    unit: "LogicalUnit"
    nexus: "Nexus"
    lun: int
    """The LUN field."""

    @property
    def read_only(self) -> bool:
        """Whether nothing may be written through this LUN."""
        return self.unit.write_protected(self.nexus, self.lun)

    def check(self, offset: int, length: int, *, writing: bool) -> None:
        """Raise `EndpointFailure` if a WRITE or READ of `length` bytes from `offset` would be refused now."""
        answer = self._obstacle(_WRITE if writing else _READ)
        if answer is None and offset + length > self.unit.num_blocks * self.unit.block_length:
            answer = self.answer(SenseData(sense=Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE))
        if answer is not None:
            raise EndpointFailure(answer, from_source=not writing)

    def check_ready(self) -> None:
        """Raise `EndpointFailure` if a TEST UNIT READY would be refused now."""
        row = self.unit.table.find(_TEST_UNIT_READY)
        answer = self._obstacle(replace(row, passes_unit_attention=True))
        if answer is not None:
            raise EndpointFailure(answer, from_source=True)

    def _obstacle(self, row: CommandDescriptor) -> Response | None:
        mapping = self.nexus.mapping(self.lun)
        if mapping is None or mapping.logical_unit is not self.unit:
            return self.answer(_UNMAPPED)
        return obstacle(self.unit, self._stand_in(row))

    def failure(self, sense_data: SenseData, *, from_source: bool) -> EndpointFailure:
        """What to raise when the storage of this unit has failed."""
        return EndpointFailure(self.answer(sense_data), from_source=from_source, sense_data=sense_data)

    def answer(self, sense_data: SenseData) -> Response:
        """The answer of the unit to a command that fails with this sense."""
        sense = sense_data.to_bytes(descriptor=self.unit.mode.descriptor_sense)
        return Response(status=Status.CHECK_CONDITION, sense=sense)

    def _stand_in(self, row: CommandDescriptor) -> Task:
        """A task for the command of `row`, which is judged and never run."""
        task = Task(nexus=self.nexus, lun=self.lun, tag=0, cdb=row.usage, owner=_NOBODY)
        task.descriptor, task.command, task.logical_unit = row, Command(), self.unit
        return task


class _Nobody:
    """Whom the stand-ins belong to."""

    def task_ended(self, task: Task, response: Response | None) -> None:
        """A stand-in never begins, so it never ends."""


def _row(name: str) -> CommandDescriptor:
    """A unit attention is for the initiator, and a copy manager is none: it looks past them."""
    return replace(next(row for row in ROWS if row.name == name), passes_unit_attention=True)


_NOBODY: Final = _Nobody()
_UNMAPPED: Final = SenseData(sense=Sense.LOGICAL_UNIT_NOT_SUPPORTED)
_READ: Final = _row("READ (16)")
_WRITE: Final = _row("WRITE (16)")
_TEST_UNIT_READY: Final = bytes(6)


def reachable(nexus: "Nexus") -> Iterator[Endpoint]:
    """Every unit that a copy for `nexus` may use, through each LUN that means it."""
    for number, mapping in nexus.mappings.items():
        if mapping.logical_unit.copy_manager is not None:
            yield Endpoint(mapping.logical_unit, nexus, encode_lun(number))


def copy_manager_of(unit: "LogicalUnit") -> "CopyManager":
    """The copy manager of `unit`; raises `CheckCondition` for one that takes no part in copies."""
    if unit.copy_manager is None:
        raise CheckCondition(Sense.INVALID_COMMAND_OPERATION_CODE)
    return unit.copy_manager
