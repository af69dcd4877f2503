"""The rows of the multi-media commands (MMC-6 §6): those of drives that read, and the block commands that these share.

Usage masks: bits of audio, of sub-channels and of error pointers stay 0, as an image holds none of that.
"""

from functools import partial
from typing import Final

from isthmus.scsi.mmc.configuration import get_configuration, parse_get_configuration
from isthmus.scsi.mmc.disc_information import (
    parse_read_disc_information,
    parse_read_track_information,
    read_disc_information,
    read_track_information,
)
from isthmus.scsi.mmc.disc_structure import parse_read_disc_structure, read_disc_structure
from isthmus.scsi.mmc.drive import (
    mechanism_status,
    parse_mechanism_status,
    parse_seek,
    parse_set_cd_speed,
    seek,
    set_cd_speed,
)
from isthmus.scsi.mmc.event_status import get_event_status, parse_get_event_status
from isthmus.scsi.mmc.read_cd import parse_read_cd, parse_read_cd_msf, read_cd
from isthmus.scsi.mmc.toc import parse_read_toc, read_toc
from isthmus.scsi.opcodes import AccessClass, CommandDescriptor, Handler, Parser, ReservationClass, reads_medium
from isthmus.scsi.sbc.block_range import TEN, TWELVE
from isthmus.scsi.sbc.capacity import parse_read_capacity_10, read_capacity_10
from isthmus.scsi.sbc.read_write import parse_read, read
from isthmus.scsi.sbc.verify import parse_verify, verify

__all__ = ["ROWS"]

_CONTROL: Final = 0x04
"""NACA (SAM-5 §5.2)."""
_OLD_FORMAT: Final = 0xC0
"""Of READ TOC, in the CONTROL byte (see `toc`)."""


def _tells(name: str, usage: bytes, parse: Parser, handler: Handler, source: str) -> CommandDescriptor:
    """A command about the drive, which answers with a disc and without, and leaves unit attentions (MMC-6 §4.1)."""
    return CommandDescriptor(
        name=name,
        usage=usage,
        parse=parse,
        handler=handler,
        reservation=ReservationClass.ALWAYS,
        passes_unit_attention=True,
        needs_medium=False,
        access=AccessClass.STANDBY,
        source=source,
    )


def _mask(opcode: int, fields: str) -> bytes:
    """A usage mask: the bytes between opcode and CONTROL in hexadecimal digits."""
    return bytes((opcode,)) + bytes.fromhex(fields) + bytes((_CONTROL,))


_BLOCKS: Final = (
    reads_medium(
        "READ CAPACITY (10)",
        _mask(0x25, "00 ffffffff 0000 01"),
        parse_read_capacity_10,
        read_capacity_10,
        "MMC-6 §6.18",
    ),
    reads_medium("READ (10)", _mask(0x28, "18 ffffffff 3f ffff"), partial(parse_read, TEN), read, "MMC-6 §6.14"),
    reads_medium("READ (12)", _mask(0xA8, "18 ffffffff ffffffff 3f"), partial(parse_read, TWELVE), read, "MMC-6 §6.15"),
    reads_medium("VERIFY (10)", _mask(0x2F, "10 ffffffff 3f ffff"), partial(parse_verify, TEN), verify, "MMC-6 §6"),
    reads_medium("SEEK (10)", _mask(0x2B, "00 ffffffff 00 0000"), parse_seek, seek, "MMC-6 §6"),
)

_DISC: Final = (
    reads_medium(
        "READ TOC/PMA/ATIP",
        bytes((0x43, 0x02, 0x0F, 0, 0, 0, 0xFF, 0xFF, 0xFF, _OLD_FORMAT | _CONTROL)),
        parse_read_toc,
        read_toc,
        "MMC-6 §6.25",
    ),
    reads_medium(
        "READ DISC INFORMATION",
        _mask(0x51, "07 0000000000 ffff"),
        parse_read_disc_information,
        read_disc_information,
        "MMC-6 §6.21",
    ),
    reads_medium(
        "READ TRACK INFORMATION",
        _mask(0x52, "03 ffffffff 00 ffff"),
        parse_read_track_information,
        read_track_information,
        "MMC-6 §6.26",
    ),
    reads_medium(
        "READ DISC STRUCTURE",
        _mask(0xAD, "0f ffffffff ff ff ffff c0"),
        parse_read_disc_structure,
        read_disc_structure,
        "MMC-6 §6.22",
    ),
    reads_medium("READ CD", _mask(0xBE, "1e ffffffff ffffff f8 00"), parse_read_cd, read_cd, "MMC-6 §6.19"),
    reads_medium("READ CD MSF", _mask(0xB9, "1e 00 ffffff ffffff f8 00"), parse_read_cd_msf, read_cd, "MMC-6 §6.20"),
)

_DRIVE: Final = (
    _tells(
        "GET CONFIGURATION",
        _mask(0x46, "03 ffff 000000 ffff"),
        parse_get_configuration,
        get_configuration,
        "MMC-6 §6.5",
    ),
    _tells(
        "GET EVENT STATUS NOTIFICATION",
        _mask(0x4A, "01 0000 ff 0000 ffff"),
        parse_get_event_status,
        get_event_status,
        "MMC-6 §6.6",
    ),
    CommandDescriptor(
        name="MECHANISM STATUS",
        usage=_mask(0xBD, "00000000000000 ffff 00"),
        parse=parse_mechanism_status,
        handler=mechanism_status,
        reservation=ReservationClass.READ,
        needs_medium=False,
        source="MMC-6 §6.10",
    ),
    CommandDescriptor(
        name="SET CD SPEED",
        usage=_mask(0xBB, "03 ffff ffff 0000000000"),
        parse=parse_set_cd_speed,
        handler=set_cd_speed,
        reservation=ReservationClass.READ,
        needs_medium=False,
        source="MMC-6 §6",
    ),
)

ROWS: Final[tuple[CommandDescriptor, ...]] = (*_BLOCKS, *_DISC, *_DRIVE)
"""Every multi-media command."""
