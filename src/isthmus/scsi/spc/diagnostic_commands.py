"""SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS (SPC-5 §6.45, §6.22): the default self-test, and the list of pages.

The self-test reads the first and the last block of the medium. Tests that the device server would run in the background,
and pages beyond the one that lists the pages, there are not.
"""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores.operations import Read
from isthmus.errors import BackstoreError
from isthmus.scsi.cdb import Command
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb, invalid_in_list, parameter_list
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "ReceiveDiagnosticResults",
    "SendDiagnostic",
    "parse_receive_diagnostic_results",
    "parse_send_diagnostic",
    "receive_diagnostic_results",
    "send_diagnostic",
]

_SELF_TEST_CODE: Final = 0xE0
_PF: Final = 0x10
_SELFTEST: Final = 0x04
_PCV: Final = 0x01
_SUPPORTED_PAGES: Final = 0x00
_PAGES: Final = (_SUPPORTED_PAGES,)
_PAGE_HEADER: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDiagnostic(Command):
    """SEND DIAGNOSTIC."""

    self_test: bool
    parameter_list_length: int

    @property
    def data_out_length(self) -> int:
        return self.parameter_list_length


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveDiagnosticResults(Command):
    """RECEIVE DIAGNOSTIC RESULTS."""

    allocation_length: int


def parse_send_diagnostic(cdb: bytes, _unit: "LogicalUnit") -> SendDiagnostic:
    """Take the CDB apart. DEVOFFL and UNITOFFL allow what the self-test does not do."""
    self_test, length = bool(cdb[1] & _SELFTEST), int.from_bytes(cdb[3:5])
    if cdb[1] & _SELF_TEST_CODE:
        raise invalid_in_cdb(1, 7)
    if self_test and length:
        raise invalid_in_cdb(3)
    if length and not cdb[1] & _PF:
        # Without PF the list would be vendor specific, and there is no such.
        raise invalid_in_cdb(1, 4)
    return SendDiagnostic(self_test=self_test, parameter_list_length=length)


def send_diagnostic(unit: "LogicalUnit", task: Task) -> Response | Steps:
    """Run the self-test, or take the page of the list, which asks RECEIVE DIAGNOSTIC RESULTS for the list of pages."""
    command = task.command
    assert isinstance(command, SendDiagnostic)
    if command.self_test:
        return _self_test(unit)
    data = parameter_list(task)
    if data:
        _check_page(data)
    return GOOD


def _check_page(data: bytes) -> None:
    if len(data) < _PAGE_HEADER:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    if data[0] not in _PAGES:
        raise invalid_in_list(0)
    if data[1]:
        raise invalid_in_list(1)
    length = int.from_bytes(data[2:4])
    if length:
        raise invalid_in_list(2)
    if len(data) > _PAGE_HEADER:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)


def _self_test(unit: "LogicalUnit") -> Steps:
    last = unit.num_blocks - 1
    try:
        for lba in dict.fromkeys((0, last) if last >= 0 else ()):
            yield Read(lba * unit.block_length, unit.block_length)
    except BackstoreError as error:
        raise CheckCondition(Sense.LOGICAL_UNIT_FAILED_SELF_TEST) from error
    return GOOD


def parse_receive_diagnostic_results(cdb: bytes, _unit: "LogicalUnit") -> ReceiveDiagnosticResults:
    """Take the CDB apart. Without PCV the page is the one that was sent last, which can only be the same."""
    if cdb[1] & _PCV and cdb[2] not in _PAGES:
        raise invalid_in_cdb(2)
    return ReceiveDiagnosticResults(allocation_length=int.from_bytes(cdb[3:5]))


def receive_diagnostic_results(_unit: "LogicalUnit", task: Task) -> Response:
    """The supported diagnostic pages (SPC-5 §7.2.3)."""
    command = task.command
    assert isinstance(command, ReceiveDiagnosticResults)
    data = struct.pack(">BxH", _SUPPORTED_PAGES, len(_PAGES)) + bytes(_PAGES)
    return allocated(data, command.allocation_length)
