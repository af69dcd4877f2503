"""The third-party copy page."""

import struct

from isthmus.scsi.copy import limits
from isthmus.scsi.copy.rod_token import RodType
from isthmus.scsi.copy.vpd_page import third_party_copy_page
from tests.support.copying import CopyBench


def descriptors(page: bytes) -> dict[int, bytes]:
    """The descriptors behind the header, by their type."""
    found = {}
    while page:
        kind, length = struct.unpack_from(">HH", page)
        assert length % 4 == 0
        assert len(page) >= 4 + length
        found[kind] = page[4 : 4 + length]
        page = page[4 + length :]
    return found


def page_of(block_length: int = 512) -> dict[int, bytes]:
    """The page of a unit."""
    bench = CopyBench(block_length=block_length)
    return descriptors(third_party_copy_page(bench.source, bench.nexus))


def test_descriptors() -> None:
    """Each is there, in ascending order, and as long as the standard says."""
    found = page_of()
    assert list(found) == sorted(found)
    lengths = {0x0000: 32, 0x0004: 28, 0x0106: 92, 0x0108: 132, 0x8001: 32, 0xC001: 28}
    assert {kind: len(found[kind]) for kind in lengths} == lengths
    assert set(found) == set(lengths) | {0x0001, 0x0008, 0x000C}


def test_block_device_rod_limits() -> None:
    """The transfer sizes are in blocks."""
    for block_length in (512, 4096):
        assert struct.unpack(">6xHIIQQ", page_of(block_length)[0x0000]) == (
            limits.MAX_RANGE_DESCRIPTORS,
            limits.MAX_INACTIVITY_TIMEOUT,
            limits.DEFAULT_INACTIVITY_TIMEOUT,
            limits.MAX_TOKEN_TRANSFER // block_length,
            limits.OPTIMAL_TOKEN_TRANSFER // block_length,
        )


def test_supported_commands() -> None:
    """All service actions that the unit has, by opcode."""
    content = page_of()[0x0001]
    copies = bytes((0x83, 5, 0x00, 0x01, 0x10, 0x11, 0x1C))
    results = bytes((0x84, 7, 0x00, 0x01, 0x03, 0x04, 0x05, 0x07, 0x08))
    assert content[: 1 + content[0]] == bytes((16,)) + copies + results


def test_supported_descriptors() -> None:
    """Block to block, in bytes too, verification, identification descriptors, and the unit of the copy manager."""
    found = page_of()
    assert found[0x0008] == bytes((4, 0x02, 0x07, 0x0A, 0xE4, 0, 0, 0))
    assert found[0x000C] == bytes((0, 2, 0xFF, 0xFF))


def test_rod_types() -> None:
    """Tokens for data go both ways; that of zeros is only taken."""
    content = page_of()[0x0108]
    assert int.from_bytes(content[2:4]) == len(content) - 4
    assert [struct.unpack_from(">IB", content, place) for place in (4, 68)] == [
        (RodType.POINT_IN_TIME_COPY_CHANGE_VULNERABLE, 0x03),
        (RodType.BLOCK_DEVICE_ZERO, 0x02),
    ]


def test_rod_token_features() -> None:
    """No remote tokens; the block device features at their place."""
    content = page_of()[0x0106]
    assert content[0] == 0
    assert struct.unpack_from(">III", content, 12) == (1, 0xFFFF_FFFF, limits.MAX_INACTIVITY_TIMEOUT)
    assert int.from_bytes(content[42:44]) == 48
    assert struct.unpack_from(">BxHxxHQQ", content, 44) == (
        0,
        44,
        0,
        limits.MAX_TOKEN_TRANSFER,
        limits.OPTIMAL_TOKEN_TRANSFER,
    )


def test_general_limits() -> None:
    """The same that RECEIVE COPY OPERATING PARAMETERS tells."""
    found = page_of()
    assert struct.unpack_from(">4xHHII", found[0x0004]) == (
        limits.MAX_CSCD_DESCRIPTORS,
        limits.MAX_SEGMENT_DESCRIPTORS,
        limits.MAX_DESCRIPTOR_LIST_LENGTH,
        limits.MAX_INLINE_DATA_LENGTH,
    )
    assert struct.unpack_from(">III", found[0x8001]) == (
        limits.MAX_CONCURRENT_COPIES,
        limits.MAX_CONCURRENT_COPIES,
        limits.MAX_SEGMENT_LENGTH,
    )
