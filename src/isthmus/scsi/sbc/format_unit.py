"""FORMAT UNIT (SBC-4 §5.4): every block gets the initialization pattern, and a thin unit gives its room back.

There is one format, without protection information, and there are no defects: what asks for others is refused. The
length of the parameter list stands in the list itself and not in the CDB.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores.operations import BlockOperation, Discard, WriteRepeated, WriteZeroes
from isthmus.scsi.background import Background
from isthmus.scsi.cdb import Command
from isthmus.scsi.medium_plan import steps_through
from isthmus.scsi.medium_work import MediumOperation, behind_the_status, work_on_medium
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_cdb, invalid_in_list
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["FormatUnit", "format_unit", "parse_format_unit"]

_LONGLIST: Final = 0x20
_FMTDATA: Final = 0x10
_CMPLST: Final = 0x08
_FORMATS: Final = frozenset({0b000, 0b011, 0b100, 0b101})
"""Defect list formats that the standard defines (SBC-4 §5.4.2.3); of any only the empty list is taken."""

_SHORT_HEADER: Final = 4
_LONG_HEADER: Final = 8
_PATTERN_DESCRIPTOR: Final = 4
_FOV: Final = 0x80
_OPTIONS: Final = 0x78
"""DPRY, DCRT, STPF and IP, which count only with FOV."""
_IP: Final = 0x08
_IMMED: Final = 0x02
_RESERVED: Final = 0x05
_IP_MODIFIER: Final = 0xC0
_SI: Final = 0x20
_DEFAULT_PATTERN: Final = 0
_REPEATED_PATTERN: Final = 1
_STEP: Final = 8 << 20
_ROOM_STEP: Final = 1 << 30
"""Bytes of one operation that moves no data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatUnit(Command):
    """FORMAT UNIT."""

    header_length: int
    """Bytes; 0 if there is no parameter list (FMTDATA 0)."""
    longest_list: int

    @property
    def data_out_length(self) -> int:
        return self.longest_list


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """What a parameter list asks for."""

    immediate: bool = False
    block: bytes = b""
    """The contents of each block; empty for zeros."""
    length: int = 0
    """Bytes of the list that were looked at."""


def parse_format_unit(cdb: bytes, unit: "LogicalUnit") -> FormatUnit:
    """Take the CDB apart."""
    if not cdb[1] & _FMTDATA:
        for bit, position in ((_LONGLIST, 5), (_CMPLST, 3)):
            if cdb[1] & bit:
                raise invalid_in_cdb(1, position)
        if cdb[1] & 0x07:
            raise invalid_in_cdb(1, 2)
        return FormatUnit(header_length=0, longest_list=0)
    if cdb[1] & 0x07 not in _FORMATS:
        raise invalid_in_cdb(1, 2)
    header_length = _LONG_HEADER if cdb[1] & _LONGLIST else _SHORT_HEADER
    longest = header_length + _PATTERN_DESCRIPTOR + unit.block_length
    return FormatUnit(header_length=header_length, longest_list=longest)


def format_unit(unit: "LogicalUnit", task: Task) -> Steps:
    """Give every block its initial contents; with IMMED, behind the status."""
    command = task.command
    assert isinstance(command, FormatUnit)
    data = bytes(task.data_out_bytes)
    # The CDB does not tell how long the list is: what came is what was to come, unless the list says less.
    task.data_out_wanted = len(data)
    asked = _checked_list(unit, command, data) if command.header_length else _Format()
    length = unit.num_blocks * unit.block_length
    work = work_on_medium(unit, MediumOperation.FORMAT, lambda: _steps(unit, length, asked.block), total=length)
    if asked.immediate:
        yield from behind_the_status(unit, task.nexus, work)
    else:
        yield Background(work, awaited=True)
    return Response(data_out_consumed=asked.length)


def _steps(unit: "LogicalUnit", length: int, block: bytes) -> Iterator[BlockOperation]:
    if block:
        for offset, size in steps_through(length, _STEP):
            yield WriteRepeated(offset, size, block)
    elif unit.backstore.capabilities.discard:
        for offset, size in steps_through(length, _ROOM_STEP):
            yield Discard(((offset, size),))
    else:
        for offset, size in steps_through(length, _STEP):
            yield WriteZeroes(offset, size)


def _checked_list(unit: "LogicalUnit", command: FormatUnit, data: bytes) -> _Format:
    """SBC-4 §5.4.2.2."""
    header = command.header_length
    if len(data) < header:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    _check_header(data, header)
    immediate = bool(data[1] & _IMMED)
    if not data[1] & _IP:
        return _Format(immediate=immediate, length=header)
    if len(data) < header + _PATTERN_DESCRIPTOR:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    pattern = _pattern(unit, data, header)
    length = header + _PATTERN_DESCRIPTOR + len(pattern)
    block = (pattern * -(-unit.block_length // len(pattern)))[: unit.block_length] if any(pattern) else b""
    return _Format(immediate=immediate, block=block, length=length)


def _check_header(data: bytes, header: int) -> None:
    if data[0]:
        # PROTECTION FIELDS USAGE: there is no protection information.
        raise invalid_in_list(0, 2 if data[0] <= 0x07 else None)
    if data[1] & _RESERVED:
        raise invalid_in_list(1, 2 if data[1] & 0x04 else 0)
    if data[1] & _OPTIONS and not data[1] & _FOV:
        raise invalid_in_list(1, (data[1] & _OPTIONS).bit_length() - 1)
    if header == _LONG_HEADER and any(data[2:4]):
        raise invalid_in_list(2 if data[2] else 3)
    defects = slice(header - 4, header) if header == _LONG_HEADER else slice(2, 4)
    if any(data[defects]):
        raise invalid_in_list(defects.start)


def _pattern(unit: "LogicalUnit", data: bytes, offset: int) -> bytes:
    """The pattern of the initialization pattern descriptor; empty for the default one, which is zeros (§5.4.2.4)."""
    modifiers, kind, length = data[offset], data[offset + 1], int.from_bytes(data[offset + 2 : offset + 4])
    if modifiers & _IP_MODIFIER:
        raise invalid_in_list(offset, 7)
    if modifiers & ~_SI:
        raise invalid_in_list(offset)
    if kind not in (_DEFAULT_PATTERN, _REPEATED_PATTERN):
        raise invalid_in_list(offset + 1)
    if kind == _DEFAULT_PATTERN:
        if length:
            raise invalid_in_list(offset + 2)
        return b""
    if not 0 < length <= unit.block_length:
        raise invalid_in_list(offset + 2)
    pattern = data[offset + _PATTERN_DESCRIPTOR :][:length]
    if len(pattern) < length:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    return pattern
