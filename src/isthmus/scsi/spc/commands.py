"""The rows of the primary commands (SPC-5 table 138, and what SBC-4 and SPC-2 put beside them).

A usage mask leaves out what is obsolete or reserved; a CDB that sets such a bit is refused before it is parsed. The
reservation classes are those of SPC-5 §5.14.1.
"""

from typing import Final

from isthmus.scsi.opcodes import AccessClass, CommandDescriptor, Handler, ReservationClass
from isthmus.scsi.spc.inquiry import inquiry, parse_inquiry
from isthmus.scsi.spc.mode_commands import (
    mode_select,
    mode_sense,
    parse_mode_select_6,
    parse_mode_select_10,
    parse_mode_sense_6,
    parse_mode_sense_10,
)
from isthmus.scsi.spc.persistent_reserve_in import (
    parse_persistent_reserve_in,
    read_full_status,
    read_keys,
    read_reservation,
    report_capabilities,
)
from isthmus.scsi.spc.persistent_reserve_out import parse_persistent_reserve_out, persistent_reserve_out
from isthmus.scsi.spc.power import parse_prevent_allow, parse_start_stop_unit, prevent_allow, start_stop_unit
from isthmus.scsi.spc.report_luns import parse_report_luns, report_luns
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.spc.reserve_release import parse_release, parse_reserve, release, reserve
from isthmus.scsi.spc.sense_commands import parse_request_sense, parse_test_unit_ready, request_sense, unit_ready
from isthmus.scsi.spc.supported_opcodes import (
    parse_report_supported_operation_codes,
    parse_report_supported_task_management_functions,
    report_supported_operation_codes,
    report_supported_task_management_functions,
)
from isthmus.scsi.spc.target_port_groups import (
    is_explicit,
    parse_report_target_port_groups,
    parse_set_target_port_groups,
    report_target_port_groups,
    set_target_port_groups,
)

__all__ = ["ROWS"]

_CONTROL: Final = 0x04
"""NACA (SAM-5 §5.2)."""

_SENSE: Final = (
    CommandDescriptor(
        name="TEST UNIT READY",
        usage=bytes((0x00, 0, 0, 0, 0, _CONTROL)),
        parse=parse_test_unit_ready,
        handler=unit_ready,
        reservation=ReservationClass.ALWAYS,
        source="SPC-5 §6.47",
    ),
    CommandDescriptor(
        name="REQUEST SENSE",
        usage=bytes((0x03, 0x01, 0, 0, 0xFF, _CONTROL)),
        parse=parse_request_sense,
        handler=request_sense,
        reservation=ReservationClass.ALWAYS,
        # It reports the unit attention itself, as parameter data.
        passes_unit_attention=True,
        needs_medium=False,
        runs_while_sanitizing=True,
        access=AccessClass.ALWAYS,
        source="SPC-5 §6.38",
    ),
)

_IDENTITY: Final = (
    CommandDescriptor(
        name="INQUIRY",
        usage=bytes((0x12, 0x01, 0xFF, 0xFF, 0xFF, _CONTROL)),
        parse=parse_inquiry,
        handler=inquiry,
        reservation=ReservationClass.ALWAYS,
        passes_unit_attention=True,
        needs_medium=False,
        runs_while_sanitizing=True,
        access=AccessClass.ALWAYS,
        source="SPC-5 §6.7",
    ),
    CommandDescriptor(
        name="REPORT LUNS",
        usage=bytes((0xA0, 0, 0xFF, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, _CONTROL)),
        parse=parse_report_luns,
        handler=report_luns,
        reservation=ReservationClass.ALWAYS,
        passes_unit_attention=True,
        needs_medium=False,
        runs_while_sanitizing=True,
        access=AccessClass.ALWAYS,
        source="SPC-5 §6.32",
    ),
    CommandDescriptor(
        name="REPORT SUPPORTED OPERATION CODES",
        service_action=0x0C,
        usage=bytes((0xA3, 0x0C, 0x87, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, _CONTROL)),
        parse=parse_report_supported_operation_codes,
        handler=report_supported_operation_codes,
        reservation=ReservationClass.READ,
        needs_medium=False,
        runs_while_sanitizing=True,
        access=AccessClass.STANDBY,
        source="SPC-5 §6.34",
    ),
    CommandDescriptor(
        name="REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
        service_action=0x0D,
        usage=bytes((0xA3, 0x0D, 0x80, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, _CONTROL)),
        parse=parse_report_supported_task_management_functions,
        handler=report_supported_task_management_functions,
        reservation=ReservationClass.READ,
        needs_medium=False,
        runs_while_sanitizing=True,
        access=AccessClass.STANDBY,
        source="SPC-5 §6.35",
    ),
)

_TARGET_PORT_GROUPS: Final = (
    CommandDescriptor(
        name="REPORT TARGET PORT GROUPS",
        service_action=0x0A,
        usage=bytes((0xA3, 0xEA, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, _CONTROL)),
        parse=parse_report_target_port_groups,
        handler=report_target_port_groups,
        reservation=ReservationClass.ALWAYS,
        needs_medium=False,
        access=AccessClass.ALWAYS,
        source="SPC-5 §6.36",
    ),
    CommandDescriptor(
        name="SET TARGET PORT GROUPS",
        service_action=0x0A,
        usage=bytes((0xA4, 0x0A, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, _CONTROL)),
        parse=parse_set_target_port_groups,
        handler=set_target_port_groups,
        reservation=ReservationClass.WRITE,
        needs_medium=False,
        access=AccessClass.UNAVAILABLE,
        offered=is_explicit,
        source="SPC-5 §6.44",
    ),
)

_MODE: Final = (
    CommandDescriptor(
        name="MODE SELECT (6)",
        usage=bytes((0x15, 0x13, 0, 0, 0xFF, _CONTROL)),
        parse=parse_mode_select_6,
        handler=mode_select,
        reservation=ReservationClass.WRITE,
        needs_medium=False,
        access=AccessClass.STANDBY,
        source="SPC-5 §6.12",
    ),
    CommandDescriptor(
        name="MODE SELECT (10)",
        usage=bytes((0x55, 0x13, 0, 0, 0, 0, 0, 0xFF, 0xFF, _CONTROL)),
        parse=parse_mode_select_10,
        handler=mode_select,
        reservation=ReservationClass.WRITE,
        needs_medium=False,
        access=AccessClass.STANDBY,
        source="SPC-5 §6.13",
    ),
    CommandDescriptor(
        name="MODE SENSE (6)",
        usage=bytes((0x1A, 0x08, 0xFF, 0xFF, 0xFF, _CONTROL)),
        parse=parse_mode_sense_6,
        handler=mode_sense,
        reservation=ReservationClass.READ,
        needs_medium=False,
        access=AccessClass.STANDBY,
        source="SPC-5 §6.14",
    ),
    CommandDescriptor(
        name="MODE SENSE (10)",
        usage=bytes((0x5A, 0x18, 0xFF, 0xFF, 0, 0, 0, 0xFF, 0xFF, _CONTROL)),
        parse=parse_mode_sense_10,
        handler=mode_sense,
        reservation=ReservationClass.READ,
        needs_medium=False,
        access=AccessClass.STANDBY,
        source="SPC-5 §6.15",
    ),
)

_POWER: Final = (
    CommandDescriptor(
        name="START STOP UNIT",
        usage=bytes((0x1B, 0x01, 0, 0x0F, 0xF7, _CONTROL)),
        parse=parse_start_stop_unit,
        handler=start_stop_unit,
        reservation=ReservationClass.WRITE,
        needs_medium=False,
        source="SBC-4 §5.31",
    ),
    CommandDescriptor(
        name="PREVENT ALLOW MEDIUM REMOVAL",
        usage=bytes((0x1E, 0, 0, 0, 0x03, _CONTROL)),
        parse=parse_prevent_allow,
        handler=prevent_allow,
        reservation=ReservationClass.WRITE,
        needs_medium=False,
        source="SBC-4 §5.15",
    ),
)


def _reserve_or_release(name: str, opcode: int, cdb_length: int) -> CommandDescriptor:
    """No field is looked at: each could only ask for an extent or a third party (SPC-2 §7.16 to §7.22)."""
    reserves = name.startswith("RESERVE")
    return CommandDescriptor(
        name=name,
        usage=bytes((opcode,)).ljust(cdb_length - 1, b"\0") + bytes((_CONTROL,)),
        parse=parse_reserve if reserves else parse_release,
        handler=reserve if reserves else release,
        reservation=ReservationClass.SPC2_RESERVE,
        needs_medium=False,
        source="SPC-2 §7.16" if reserves else "SPC-2 §7.18",
    )


_RESERVE_RELEASE: Final = (
    _reserve_or_release("RESERVE (6)", 0x16, 6),
    _reserve_or_release("RESERVE (10)", 0x56, 10),
    _reserve_or_release("RELEASE (6)", 0x17, 6),
    _reserve_or_release("RELEASE (10)", 0x57, 10),
)


def _reserve_in(service_action: int, what: str, handler: Handler, source: str) -> CommandDescriptor:
    return CommandDescriptor(
        name=f"PERSISTENT RESERVE IN, {what}",
        service_action=service_action,
        usage=bytes((0x5E, service_action, 0, 0, 0, 0, 0, 0xFF, 0xFF, _CONTROL)),
        parse=parse_persistent_reserve_in,
        handler=handler,
        reservation=ReservationClass.ALWAYS,
        needs_medium=False,
        access=AccessClass.STANDBY,
        source=source,
    )


def _reserve_out(action: ReserveOutAction) -> CommandDescriptor:
    """Scope and type are in the mask of every action: where they do not count, SPC-5 has them ignored, not refused."""
    return CommandDescriptor(
        name=f"PERSISTENT RESERVE OUT, {action.name.replace('_', ' ')}",
        service_action=action,
        usage=bytes((0x5F, action, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, _CONTROL)),
        parse=parse_persistent_reserve_out,
        handler=persistent_reserve_out,
        reservation=ReservationClass.PERSISTENT_RESERVE_OUT,
        needs_medium=False,
        access=AccessClass.STANDBY,
        passes_aca=action is ReserveOutAction.PREEMPT_AND_ABORT,
        source="SPC-5 §6.17",
    )


_PERSISTENT_RESERVE: Final = (
    _reserve_in(0x00, "READ KEYS", read_keys, "SPC-5 §6.16.2"),
    _reserve_in(0x01, "READ RESERVATION", read_reservation, "SPC-5 §6.16.3"),
    _reserve_in(0x02, "REPORT CAPABILITIES", report_capabilities, "SPC-5 §6.16.4"),
    _reserve_in(0x03, "READ FULL STATUS", read_full_status, "SPC-5 §6.16.5"),
    *(_reserve_out(action) for action in ReserveOutAction),
)

ROWS: Final[tuple[CommandDescriptor, ...]] = (
    *_SENSE,
    *_IDENTITY,
    *_TARGET_PORT_GROUPS,
    *_MODE,
    *_POWER,
    *_RESERVE_RELEASE,
    *_PERSISTENT_RESERVE,
)
"""Every primary command."""
