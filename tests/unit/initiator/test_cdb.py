import pytest

from isthmus.initiator import cdb


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (cdb.test_unit_ready(), "00 00 00 00 00 00"),
        (cdb.request_sense(allocation_length=18, descriptor=True), "03 01 00 00 12 00"),
        (cdb.inquiry(allocation_length=36), "12 00 00 00 24 00"),
        (cdb.inquiry(page=0x83, allocation_length=0x1234), "12 01 83 12 34 00"),
        (cdb.inquiry(page=0, allocation_length=4), "12 01 00 00 04 00"),
        (cdb.report_luns(select_report=2, allocation_length=16), "a0 00 02 00 00 00 00 00 00 10 00 00"),
        (cdb.read_capacity_10(), "25 00 00 00 00 00 00 00 00 00"),
        (cdb.read_capacity_16(), "9e 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00"),
        (cdb.read_10(lba=0x01020304, num_blocks=0x0506, fua=True), "28 08 01 02 03 04 00 05 06 00"),
        (cdb.write_10(lba=0x01020304, num_blocks=0x0506), "2a 00 01 02 03 04 00 05 06 00"),
        (cdb.read_16(lba=0x0102030405060708, num_blocks=9), "88 00 01 02 03 04 05 06 07 08 00 00 00 09 00 00"),
        (cdb.write_16(lba=1, num_blocks=2, fua=True), "8a 08 00 00 00 00 00 00 00 01 00 00 00 02 00 00"),
        (cdb.synchronize_cache_10(lba=1, num_blocks=2, immediate=True), "35 02 00 00 00 01 00 00 02 00"),
        (cdb.synchronize_cache_16(lba=1, num_blocks=2), "91 00 00 00 00 00 00 00 00 01 00 00 00 02 00 00"),
        (cdb.unmap(parameter_list_length=24, anchor=True), "42 01 00 00 00 00 00 00 18 00"),
        (
            cdb.write_same_16(lba=1, num_blocks=2, unmap=True, no_data=True),
            "93 09 00 00 00 00 00 00 00 01 00 00 00 02 00 00",
        ),
        (cdb.compare_and_write(lba=1, num_blocks=2), "89 00 00 00 00 00 00 00 00 01 00 00 00 02 00 00"),
        (cdb.get_lba_status(lba=1, allocation_length=24), "9e 12 00 00 00 00 00 00 00 01 00 00 00 18 00 00"),
        (cdb.extended_32(service_action=9), "7f 00 00 00 00 00 00 18 00 09" + " 00" * 22),
    ],
)
def test_bytes_are_where_the_standard_has_them(made: bytes, expected: str) -> None:
    """Each CDB, byte by byte."""
    assert made.hex(" ") == expected
