"""READ BUFFER (10) and (16), WRITE BUFFER (SPC-5 §6.20, §6.21, §6.50): data, descriptors and echo.

There is no microcode to download: the modes for it are refused like any that there are not.
"""

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.buffers import DATA_CAPACITY, ECHO_CAPACITY
from isthmus.scsi.cdb import Command
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb, parameter_list
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "BufferMode",
    "ReadBuffer",
    "WriteBuffer",
    "parse_read_buffer_10",
    "parse_read_buffer_16",
    "parse_write_buffer",
    "read_buffer",
    "write_buffer",
]

_MODE: Final = 0x1F
_EBOS: Final = 0x01
"""Nobody reads what another nexus has written to the echo buffer (SPC-5 §6.20.8)."""


class BufferMode(enum.IntEnum):
    """The MODE field, as far as it is served."""

    DATA = 0x02
    DESCRIPTOR = 0x03
    ECHO = 0x0A
    ECHO_DESCRIPTOR = 0x0B


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBuffer(Command):
    """READ BUFFER, whatever its CDB length."""

    mode: BufferMode
    buffer_id: int
    offset: int
    allocation_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBuffer(Command):
    """WRITE BUFFER."""

    mode: BufferMode
    offset: int
    parameter_list_length: int

    @property
    def data_out_length(self) -> int:
        return self.parameter_list_length


def parse_read_buffer_10(cdb: bytes, _unit: "LogicalUnit") -> ReadBuffer:
    """Take the CDB apart."""
    command = ReadBuffer(
        mode=_mode(cdb, BufferMode),
        buffer_id=cdb[2],
        offset=int.from_bytes(cdb[3:6]),
        allocation_length=int.from_bytes(cdb[6:9]),
    )
    return _checked(command, id_byte=2, offset_byte=3)


def parse_read_buffer_16(cdb: bytes, _unit: "LogicalUnit") -> ReadBuffer:
    """Take the CDB apart."""
    command = ReadBuffer(
        mode=_mode(cdb, BufferMode),
        buffer_id=cdb[14],
        offset=int.from_bytes(cdb[2:10]),
        allocation_length=int.from_bytes(cdb[10:14]),
    )
    return _checked(command, id_byte=14, offset_byte=2)


def _checked(command: ReadBuffer, *, id_byte: int, offset_byte: int) -> ReadBuffer:
    """The other modes do not look at the buffer ID (echo), or answer for a buffer that there is not (descriptor)."""
    if command.mode is BufferMode.DATA:
        if command.buffer_id:
            raise invalid_in_cdb(id_byte)
        if command.offset > DATA_CAPACITY:
            raise invalid_in_cdb(offset_byte)
    return command


def _mode(cdb: bytes, served: "type[BufferMode] | tuple[BufferMode, ...]") -> BufferMode:
    mode = cdb[1] & _MODE
    if mode not in set(served):
        raise invalid_in_cdb(1, 4)
    return BufferMode(mode)


def read_buffer(unit: "LogicalUnit", task: Task) -> Response:
    """What is in a buffer, or what buffers there are."""
    command = task.command
    assert isinstance(command, ReadBuffer)
    return allocated(_contents(unit, task, command), command.allocation_length)


def _contents(unit: "LogicalUnit", task: Task, command: ReadBuffer) -> bytes:
    match command.mode:
        case BufferMode.DATA:
            return unit.buffers.read(command.offset, command.allocation_length)
        case BufferMode.DESCRIPTOR:
            # Any offset will do, so OFFSET BOUNDARY is 0; a buffer that there is not has no room (SPC-5 §6.20.5).
            return struct.pack(">I", 0 if command.buffer_id else DATA_CAPACITY)
        case BufferMode.ECHO:
            return _echo(unit, task)
        case BufferMode.ECHO_DESCRIPTOR:
            return struct.pack(">BxH", _EBOS, ECHO_CAPACITY)


def _echo(unit: "LogicalUnit", task: Task) -> bytes:
    data = unit.buffers.echo(task.nexus)
    if data is None:
        raise CheckCondition(Sense.COMMAND_SEQUENCE_ERROR)
    return data


def parse_write_buffer(cdb: bytes, _unit: "LogicalUnit") -> WriteBuffer:
    """Take the CDB apart."""
    mode = _mode(cdb, (BufferMode.DATA, BufferMode.ECHO))
    offset, length = int.from_bytes(cdb[3:6]), int.from_bytes(cdb[6:9])
    if mode is BufferMode.ECHO:
        if length > ECHO_CAPACITY:
            raise invalid_in_cdb(6)
        return WriteBuffer(mode=mode, offset=0, parameter_list_length=length)
    if cdb[2]:
        raise invalid_in_cdb(2)
    if offset > DATA_CAPACITY:
        raise invalid_in_cdb(3)
    if offset + length > DATA_CAPACITY:
        raise invalid_in_cdb(6)
    return WriteBuffer(mode=mode, offset=offset, parameter_list_length=length)


def write_buffer(unit: "LogicalUnit", task: Task) -> Response:
    """Put the data into the buffer."""
    command = task.command
    assert isinstance(command, WriteBuffer)
    data = parameter_list(task)
    if command.mode is BufferMode.ECHO:
        unit.buffers.keep_echo(task.nexus, data)
    else:
        unit.buffers.write(command.offset, data)
    return GOOD
