"""REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-5 §6.34, §6.35).

The answers come from the command table that dispatch uses, so they are true by construction.
"""

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.opcodes import CommandDescriptor
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "ReportSupportedOperationCodes",
    "ReportSupportedTaskManagementFunctions",
    "ReportingOptions",
    "parse_report_supported_operation_codes",
    "parse_report_supported_task_management_functions",
    "report_supported_operation_codes",
    "report_supported_task_management_functions",
]

_SERVACTV: Final = 0x01
_CTDP_OF_ALL: Final = 0x02
_CTDP_OF_ONE: Final = 0x80
_NOT_SUPPORTED: Final = 0x01
_SUPPORTED_AS_IN_THE_STANDARD: Final = 0x03
_TIMEOUTS_DESCRIPTOR: Final = struct.pack(">HBBII", 10, 0, 0, 0, 0)
"""No nominal and no recommended timeout is given: storage has no upper bound that would help (SPC-5 §6.34.4)."""


class ReportingOptions(enum.IntEnum):
    """The REPORTING OPTIONS field."""

    ALL = 0
    ONE_WITHOUT_SERVICE_ACTION = 1
    ONE_WITH_SERVICE_ACTION = 2
    ONE = 3
    """With or without: a command that has no service actions is asked for with service action 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSupportedOperationCodes(Command):
    """REPORT SUPPORTED OPERATION CODES."""

    return_timeouts: bool
    options: ReportingOptions
    opcode: int
    service_action: int
    allocation_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSupportedTaskManagementFunctions(Command):
    """REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS."""

    extended: bool
    """REPD: with timeouts."""
    allocation_length: int


def parse_report_supported_operation_codes(cdb: bytes, unit: "LogicalUnit") -> ReportSupportedOperationCodes:
    """Take the CDB apart; an option that does not fit the opcode is refused here (SPC-5 §6.34.1)."""
    try:
        options = ReportingOptions(cdb[2] & 0x07)
    except ValueError:
        raise invalid_in_cdb(2, 2) from None
    opcode = cdb[3]
    has_service_actions = unit.table.has_service_actions(opcode)
    if options is ReportingOptions.ONE_WITHOUT_SERVICE_ACTION and has_service_actions:
        raise invalid_in_cdb(2, 2)
    if options is ReportingOptions.ONE_WITH_SERVICE_ACTION and unit.table.lookup(opcode) is not None:
        raise invalid_in_cdb(2, 2)
    return ReportSupportedOperationCodes(
        return_timeouts=bool(cdb[2] & 0x80),
        options=options,
        opcode=opcode,
        service_action=int.from_bytes(cdb[4:6]),
        allocation_length=int.from_bytes(cdb[6:10]),
    )


def report_supported_operation_codes(unit: "LogicalUnit", task: Task) -> Response:
    """All commands, or one."""
    command = task.command
    assert isinstance(command, ReportSupportedOperationCodes)
    data = _all_commands(unit, command) if command.options is ReportingOptions.ALL else _one_command(unit, command)
    return allocated(data, command.allocation_length)


def _all_commands(unit: "LogicalUnit", command: ReportSupportedOperationCodes) -> bytes:
    """SPC-5 §6.34.2."""
    descriptors = b"".join(
        _command_descriptor(row, command.return_timeouts) for row in unit.table if _offers(unit, row)
    )
    return struct.pack(">I", len(descriptors)) + descriptors


def _command_descriptor(row: CommandDescriptor, return_timeouts: bool) -> bytes:
    flags = (0 if row.service_action is None else _SERVACTV) | (_CTDP_OF_ALL if return_timeouts else 0)
    descriptor = struct.pack(">BxHxBH", row.opcode, row.service_action or 0, flags, row.cdb_length)
    return descriptor + (_TIMEOUTS_DESCRIPTOR if return_timeouts else b"")


def _one_command(unit: "LogicalUnit", command: ReportSupportedOperationCodes) -> bytes:
    """SPC-5 §6.34.3."""
    row = _asked_for(unit, command)
    if row is None or not _offers(unit, row):
        return struct.pack(">BBH", 0, _NOT_SUPPORTED, 0)
    timeouts = _TIMEOUTS_DESCRIPTOR if command.return_timeouts else b""
    support = _SUPPORTED_AS_IN_THE_STANDARD | (_CTDP_OF_ONE if command.return_timeouts else 0)
    return struct.pack(">BBH", 0, support, row.cdb_length) + row.usage + timeouts


def _offers(unit: "LogicalUnit", row: CommandDescriptor) -> bool:
    return row.offered is None or row.offered(unit)


def _asked_for(unit: "LogicalUnit", command: ReportSupportedOperationCodes) -> CommandDescriptor | None:
    with_action = unit.table.lookup(command.opcode, command.service_action)
    without_action = unit.table.lookup(command.opcode)
    match command.options:
        case ReportingOptions.ONE_WITHOUT_SERVICE_ACTION:
            return without_action
        case ReportingOptions.ONE_WITH_SERVICE_ACTION:
            return with_action
        case _:
            return with_action or (without_action if command.service_action == 0 else None)


def parse_report_supported_task_management_functions(
    cdb: bytes, _unit: "LogicalUnit"
) -> ReportSupportedTaskManagementFunctions:
    """Take the CDB apart; an allocation length below 4 is an error here (SPC-5 §6.35)."""
    allocation_length = int.from_bytes(cdb[6:10])
    if allocation_length < 4:
        raise invalid_in_cdb(6)
    return ReportSupportedTaskManagementFunctions(extended=bool(cdb[2] & 0x80), allocation_length=allocation_length)


def report_supported_task_management_functions(_unit: "LogicalUnit", task: Task) -> Response:
    """ATS, ATSS, CACAS, CTSS and LURS: the five that both SAM-5 and iSCSI know."""
    command = task.command
    assert isinstance(command, ReportSupportedTaskManagementFunctions)
    data = bytes([0xF8, 0, 0, 0])
    if command.extended:
        # ADDITIONAL DATA LENGTH, no TMFTMOV, no timeouts.
        data = bytes([0xF8, 0, 0, 12]) + bytes(12)
    return allocated(data, command.allocation_length)
