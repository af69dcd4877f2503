"""SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS (SPC-5 §6.41, §6.26): self-tests, and the list of pages.

The default self-test reads the first and the last block of the medium; what the others do stands in `scsi/self_tests.py`.
Pages beyond the one that lists the pages there are not.
"""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores.operations import Read
from isthmus.errors import BackstoreError
from isthmus.scsi.background import Background
from isthmus.scsi.cdb import Command
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.self_tests import SelfTestCode, SelfTestResult, self_test
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
    """SELFTEST: the default test."""
    code: SelfTestCode | None = None
    """Another test, or that the one in the background shall end."""
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
    code = _self_test_code(cdb[1] >> 5, self_test=self_test)
    if (self_test or code) and length:
        raise invalid_in_cdb(3)
    if length and not cdb[1] & _PF:
        # Without PF the list would be vendor specific, and there is no such.
        raise invalid_in_cdb(1, 4)
    return SendDiagnostic(self_test=self_test, code=code, parameter_list_length=length)


def _self_test_code(code: int, *, self_test: bool) -> SelfTestCode | None:
    """SELF-TEST CODE, which has to be 000b if SELFTEST asks for the default test."""
    if not code:
        return None
    try:
        known = SelfTestCode(code)
    except ValueError:
        known = None
    if self_test or known is None:
        raise invalid_in_cdb(1, 7)
    return known


def send_diagnostic(unit: "LogicalUnit", task: Task) -> Response | Steps:
    """Run a self-test, or take the page of the list, which asks RECEIVE DIAGNOSTIC RESULTS for the list of pages."""
    command = task.command
    assert isinstance(command, SendDiagnostic)
    if command.code is SelfTestCode.ABORT_BACKGROUND:
        return _abort_self_test(unit)
    if unit.self_tests.running is not None and (command.self_test or command.code):
        raise CheckCondition.of(unit.self_tests.running.sense_data)
    if command.self_test:
        return _self_test(unit)
    if command.code is not None:
        return _run(unit, command.code)
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


def _abort_self_test(unit: "LogicalUnit") -> Response:
    """There has to be one in the background to be aborted (SPC-5 §6.41)."""
    if not unit.self_tests.abort(SelfTestResult.ABORTED_BY_SEND_DIAGNOSTIC):
        raise invalid_in_cdb(1, 7)
    return GOOD


def _run(unit: "LogicalUnit", code: SelfTestCode) -> Steps:
    """In the background the status is about the start alone, and the log page tells of the end (SPC-5 §5.15.4.3)."""
    if not code.in_foreground:
        yield Background(self_test(unit, code), awaited=False)
    elif not (yield from self_test(unit, code)):
        raise CheckCondition(Sense.LOGICAL_UNIT_FAILED_SELF_TEST)
    return GOOD


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
