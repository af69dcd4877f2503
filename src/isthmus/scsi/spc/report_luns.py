"""REPORT LUNS (SPC-5 §6.32): what one nexus can see. It needs no logical unit, only a nexus."""

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.scsi.cdb import Command
from isthmus.scsi.lun import encode_lun
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = ["ReportLuns", "SelectReport", "parse_report_luns", "report_luns", "report_luns_of"]


class SelectReport(enum.IntEnum):
    """The SELECT REPORT field."""

    ADDRESSABLE = 0x00
    """Everything but the well known logical units."""
    WELL_KNOWN = 0x01
    """Well known logical units, which there are none of: REPORT LUNS is answered at every LUN."""
    ALL = 0x02
    ADMINISTRATIVE = 0x10
    """Administrative logical units: of conglomerates (SAM-5 §4.6.5), which there are none of."""
    NOT_SUBSIDIARY = 0x11
    """Administrative logical units, and those that are no part of a conglomerate."""
    SUBSIDIARY = 0x12
    """The administrative logical unit that the command is for, with its subsidiaries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLuns(Command):
    """REPORT LUNS."""

    select_report: SelectReport
    allocation_length: int


def parse_report_luns(cdb: bytes, _unit: "LogicalUnit | None" = None) -> ReportLuns:
    """Take a REPORT LUNS CDB apart. An allocation length below 16 is no error (SPC-5 §6.32)."""
    try:
        select_report = SelectReport(cdb[2])
    except ValueError:
        raise invalid_in_cdb(2) from None
    return ReportLuns(select_report=select_report, allocation_length=int.from_bytes(cdb[6:10]))


def report_luns(_unit: "LogicalUnit", task: Task) -> Response:
    """The list for the nexus of `task`, which thereby knows of changes: that unit attention goes (SPC-5 §6.32)."""
    command = task.command
    assert isinstance(command, ReportLuns)
    for mapping in task.nexus.mappings.values():
        mapping.logical_unit.unit_attentions.discard(task.nexus, Sense.REPORTED_LUNS_DATA_HAS_CHANGED)
    return report_luns_of(task.nexus, command)


def report_luns_of(nexus: "Nexus", command: ReportLuns) -> Response:
    """The list for `nexus`, LUN 0 among it only if there is a unit at LUN 0.

    A nexus that sees no unit at all, and asks for all, is told of LUN 0, to which INQUIRY and REPORT LUNS can be sent.
    """
    luns = _luns(nexus, command.select_report)
    data = struct.pack(f">Ixxxx{len(luns)}Q", len(luns) * 8, *luns)
    return allocated(data, command.allocation_length)


def _luns(nexus: "Nexus", select_report: SelectReport) -> list[int]:
    mapped = [encode_lun(number) for number in sorted(nexus.mappings)]
    match select_report:
        case SelectReport.ADDRESSABLE | SelectReport.NOT_SUBSIDIARY:
            return mapped
        case SelectReport.ALL:
            return mapped or [encode_lun(0)]
        case SelectReport.WELL_KNOWN | SelectReport.ADMINISTRATIVE | SelectReport.SUBSIDIARY:
            return []
