import pytest

from isthmus.scsi.device_limits import asks_for_limits, asks_for_pages, limited_page, limits_page, list_with_limits


def inquiry(page: int, *, evpd: int = 1) -> bytes:
    """For one page."""
    return bytes((0x12, evpd, page, 0, 252, 0))


def test_the_inquiries_that_concern_it() -> None:
    """By opcode, EVPD and page."""
    assert asks_for_pages(inquiry(0x00))
    assert not asks_for_pages(inquiry(0x00, evpd=0))
    assert asks_for_limits(inquiry(0xB0))
    assert not asks_for_limits(inquiry(0xB1))
    assert not asks_for_limits(bytes((0x1A, 1, 0xB0, 0, 252, 0)))


@pytest.mark.parametrize("pages", ["", "0083", "0083b0", "0083b1b2"])
def test_the_list_has_the_page_once_and_in_its_place(pages: str) -> None:
    """As much of it as was asked for."""
    there = bytes.fromhex(pages)
    told = list_with_limits(b"\x0e\0" + len(there).to_bytes(2) + there, 252)
    assert told[:2] == b"\x0e\0"
    assert list(told[4:]) == sorted({*there, 0xB0})
    assert int.from_bytes(told[2:4]) == len(told) - 4
    assert list_with_limits(told, 4) == told[:4]


def test_a_page_says_the_smaller_limit() -> None:
    """0 is no limit of the device; a page that was cut off before its limits stays as it is."""
    page = bytes(8) + bytes.fromhex("00000000 00000400")
    assert limited_page(page, 0x300)[8:] == bytes.fromhex("00000300 00000300")
    page = bytes(8) + bytes.fromhex("00000100 00000080")
    assert limited_page(page, 0x300) == page
    assert limited_page(page[:10], 1) == page[:10]


def test_a_page_for_a_disk_without() -> None:
    """60 bytes behind the header, of which only the longest transfer is told."""
    result = limits_page(0x0E, 2048, 255)
    assert (result.status, len(result.data_in)) == (0, 64)
    assert bytes(result.data_in[:4]) == b"\x0e\xb0\0\x3c"
    assert int.from_bytes(result.data_in[8:12]) == 2048
    assert len(limits_page(0, 2048, 4).data_in) == 4
