"""The rows of the commands that serve the upkeep of a unit: logs, buffers, self-test, time and names (SPC-5 table 138)."""

from typing import Final

from isthmus.scsi.opcodes import AccessClass, CommandDescriptor, ReservationClass
from isthmus.scsi.spc.buffer_commands import (
    parse_read_buffer_10,
    parse_read_buffer_16,
    parse_write_buffer,
    read_buffer,
    write_buffer,
)
from isthmus.scsi.spc.diagnostic_commands import (
    parse_receive_diagnostic_results,
    parse_send_diagnostic,
    receive_diagnostic_results,
    send_diagnostic,
)
from isthmus.scsi.spc.identifying_information_commands import (
    parse_report_identifying_information,
    parse_set_identifying_information,
    report_identifying_information,
    set_identifying_information,
)
from isthmus.scsi.spc.log_commands import log_select, log_sense, parse_log_select, parse_log_sense
from isthmus.scsi.spc.timestamp_commands import (
    parse_report_timestamp,
    parse_set_timestamp,
    report_timestamp,
    set_timestamp,
)

__all__ = ["ROWS"]

_CONTROL: Final = 0x04
"""NACA (SAM-5 §5.2)."""
_FIELD = b"\xff"

_LOGS: Final = (
    CommandDescriptor(
        name="LOG SELECT",
        usage=bytes((0x4C, 0x02, 0xFF, 0xFF, 0, 0, 0, 0xFF, 0xFF, _CONTROL)),
        parse=parse_log_select,
        handler=log_select,
        reservation=ReservationClass.WRITE,
        access=AccessClass.STANDBY,
        needs_medium=False,
        source="SPC-5 §6.8",
    ),
    CommandDescriptor(
        name="LOG SENSE",
        usage=bytes((0x4D, 0, 0xFF, 0xFF, 0, 0xFF, 0xFF, 0xFF, 0xFF, _CONTROL)),
        parse=parse_log_sense,
        handler=log_sense,
        reservation=ReservationClass.ALWAYS,
        access=AccessClass.STANDBY,
        needs_medium=False,
        source="SPC-5 §6.9",
    ),
)

_BUFFERS: Final = (
    CommandDescriptor(
        name="WRITE BUFFER",
        usage=bytes((0x3B, 0x1F)) + _FIELD * 7 + bytes((_CONTROL,)),
        parse=parse_write_buffer,
        handler=write_buffer,
        reservation=ReservationClass.WRITE,
        access=AccessClass.ALWAYS,
        needs_medium=False,
        source="SPC-5 §6.50",
    ),
    CommandDescriptor(
        name="READ BUFFER (10)",
        usage=bytes((0x3C, 0x1F)) + _FIELD * 7 + bytes((_CONTROL,)),
        parse=parse_read_buffer_10,
        handler=read_buffer,
        reservation=ReservationClass.READ,
        access=AccessClass.ALWAYS,
        needs_medium=False,
        source="SPC-5 §6.20",
    ),
    CommandDescriptor(
        name="READ BUFFER (16)",
        usage=bytes((0x9B, 0x1F)) + _FIELD * 13 + bytes((_CONTROL,)),
        parse=parse_read_buffer_16,
        handler=read_buffer,
        reservation=ReservationClass.READ,
        access=AccessClass.ALWAYS,
        needs_medium=False,
        source="SPC-5 §6.21",
    ),
)

_DIAGNOSTICS: Final = (
    CommandDescriptor(
        name="RECEIVE DIAGNOSTIC RESULTS",
        usage=bytes((0x1C, 0x01, 0xFF, 0xFF, 0xFF, _CONTROL)),
        parse=parse_receive_diagnostic_results,
        handler=receive_diagnostic_results,
        reservation=ReservationClass.READ,
        access=AccessClass.STANDBY,
        needs_medium=False,
        source="SPC-5 §6.26",
    ),
    CommandDescriptor(
        name="SEND DIAGNOSTIC",
        usage=bytes((0x1D, 0xF7, 0, 0xFF, 0xFF, _CONTROL)),
        parse=parse_send_diagnostic,
        handler=send_diagnostic,
        reservation=ReservationClass.WRITE,
        access=AccessClass.STANDBY,
        source="SPC-5 §6.41",
    ),
)

_TIME: Final = (
    CommandDescriptor(
        name="REPORT TIMESTAMP",
        service_action=0x0F,
        usage=bytes((0xA3, 0x0F, 0, 0, 0, 0)) + _FIELD * 4 + bytes((0, _CONTROL)),
        parse=parse_report_timestamp,
        handler=report_timestamp,
        reservation=ReservationClass.ALWAYS,
        needs_medium=False,
        access=AccessClass.STANDBY,
        source="SPC-5 §6.37",
    ),
    CommandDescriptor(
        name="SET TIMESTAMP",
        service_action=0x0F,
        usage=bytes((0xA4, 0x0F, 0, 0, 0, 0)) + _FIELD * 4 + bytes((0, _CONTROL)),
        parse=parse_set_timestamp,
        handler=set_timestamp,
        reservation=ReservationClass.WRITE,
        needs_medium=False,
        source="SPC-5 §6.45",
    ),
)

_NAMES: Final = (
    CommandDescriptor(
        name="REPORT IDENTIFYING INFORMATION",
        service_action=0x05,
        usage=bytes((0xA3, 0x05, 0, 0, 0, 0)) + _FIELD * 4 + bytes((0xFE, _CONTROL)),
        parse=parse_report_identifying_information,
        handler=report_identifying_information,
        reservation=ReservationClass.ALWAYS,
        needs_medium=False,
        access=AccessClass.STANDBY,
        source="SPC-5 §6.31",
    ),
    CommandDescriptor(
        name="SET IDENTIFYING INFORMATION",
        service_action=0x06,
        usage=bytes((0xA4, 0x06, 0, 0, 0, 0)) + _FIELD * 4 + bytes((0xFE, _CONTROL)),
        parse=parse_set_identifying_information,
        handler=set_identifying_information,
        reservation=ReservationClass.WRITE,
        needs_medium=False,
        source="SPC-5 §6.42",
    ),
)

ROWS: Final[tuple[CommandDescriptor, ...]] = (*_LOGS, *_BUFFERS, *_DIAGNOSTICS, *_TIME, *_NAMES)
"""Every command of this kind."""
