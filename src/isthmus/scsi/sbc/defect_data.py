"""READ DEFECT DATA (10) and (12) (SBC-4 §5.22, §5.23): storage that is reached through a system shows no defects.

Both lists are empty, in whichever format they are asked for. A block that the storage cannot read is reported with the
command that wanted it, and not listed here.
"""

import struct
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["ReadDefectData", "parse_read_defect_data_10", "parse_read_defect_data_12", "read_defect_data"]

_LISTS_AND_FORMAT: Final = 0x1F
"""REQ_PLIST, REQ_GLIST and DEFECT LIST FORMAT; PLISTV, GLISTV and the format of the answer stand in the same bits."""
_FORMATS: Final = frozenset({0b000, 0b001, 0b010, 0b011, 0b100, 0b101})
"""What SBC-4 §5.4.2.3 defines; 110b is vendor specific and 111b reserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDefectData(Command):
    """READ DEFECT DATA, whatever its CDB length."""

    ten: bool
    lists_and_format: int
    allocation_length: int


def _parse(byte: int, ten: bool, allocation: slice, cdb: bytes, _unit: "LogicalUnit") -> ReadDefectData:
    if cdb[byte] & 0x07 not in _FORMATS:
        raise invalid_in_cdb(byte, 2)
    return ReadDefectData(
        ten=ten,
        lists_and_format=cdb[byte] & _LISTS_AND_FORMAT,
        allocation_length=int.from_bytes(cdb[allocation]),
    )


parse_read_defect_data_10 = partial(_parse, 2, True, slice(7, 9))
"""Take a READ DEFECT DATA (10) CDB apart."""

parse_read_defect_data_12 = partial(_parse, 1, False, slice(6, 10))
"""Take a READ DEFECT DATA (12) CDB apart; an empty list has no descriptor to which ADDRESS DESCRIPTOR INDEX could go."""


def read_defect_data(_unit: "LogicalUnit", task: Task) -> Response:
    """The header of an empty list; the generation code of (12) is 0, not counted."""
    command = task.command
    assert isinstance(command, ReadDefectData)
    layout = ">xBH" if command.ten else ">xBxxI"
    return allocated(struct.pack(layout, command.lists_and_format, 0), command.allocation_length)
