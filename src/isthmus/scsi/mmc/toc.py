"""READ TOC/PMA/ATIP (MMC-6 §6.25): one session, one data track, and the lead-out behind it.

A DVD has no table of contents, and drives make one up in the formats 0000b and 0001b, so that nobody has to know.
"""

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isthmus.scsi.cdb import Command
from isthmus.scsi.mmc.disc import Profile, address, msf, profile_of
from isthmus.scsi.spc.parameter_data import allocated, invalid_in_cdb
from isthmus.scsi.task import Response, Task

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit

__all__ = ["ReadToc", "TocFormat", "parse_read_toc", "read_toc"]

_TIME: Final = 0x02
_DATA_TRACK: Final = 0x14
"""ADR 1: the position is told; CONTROL 4: data, not to be copied by everybody."""
_FIRST: Final = 1
"""The only session, and the only track."""
LEAD_OUT: Final = 0xAA


class TocFormat(enum.IntEnum):
    """The FORMAT field."""

    TOC = 0
    SESSION_INFORMATION = 1
    FULL_TOC = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadToc(Command):
    """READ TOC/PMA/ATIP."""

    format: TocFormat
    in_time: bool
    """Addresses are minutes, seconds and frames."""
    start: int
    """The first track or session that is asked for."""
    allocation_length: int


def parse_read_toc(cdb: bytes, unit: "LogicalUnit") -> ReadToc:
    """Take the CDB apart.

    Before MMC, the format stood in the two bits of the CONTROL byte that are vendor specific; Linux still asks there.
    """
    number, field = cdb[2] & 0x0F, (2, 3)
    if not number and cdb[9] & 0xC0:
        number, field = cdb[9] >> 6, (9, 7)
    if number not in tuple(TocFormat):
        raise invalid_in_cdb(*field)
    form, start = TocFormat(number), cdb[6]
    if form is TocFormat.FULL_TOC and profile_of(unit) is Profile.DVD_ROM:
        raise invalid_in_cdb(*field)
    in_format_0 = form is TocFormat.TOC
    if (in_format_0 and start > _FIRST and start != LEAD_OUT) or (form is TocFormat.FULL_TOC and start > _FIRST):
        raise invalid_in_cdb(6)
    return ReadToc(format=form, in_time=bool(cdb[1] & _TIME), start=start, allocation_length=int.from_bytes(cdb[7:9]))


def read_toc(unit: "LogicalUnit", task: Task) -> Response:
    """The table in the format that was asked for."""
    command = task.command
    assert isinstance(command, ReadToc)
    entries = _ENTRIES[command.format](unit, command)
    # The first and the last track, or session: the numbers are the same.
    return allocated(struct.pack(">HBB", 2 + len(entries), _FIRST, _FIRST) + entries, command.allocation_length)


def _track(number: int, lba: int, command: ReadToc) -> bytes:
    return bytes((0, _DATA_TRACK, number, 0)) + address(lba, in_time=command.in_time)


def _tracks(unit: "LogicalUnit", command: ReadToc) -> bytes:
    lead_out = _track(LEAD_OUT, unit.num_blocks, command)
    return lead_out if command.start == LEAD_OUT else _track(_FIRST, 0, command) + lead_out


def _last_session(_unit: "LogicalUnit", command: ReadToc) -> bytes:
    """Its first track."""
    return _track(_FIRST, 0, command)


def _points(unit: "LogicalUnit", _command: ReadToc) -> bytes:
    """As the lead-in has them: the first track and the kind of disc, the last track, the lead-out, and each track."""
    points = ((0xA0, bytes((_FIRST, 0, 0))), (0xA1, bytes((_FIRST, 0, 0))), (0xA2, msf(unit.num_blocks)), (1, msf(0)))
    return b"".join(bytes((_FIRST, _DATA_TRACK, 0, point, 0, 0, 0, 0)) + told for point, told in points)


_ENTRIES: Final = {
    TocFormat.TOC: _tracks,
    TocFormat.SESSION_INFORMATION: _last_session,
    TocFormat.FULL_TOC: _points,
}
