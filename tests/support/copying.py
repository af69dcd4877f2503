"""CDBs and parameter lists of third-party copies, and what their answers say."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.scsi.identity import UnitIdentity

__all__ = [
    "ZERO_TOKEN",
    "TokenInformation",
    "abort",
    "copy_list_lid1",
    "copy_list_lid4",
    "extended_copy",
    "identification",
    "populate_list",
    "populate_token",
    "receive",
    "segment",
    "token_information",
    "write_list",
    "write_using_token",
]

ZERO_TOKEN = struct.pack(">I2xH", 0xFFFF_0001, 504).ljust(512, b"\0")
"""The block device zero ROD token."""


def extended_copy(length: int, *, lid4: bool = False) -> bytes:
    """EXTENDED COPY with a parameter list of `length` bytes."""
    return struct.pack(">BB8xI2x", 0x83, lid4, length)


def identification(
    designator: bytes | UnitIdentity,
    *,
    kind: int = 3,
    code_set: int = 1,
    association: int = 0,
    type_code: int = 0xE4,
    device_type: int = 0,
    block_length: int = 512,
) -> bytes:
    """An identification descriptor CSCD descriptor: by default, the NAA designator of a unit."""
    if isinstance(designator, UnitIdentity):
        designator = designator.naa_designator
    head = bytes((type_code, device_type, 0, 0, code_set, association << 4 | kind, 0, len(designator)))
    return (head + designator).ljust(28, b"\0") + block_length.to_bytes(4)


def segment(
    source_lba: int,
    destination_lba: int,
    num_blocks: int,
    *,
    source: int = 0,
    destination: int = 1,
    flags: int = 0,
    type_code: int = 0x02,
    length: int = 0x18,
) -> bytes:
    """A block device to block device segment descriptor."""
    return struct.pack(
        ">BBHHHxxHQQ", type_code, flags, length, source, destination, num_blocks, source_lba, destination_lba
    )


def copy_list_lid1(
    cscds: Sequence[bytes], segments: Sequence[bytes], *, identifier: int = 1, usage: int = 0, inline_data: int = 0
) -> bytes:
    """The parameter list of EXTENDED COPY (LID1)."""
    first, second = b"".join(cscds), b"".join(segments)
    return struct.pack(">BBH4xII", identifier, usage << 3, len(first), len(second), inline_data) + first + second


def copy_list_lid4(
    cscds: Sequence[bytes],
    segments: Sequence[bytes],
    *,
    identifier: int = 1,
    usage: int = 0,
    immediate: bool = False,
    flags: int = 0,
    inline_data: int = 0,
) -> bytes:
    """The parameter list of EXTENDED COPY (LID4)."""
    first, second = b"".join(cscds), b"".join(segments)
    head = struct.pack(">BBH11xBB3xI18x", 1, usage << 3, 0x20, immediate | flags, 0xFF, identifier)
    return head + struct.pack(">HHH", len(first), len(second), inline_data) + first + second


def abort(identifier: int) -> bytes:
    """COPY OPERATION ABORT."""
    return struct.pack(">BBI10x", 0x83, 0x1C, identifier)


def receive(service_action: int, identifier: int = 0, *, allocation_length: int = 4096) -> bytes:
    """One of the commands that tell of copies; LID1 ones have their identifier in the first byte of the field."""
    field = bytes((identifier, 0, 0, 0)) if service_action < 5 else identifier.to_bytes(4)
    return bytes((0x84, service_action)) + field + struct.pack(">4xI2x", allocation_length)


def populate_token(length: int, identifier: int = 1) -> bytes:
    """POPULATE TOKEN."""
    return struct.pack(">BB4xII2x", 0x83, 0x10, identifier, length)


def write_using_token(length: int, identifier: int = 2) -> bytes:
    """WRITE USING TOKEN."""
    return struct.pack(">BB4xII2x", 0x83, 0x11, identifier, length)


def _ranges(ranges: Sequence[tuple[int, int]]) -> bytes:
    return b"".join(struct.pack(">QI4x", lba, num_blocks) for lba, num_blocks in ranges)


def populate_list(
    ranges: Sequence[tuple[int, int]], *, timeout: int = 0, rod_type: int | None = None, immediate: bool = False
) -> bytes:
    """The parameter list of POPULATE TOKEN; ranges are (LBA, number of blocks)."""
    descriptors = _ranges(ranges)
    flags = immediate | (0 if rod_type is None else 2)
    head = struct.pack(">HBxII2xH", 14 + len(descriptors), flags, timeout, rod_type or 0, len(descriptors))
    return head + descriptors


def write_list(
    token: bytes, ranges: Sequence[tuple[int, int]], *, skipped: int = 0, delete: bool = False, immediate: bool = False
) -> bytes:
    """The parameter list of WRITE USING TOKEN; `skipped` is OFFSET INTO ROD in blocks."""
    descriptors = _ranges(ranges)
    flags = immediate | delete << 1
    head = struct.pack(">HB5xQ512s6xH", 534 + len(descriptors), flags, skipped, token, len(descriptors))
    return head + descriptors


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInformation:
    """What RECEIVE ROD TOKEN INFORMATION or RECEIVE COPY STATUS (LID4) says."""

    service_action: int
    status: int
    operations: int
    update_delay: int
    units: int
    count: int
    segments: int
    sense: bytes
    token: bytes | None


def token_information(data: bytes) -> TokenInformation:
    """Take the answer apart; its lengths must be right."""
    available, action, status, operations, delay, _, _, sense_length, units, count, segments = struct.unpack_from(
        ">IBBHIBBBBQH", data
    )
    assert available == len(data) - 4
    sense, rest = data[32 : 32 + sense_length], data[32 + sense_length :]
    token = None
    if rest:
        assert int.from_bytes(rest[:4]) == len(rest) - 4
        token = rest[6:] or None
        assert token is None or len(token) == 512
    return TokenInformation(
        service_action=action,
        status=status,
        operations=operations,
        update_delay=delay,
        units=units,
        count=count,
        segments=segments,
        sense=sense,
        token=token,
    )
