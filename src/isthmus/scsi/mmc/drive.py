"""MECHANISM STATUS, SEEK (10) and SET CD SPEED (MMC-6 §6): about the moving parts, of which there are none."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.parameter_data import allocated
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = [
    "MechanismStatus",
    "Seek",
    "SetCdSpeed",
    "mechanism_status",
    "parse_mechanism_status",
    "parse_seek",
    "parse_set_cd_speed",
    "seek",
    "set_cd_speed",
]

_DOOR_OPEN: Final = 0x10


@dataclass(frozen=True, slots=True, kw_only=True)
class MechanismStatus(Command):
    """MECHANISM STATUS."""

    allocation_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seek(Command):
    """SEEK (10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCdSpeed(Command):
    """SET CD SPEED."""


def parse_mechanism_status(cdb: bytes, _unit: "LogicalUnit") -> MechanismStatus:
    """Take the CDB apart."""
    return MechanismStatus(allocation_length=int.from_bytes(cdb[8:10]))


def mechanism_status(unit: "LogicalUnit", task: Task) -> Response:
    """Idle, with no changer, and so no slots."""
    command = task.command
    assert isinstance(command, MechanismStatus)
    status = bytes((0, _DOOR_OPEN if unit.tray_open else 0, 0, 0, 0, 0, 0, 0))
    return allocated(status, command.allocation_length)


def parse_seek(cdb: bytes, unit: "LogicalUnit") -> Seek:
    """Take the CDB apart."""
    if int.from_bytes(cdb[2:6]) >= unit.num_blocks and unit.medium_present:
        raise CheckCondition(Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, field=FieldPointer(2))
    return Seek()


def seek(_unit: "LogicalUnit", _task: Task) -> Response:
    """Every block is as near as any other."""
    return GOOD


def parse_set_cd_speed(_cdb: bytes, _unit: "LogicalUnit") -> SetCdSpeed:
    """No speed is too fast; the drive takes the nearest that it has."""
    return SetCdSpeed()


def set_cd_speed(_unit: "LogicalUnit", _task: Task) -> Response:
    """It has one."""
    return GOOD
