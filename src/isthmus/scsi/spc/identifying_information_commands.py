"""REPORT IDENTIFYING INFORMATION and SET IDENTIFYING INFORMATION (SPC-5 §6.31, §6.42)."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.background import Background
from isthmus.scsi.cdb import Command
from isthmus.scsi.identifying_information import LONGEST, TEXT
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb, invalid_in_list, parameter_list
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "ReportIdentifyingInformation",
    "SetIdentifyingInformation",
    "parse_report_identifying_information",
    "parse_set_identifying_information",
    "report_identifying_information",
    "set_identifying_information",
]

_SUPPORTED: Final = 0b1111111
"""INFORMATION TYPE: which kinds there are, and how long they may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportIdentifyingInformation(Command):
    """REPORT IDENTIFYING INFORMATION."""

    kind: int
    allocation_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetIdentifyingInformation(Command):
    """SET IDENTIFYING INFORMATION."""

    kind: int
    parameter_list_length: int

    @property
    def data_out_length(self) -> int:
        return self.parameter_list_length


def parse_report_identifying_information(cdb: bytes, _unit: "LogicalUnit") -> ReportIdentifyingInformation:
    """Take the CDB apart."""
    kind = cdb[10] >> 1
    if kind != _SUPPORTED and kind not in LONGEST:
        raise invalid_in_cdb(10, 7)
    return ReportIdentifyingInformation(kind=kind, allocation_length=int.from_bytes(cdb[6:10]))


def report_identifying_information(unit: "LogicalUnit", task: Task) -> Response:
    """What was set, or what can be set."""
    command = task.command
    assert isinstance(command, ReportIdentifyingInformation)
    if command.kind == _SUPPORTED:
        descriptors = b"".join(struct.pack(">BxH", kind << 1, longest) for kind, longest in LONGEST.items())
        return allocated(struct.pack(">HH", len(descriptors), 0) + descriptors, command.allocation_length)
    value = unit.identifying_information[command.kind]
    return allocated(struct.pack(">xxH", len(value)) + value, command.allocation_length)


def parse_set_identifying_information(cdb: bytes, _unit: "LogicalUnit") -> SetIdentifyingInformation:
    """Take the CDB apart."""
    kind, length = cdb[10] >> 1, int.from_bytes(cdb[6:10])
    if kind not in LONGEST:
        raise invalid_in_cdb(10, 7)
    if length > LONGEST[kind]:
        raise invalid_in_cdb(6)
    return SetIdentifyingInformation(kind=kind, parameter_list_length=length)


def set_identifying_information(unit: "LogicalUnit", task: Task) -> Steps:
    """Replace the information, for good; an empty list removes it. The other nexuses hear of it."""
    command = task.command
    assert isinstance(command, SetIdentifyingInformation)
    value = parameter_list(task)
    if command.kind == TEXT and value and not _is_text(value):
        raise invalid_in_list(0)
    yield Background(unit.identifying_information.change(unit, command.kind, value), awaited=True)
    unit.unit_attentions.establish_for_all(Sense.DEVICE_IDENTIFIER_CHANGED, but=task.nexus)
    return GOOD


def _is_text(value: bytes) -> bool:
    """UTF-8, ended by its only null (SPC-5 §5.6)."""
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return value.find(b"\0") == len(value) - 1
