"""REPORT TIMESTAMP and SET TIMESTAMP (SPC-5 §6.37, §6.45)."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_list, parameter_list
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "ReportTimestamp",
    "SetTimestamp",
    "parse_report_timestamp",
    "parse_set_timestamp",
    "report_timestamp",
    "set_timestamp",
]

_LIST_LENGTH: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTimestamp(Command):
    """REPORT TIMESTAMP."""

    allocation_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTimestamp(Command):
    """SET TIMESTAMP."""

    parameter_list_length: int

    @property
    def data_out_length(self) -> int:
        return self.parameter_list_length


def parse_report_timestamp(cdb: bytes, _unit: "LogicalUnit") -> ReportTimestamp:
    """Take the CDB apart."""
    return ReportTimestamp(allocation_length=int.from_bytes(cdb[6:10]))


def report_timestamp(unit: "LogicalUnit", task: Task) -> Response:
    """The time, and who has set it."""
    command = task.command
    assert isinstance(command, ReportTimestamp)
    time = unit.timestamp.milliseconds.to_bytes(6)
    return allocated(struct.pack(">HBx6sxx", 10, unit.timestamp.origin, time), command.allocation_length)


def parse_set_timestamp(cdb: bytes, _unit: "LogicalUnit") -> SetTimestamp:
    """Take the CDB apart."""
    return SetTimestamp(parameter_list_length=int.from_bytes(cdb[6:10]))


def set_timestamp(unit: "LogicalUnit", task: Task) -> Response:
    """Set the time; the other nexuses hear of it (SPC-5 §6.45). An empty list changes nothing."""
    data = parameter_list(task)
    if not data:
        return GOOD
    if len(data) != _LIST_LENGTH:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    for byte in (0, 1, 2, 3, 10, 11):
        if data[byte]:
            raise invalid_in_list(byte)
    unit.timestamp.set(int.from_bytes(data[4:10]))
    unit.unit_attentions.establish_for_all(Sense.TIMESTAMP_CHANGED, but=task.nexus)
    return GOOD
