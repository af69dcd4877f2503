"""What commands answer, as values: capacity, LUNs, LBA status; and the parameter list of UNMAP."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.iscsi.errors import ConnectionViolation

__all__ = [
    "Capacity",
    "LbaStatus",
    "decode_capacity_10",
    "decode_capacity_16",
    "decode_lba_status",
    "decode_report_luns",
    "encode_unmap",
    "need",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The size of a disk; lengths in bytes (SBC-4 §5.20, §5.21)."""

    num_blocks: int
    block_length: int
    physical_block_length: int
    provisions_thinly: bool = False
    """LBPME: the disk can unmap blocks."""
    unmapped_reads_zeros: bool = False
    """LBPRZ."""

    def __post_init__(self) -> None:
        if not self.block_length:
            raise ConnectionViolation("the target says that its blocks have no bytes")

    @property
    def size(self) -> int:
        """Bytes altogether."""
        return self.num_blocks * self.block_length


@dataclass(frozen=True, slots=True, kw_only=True)
class LbaStatus:
    """One range of GET LBA STATUS (SBC-4 §5.6.2): 0 mapped, 1 deallocated, 2 anchored."""

    lba: int
    num_blocks: int
    provisioning_status: int


def need(data: bytes, length: int, what: str) -> bytes:
    """`data`, which must hold `length` bytes at least; raises `ConnectionViolation`."""
    if len(data) < length:
        raise ConnectionViolation(f"{what}: {len(data)} bytes came, at least {length} belong to it")
    return data


def decode_capacity_10(data: bytes) -> Capacity:
    """READ CAPACITY (10) data; 2^32 blocks or more read as 2^32, and READ CAPACITY (16) knows."""
    last_lba, block_length = struct.unpack_from(">II", need(data, 8, "READ CAPACITY (10)"))
    return Capacity(num_blocks=last_lba + 1, block_length=block_length, physical_block_length=block_length)


def decode_capacity_16(data: bytes) -> Capacity:
    """READ CAPACITY (16) data (SBC-4 §5.21.2)."""
    last_lba, block_length, exponent, provisioning = struct.unpack_from(">QIxBB", need(data, 15, "READ CAPACITY (16)"))
    return Capacity(
        num_blocks=last_lba + 1,
        block_length=block_length,
        physical_block_length=block_length << (exponent & 0x0F),
        provisions_thinly=bool(provisioning & 0x80),
        unmapped_reads_zeros=bool(provisioning & 0x40),
    )


def decode_report_luns(data: bytes) -> list[int]:
    """The LUN fields, each 8 bytes as a big-endian integer (SPC-5 §6.32)."""
    length = int.from_bytes(need(data, 8, "REPORT LUNS")[:4])
    listed = need(data, 8 + length, "REPORT LUNS")[8 : 8 + length]
    return [field for (field,) in struct.iter_unpack(">Q", listed[: len(listed) // 8 * 8])]


def decode_lba_status(data: bytes) -> list[LbaStatus]:
    """The descriptors of GET LBA STATUS."""
    length = int.from_bytes(need(data, 8, "GET LBA STATUS")[:4])
    listed = data[8 : 4 + length]
    return [
        LbaStatus(lba=lba, num_blocks=num_blocks, provisioning_status=status & 0x0F)
        for lba, num_blocks, status in struct.iter_unpack(">QIB3x", listed[: len(listed) // 16 * 16])
    ]


def encode_unmap(ranges: Sequence[tuple[int, int]]) -> bytes:
    """The parameter list of UNMAP for ranges of (LBA, number of blocks) (SBC-4 §5.35.2)."""
    descriptors = b"".join(struct.pack(">QI4x", lba, num_blocks) for lba, num_blocks in ranges)
    return struct.pack(">HH4x", len(descriptors) + 6, len(descriptors)) + descriptors
