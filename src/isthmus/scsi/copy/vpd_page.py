"""The third-party copy page (8Fh): what a copy manager can do, as a list of descriptors (SPC-4 §7.8.17)."""

import struct
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Final

from isthmus.scsi.copy.copy_list import DESCRIPTOR_TYPES
from isthmus.scsi.copy.limits import (
    DEFAULT_INACTIVITY_TIMEOUT,
    MAX_CONCURRENT_COPIES,
    MAX_CSCD_DESCRIPTORS,
    MAX_DESCRIPTOR_LIST_LENGTH,
    MAX_INACTIVITY_TIMEOUT,
    MAX_INLINE_DATA_LENGTH,
    MAX_RANGE_DESCRIPTORS,
    MAX_SEGMENT_DESCRIPTORS,
    MAX_SEGMENT_LENGTH,
    MAX_TOKEN_TRANSFER,
    OPTIMAL_TOKEN_TRANSFER,
)
from isthmus.scsi.copy.rod_token import RodType
from isthmus.scsi.copy.segments import COPY_MANAGER_UNIT

if TYPE_CHECKING:
    from isthmus.scsi.logical_unit import LogicalUnit
    from isthmus.scsi.nexus import Nexus

__all__ = ["third_party_copy_page"]

_COPY_OPCODES: Final = (0x83, 0x84)
_TOKEN_IN: Final = 0x02
"""WRITE USING TOKEN takes tokens of this type."""
_TOKEN_OUT: Final = 0x01
"""POPULATE TOKEN makes tokens of this type."""
_ROD_TYPES: Final = (
    (RodType.POINT_IN_TIME_COPY_CHANGE_VULNERABLE, _TOKEN_IN | _TOKEN_OUT),
    (RodType.BLOCK_DEVICE_ZERO, _TOKEN_IN),
)


def third_party_copy_page(unit: "LogicalUnit", _nexus: "Nexus") -> bytes:
    """Every descriptor, by its type."""
    descriptors = {
        0x0000: _block_device_rod_limits(unit),
        0x0001: _supported_commands(unit),
        0x0004: _parameter_data(),
        0x0008: _supported_descriptors(),
        0x000C: _supported_cscd_descriptor_ids(),
        0x0106: _rod_token_features(),
        0x0108: _supported_rod_token_types(),
        0x8001: _general_copy_operations(),
        0xC001: _held_data(),
    }
    return b"".join(_descriptor(kind, content) for kind, content in descriptors.items())


def _descriptor(kind: int, content: bytes) -> bytes:
    """Each is a multiple of four bytes long."""
    content += bytes(-len(content) % 4)
    return struct.pack(">HH", kind, len(content)) + content


def _block_device_rod_limits(unit: "LogicalUnit") -> bytes:
    """SBC-4 §6.6.8; the transfer sizes are in logical blocks."""
    return struct.pack(
        ">6xHIIQQ",
        MAX_RANGE_DESCRIPTORS,
        MAX_INACTIVITY_TIMEOUT,
        DEFAULT_INACTIVITY_TIMEOUT,
        MAX_TOKEN_TRANSFER // unit.block_length,
        OPTIMAL_TOKEN_TRANSFER // unit.block_length,
    )


def _supported_commands(unit: "LogicalUnit") -> bytes:
    """From the command table, which is also what runs them."""
    commands = b"".join(_service_actions(unit))
    return bytes((len(commands),)) + commands


def _service_actions(unit: "LogicalUnit") -> Iterator[bytes]:
    rows = (row for row in unit.table if row.opcode in _COPY_OPCODES)
    for opcode, same in groupby(rows, key=lambda row: row.opcode):
        actions = bytes(row.service_action or 0 for row in same)
        yield bytes((opcode, len(actions))) + actions


def _parameter_data() -> bytes:
    return struct.pack(
        ">4xHHII12x",
        MAX_CSCD_DESCRIPTORS,
        MAX_SEGMENT_DESCRIPTORS,
        MAX_DESCRIPTOR_LIST_LENGTH,
        MAX_INLINE_DATA_LENGTH,
    )


def _supported_descriptors() -> bytes:
    return bytes((len(DESCRIPTOR_TYPES),)) + DESCRIPTOR_TYPES


def _supported_cscd_descriptor_ids() -> bytes:
    """Those beyond the indices of CSCD descriptors."""
    return struct.pack(">HH", 2, COPY_MANAGER_UNIT)


def _rod_token_features() -> bytes:
    """No tokens of other copy managers (REMOTE TOKENS 0); the lifetimes are those of the inactivity timeout."""
    block_device_features = struct.pack(
        ">BxH2xHQQQQ8x",
        0,  # the format for block devices
        44,
        0,  # OPTIMAL LENGTH GRANULARITY: none
        MAX_TOKEN_TRANSFER,
        OPTIMAL_TOKEN_TRANSFER,
        OPTIMAL_TOKEN_TRANSFER,
        OPTIMAL_TOKEN_TRANSFER,
    )
    lifetimes = struct.pack(">12xIII18x", 1, 0xFFFF_FFFF, MAX_INACTIVITY_TIMEOUT)
    return lifetimes + struct.pack(">H", len(block_device_features)) + block_device_features


def _supported_rod_token_types() -> bytes:
    types = b"".join(struct.pack(">IBxH56x", kind, flags, 0) for kind, flags in _ROD_TYPES)
    return struct.pack(">2xH", len(types)) + types


def _general_copy_operations() -> bytes:
    """All granularities are one byte (0)."""
    return struct.pack(">IIIBB18x", MAX_CONCURRENT_COPIES, MAX_CONCURRENT_COPIES, MAX_SEGMENT_LENGTH, 0, 0)


def _held_data() -> bytes:
    """HELD DATA LIMIT 0."""
    return bytes(28)
