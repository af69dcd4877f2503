"""The PDUs that end commands, packed straight into bytes: these are made for every command (RFC 7143 §11.4, §11.7)."""

import struct
from typing import Final

from isthmus.iscsi.opcodes import RESERVED_TAG, Opcode

__all__ = [
    "DATA_IN_HEADER",
    "DATA_IN_WITH_STATUS",
    "RESIDUAL_OVERFLOW",
    "RESIDUAL_UNDERFLOW",
    "SCSI_GOOD",
    "SCSI_GOOD_HEAD",
    "data_in_header",
    "residual",
    "scsi_response_header",
]

RESIDUAL_OVERFLOW: Final = 0x04
RESIDUAL_UNDERFLOW: Final = 0x02

DATA_IN_HEADER: Final = struct.Struct(">BBxBIQIIIIIIII")
"""Opcode, flags, status, lengths, LUN, ITT, TTT, StatSN, ExpCmdSN, MaxCmdSN, DataSN, buffer offset, residual (§11.7)."""
DATA_IN_WITH_STATUS: Final = 0x81
"""F and S (§11.7.1, §11.7.3)."""
SCSI_GOOD: Final = struct.Struct(">I12xI4xIII12x")
"""The SCSI Response of a command that ended GOOD, with no data-in, no R2T and no residual: `SCSI_GOOD_HEAD`, ITT, StatSN,
ExpCmdSN, MaxCmdSN (§11.4)."""
SCSI_GOOD_HEAD: Final = Opcode.SCSI_RESPONSE << 24 | 0x80 << 16
_SCSI_RESPONSE_HEADER: Final = struct.Struct(">BBBBIQIIIIIIII")


def residual(expected: int, actual: int) -> tuple[int, int]:
    """(flag, count) for a transfer of `actual` bytes where `expected` were (RFC 7143 §11.4.5)."""
    if actual > expected:
        return RESIDUAL_OVERFLOW, actual - expected
    if actual < expected:
        return RESIDUAL_UNDERFLOW, expected - actual
    return 0, 0


def data_in_header(
    *,
    flags: int,
    status: int,
    length: int,
    initiator_task_tag: int,
    stat_sn: int,
    exp_cmd_sn: int,
    max_cmd_sn: int,
    data_sn: int,
    buffer_offset: int,
    residual_count: int,
) -> bytes:
    """The header of a Data-In PDU; `length` is that of its data segment in bytes.

    LUN and target transfer tag are for Data-In that asks for an acknowledgement (A bit), which only ERL 1 has.
    """
    return DATA_IN_HEADER.pack(
        Opcode.DATA_IN,
        flags,
        status,
        length,
        0,
        initiator_task_tag,
        RESERVED_TAG,
        stat_sn,
        exp_cmd_sn,
        max_cmd_sn,
        data_sn,
        buffer_offset,
        residual_count,
    )


def scsi_response_header(
    *,
    residual_flag: int,
    status: int,
    length: int,
    initiator_task_tag: int,
    stat_sn: int,
    exp_cmd_sn: int,
    max_cmd_sn: int,
    exp_data_sn: int,
    residual_count: int,
) -> bytes:
    """The header of a SCSI Response PDU for a completed command; `length` is that of its data segment in bytes."""
    return _SCSI_RESPONSE_HEADER.pack(
        Opcode.SCSI_RESPONSE,
        0x80 | residual_flag,
        0,
        status,
        length,
        0,
        initiator_task_tag,
        0,
        stat_sn,
        exp_cmd_sn,
        max_cmd_sn,
        exp_data_sn,
        0,
        residual_count,
    )
