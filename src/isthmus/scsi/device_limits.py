"""What this machine can pass on at once, told to initiators in the device's own words: Block Limits (SBC-4 §6.6.4).

A device knows nothing of the adapter between it and here, and an initiator nothing but what the device says. So the page
tells the smaller of both, as does QEMU; a disk without the page gets one, for that purpose alone.
"""

from typing import Final

from isthmus.backstores.pscsi import PassThroughResult

__all__ = ["WHOLE_LIST", "asks_for_limits", "asks_for_pages", "limited_page", "limits_page", "list_with_limits"]

_INQUIRY: Final = 0x12
_EVPD: Final = 0x01
_SUPPORTED_PAGES: Final = 0x00
_BLOCK_LIMITS: Final = 0xB0
_HEADER: Final = 4
_PAGE_LENGTH: Final = 0x3C
_MAXIMUM: Final = slice(8, 12)
_OPTIMAL: Final = slice(12, 16)
WHOLE_LIST: Final = 252
"""Bytes that any list of pages fits in."""


def asks_for_pages(cdb: bytes) -> bool:
    """Whether it is the INQUIRY for the list of pages."""
    return cdb[0] == _INQUIRY and cdb[1] == _EVPD and cdb[2] == _SUPPORTED_PAGES


def asks_for_limits(cdb: bytes) -> bool:
    """Whether it is the INQUIRY for Block Limits."""
    return cdb[0] == _INQUIRY and cdb[1] == _EVPD and cdb[2] == _BLOCK_LIMITS


def list_with_limits(page: bytes, allocation_length: int) -> bytes:
    """The list of pages with Block Limits in it, as much as is wanted of it."""
    length = int.from_bytes(page[2:_HEADER])
    pages = sorted({*page[_HEADER : _HEADER + length], _BLOCK_LIMITS})
    return (page[:2] + len(pages).to_bytes(2) + bytes(pages))[:allocation_length]


def limited_page(page: bytes, blocks: int) -> bytes:
    """Block Limits as the device gave it, with no transfer longer than `blocks`."""
    told = bytearray(page)
    if len(told) >= _MAXIMUM.stop:
        told[_MAXIMUM] = min(int.from_bytes(told[_MAXIMUM]) or blocks, blocks).to_bytes(4)
    if len(told) >= _OPTIMAL.stop:
        told[_OPTIMAL] = min(int.from_bytes(told[_OPTIMAL]), blocks).to_bytes(4)
    return bytes(told)


def limits_page(peripheral: int, blocks: int, allocation_length: int) -> PassThroughResult:
    """Block Limits of a device that has none: it takes `blocks` at once, and nothing else is said."""
    page = bytearray(_HEADER + _PAGE_LENGTH)
    page[0], page[1], page[3] = peripheral, _BLOCK_LIMITS, _PAGE_LENGTH
    page[_MAXIMUM] = blocks.to_bytes(4)
    data = memoryview(bytes(page))[:allocation_length]
    return PassThroughResult(status=0, sense=b"", data_in=data, data_out_consumed=0)
