"""READ CD and READ CD MSF (MMC-6 §6.19, §6.20), as far as an image has what they ask for: the user data of Mode 1."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.backstores import operations
from isthmus.scsi.mmc.disc import msf_to_lba
from isthmus.scsi.opcodes import Steps
from isthmus.scsi.sbc.block_range import BlockRange
from isthmus.scsi.sense import CheckCondition, FieldPointer, Sense
from isthmus.scsi.spc.parameter_data import invalid_in_cdb
from isthmus.scsi.task import GOOD, Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["ReadCd", "parse_read_cd", "parse_read_cd_msf", "read_cd"]

_ANY_TYPE: Final = 0
_MODE_1: Final = 2
"""EXPECTED SECTOR TYPE."""
_USER_DATA: Final = 0x10
_NOTHING: Final = 0x00


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCd(BlockRange):
    """READ CD, by LBA or by time."""

    user_data: bool
    """Else the sectors are looked for, and nothing of them is told."""

    @property
    def data_in_length(self) -> int:
        return self.length if self.user_data else 0


def parse_read_cd(cdb: bytes, unit: "LogicalUnit") -> ReadCd:
    """Take a READ CD CDB apart."""
    return _parse(cdb, unit, int.from_bytes(cdb[2:6]), int.from_bytes(cdb[6:9]), lba_byte=2)


def parse_read_cd_msf(cdb: bytes, unit: "LogicalUnit") -> ReadCd:
    """Take a READ CD MSF CDB apart: the last time is that of the sector behind the last one."""
    start, end = msf_to_lba(cdb[3:6]), msf_to_lba(cdb[6:9])
    if end < start:
        raise invalid_in_cdb(6)
    return _parse(cdb, unit, start, end - start, lba_byte=3)


def _parse(cdb: bytes, unit: "LogicalUnit", lba: int, num_blocks: int, *, lba_byte: int) -> ReadCd:
    if cdb[1] >> 2 & 0x07 not in (_ANY_TYPE, _MODE_1):
        raise CheckCondition(Sense.ILLEGAL_MODE_FOR_THIS_TRACK)
    if cdb[9] not in (_NOTHING, _USER_DATA):
        raise invalid_in_cdb(9, 7)
    if lba < 0 or (unit.medium_present and lba + num_blocks > unit.num_blocks):
        raise CheckCondition(Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, field=FieldPointer(lba_byte))
    if num_blocks > unit.limits.max_transfer_blocks:
        raise invalid_in_cdb(6)
    return ReadCd(lba=lba, num_blocks=num_blocks, block_length=unit.block_length, user_data=cdb[9] == _USER_DATA)


def read_cd(_unit: "LogicalUnit", task: Task) -> Steps:
    """The user data of the sectors, one after the other."""
    command = task.command
    assert isinstance(command, ReadCd)
    if not command.data_in_length:
        return GOOD
    return Response(data_in=(yield operations.Read(command.offset, command.length)))
