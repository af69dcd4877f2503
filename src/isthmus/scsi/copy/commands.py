"""The rows of third-party copy (SPC-4 §6, SBC-4 §5), which only a unit with a copy manager has.

The reservation classes are those of SPC-5 table 65 and SBC-4 table 13, for the unit that the command is sent to; source
and destination are judged apart, with each step.
"""

from typing import Final

from isthmus.scsi.copy.extended_copy import (
    copy_operation_abort,
    extended_copy,
    parse_copy_operation_abort,
    parse_extended_copy_lid1,
    parse_extended_copy_lid4,
)
from isthmus.scsi.copy.populate_token import parse_populate_token, populate_token
from isthmus.scsi.copy.receive_copy import (
    parse_receive_lid1,
    parse_receive_lid4,
    receive_copy_data_lid1,
    receive_copy_failure_details_lid1,
    receive_copy_operating_parameters,
    receive_copy_status_lid1,
    receive_copy_status_lid4,
    receive_rod_token_information,
    report_all_rod_tokens,
)
from isthmus.scsi.copy.write_using_token import parse_write_using_token, write_using_token
from isthmus.scsi.opcodes import CommandDescriptor, Handler, Parser, ReservationClass

__all__ = ["ROWS"]

_CONTROL: Final = 0x04
"""NACA (SAM-5 §5.2)."""
_GROUP_NUMBER: Final = 0x3F
_LENGTH: Final = b"\xff" * 4


def _extended_copy(service_action: int, name: str, parse: Parser) -> CommandDescriptor:
    """Whether there is a medium matters for the source and the destination only."""
    return CommandDescriptor(
        name=name,
        service_action=service_action,
        usage=bytes((0x83, service_action)) + bytes(8) + _LENGTH + bytes((0, _CONTROL)),
        parse=parse,
        handler=extended_copy,
        reservation=ReservationClass.WRITE,
        needs_medium=False,
        needs_copy_manager=True,
        source="SPC-4 §6.4" if service_action else "SPC-4 §6.5",
    )


def _token(
    service_action: int, name: str, parse: Parser, handler: Handler, reservation: ReservationClass, source: str
) -> CommandDescriptor:
    return CommandDescriptor(
        name=name,
        service_action=service_action,
        usage=bytes((0x83, service_action)) + bytes(4) + _LENGTH * 2 + bytes((_GROUP_NUMBER, _CONTROL)),
        parse=parse,
        handler=handler,
        reservation=reservation,
        writes_medium=reservation is ReservationClass.WRITE,
        needs_copy_manager=True,
        source=source,
    )


def _receive(
    service_action: int, name: str, handler: Handler, section: str, *, identifier_length: int
) -> CommandDescriptor:
    identifier = (b"\xff" * identifier_length).ljust(8, b"\0")
    return CommandDescriptor(
        name=name,
        service_action=service_action,
        usage=bytes((0x84, service_action)) + identifier + _LENGTH + bytes((0, _CONTROL)),
        parse=parse_receive_lid4 if identifier_length == 4 else parse_receive_lid1,
        handler=handler,
        reservation=ReservationClass.ALWAYS,
        needs_medium=False,
        needs_copy_manager=True,
        source=section,
    )


_COPIES: Final = (
    _extended_copy(0x00, "EXTENDED COPY (LID1)", parse_extended_copy_lid1),
    _extended_copy(0x01, "EXTENDED COPY (LID4)", parse_extended_copy_lid4),
    _token(0x10, "POPULATE TOKEN", parse_populate_token, populate_token, ReservationClass.READ, "SBC-4 §5.12"),
    _token(
        0x11, "WRITE USING TOKEN", parse_write_using_token, write_using_token, ReservationClass.WRITE, "SBC-4 §5.59"
    ),
    CommandDescriptor(
        name="COPY OPERATION ABORT",
        service_action=0x1C,
        usage=bytes((0x83, 0x1C)) + _LENGTH + bytes((0, 0, 0, 0, 0, 0, 0, 0, 0, _CONTROL)),
        parse=parse_copy_operation_abort,
        handler=copy_operation_abort,
        reservation=ReservationClass.WRITE,
        needs_medium=False,
        needs_copy_manager=True,
        source="SPC-4 §6.3",
    ),
)

_RESULTS: Final = (
    _receive(0x00, "RECEIVE COPY STATUS (LID1)", receive_copy_status_lid1, "SPC-4 §6.25", identifier_length=1),
    _receive(0x01, "RECEIVE COPY DATA (LID1)", receive_copy_data_lid1, "SPC-4 §6.21", identifier_length=1),
    # In SPC-3 it has a list identifier, which means nothing.
    _receive(
        0x03, "RECEIVE COPY OPERATING PARAMETERS", receive_copy_operating_parameters, "SPC-4 §6.22", identifier_length=1
    ),
    _receive(
        0x04,
        "RECEIVE COPY FAILURE DETAILS (LID1)",
        receive_copy_failure_details_lid1,
        "SPC-4 §6.23",
        identifier_length=1,
    ),
    _receive(0x05, "RECEIVE COPY STATUS (LID4)", receive_copy_status_lid4, "SPC-4 §6.24", identifier_length=4),
    _receive(0x07, "RECEIVE ROD TOKEN INFORMATION", receive_rod_token_information, "SPC-4 §6.28", identifier_length=4),
    _receive(0x08, "REPORT ALL ROD TOKENS", report_all_rod_tokens, "SPC-4 §6.31", identifier_length=0),
)

ROWS: Final[tuple[CommandDescriptor, ...]] = (*_COPIES, *_RESULTS)
"""Every third-party copy command."""
