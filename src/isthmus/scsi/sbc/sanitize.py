"""SANITIZE (SBC-4 §5.30, §4.11): nothing that was on the medium can be read any more.

Overwriting writes the pattern to every logical block and makes each pass durable before the next, since a cache would
join them. Block erase gives the room of every block back to the storage. What the storage does underneath (a file system
that copies on write, a drive that remaps) is out of sight, as it is for any initiator. Cryptographic erase, which only a
unit on encrypted storage has, changes the key, and then gives the room back where that can be done.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.background import Background
from isthmus.scsi.cdb import Command
from isthmus.scsi.medium_plan import MediumPlan
from isthmus.scsi.medium_work import MediumOperation, behind_the_status, forget_medium_failure, sanitize_medium
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sense import CheckCondition, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_cdb, invalid_in_list, parameter_list
from isthmus.scsi.task import GOOD, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "Overwrite",
    "Sanitize",
    "block_erase",
    "crypto_erase",
    "exit_failure_mode",
    "overwrite",
    "parse_exit_failure_mode",
    "parse_overwrite",
    "parse_sanitize",
]

_IMMED: Final = 0x80
_AUSE: Final = 0x20
_INVERT: Final = 0x80
_TEST: Final = 0x60
_OVERWRITE_COUNT: Final = 0x1F
_HEADER_LENGTH: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sanitize(Command):
    """SANITIZE with the BLOCK ERASE, CRYPTOGRAPHIC ERASE or EXIT FAILURE MODE service action."""

    immediate: bool
    unrestricted: bool
    """AUSE: a failure can be left by EXIT FAILURE MODE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overwrite(Sanitize):
    """SANITIZE with the OVERWRITE service action."""

    parameter_list_length: int

    @property
    def data_out_length(self) -> int:
        return self.parameter_list_length


def parse_sanitize(cdb: bytes, unit: "LogicalUnit") -> Sanitize:
    """Take the CDB of a service action without parameter data apart."""
    if cdb[7:9] != b"\0\0":
        raise invalid_in_cdb(7)
    return Sanitize(immediate=bool(cdb[1] & _IMMED), unrestricted=_allows_exit(cdb, unit))


def parse_overwrite(cdb: bytes, unit: "LogicalUnit") -> Overwrite:
    """Take the CDB apart; the list holds its header and a pattern of one byte up to one block (SBC-4 table 101)."""
    length = int.from_bytes(cdb[7:9])
    if not _HEADER_LENGTH < length <= _HEADER_LENGTH + unit.block_length:
        raise invalid_in_cdb(7)
    return Overwrite(
        immediate=bool(cdb[1] & _IMMED), unrestricted=_allows_exit(cdb, unit), parameter_list_length=length
    )


def parse_exit_failure_mode(cdb: bytes, _unit: "LogicalUnit") -> Sanitize:
    """Take the CDB apart; IMMED and AUSE ask for nothing here."""
    if cdb[7:9] != b"\0\0":
        raise invalid_in_cdb(7)
    return Sanitize(immediate=False, unrestricted=False)


def _allows_exit(cdb: bytes, unit: "LogicalUnit") -> bool:
    """AUSE, which is refused once an operation without it has failed: only a success leads out of that (§4.11.4)."""
    unrestricted = bool(cdb[1] & _AUSE)
    failure = unit.medium_failure
    bound = failure is not None and failure.operation is MediumOperation.SANITIZE and not failure.unrestricted
    if unrestricted and bound:
        raise invalid_in_cdb(1, 5)
    return unrestricted


def overwrite(unit: "LogicalUnit", task: Task) -> Steps:
    """Write the pattern over all blocks, as often as asked."""
    data = parameter_list(task)
    count, invert = data[0] & _OVERWRITE_COUNT, bool(data[0] & _INVERT)
    if data[0] & _TEST:
        raise invalid_in_list(0, 6)
    if not count:
        raise invalid_in_list(0, 4)
    if data[1]:
        raise invalid_in_list(1)
    plan = MediumPlan(length=unit.num_blocks * unit.block_length, block=_block(unit, data), count=count, invert=invert)
    return _sanitize(unit, task, plan)


def _block(unit: "LogicalUnit", data: bytes) -> bytes:
    """One block full of the initialization pattern, which is cut where the block ends (SBC-4 table 102)."""
    length = int.from_bytes(data[2:4])
    if not 0 < length <= unit.block_length:
        raise invalid_in_list(2)
    pattern = data[_HEADER_LENGTH : _HEADER_LENGTH + length]
    if len(pattern) < length:
        raise CheckCondition(Sense.PARAMETER_LIST_LENGTH_ERROR)
    return (pattern * -(-unit.block_length // length))[: unit.block_length]


def block_erase(unit: "LogicalUnit", task: Task) -> Steps:
    """Give back the room of all blocks, which then read as zeros."""
    return _sanitize(unit, task, MediumPlan(length=unit.num_blocks * unit.block_length))


def crypto_erase(unit: "LogicalUnit", task: Task) -> Steps:
    """Change the key. What was there is unreadable with that; its room is given back, so that zeros are read (LBPRZ)."""
    length = unit.num_blocks * unit.block_length if unit.backstore.capabilities.discard else 0
    return _sanitize(unit, task, MediumPlan(length=length, changes_key=True))


def _sanitize(unit: "LogicalUnit", task: Task, plan: MediumPlan) -> Steps:
    """Do what is planned, which no abort, reset or loss of the nexus ends; with IMMED, behind the status."""
    command = task.command
    assert isinstance(command, Sanitize)
    work = sanitize_medium(unit, plan, unrestricted=command.unrestricted)
    if command.immediate:
        yield from behind_the_status(unit, task.nexus, work)
    else:
        yield Background(work, awaited=True)
    return GOOD


def exit_failure_mode(unit: "LogicalUnit", _task: Task) -> Steps:
    """Leave the failure of an operation with AUSE as if it had succeeded (§4.11.4); where none failed, nothing happens."""
    failure = unit.medium_failure
    if failure is not None and failure.operation is MediumOperation.SANITIZE:
        if not failure.unrestricted:
            raise invalid_in_cdb(1, 4)
        yield Background(forget_medium_failure(unit), awaited=True)
    return GOOD
