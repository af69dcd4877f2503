"""Sense: why a command failed (SPC-5 §4.4). A constant joins sense key, ASC and ASCQ under SPC's own name."""

import enum
import struct
from dataclasses import dataclass
from typing import Final, Self

from isthmus.errors import IsthmusError

__all__ = [
    "CheckCondition",
    "FieldPointer",
    "ForwardedSense",
    "ProgressIndication",
    "SegmentPointer",
    "Sense",
    "SenseData",
    "SenseKey",
]


class SenseKey(enum.IntEnum):
    """SPC-5 table 48."""

    NO_SENSE = 0x0
    RECOVERED_ERROR = 0x1
    NOT_READY = 0x2
    MEDIUM_ERROR = 0x3
    HARDWARE_ERROR = 0x4
    ILLEGAL_REQUEST = 0x5
    UNIT_ATTENTION = 0x6
    DATA_PROTECT = 0x7
    BLANK_CHECK = 0x8
    COPY_ABORTED = 0xA
    ABORTED_COMMAND = 0xB
    VOLUME_OVERFLOW = 0xD
    MISCOMPARE = 0xE
    COMPLETED = 0xF


class Sense(enum.Enum):
    """(sense key, ASC, ASCQ), named as in SPC-5 table F.1. Add a row when a command needs it."""

    NO_ADDITIONAL_SENSE_INFORMATION = (SenseKey.NO_SENSE, 0x00, 0x00)
    IDLE_CONDITION_ACTIVATED_BY_TIMER = (SenseKey.NO_SENSE, 0x5E, 0x01)
    STANDBY_CONDITION_ACTIVATED_BY_TIMER = (SenseKey.NO_SENSE, 0x5E, 0x02)
    IDLE_CONDITION_ACTIVATED_BY_COMMAND = (SenseKey.NO_SENSE, 0x5E, 0x03)
    STANDBY_CONDITION_ACTIVATED_BY_COMMAND = (SenseKey.NO_SENSE, 0x5E, 0x04)
    IDLE_B_CONDITION_ACTIVATED_BY_TIMER = (SenseKey.NO_SENSE, 0x5E, 0x05)
    IDLE_B_CONDITION_ACTIVATED_BY_COMMAND = (SenseKey.NO_SENSE, 0x5E, 0x06)
    IDLE_C_CONDITION_ACTIVATED_BY_TIMER = (SenseKey.NO_SENSE, 0x5E, 0x07)
    IDLE_C_CONDITION_ACTIVATED_BY_COMMAND = (SenseKey.NO_SENSE, 0x5E, 0x08)
    STANDBY_Y_CONDITION_ACTIVATED_BY_TIMER = (SenseKey.NO_SENSE, 0x5E, 0x09)
    STANDBY_Y_CONDITION_ACTIVATED_BY_COMMAND = (SenseKey.NO_SENSE, 0x5E, 0x0A)

    LOGICAL_UNIT_NOT_READY_CAUSE_NOT_REPORTABLE = (SenseKey.NOT_READY, 0x04, 0x00)
    LOGICAL_UNIT_IS_IN_PROCESS_OF_BECOMING_READY = (SenseKey.NOT_READY, 0x04, 0x01)
    LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED = (SenseKey.NOT_READY, 0x04, 0x02)
    LOGICAL_UNIT_NOT_READY_MANUAL_INTERVENTION_REQUIRED = (SenseKey.NOT_READY, 0x04, 0x03)
    LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS = (SenseKey.NOT_READY, 0x04, 0x04)
    LOGICAL_UNIT_NOT_READY_SELF_TEST_IN_PROGRESS = (SenseKey.NOT_READY, 0x04, 0x09)
    LOGICAL_UNIT_NOT_ACCESSIBLE_ASYMMETRIC_ACCESS_STATE_TRANSITION = (SenseKey.NOT_READY, 0x04, 0x0A)
    LOGICAL_UNIT_NOT_ACCESSIBLE_TARGET_PORT_IN_STANDBY_STATE = (SenseKey.NOT_READY, 0x04, 0x0B)
    LOGICAL_UNIT_NOT_ACCESSIBLE_TARGET_PORT_IN_UNAVAILABLE_STATE = (SenseKey.NOT_READY, 0x04, 0x0C)
    LOGICAL_UNIT_NOT_READY_OFFLINE = (SenseKey.NOT_READY, 0x04, 0x12)
    LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS = (SenseKey.NOT_READY, 0x04, 0x1B)
    MEDIUM_NOT_PRESENT = (SenseKey.NOT_READY, 0x3A, 0x00)
    MEDIUM_NOT_PRESENT_TRAY_CLOSED = (SenseKey.NOT_READY, 0x3A, 0x01)
    MEDIUM_NOT_PRESENT_TRAY_OPEN = (SenseKey.NOT_READY, 0x3A, 0x02)

    WRITE_ERROR = (SenseKey.MEDIUM_ERROR, 0x0C, 0x00)
    UNRECOVERED_READ_ERROR = (SenseKey.MEDIUM_ERROR, 0x11, 0x00)
    MEDIUM_FORMAT_CORRUPTED = (SenseKey.MEDIUM_ERROR, 0x31, 0x00)
    FORMAT_COMMAND_FAILED = (SenseKey.MEDIUM_ERROR, 0x31, 0x01)
    SANITIZE_COMMAND_FAILED = (SenseKey.MEDIUM_ERROR, 0x31, 0x03)

    LOGICAL_UNIT_COMMUNICATION_FAILURE = (SenseKey.HARDWARE_ERROR, 0x08, 0x00)
    LOGICAL_UNIT_FAILED_SELF_TEST = (SenseKey.HARDWARE_ERROR, 0x3E, 0x03)
    LOGICAL_UNIT_FAILURE = (SenseKey.HARDWARE_ERROR, 0x3E, 0x01)
    INTERNAL_TARGET_FAILURE = (SenseKey.HARDWARE_ERROR, 0x44, 0x00)
    SET_TARGET_PORT_GROUPS_COMMAND_FAILED = (SenseKey.HARDWARE_ERROR, 0x67, 0x0A)

    OPERATION_IN_PROGRESS = (SenseKey.ILLEGAL_REQUEST, 0x00, 0x16)
    INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT = (SenseKey.ILLEGAL_REQUEST, 0x0E, 0x03)
    PARAMETER_LIST_LENGTH_ERROR = (SenseKey.ILLEGAL_REQUEST, 0x1A, 0x00)
    INVALID_COMMAND_OPERATION_CODE = (SenseKey.ILLEGAL_REQUEST, 0x20, 0x00)
    LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE = (SenseKey.ILLEGAL_REQUEST, 0x21, 0x00)
    INVALID_TOKEN_OPERATION_UNSUPPORTED_TOKEN_TYPE = (SenseKey.ILLEGAL_REQUEST, 0x23, 0x01)
    INVALID_TOKEN_OPERATION_TOKEN_UNKNOWN = (SenseKey.ILLEGAL_REQUEST, 0x23, 0x04)
    INVALID_TOKEN_OPERATION_TOKEN_REVOKED = (SenseKey.ILLEGAL_REQUEST, 0x23, 0x06)
    INVALID_TOKEN_OPERATION_TOKEN_EXPIRED = (SenseKey.ILLEGAL_REQUEST, 0x23, 0x07)
    INVALID_TOKEN_OPERATION_TOKEN_DELETED = (SenseKey.ILLEGAL_REQUEST, 0x23, 0x09)
    INVALID_TOKEN_OPERATION_INVALID_TOKEN_LENGTH = (SenseKey.ILLEGAL_REQUEST, 0x23, 0x0A)
    INVALID_FIELD_IN_CDB = (SenseKey.ILLEGAL_REQUEST, 0x24, 0x00)
    LOGICAL_UNIT_NOT_SUPPORTED = (SenseKey.ILLEGAL_REQUEST, 0x25, 0x00)
    INVALID_FIELD_IN_PARAMETER_LIST = (SenseKey.ILLEGAL_REQUEST, 0x26, 0x00)
    PARAMETER_NOT_SUPPORTED = (SenseKey.ILLEGAL_REQUEST, 0x26, 0x01)
    PARAMETER_VALUE_INVALID = (SenseKey.ILLEGAL_REQUEST, 0x26, 0x02)
    INVALID_RELEASE_OF_PERSISTENT_RESERVATION = (SenseKey.ILLEGAL_REQUEST, 0x26, 0x04)
    TOO_MANY_TARGET_DESCRIPTORS = (SenseKey.ILLEGAL_REQUEST, 0x26, 0x06)
    UNSUPPORTED_TARGET_DESCRIPTOR_TYPE_CODE = (SenseKey.ILLEGAL_REQUEST, 0x26, 0x07)
    TOO_MANY_SEGMENT_DESCRIPTORS = (SenseKey.ILLEGAL_REQUEST, 0x26, 0x08)
    UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE_CODE = (SenseKey.ILLEGAL_REQUEST, 0x26, 0x09)
    INLINE_DATA_LENGTH_EXCEEDED = (SenseKey.ILLEGAL_REQUEST, 0x26, 0x0B)
    COMMAND_SEQUENCE_ERROR = (SenseKey.ILLEGAL_REQUEST, 0x2C, 0x00)
    CANNOT_READ_MEDIUM_INCOMPATIBLE_FORMAT = (SenseKey.ILLEGAL_REQUEST, 0x30, 0x02)
    SAVING_PARAMETERS_NOT_SUPPORTED = (SenseKey.ILLEGAL_REQUEST, 0x39, 0x00)
    INVALID_MESSAGE_ERROR = (SenseKey.ILLEGAL_REQUEST, 0x49, 0x00)
    MEDIUM_REMOVAL_PREVENTED = (SenseKey.ILLEGAL_REQUEST, 0x53, 0x02)
    INSUFFICIENT_RESOURCES = (SenseKey.ILLEGAL_REQUEST, 0x55, 0x03)
    INSUFFICIENT_REGISTRATION_RESOURCES = (SenseKey.ILLEGAL_REQUEST, 0x55, 0x04)
    INSUFFICIENT_RESOURCES_TO_CREATE_ROD_TOKEN = (SenseKey.ILLEGAL_REQUEST, 0x55, 0x0D)
    ILLEGAL_MODE_FOR_THIS_TRACK = (SenseKey.ILLEGAL_REQUEST, 0x64, 0x00)

    NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED = (SenseKey.UNIT_ATTENTION, 0x28, 0x00)
    POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED = (SenseKey.UNIT_ATTENTION, 0x29, 0x00)
    POWER_ON_OCCURRED = (SenseKey.UNIT_ATTENTION, 0x29, 0x01)
    BUS_DEVICE_RESET_FUNCTION_OCCURRED = (SenseKey.UNIT_ATTENTION, 0x29, 0x03)
    I_T_NEXUS_LOSS_OCCURRED = (SenseKey.UNIT_ATTENTION, 0x29, 0x07)
    MODE_PARAMETERS_CHANGED = (SenseKey.UNIT_ATTENTION, 0x2A, 0x01)
    LOG_PARAMETERS_CHANGED = (SenseKey.UNIT_ATTENTION, 0x2A, 0x02)
    RESERVATIONS_PREEMPTED = (SenseKey.UNIT_ATTENTION, 0x2A, 0x03)
    RESERVATIONS_RELEASED = (SenseKey.UNIT_ATTENTION, 0x2A, 0x04)
    REGISTRATIONS_PREEMPTED = (SenseKey.UNIT_ATTENTION, 0x2A, 0x05)
    ASYMMETRIC_ACCESS_STATE_CHANGED = (SenseKey.UNIT_ATTENTION, 0x2A, 0x06)
    IMPLICIT_ASYMMETRIC_ACCESS_STATE_TRANSITION_FAILED = (SenseKey.UNIT_ATTENTION, 0x2A, 0x07)
    CAPACITY_DATA_HAS_CHANGED = (SenseKey.UNIT_ATTENTION, 0x2A, 0x09)
    PREVIOUS_BUSY_STATUS = (SenseKey.UNIT_ATTENTION, 0x2C, 0x07)
    PREVIOUS_TASK_SET_FULL_STATUS = (SenseKey.UNIT_ATTENTION, 0x2C, 0x08)
    PREVIOUS_RESERVATION_CONFLICT_STATUS = (SenseKey.UNIT_ATTENTION, 0x2C, 0x09)
    COMMANDS_CLEARED_BY_ANOTHER_INITIATOR = (SenseKey.UNIT_ATTENTION, 0x2F, 0x00)
    TIMESTAMP_CHANGED = (SenseKey.UNIT_ATTENTION, 0x2A, 0x10)
    DEVICE_IDENTIFIER_CHANGED = (SenseKey.UNIT_ATTENTION, 0x3F, 0x05)
    THIN_PROVISIONING_SOFT_THRESHOLD_REACHED = (SenseKey.UNIT_ATTENTION, 0x38, 0x07)
    INQUIRY_DATA_HAS_CHANGED = (SenseKey.UNIT_ATTENTION, 0x3F, 0x03)
    REPORTED_LUNS_DATA_HAS_CHANGED = (SenseKey.UNIT_ATTENTION, 0x3F, 0x0E)

    WRITE_PROTECTED = (SenseKey.DATA_PROTECT, 0x27, 0x00)
    SPACE_ALLOCATION_FAILED_WRITE_PROTECT = (SenseKey.DATA_PROTECT, 0x27, 0x07)
    PERSISTENT_RESERVATION_INFORMATION_LOST = (SenseKey.DATA_PROTECT, 0x44, 0x01)

    COPY_ABORTED = (SenseKey.COPY_ABORTED, 0x00, 0x00)
    """With the additional sense code NO ADDITIONAL SENSE INFORMATION."""
    UNREACHABLE_COPY_TARGET = (SenseKey.COPY_ABORTED, 0x08, 0x04)
    THIRD_PARTY_DEVICE_FAILURE = (SenseKey.COPY_ABORTED, 0x0D, 0x01)
    COPY_TARGET_DEVICE_NOT_REACHABLE = (SenseKey.COPY_ABORTED, 0x0D, 0x02)
    INCORRECT_COPY_TARGET_DEVICE_TYPE = (SenseKey.COPY_ABORTED, 0x0D, 0x03)
    UNEXPECTED_INEXACT_SEGMENT = (SenseKey.COPY_ABORTED, 0x26, 0x0A)
    COMMANDS_CLEARED_BY_DEVICE_SERVER = (SenseKey.COPY_ABORTED, 0x2F, 0x02)
    INVALID_OPERATION_FOR_COPY_SOURCE_OR_DESTINATION = (SenseKey.COPY_ABORTED, 0x26, 0x0C)

    UNEXPECTED_UNSOLICITED_DATA = (SenseKey.ABORTED_COMMAND, 0x0C, 0x0C)
    NOT_ENOUGH_UNSOLICITED_DATA = (SenseKey.ABORTED_COMMAND, 0x0C, 0x0D)
    PROTOCOL_SERVICE_CRC_ERROR = (SenseKey.ABORTED_COMMAND, 0x47, 0x05)
    OVERLAPPED_COMMANDS_ATTEMPTED = (SenseKey.ABORTED_COMMAND, 0x4E, 0x00)

    MISCOMPARE_DURING_VERIFY_OPERATION = (SenseKey.MISCOMPARE, 0x1D, 0x00)

    @property
    def key(self) -> SenseKey:
        """The sense key."""
        return self.value[0]

    @property
    def asc(self) -> int:
        """The additional sense code."""
        return self.value[1]

    @property
    def ascq(self) -> int:
        """The additional sense code qualifier."""
        return self.value[2]


@dataclass(frozen=True, slots=True)
class FieldPointer:
    """Which byte (and bit, 7 is the most significant) of the CDB or of the parameter list is wrong (SPC-5 §4.4.2.4.2)."""

    byte: int
    bit: int | None = None
    in_cdb: bool = True

    def to_bytes(self) -> bytes:
        """The three bytes of SENSE KEY SPECIFIC, with SKSV."""
        first = 0x80 | (0x40 if self.in_cdb else 0)
        if self.bit is not None:
            first |= 0x08 | self.bit
        return struct.pack(">BH", first, self.byte)


@dataclass(frozen=True, slots=True)
class ProgressIndication:
    """How far a long command has come, in 65536ths (SPC-5 §4.4.2.4.4)."""

    progress: int

    def to_bytes(self) -> bytes:
        """The three bytes of SENSE KEY SPECIFIC, with SKSV."""
        return struct.pack(">BH", 0x80, self.progress)


@dataclass(frozen=True, slots=True)
class SegmentPointer:
    """Which byte of a segment descriptor of a copy is wrong (SPC-5 §4.4.2.4.6); `SenseData.segment` says of which."""

    byte: int
    in_segment: bool = True
    """SD: `byte` counts from the start of the segment descriptor, not of the parameter list."""

    def to_bytes(self) -> bytes:
        """The three bytes of SENSE KEY SPECIFIC, with SKSV."""
        return struct.pack(">BH", 0xA0 if self.in_segment else 0x80, self.byte)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardedSense:
    """What the source or the destination of a copy answered (SPC-5 §4.4.2.7)."""

    from_source: bool
    status: int
    sense: bytes


_FIXED_LENGTH: Final = 18
_RESPONSE_CODE_FIXED: Final = 0x70
_RESPONSE_CODE_DESCRIPTOR: Final = 0x72
_DESCRIPTOR_INFORMATION: Final = 0x00
_DESCRIPTOR_COMMAND_SPECIFIC: Final = 0x01
_DESCRIPTOR_SENSE_KEY_SPECIFIC: Final = 0x02
_DESCRIPTOR_FORWARDED: Final = 0x0C
_FORWARDED_SOURCE: Final = 1
_FORWARDED_DESTINATION: Final = 2


@dataclass(frozen=True, slots=True)
class SenseData:
    """One whole report: the sense, and what goes with it."""

    sense: Sense
    specific: FieldPointer | ProgressIndication | SegmentPointer | None = None
    information: int | None = None
    """The first LBA that failed, or what the command defines (SPC-5 §4.4.2.2)."""
    deferred: bool = False
    """It tells of a command whose status has gone out already (SPC-5 §4.4.7)."""
    segment: int | None = None
    """The number of the segment descriptor that failed, in COMMAND-SPECIFIC INFORMATION (SPC-5 §5.18.7)."""
    forwarded: ForwardedSense | None = None

    def to_bytes(self, *, descriptor: bool = False) -> bytes:
        """Fixed format (SPC-5 §4.4.3), or descriptor format (§4.4.2) when D_SENSE asks for it.

        An INFORMATION value that fixed format cannot hold (over 32 bits) is left out with VALID 0, as SPC asks.
        """
        return self._descriptor_format() if descriptor else self._fixed_format()

    def _fixed_format(self) -> bytes:
        data = bytearray(_FIXED_LENGTH)
        data[0] = _RESPONSE_CODE_FIXED | self.deferred
        data[2] = self.sense.key
        if self.information is not None and self.information <= 0xFFFF_FFFF:
            data[0] |= 0x80
            struct.pack_into(">I", data, 3, self.information)
        data[7] = _FIXED_LENGTH - 8
        data[12] = self.sense.asc
        data[13] = self.sense.ascq
        if self.specific is not None:
            data[15:18] = self.specific.to_bytes()
        if self.segment is not None:
            struct.pack_into(">H", data, 10, self.segment)
        if self.forwarded is not None:
            self._append_forwarded(data, self.forwarded)
        return bytes(data)

    @staticmethod
    def _append_forwarded(data: bytearray, forwarded: ForwardedSense) -> None:
        """The status and the sense behind the rest; the byte of COMMAND-SPECIFIC INFORMATION says where they begin."""
        data[8 if forwarded.from_source else 9] = len(data)
        data += bytes((forwarded.status,)) + forwarded.sense
        data[7] = len(data) - 8

    def _descriptor_format(self) -> bytes:
        descriptors = b""
        if self.information is not None:
            descriptors += struct.pack(">BBBxQ", _DESCRIPTOR_INFORMATION, 10, 0x80, self.information)
        if self.segment is not None:
            descriptors += struct.pack(">BBxxQ", _DESCRIPTOR_COMMAND_SPECIFIC, 10, self.segment)
        if self.specific is not None:
            descriptors += struct.pack(">BBxx3sx", _DESCRIPTOR_SENSE_KEY_SPECIFIC, 6, self.specific.to_bytes())
        if self.forwarded is not None:
            descriptors += _forwarded_descriptor(self.forwarded)
        code = _RESPONSE_CODE_DESCRIPTOR | self.deferred
        head = (code, self.sense.key, self.sense.asc, self.sense.ascq, len(descriptors))
        return struct.pack(">BBBBxxxB", *head) + descriptors


def _forwarded_descriptor(forwarded: ForwardedSense) -> bytes:
    which = _FORWARDED_SOURCE if forwarded.from_source else _FORWARDED_DESTINATION
    # Descriptors are multiples of four bytes long; sense data tells its own length.
    sense = forwarded.sense + bytes(-len(forwarded.sense) % 4)
    return bytes((_DESCRIPTOR_FORWARDED, len(sense) + 2, which, forwarded.status)) + sense


class CheckCondition(IsthmusError):
    """Ends a command with CHECK CONDITION and this sense; raised by parsers and handlers, caught by the device server."""

    def __init__(
        self,
        sense: Sense,
        *,
        field: FieldPointer | None = None,
        information: int | None = None,
    ) -> None:
        super().__init__(sense.name)
        self.sense_data = SenseData(sense=sense, specific=field, information=information)

    @classmethod
    def of(cls, sense_data: SenseData) -> Self:
        """The same, with all that there is to report."""
        error = cls(sense_data.sense)
        error.sense_data = sense_data
        return error
