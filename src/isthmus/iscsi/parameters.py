"""What a login settles: the offers of one side, and the results that session and connection then live by (RFC 7143 §13)."""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "CRC32C",
    "DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH",
    "NONE",
    "ConnectionParameters",
    "Keepalive",
    "Offers",
    "SessionParameters",
]

NONE: Final = "None"
"""The value of a list that stands for leaving the function out (RFC 7143 §6.2.1)."""
CRC32C: Final = "CRC32C"
"""The digest that every node implements (RFC 7143 §13.1)."""
DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH: Final = 8192
"""Bytes. Holds during login whatever is declared, and after it for whoever declared nothing (RFC 7143 §6.3, §13.12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What one side wants of each negotiable key; the result may be less, never more (RFC 7143 §13).

    Lengths are bytes, times are seconds. A list holds what this side takes, in its order of preference; a digest list
    without "None" insists on the digest.
    """

    header_digest: tuple[str, ...] = (NONE, CRC32C)
    data_digest: tuple[str, ...] = (NONE, CRC32C)
    max_connections: int = 8
    initial_r2t: bool = False
    immediate_data: bool = True
    max_recv_data_segment_length: int = 262_144
    max_burst_length: int = 1_048_576
    first_burst_length: int = 262_144
    default_time2wait: int = 2
    default_time2retain: int = 20
    max_outstanding_r2t: int = 16
    data_pdu_in_order: bool = True
    data_sequence_in_order: bool = True
    error_recovery_level: int = 0
    task_reporting: tuple[str, ...] = ("RFC3720",)
    iscsi_protocol_level: int = 1
    keys_workaround: bool = True
    """What boot firmware is known to leave unanswered may stay so, and keeps its default (LIO: login_keys_workaround)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParameters:
    """The results of the session-wide keys, the same on every connection of a session; the defaults are the RFC's.

    Lengths are bytes, times are seconds.
    """

    max_connections: int = 1
    initial_r2t: bool = True
    immediate_data: bool = True
    max_burst_length: int = 262_144
    first_burst_length: int = 65_536
    """Never more than `max_burst_length` (RFC 7143 §13.14)."""
    default_time2wait: int = 2
    default_time2retain: int = 20
    max_outstanding_r2t: int = 1
    data_pdu_in_order: bool = True
    data_sequence_in_order: bool = True
    error_recovery_level: int = 0
    task_reporting: str = "RFC3720"
    iscsi_protocol_level: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionParameters:
    """The results of the keys that each connection settles for itself; the defaults are the RFC's."""

    header_digest: bool = False
    data_digest: bool = False
    max_recv_data_segment_length: int = DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH
    """Bytes of data segment that this side takes: what it declared."""
    max_xmit_data_segment_length: int = DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH
    """Bytes of data segment that this side may send: the peer's MaxRecvDataSegmentLength."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive:
    """How silence on a connection is dealt with, in seconds; nothing of it is negotiated."""

    ping_after: float = 15.0
    """Of silence, after which a NOP-In asks (LIO: 15)."""
    lost_after: float = 45.0
    """Of silence, after which the connection counts as lost (LIO: 30 s after the ping)."""
    data_out_within: float = 30.0
    """Without a piece of the data that a command waits for, after which the connection is given up."""
