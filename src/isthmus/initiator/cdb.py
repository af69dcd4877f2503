"""The CDBs that the helpers and the command line send (SPC-5, SBC-4), as bytes."""

import struct

__all__ = [
    "compare_and_write",
    "extended_32",
    "get_lba_status",
    "inquiry",
    "read_10",
    "read_16",
    "read_capacity_10",
    "read_capacity_16",
    "report_luns",
    "request_sense",
    "synchronize_cache_10",
    "synchronize_cache_16",
    "test_unit_ready",
    "unmap",
    "write_10",
    "write_16",
    "write_same_16",
]


def test_unit_ready() -> bytes:
    """TEST UNIT READY (SPC-5 §6.47)."""
    return bytes(6)


def request_sense(*, allocation_length: int = 252, descriptor: bool = False) -> bytes:
    """REQUEST SENSE (SPC-5 §6.38)."""
    return struct.pack(">BB2xBx", 0x03, descriptor, allocation_length)


def inquiry(*, page: int | None = None, allocation_length: int = 4096) -> bytes:
    """INQUIRY (SPC-5 §6.7): the standard data, or the VPD page of that code."""
    return struct.pack(">BBBHx", 0x12, page is not None, page or 0, allocation_length)


def report_luns(*, select_report: int = 0, allocation_length: int = 131_088) -> bytes:
    """REPORT LUNS (SPC-5 §6.32); the length has room for every flat space LUN."""
    return struct.pack(">BxB3xI2x", 0xA0, select_report, allocation_length)


def read_capacity_10() -> bytes:
    """READ CAPACITY (10) (SBC-4 §5.20)."""
    return struct.pack(">B9x", 0x25)


def read_capacity_16(*, allocation_length: int = 32) -> bytes:
    """READ CAPACITY (16) (SBC-4 §5.21)."""
    return struct.pack(">BB8xI2x", 0x9E, 0x10, allocation_length)


def read_10(*, lba: int, num_blocks: int, fua: bool = False) -> bytes:
    """READ (10) (SBC-4 §5.16)."""
    return struct.pack(">BBIxHx", 0x28, fua << 3, lba, num_blocks)


def read_16(*, lba: int, num_blocks: int, fua: bool = False) -> bytes:
    """READ (16) (SBC-4 §5.18)."""
    return struct.pack(">BBQI2x", 0x88, fua << 3, lba, num_blocks)


def write_10(*, lba: int, num_blocks: int, fua: bool = False) -> bytes:
    """WRITE (10) (SBC-4 §5.40)."""
    return struct.pack(">BBIxHx", 0x2A, fua << 3, lba, num_blocks)


def write_16(*, lba: int, num_blocks: int, fua: bool = False) -> bytes:
    """WRITE (16) (SBC-4 §5.42)."""
    return struct.pack(">BBQI2x", 0x8A, fua << 3, lba, num_blocks)


def synchronize_cache_10(*, lba: int = 0, num_blocks: int = 0, immediate: bool = False) -> bytes:
    """SYNCHRONIZE CACHE (10) (SBC-4 §5.33); no blocks: to the end of the medium."""
    return struct.pack(">BBIxHx", 0x35, immediate << 1, lba, num_blocks)


def synchronize_cache_16(*, lba: int = 0, num_blocks: int = 0, immediate: bool = False) -> bytes:
    """SYNCHRONIZE CACHE (16) (SBC-4 §5.34); no blocks: to the end of the medium."""
    return struct.pack(">BBQI2x", 0x91, immediate << 1, lba, num_blocks)


def unmap(*, parameter_list_length: int, anchor: bool = False) -> bytes:
    """UNMAP (SBC-4 §5.35)."""
    return struct.pack(">BB5xHx", 0x42, anchor, parameter_list_length)


def write_same_16(*, lba: int, num_blocks: int, unmap: bool = False, no_data: bool = False) -> bytes:
    """WRITE SAME (16) (SBC-4 §5.52)."""
    return struct.pack(">BBQI2x", 0x93, unmap << 3 | no_data, lba, num_blocks)


def compare_and_write(*, lba: int, num_blocks: int, fua: bool = False) -> bytes:
    """COMPARE AND WRITE (SBC-4 §5.3)."""
    return struct.pack(">BBQ3xB2x", 0x89, fua << 3, lba, num_blocks)


def get_lba_status(*, lba: int, allocation_length: int = 4096) -> bytes:
    """GET LBA STATUS (16) (SBC-4 §5.6)."""
    return struct.pack(">BBQI2x", 0x9E, 0x12, lba, allocation_length)


def extended_32(*, service_action: int, rest: bytes = bytes(22)) -> bytes:
    """A 32-byte CDB of the variable length form (SPC-5 §4.2.3): `rest` is bytes 10 to 31."""
    return struct.pack(">B6xBH", 0x7F, 0x18, service_action) + rest
