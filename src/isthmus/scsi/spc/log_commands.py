"""LOG SENSE and LOG SELECT (SPC-5 §6.8, §6.9)."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores.operations import MeasureSpace
from isthmus.scsi.application_client import PARAMETER_LENGTH
from isthmus.scsi.cdb import Command
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.log_pages import (
    APPLICATION_CLIENT,
    SELF_TEST_RESULTS,
    LogPage,
    LogPageKey,
    LogParameter,
    build_log_page,
    log_pages_of,
)
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb, invalid_in_list, parameter_list
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["LogSelect", "LogSense", "log_select", "log_sense", "parse_log_select", "parse_log_sense"]

_PARAMETER_CODE_RESET: Final = 0x02
_PAGE_HEADER: Final = 4
_PARAMETER_HEADER: Final = 4


class PageControl(enum.IntEnum):
    """The PC field (SPC-5 §6.9)."""

    THRESHOLD = 0
    CUMULATIVE = 1
    DEFAULT_THRESHOLD = 2
    DEFAULT_CUMULATIVE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSense(Command):
    """LOG SENSE."""

    page: LogPage
    page_control: PageControl
    parameter_pointer: int
    allocation_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSelect(Command):
    """LOG SELECT."""

    reset: bool
    """PCR: put counters back to 0, and what application clients have left to nothing."""
    key: LogPageKey | None
    """The page that is meant; None for those that the list names, or for all."""
    parameter_list_length: int

    @property
    def data_out_length(self) -> int:
        return self.parameter_list_length


def parse_log_sense(cdb: bytes, unit: "LogicalUnit") -> LogSense:
    """Take a LOG SENSE CDB apart. There are no thresholds, so a page with counters has none to show."""
    page_control, page = PageControl(cdb[2] >> 6), _find(cdb, unit)
    if page.has_counters and page_control in (PageControl.THRESHOLD, PageControl.DEFAULT_THRESHOLD):
        raise invalid_in_cdb(2, 7)
    return LogSense(
        page=page,
        page_control=page_control,
        parameter_pointer=int.from_bytes(cdb[5:7]),
        allocation_length=int.from_bytes(cdb[7:9]),
    )


def _find(cdb: bytes, unit: "LogicalUnit") -> LogPage:
    code, subpage = cdb[2] & 0x3F, cdb[3]
    pages = log_pages_of(unit)
    page = pages.get((code, subpage))
    if page is None:
        raise invalid_in_cdb(2, 5) if not any(key[0] == code for key in pages) else invalid_in_cdb(3)
    return page


def log_sense(unit: "LogicalUnit", task: Task) -> Response | Steps:
    """The page, from the parameter on that PARAMETER POINTER names."""
    command = task.command
    assert isinstance(command, LogSense)
    return _measured(unit, command) if command.page.is_measured else _answer(unit, command)


def _measured(unit: "LogicalUnit", command: LogSense) -> Steps:
    unit.thresholds.observe((yield MeasureSpace()))
    return _answer(unit, command)


def _answer(unit: "LogicalUnit", command: LogSense) -> Response:
    page = command.page
    if page.parameters is None:
        if command.parameter_pointer:
            raise invalid_in_cdb(5)
        return allocated(build_log_page(page, _listing(page, unit)), command.allocation_length)
    parameters = [each for each in page.parameters(unit) if each.code >= command.parameter_pointer]
    if not parameters:
        raise invalid_in_cdb(5)
    payload = b"".join(_shown(each, command.page_control).to_bytes() for each in parameters)
    return allocated(build_log_page(page, payload), command.allocation_length)


def _listing(page: LogPage, unit: "LogicalUnit") -> bytes:
    """The codes of the pages, or of the pages and subpages."""
    pages = log_pages_of(unit)
    if page.subpage:
        return b"".join(bytes(key) for key in pages)
    return bytes(code for code, subpage in pages if not subpage)


def _shown(parameter: LogParameter, page_control: PageControl) -> LogParameter:
    if parameter.is_counter and page_control is PageControl.DEFAULT_CUMULATIVE:
        return LogParameter(code=parameter.code, value=bytes(len(parameter.value)), is_counter=True)
    return parameter


def parse_log_select(cdb: bytes, unit: "LogicalUnit") -> LogSelect:
    """Take a LOG SELECT CDB apart. A page is named by the CDB or by the list, not by both (SPC-5 §6.8)."""
    reset = bool(cdb[1] & _PARAMETER_CODE_RESET)
    length = int.from_bytes(cdb[7:9])
    named = bool(cdb[2] & 0x3F or cdb[3])
    if reset and length:
        raise invalid_in_cdb(1, 1)
    if named and length:
        raise invalid_in_cdb(2, 5)
    return LogSelect(reset=reset, key=_find(cdb, unit).key if named else None, parameter_list_length=length)


def log_select(unit: "LogicalUnit", task: Task) -> Response:
    """Reset parameters, or take over those of the list; the other nexuses hear of it."""
    command = task.command
    assert isinstance(command, LogSelect)
    if command.reset:
        _reset(unit, command.key)
    else:
        data = parameter_list(task)
        if not data:
            # A list of no pages is no error, and changes nothing (SPC-5 §6.8).
            return GOOD
        for code, value in [change for offset in _pages(data) for change in _changes(unit, data, offset)]:
            unit.application_client.parameters[code] = value
    unit.unit_attentions.establish_for_all(Sense.LOG_PARAMETERS_CHANGED, but=task.nexus)
    return GOOD


def _reset(unit: "LogicalUnit", key: LogPageKey | None) -> None:
    """The counters are one set, seen through several pages: to reset any of those resets it. What came of tests stays."""
    if key in (None, APPLICATION_CLIENT):
        unit.application_client.clear()
    if key not in (APPLICATION_CLIENT, SELF_TEST_RESULTS):
        unit.statistics.reset()


def _pages(data: bytes) -> Iterator[int]:
    """The offset of each page of the list; every one has to be the application client page, the only changeable one."""
    offset = 0
    while offset < len(data):
        if len(data) < offset + _PAGE_HEADER:
            raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
        if (data[offset] & 0x3F, data[offset + 1]) != APPLICATION_CLIENT:
            raise invalid_in_list(offset, 5)
        yield offset
        offset += _PAGE_HEADER + int.from_bytes(data[offset + 2 : offset + 4])


def _changes(unit: "LogicalUnit", data: bytes, page: int) -> Iterator[tuple[int, bytes]]:
    """The parameters of the page at `page`, as code and value."""
    offset, end = page + _PAGE_HEADER, page + _PAGE_HEADER + int.from_bytes(data[page + 2 : page + 4])
    if end > len(data):
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    while offset < end:
        if offset + _PARAMETER_HEADER > end:
            raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
        code, length = int.from_bytes(data[offset : offset + 2]), data[offset + 3]
        if code >= len(unit.application_client.parameters):
            raise invalid_in_list(offset)
        if length != PARAMETER_LENGTH:
            raise invalid_in_list(offset + 3)
        value = data[offset + _PARAMETER_HEADER : offset + _PARAMETER_HEADER + length]
        if offset + _PARAMETER_HEADER + length > end:
            raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
        yield code, value
        offset += _PARAMETER_HEADER + length
