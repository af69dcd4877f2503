"""The rows of the commands that concern the medium as a whole (SBC-4 table 31)."""

from typing import Final

from isthmus.scsi.medium_work import MediumOperation
from isthmus.scsi.opcodes import CommandDescriptor, Handler, Parser, ReservationClass, reads_medium
from isthmus.scsi.sbc.defect_data import parse_read_defect_data_10, parse_read_defect_data_12, read_defect_data
from isthmus.scsi.sbc.format_unit import format_unit, parse_format_unit
from isthmus.scsi.sbc.sanitize import (
    block_erase,
    crypto_erase,
    exit_failure_mode,
    overwrite,
    parse_exit_failure_mode,
    parse_overwrite,
    parse_sanitize,
)

__all__ = ["ROWS"]

_CONTROL: Final = 0x04
"""NACA (SAM-5 §5.2)."""
_IMMED_AUSE: Final = 0xA0
_ANY_FAILURE: Final = frozenset(MediumOperation)


def _sanitize(
    service_action: int,
    what: str,
    parse: Parser,
    handler: Handler,
    *,
    needs_discard: bool = False,
    needs_encryption: bool = False,
) -> CommandDescriptor:
    return CommandDescriptor(
        name=f"SANITIZE, {what}",
        service_action=service_action,
        usage=bytes((0x48, _IMMED_AUSE | service_action, 0, 0, 0, 0, 0, 0xFF, 0xFF, _CONTROL)),
        parse=parse,
        handler=handler,
        reservation=ReservationClass.WRITE,
        writes_medium=True,
        recovers=_ANY_FAILURE,
        needs_discard=needs_discard,
        needs_encryption=needs_encryption,
        source="SBC-4 §5.30",
    )


ROWS: Final[tuple[CommandDescriptor, ...]] = (
    CommandDescriptor(
        name="FORMAT UNIT",
        usage=bytes((0x04, 0x3F, 0, 0, 0, _CONTROL)),
        parse=parse_format_unit,
        handler=format_unit,
        reservation=ReservationClass.WRITE,
        writes_medium=True,
        recovers=frozenset({MediumOperation.FORMAT}),
        source="SBC-4 §5.4",
    ),
    _sanitize(0x01, "OVERWRITE", parse_overwrite, overwrite),
    _sanitize(0x02, "BLOCK ERASE", parse_sanitize, block_erase, needs_discard=True),
    _sanitize(0x03, "CRYPTOGRAPHIC ERASE", parse_sanitize, crypto_erase, needs_encryption=True),
    _sanitize(0x1F, "EXIT FAILURE MODE", parse_exit_failure_mode, exit_failure_mode),
    reads_medium(
        "READ DEFECT DATA (10)",
        bytes((0x37, 0, 0x1F, 0, 0, 0, 0, 0xFF, 0xFF, _CONTROL)),
        parse_read_defect_data_10,
        read_defect_data,
        "SBC-4 §5.22",
    ),
    reads_medium(
        "READ DEFECT DATA (12)",
        bytes((0xB7, 0x1F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, _CONTROL)),
        parse_read_defect_data_12,
        read_defect_data,
        "SBC-4 §5.23",
    ),
)
"""Every command of this kind."""
