"""Commands that a SCSI device of this machine does, as they come: the command table of such a unit.

What concerns more than one initiator is done here all the same, since to the device they are one: REPORT LUNS, and
reservations of either kind, to which every command that passes is held (by the class that it has for a disk; what a
disk does not know conflicts with each). EXTENDED COPY does not pass: it would reach other devices of this machine. Unit
attentions of the device are told to all, and what a disk says of its longest transfer is what goes through from here.
"""

import errno
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from isthmus.backstores.base import Backstore
from isthmus.backstores.operations import BlockOperation
from isthmus.backstores.pscsi import PassThroughBackstore, PassThroughResult, is_attention
from isthmus.errors import BackstoreError
from isthmus.scsi.cdb import Command
from isthmus.scsi.command_table import DISK_COMMANDS, CommandTable
from isthmus.scsi.device_limits import (
    WHOLE_LIST,
    asks_for_limits,
    asks_for_pages,
    limited_page,
    limits_page,
    list_with_limits,
)
from isthmus.scsi.opcodes import (
    VARIABLE_LENGTH,
    AccessClass,
    CommandDescriptor,
    ReservationClass,
    Steps,
    service_action_of,
)
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense, SenseKey
from isthmus.scsi.status import Status
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["MAX_TRANSFER", "PASS_THROUGH", "PassThrough", "PassThroughOperation"]

MAX_TRANSFER: Final = 4 << 20
"""Bytes of one command: more than what the kernel lets through at once (512 KiB to 1 MiB mostly)."""
_LENGTHS: Final = (6, 10, 10, 12, 16, 12, 10, 10)
"""Bytes of a CDB by the group code, bits 7 to 5 of the opcode (SPC-5 §4.2.5.1); vendor specific ones as Linux has them."""
_HERE: Final = frozenset({0x16, 0x17, 0x56, 0x57, 0x5E, 0x5F, 0xA0})
"""RESERVE, RELEASE, PERSISTENT RESERVE IN and OUT, REPORT LUNS."""
_NOWHERE: Final = frozenset({0x83, 0x84})
"""EXTENDED COPY and RECEIVE COPY RESULTS, with the token commands."""
_HARMLESS: Final = frozenset(
    {
        *(0x05, 0x34, 0x44),  # READ BLOCK LIMITS, READ POSITION, REPORT DENSITY SUPPORT
        *(0x23, 0x42, 0x43, 0x46, 0x4A, 0x51, 0x52, 0x5C),  # of optical drives: what there is, and is on it
        *(0xAC, 0xAD, 0xB8, 0xB9, 0xBB, 0xBD, 0xBE),  # READ DISC STRUCTURE, READ CD, READ ELEMENT STATUS, …
    }
)
"""Opcodes that disks do not have and that leave a medium as it is."""


@dataclass(frozen=True, slots=True)
class PassThroughOperation(BlockOperation):
    """Have the device do a command; gives a `PassThroughResult`."""

    cdb: bytes
    data_out: tuple[memoryview, ...]
    data_in_length: int

    def run(self, backstore: Backstore) -> Any:
        assert isinstance(backstore, PassThroughBackstore)
        return backstore.execute(self.cdb, self.data_out, self.data_in_length)

    @property
    def changes(self) -> tuple[tuple[int, int], ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PassThrough(Command):
    """Any command. How much data goes with it, the initiator says: nobody here can read it off the CDB."""

    length_is_the_initiators: ClassVar[bool] = True
    cdb: bytes
    expected: int = 0
    """Bytes of data-in, all of which are held in memory at once."""

    @property
    def data_in_length(self) -> int:
        return min(self.expected, MAX_TRANSFER)

    def expecting(self, data_in_length: int) -> "PassThrough":
        return replace(self, expected=data_in_length)


class _PassThroughTable(CommandTable):
    """Has a row for whatever comes."""

    def find(self, cdb: bytes) -> CommandDescriptor:
        if cdb[0] in _NOWHERE:
            raise CheckCondition(Sense.INVALID_COMMAND_OPERATION_CODE, field=FieldPointer(0))
        if cdb[0] in _HERE:
            return DISK_COMMANDS.find(cdb)
        return _row(cdb[0], service_action_of(cdb), _length_of(cdb))

    def _without(self, what: str, goes: Callable[[CommandDescriptor], bool]) -> CommandTable:
        return self


@lru_cache(maxsize=1024)
def _row(opcode: int, service_action: int, length: int) -> CommandDescriptor:
    known = DISK_COMMANDS.lookup(opcode) or DISK_COMMANDS.lookup(opcode, service_action)
    usage = bytes((opcode,)) + b"\xff" * (length - 1)
    harmless = opcode in _HARMLESS
    row = CommandDescriptor(
        name=f"{opcode:02X}h",
        usage=usage,
        parse=_parse,
        handler=pass_through,
        reservation=ReservationClass.READ if harmless else ReservationClass.WRITE,
        writes_medium=not harmless,
        needs_medium=False,
        access=AccessClass.ALWAYS,
        source="SPC-5 §4.2",
    )
    if known is None:
        return row
    return replace(
        row,
        name=known.name,
        reservation=known.reservation,
        writes_medium=known.writes_medium,
        passes_unit_attention=known.passes_unit_attention,
    )


def _parse(cdb: bytes, _unit: "LogicalUnit") -> PassThrough:
    return PassThrough(cdb=cdb[: _length_of(cdb)])


def _length_of(cdb: bytes) -> int:
    """In bytes."""
    return cdb[7] + 8 if cdb[0] == VARIABLE_LENGTH else _LENGTHS[cdb[0] >> 5]


def pass_through(unit: "LogicalUnit", task: Task) -> Steps:
    """Have the device do it, and tell what it has said."""
    command = task.command
    assert isinstance(command, PassThrough)
    if _data_length(task) > MAX_TRANSFER:
        raise CheckCondition(Sense.INVALID_FIELD_IN_CDB)
    try:
        result = yield from _answer(unit.backstore, task, command)
    except BackstoreError as error:
        raise _refused(error, unit.backstore, task) or error from error
    try:
        status = Status(result.status)
    except ValueError:
        raise BackstoreError(0, f"the device has answered with status {result.status:#04x}") from None
    if status == Status.CHECK_CONDITION:
        _tell_others(unit, task, result.sense)
    return Response(
        status=status, data_in=result.data_in, sense=result.sense, data_out_consumed=result.data_out_consumed
    )


def _answer(device: Backstore, task: Task, command: PassThrough) -> Generator[BlockOperation, Any, PassThroughResult]:
    """The device's answer, but for what a disk says of the longest transfer."""
    assert isinstance(device, PassThroughBackstore)
    wanted, cdb = task.data_in_length, command.cdb
    blocks = min(device.max_transfer, MAX_TRANSFER) // (device.device_block_length or MAX_TRANSFER)
    allocation_length = min(int.from_bytes(cdb[3:5]), wanted)
    if blocks and asks_for_pages(cdb):
        whole = cdb[:3] + WHOLE_LIST.to_bytes(2) + cdb[5:]
        result: PassThroughResult = yield PassThroughOperation(whole, (), WHOLE_LIST)
        if result.status:
            return result
        return replace(result, data_in=memoryview(list_with_limits(bytes(result.data_in), allocation_length)))
    result = yield PassThroughOperation(cdb, tuple(task.data_out), wanted)
    if blocks and asks_for_limits(cdb):
        if result.status and not is_attention(result.sense):
            return limits_page(device.device_type, blocks, allocation_length)
        return replace(result, data_in=memoryview(limited_page(bytes(result.data_in), blocks)))
    return result


def _data_length(task: Task) -> int:
    return max(task.data_in_length, sum(map(len, task.data_out)))


def _refused(error: BackstoreError, device: Backstore, task: Task) -> CheckCondition | None:
    """What the kernel has not passed on: commands that it keeps from users, and more data than goes at once."""
    assert isinstance(device, PassThroughBackstore)
    if error.errno == errno.EPERM:
        return CheckCondition(Sense.INVALID_COMMAND_OPERATION_CODE, field=FieldPointer(0))
    if error.errno in {errno.EINVAL, errno.ENOMEM} and 0 < device.max_transfer < _data_length(task):
        return CheckCondition(Sense.INVALID_FIELD_IN_CDB)
    return None


def _tell_others(unit: "LogicalUnit", task: Task, sense: bytes) -> None:
    """The device knows one initiator, so it tells one: the others hear of a unit attention from here."""
    if not is_attention(sense):
        return
    code = tuple(sense[2:4] if sense[0] & 0x7F >= 0x72 else sense[12:14])
    known = [told for told in Sense if told.key == SenseKey.UNIT_ATTENTION and told.asc == code[0]]
    exact = [told for told in known if told.ascq == code[1]]
    for told in (exact or known)[:1]:
        unit.unit_attentions.establish_for_all(told, but=task.nexus)


PASS_THROUGH: Final = _PassThroughTable(())
"""What a unit over a SCSI device of this machine can do: what the device can."""
