"""Every iSCSI PDU as a value, and its basic header segment both ways (RFC 7143 §11).

Each class holds the fields of one figure of the RFC under the RFC's names. `from_bhs` reads a header of 48 bytes and
never fails on a value that it does not know: the field then holds the plain integer, and the code that acts on it
decides. `to_bhs` writes the header with TotalAHSLength and DataSegmentLength left zero; `codec` fills them in.
"""

import struct
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from typing_extensions import Buffer

from isthmus.iscsi.opcodes import RESERVED_TAG, Opcode

__all__ = [
    "PDU_CLASSES",
    "AsyncMessage",
    "DataIn",
    "DataOut",
    "LoginRequest",
    "LoginResponse",
    "LogoutRequest",
    "LogoutResponse",
    "NopIn",
    "NopOut",
    "Pdu",
    "ReadyToTransfer",
    "Reject",
    "ScsiCommand",
    "ScsiResponse",
    "SnackRequest",
    "TaskManagementRequest",
    "TaskManagementResponse",
    "TextRequest",
    "TextResponse",
    "UnknownPdu",
]

IMMEDIATE: Final = 0x40
"""The I bit of byte 0 (RFC 7143 §11.2.1.1)."""
FINAL: Final = 0x80
"""The F (or T) bit of byte 1 (RFC 7143 §11.2.1.3)."""
CONTINUE: Final = 0x40
"""The C bit of byte 1 in login and text PDUs (RFC 7143 §11.10.2, §11.12.2)."""


@dataclass(slots=True, kw_only=True)
class Pdu:
    """What all PDUs share: the task tag, and the segments after the header."""

    opcode: ClassVar[int]

    initiator_task_tag: int = RESERVED_TAG
    data_segment: Buffer = b""
    """The data segment without its padding."""

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        """Read the fields of a 48-byte header."""
        raise NotImplementedError

    def to_bhs(self) -> bytearray:
        """The 48-byte header, its lengths zero."""
        raise NotImplementedError


@dataclass(slots=True, kw_only=True)
class RequestPdu(Pdu):
    """A PDU from the initiator: it may be immediate, and acknowledges status."""

    is_immediate: bool = False
    cmd_sn: int = 0
    exp_stat_sn: int = 0


@dataclass(slots=True, kw_only=True)
class ResponsePdu(Pdu):
    """A PDU from the target: it carries the state of the command window."""

    stat_sn: int = 0
    exp_cmd_sn: int = 0
    max_cmd_sn: int = 0


@dataclass(slots=True, kw_only=True)
class ScsiCommand(RequestPdu):
    """SCSI Command (RFC 7143 §11.3)."""

    opcode = Opcode.SCSI_COMMAND
    _LAYOUT: ClassVar = struct.Struct(">BB2xIQIIII16s")

    final: bool = True
    read: bool = False
    write: bool = False
    attribute: int = 1
    lun: int = 0
    expected_data_transfer_length: int = 0
    cdb: bytes = bytes(16)
    """The CDB: 16 bytes from the header, and those of an extended-CDB AHS behind them."""
    bidirectional_read_data_length: int | None = None
    """The expected length of a bidirectional command's data-in, from its AHS (RFC 7143 §11.2.2.4)."""

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        first, flags, _, lun, itt, edtl, cmd_sn, exp_stat_sn, cdb = cls._LAYOUT.unpack(bhs)
        return cls(
            is_immediate=bool(first & IMMEDIATE),
            final=bool(flags & FINAL),
            read=bool(flags & 0x40),
            write=bool(flags & 0x20),
            attribute=flags & 0x07,
            lun=lun,
            initiator_task_tag=itt,
            expected_data_transfer_length=edtl,
            cmd_sn=cmd_sn,
            exp_stat_sn=exp_stat_sn,
            cdb=cdb,
        )

    def to_bhs(self) -> bytearray:
        first = self.opcode | (IMMEDIATE if self.is_immediate else 0)
        flags = (FINAL if self.final else 0) | (self.read << 6) | (self.write << 5) | self.attribute
        return bytearray(
            self._LAYOUT.pack(
                first,
                flags,
                0,
                self.lun,
                self.initiator_task_tag,
                self.expected_data_transfer_length,
                self.cmd_sn,
                self.exp_stat_sn,
                self.cdb[:16],
            )
        )


@dataclass(slots=True, kw_only=True)
class ScsiResponse(ResponsePdu):
    """SCSI Response (RFC 7143 §11.4). The data segment holds SenseLength (2 bytes) and the sense data."""

    opcode = Opcode.SCSI_RESPONSE
    _LAYOUT: ClassVar = struct.Struct(">BBBBI8xIIIIIIII")

    response: int = 0
    status: int = 0
    snack_tag: int = 0
    exp_data_sn: int = 0
    residual_overflow: bool = False
    residual_underflow: bool = False
    residual_count: int = 0
    bidirectional_overflow: bool = False
    bidirectional_underflow: bool = False
    bidirectional_residual_count: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        (
            _,
            flags,
            response,
            status,
            _,
            itt,
            snack_tag,
            stat_sn,
            exp_cmd_sn,
            max_cmd_sn,
            exp_data_sn,
            bi_residual,
            residual,
        ) = cls._LAYOUT.unpack(bhs)
        return cls(
            response=response,
            status=status,
            initiator_task_tag=itt,
            snack_tag=snack_tag,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
            exp_data_sn=exp_data_sn,
            bidirectional_overflow=bool(flags & 0x10),
            bidirectional_underflow=bool(flags & 0x08),
            residual_overflow=bool(flags & 0x04),
            residual_underflow=bool(flags & 0x02),
            bidirectional_residual_count=bi_residual,
            residual_count=residual,
        )

    def to_bhs(self) -> bytearray:
        flags = (
            FINAL
            | (self.bidirectional_overflow << 4)
            | (self.bidirectional_underflow << 3)
            | (self.residual_overflow << 2)
            | (self.residual_underflow << 1)
        )
        return bytearray(
            self._LAYOUT.pack(
                self.opcode,
                flags,
                self.response,
                self.status,
                0,
                self.initiator_task_tag,
                self.snack_tag,
                self.stat_sn,
                self.exp_cmd_sn,
                self.max_cmd_sn,
                self.exp_data_sn,
                self.bidirectional_residual_count,
                self.residual_count,
            )
        )


@dataclass(slots=True, kw_only=True)
class TaskManagementRequest(RequestPdu):
    """Task Management Function Request (RFC 7143 §11.5)."""

    opcode = Opcode.TASK_MANAGEMENT_REQUEST
    _LAYOUT: ClassVar = struct.Struct(">BB2xIQIIIIII8x")

    function: int
    lun: int = 0
    referenced_task_tag: int = RESERVED_TAG
    ref_cmd_sn: int = 0
    exp_data_sn: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        first, flags, _, lun, itt, rtt, cmd_sn, exp_stat_sn, ref_cmd_sn, exp_data_sn = cls._LAYOUT.unpack(bhs)
        return cls(
            is_immediate=bool(first & IMMEDIATE),
            function=flags & 0x7F,
            lun=lun,
            initiator_task_tag=itt,
            referenced_task_tag=rtt,
            cmd_sn=cmd_sn,
            exp_stat_sn=exp_stat_sn,
            ref_cmd_sn=ref_cmd_sn,
            exp_data_sn=exp_data_sn,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            self._LAYOUT.pack(
                self.opcode | (IMMEDIATE if self.is_immediate else 0),
                FINAL | self.function,
                0,
                self.lun,
                self.initiator_task_tag,
                self.referenced_task_tag,
                self.cmd_sn,
                self.exp_stat_sn,
                self.ref_cmd_sn,
                self.exp_data_sn,
            )
        )


@dataclass(slots=True, kw_only=True)
class TaskManagementResponse(ResponsePdu):
    """Task Management Function Response (RFC 7143 §11.6)."""

    opcode = Opcode.TASK_MANAGEMENT_RESPONSE
    _LAYOUT: ClassVar = struct.Struct(">BBBxI8xI4xIII12x")

    response: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        _, _, response, _, itt, stat_sn, exp_cmd_sn, max_cmd_sn = cls._LAYOUT.unpack(bhs)
        return cls(
            response=response,
            initiator_task_tag=itt,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            self._LAYOUT.pack(
                self.opcode,
                FINAL,
                self.response,
                0,
                self.initiator_task_tag,
                self.stat_sn,
                self.exp_cmd_sn,
                self.max_cmd_sn,
            )
        )


@dataclass(slots=True, kw_only=True)
class DataOut(Pdu):
    """SCSI Data-Out (RFC 7143 §11.7)."""

    opcode = Opcode.DATA_OUT
    _LAYOUT: ClassVar = struct.Struct(">BB2xIQII4xI4xII4x")

    final: bool = True
    lun: int = 0
    target_transfer_tag: int = RESERVED_TAG
    exp_stat_sn: int = 0
    data_sn: int = 0
    buffer_offset: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        _, flags, _, lun, itt, ttt, exp_stat_sn, data_sn, offset = cls._LAYOUT.unpack(bhs)
        return cls(
            final=bool(flags & FINAL),
            lun=lun,
            initiator_task_tag=itt,
            target_transfer_tag=ttt,
            exp_stat_sn=exp_stat_sn,
            data_sn=data_sn,
            buffer_offset=offset,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            self._LAYOUT.pack(
                self.opcode,
                FINAL if self.final else 0,
                0,
                self.lun,
                self.initiator_task_tag,
                self.target_transfer_tag,
                self.exp_stat_sn,
                self.data_sn,
                self.buffer_offset,
            )
        )


@dataclass(slots=True, kw_only=True)
class DataIn(ResponsePdu):
    """SCSI Data-In (RFC 7143 §11.7). With `has_status` it carries the status too (phase collapse)."""

    opcode = Opcode.DATA_IN
    _LAYOUT: ClassVar = struct.Struct(">BBxBIQIIIIIIII")

    final: bool = True
    acknowledge: bool = False
    has_status: bool = False
    residual_overflow: bool = False
    residual_underflow: bool = False
    status: int = 0
    lun: int = 0
    target_transfer_tag: int = RESERVED_TAG
    data_sn: int = 0
    buffer_offset: int = 0
    residual_count: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        _, flags, status, _, lun, itt, ttt, stat_sn, exp_cmd_sn, max_cmd_sn, data_sn, offset, residual = (
            cls._LAYOUT.unpack(bhs)
        )
        return cls(
            final=bool(flags & FINAL),
            acknowledge=bool(flags & 0x40),
            residual_overflow=bool(flags & 0x04),
            residual_underflow=bool(flags & 0x02),
            has_status=bool(flags & 0x01),
            status=status,
            lun=lun,
            initiator_task_tag=itt,
            target_transfer_tag=ttt,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
            data_sn=data_sn,
            buffer_offset=offset,
            residual_count=residual,
        )

    def to_bhs(self) -> bytearray:
        flags = (
            (FINAL if self.final else 0)
            | (self.acknowledge << 6)
            | (self.residual_overflow << 2)
            | (self.residual_underflow << 1)
            | self.has_status
        )
        return bytearray(
            self._LAYOUT.pack(
                self.opcode,
                flags,
                self.status,
                0,
                self.lun,
                self.initiator_task_tag,
                self.target_transfer_tag,
                self.stat_sn,
                self.exp_cmd_sn,
                self.max_cmd_sn,
                self.data_sn,
                self.buffer_offset,
                self.residual_count,
            )
        )


@dataclass(slots=True, kw_only=True)
class ReadyToTransfer(ResponsePdu):
    """Ready To Transfer, R2T (RFC 7143 §11.8)."""

    opcode = Opcode.READY_TO_TRANSFER
    _LAYOUT: ClassVar = struct.Struct(">BB2xIQIIIIIIII")

    lun: int = 0
    target_transfer_tag: int = 0
    r2t_sn: int = 0
    buffer_offset: int = 0
    desired_data_transfer_length: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        _, _, _, lun, itt, ttt, stat_sn, exp_cmd_sn, max_cmd_sn, r2t_sn, offset, length = cls._LAYOUT.unpack(bhs)
        return cls(
            lun=lun,
            initiator_task_tag=itt,
            target_transfer_tag=ttt,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
            r2t_sn=r2t_sn,
            buffer_offset=offset,
            desired_data_transfer_length=length,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            self._LAYOUT.pack(
                self.opcode,
                FINAL,
                0,
                self.lun,
                self.initiator_task_tag,
                self.target_transfer_tag,
                self.stat_sn,
                self.exp_cmd_sn,
                self.max_cmd_sn,
                self.r2t_sn,
                self.buffer_offset,
                self.desired_data_transfer_length,
            )
        )


@dataclass(slots=True, kw_only=True)
class AsyncMessage(ResponsePdu):
    """Asynchronous Message (RFC 7143 §11.9)."""

    opcode = Opcode.ASYNC_MESSAGE
    _LAYOUT: ClassVar = struct.Struct(">BB2xIQI4xIIIBBHHH4x")

    lun: int = 0
    async_event: int = 0
    async_vcode: int = 0
    parameter1: int = 0
    parameter2: int = 0
    parameter3: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        _, _, _, lun, itt, stat_sn, exp_cmd_sn, max_cmd_sn, event, vcode, p1, p2, p3 = cls._LAYOUT.unpack(bhs)
        return cls(
            lun=lun,
            initiator_task_tag=itt,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
            async_event=event,
            async_vcode=vcode,
            parameter1=p1,
            parameter2=p2,
            parameter3=p3,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            self._LAYOUT.pack(
                self.opcode,
                FINAL,
                0,
                self.lun,
                RESERVED_TAG,
                self.stat_sn,
                self.exp_cmd_sn,
                self.max_cmd_sn,
                self.async_event,
                self.async_vcode,
                self.parameter1,
                self.parameter2,
                self.parameter3,
            )
        )


_TEXT_LAYOUT: Final = struct.Struct(">BB2xIQIIIII12x")
"""Text Request and Text Response differ in what the words after the tags are called."""


@dataclass(slots=True, kw_only=True)
class TextRequest(RequestPdu):
    """Text Request (RFC 7143 §11.10)."""

    opcode = Opcode.TEXT_REQUEST

    final: bool = True
    continue_: bool = False
    lun: int = 0
    target_transfer_tag: int = RESERVED_TAG

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        first, flags, _, lun, itt, ttt, cmd_sn, exp_stat_sn, _ = _TEXT_LAYOUT.unpack(bhs)
        return cls(
            is_immediate=bool(first & IMMEDIATE),
            final=bool(flags & FINAL),
            continue_=bool(flags & CONTINUE),
            lun=lun,
            initiator_task_tag=itt,
            target_transfer_tag=ttt,
            cmd_sn=cmd_sn,
            exp_stat_sn=exp_stat_sn,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            _TEXT_LAYOUT.pack(
                self.opcode | (IMMEDIATE if self.is_immediate else 0),
                (FINAL if self.final else 0) | (CONTINUE if self.continue_ else 0),
                0,
                self.lun,
                self.initiator_task_tag,
                self.target_transfer_tag,
                self.cmd_sn,
                self.exp_stat_sn,
                0,
            )
        )


@dataclass(slots=True, kw_only=True)
class TextResponse(ResponsePdu):
    """Text Response (RFC 7143 §11.11)."""

    opcode = Opcode.TEXT_RESPONSE

    final: bool = True
    continue_: bool = False
    lun: int = 0
    target_transfer_tag: int = RESERVED_TAG

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        _, flags, _, lun, itt, ttt, stat_sn, exp_cmd_sn, max_cmd_sn = _TEXT_LAYOUT.unpack(bhs)
        return cls(
            final=bool(flags & FINAL),
            continue_=bool(flags & CONTINUE),
            lun=lun,
            initiator_task_tag=itt,
            target_transfer_tag=ttt,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            _TEXT_LAYOUT.pack(
                self.opcode,
                (FINAL if self.final else 0) | (CONTINUE if self.continue_ else 0),
                0,
                self.lun,
                self.initiator_task_tag,
                self.target_transfer_tag,
                self.stat_sn,
                self.exp_cmd_sn,
                self.max_cmd_sn,
            )
        )


def _login_flags(pdu: "LoginRequest | LoginResponse") -> int:
    return (
        (FINAL if pdu.transit else 0)
        | (CONTINUE if pdu.continue_ else 0)
        | (pdu.current_stage << 2)
        | (pdu.next_stage if pdu.transit else 0)
    )


@dataclass(slots=True, kw_only=True)
class LoginRequest(RequestPdu):
    """Login Request (RFC 7143 §11.12)."""

    opcode = Opcode.LOGIN_REQUEST
    _LAYOUT: ClassVar = struct.Struct(">BBBBIHIHIH2xII16x")

    is_immediate: bool = True
    transit: bool = False
    continue_: bool = False
    current_stage: int = 0
    next_stage: int = 0
    version_max: int = 0
    version_min: int = 0
    isid: int = 0
    tsih: int = 0
    cid: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        (first, flags, version_max, version_min, _, isid_high, isid_low, tsih, itt, cid, cmd_sn, exp_stat_sn) = (
            cls._LAYOUT.unpack(bhs)
        )
        return cls(
            is_immediate=bool(first & IMMEDIATE),
            transit=bool(flags & FINAL),
            continue_=bool(flags & CONTINUE),
            current_stage=(flags >> 2) & 0x03,
            next_stage=flags & 0x03,
            version_max=version_max,
            version_min=version_min,
            isid=(isid_high << 32) | isid_low,
            tsih=tsih,
            initiator_task_tag=itt,
            cid=cid,
            cmd_sn=cmd_sn,
            exp_stat_sn=exp_stat_sn,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            self._LAYOUT.pack(
                self.opcode | (IMMEDIATE if self.is_immediate else 0),
                _login_flags(self),
                self.version_max,
                self.version_min,
                0,
                self.isid >> 32,
                self.isid & 0xFFFF_FFFF,
                self.tsih,
                self.initiator_task_tag,
                self.cid,
                self.cmd_sn,
                self.exp_stat_sn,
            )
        )


@dataclass(slots=True, kw_only=True)
class LoginResponse(ResponsePdu):
    """Login Response (RFC 7143 §11.13). `status` joins Status-Class (high byte) and Status-Detail."""

    opcode = Opcode.LOGIN_RESPONSE
    _LAYOUT: ClassVar = struct.Struct(">BBBBIHIHI4xIIIH10x")

    transit: bool = False
    continue_: bool = False
    current_stage: int = 0
    next_stage: int = 0
    version_max: int = 0
    version_active: int = 0
    isid: int = 0
    tsih: int = 0
    status: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        (_, flags, version_max, active, _, isid_high, isid_low, tsih, itt, stat_sn, exp_cmd_sn, max_cmd_sn, status) = (
            cls._LAYOUT.unpack(bhs)
        )
        return cls(
            transit=bool(flags & FINAL),
            continue_=bool(flags & CONTINUE),
            current_stage=(flags >> 2) & 0x03,
            next_stage=flags & 0x03,
            version_max=version_max,
            version_active=active,
            isid=(isid_high << 32) | isid_low,
            tsih=tsih,
            initiator_task_tag=itt,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
            status=status,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            self._LAYOUT.pack(
                self.opcode,
                _login_flags(self),
                self.version_max,
                self.version_active,
                0,
                self.isid >> 32,
                self.isid & 0xFFFF_FFFF,
                self.tsih,
                self.initiator_task_tag,
                self.stat_sn,
                self.exp_cmd_sn,
                self.max_cmd_sn,
                self.status,
            )
        )


@dataclass(slots=True, kw_only=True)
class LogoutRequest(RequestPdu):
    """Logout Request (RFC 7143 §11.14)."""

    opcode = Opcode.LOGOUT_REQUEST
    _LAYOUT: ClassVar = struct.Struct(">BB2xI8xIH2xII16x")

    reason: int = 0
    cid: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        first, flags, _, itt, cid, cmd_sn, exp_stat_sn = cls._LAYOUT.unpack(bhs)
        return cls(
            is_immediate=bool(first & IMMEDIATE),
            reason=flags & 0x7F,
            initiator_task_tag=itt,
            cid=cid,
            cmd_sn=cmd_sn,
            exp_stat_sn=exp_stat_sn,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            self._LAYOUT.pack(
                self.opcode | (IMMEDIATE if self.is_immediate else 0),
                FINAL | self.reason,
                0,
                self.initiator_task_tag,
                self.cid,
                self.cmd_sn,
                self.exp_stat_sn,
            )
        )


@dataclass(slots=True, kw_only=True)
class LogoutResponse(ResponsePdu):
    """Logout Response (RFC 7143 §11.15); the times are seconds."""

    opcode = Opcode.LOGOUT_RESPONSE
    _LAYOUT: ClassVar = struct.Struct(">BBBxI8xI4xIII4xHH4x")

    response: int = 0
    time2wait: int = 0
    time2retain: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        _, _, response, _, itt, stat_sn, exp_cmd_sn, max_cmd_sn, time2wait, time2retain = cls._LAYOUT.unpack(bhs)
        return cls(
            response=response,
            initiator_task_tag=itt,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
            time2wait=time2wait,
            time2retain=time2retain,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            self._LAYOUT.pack(
                self.opcode,
                FINAL,
                self.response,
                0,
                self.initiator_task_tag,
                self.stat_sn,
                self.exp_cmd_sn,
                self.max_cmd_sn,
                self.time2wait,
                self.time2retain,
            )
        )


@dataclass(slots=True, kw_only=True)
class SnackRequest(Pdu):
    """SNACK Request (RFC 7143 §11.16): for ErrorRecoveryLevel 1 and up."""

    opcode = Opcode.SNACK_REQUEST
    _LAYOUT: ClassVar = struct.Struct(">BB2xIQII4xI8xII")

    snack_type: int = 0
    lun: int = 0
    target_transfer_tag: int = RESERVED_TAG
    exp_stat_sn: int = 0
    beg_run: int = 0
    run_length: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        _, flags, _, lun, itt, ttt, exp_stat_sn, beg_run, run_length = cls._LAYOUT.unpack(bhs)
        return cls(
            snack_type=flags & 0x0F,
            lun=lun,
            initiator_task_tag=itt,
            target_transfer_tag=ttt,
            exp_stat_sn=exp_stat_sn,
            beg_run=beg_run,
            run_length=run_length,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            self._LAYOUT.pack(
                self.opcode,
                FINAL | self.snack_type,
                0,
                self.lun,
                self.initiator_task_tag,
                self.target_transfer_tag,
                self.exp_stat_sn,
                self.beg_run,
                self.run_length,
            )
        )


@dataclass(slots=True, kw_only=True)
class Reject(ResponsePdu):
    """Reject (RFC 7143 §11.17); the data segment is the header of the PDU that was rejected."""

    opcode = Opcode.REJECT
    _LAYOUT: ClassVar = struct.Struct(">BBBxI8xI4xIIII8x")

    reason: int = 0
    data_sn: int = 0

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        _, _, reason, _, itt, stat_sn, exp_cmd_sn, max_cmd_sn, data_sn = cls._LAYOUT.unpack(bhs)
        return cls(
            reason=reason,
            initiator_task_tag=itt,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
            data_sn=data_sn,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            self._LAYOUT.pack(
                self.opcode,
                FINAL,
                self.reason,
                0,
                RESERVED_TAG,
                self.stat_sn,
                self.exp_cmd_sn,
                self.max_cmd_sn,
                self.data_sn,
            )
        )


_NOP_LAYOUT: Final = struct.Struct(">BB2xIQIIIII12x")


@dataclass(slots=True, kw_only=True)
class NopOut(RequestPdu):
    """NOP-Out (RFC 7143 §11.18)."""

    opcode = Opcode.NOP_OUT

    lun: int = 0
    target_transfer_tag: int = RESERVED_TAG

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        first, _, _, lun, itt, ttt, cmd_sn, exp_stat_sn, _ = _NOP_LAYOUT.unpack(bhs)
        return cls(
            is_immediate=bool(first & IMMEDIATE),
            lun=lun,
            initiator_task_tag=itt,
            target_transfer_tag=ttt,
            cmd_sn=cmd_sn,
            exp_stat_sn=exp_stat_sn,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            _NOP_LAYOUT.pack(
                self.opcode | (IMMEDIATE if self.is_immediate else 0),
                FINAL,
                0,
                self.lun,
                self.initiator_task_tag,
                self.target_transfer_tag,
                self.cmd_sn,
                self.exp_stat_sn,
                0,
            )
        )


@dataclass(slots=True, kw_only=True)
class NopIn(ResponsePdu):
    """NOP-In (RFC 7143 §11.19)."""

    opcode = Opcode.NOP_IN

    lun: int = 0
    target_transfer_tag: int = RESERVED_TAG

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        _, _, _, lun, itt, ttt, stat_sn, exp_cmd_sn, max_cmd_sn = _NOP_LAYOUT.unpack(bhs)
        return cls(
            lun=lun,
            initiator_task_tag=itt,
            target_transfer_tag=ttt,
            stat_sn=stat_sn,
            exp_cmd_sn=exp_cmd_sn,
            max_cmd_sn=max_cmd_sn,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(
            _NOP_LAYOUT.pack(
                self.opcode,
                FINAL,
                0,
                self.lun,
                self.initiator_task_tag,
                self.target_transfer_tag,
                self.stat_sn,
                self.exp_cmd_sn,
                self.max_cmd_sn,
            )
        )


@dataclass(slots=True, kw_only=True)
class UnknownPdu(RequestPdu):
    """A PDU whose opcode RFC 7143 does not define for this direction: kept whole, so that a Reject can quote it."""

    opcode = -1

    received_opcode: int = 0
    bhs: bytes = b""

    @classmethod
    def from_bhs(cls, bhs: Buffer) -> Self:
        header = bytes(bhs)
        return cls(
            received_opcode=header[0] & 0x3F,
            is_immediate=bool(header[0] & IMMEDIATE),
            initiator_task_tag=int.from_bytes(header[16:20]),
            cmd_sn=int.from_bytes(header[24:28]),
            exp_stat_sn=int.from_bytes(header[28:32]),
            bhs=header,
        )

    def to_bhs(self) -> bytearray:
        return bytearray(self.bhs)


PDU_CLASSES: Final[dict[int, type[Pdu]]] = {
    int(cls.opcode): cls
    for cls in (
        NopOut,
        ScsiCommand,
        TaskManagementRequest,
        LoginRequest,
        TextRequest,
        DataOut,
        LogoutRequest,
        SnackRequest,
        NopIn,
        ScsiResponse,
        TaskManagementResponse,
        LoginResponse,
        TextResponse,
        DataIn,
        LogoutResponse,
        ReadyToTransfer,
        AsyncMessage,
        Reject,
    )
}
