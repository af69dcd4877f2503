"""REPORT and SET IDENTIFYING INFORMATION."""

import struct

import pytest

from isthmus.scsi.sense import Sense
from isthmus.scsi.task import GOOD
from tests.support.primary import data_of, in_cdb, in_list, refusal
from tests.support.scsi import TEST_UNIT_READY, Bench

PERIPHERAL, TEXT, SUPPORTED = 0, 2, 0x7F


def report(kind: int, length: int = 1024) -> bytes:
    """REPORT IDENTIFYING INFORMATION."""
    return struct.pack(">BBxxxxIBx", 0xA3, 0x05, length, kind << 1)


def set_information(kind: int, length: int) -> bytes:
    """SET IDENTIFYING INFORMATION."""
    return struct.pack(">BBxxxxIBx", 0xA4, 0x06, length, kind << 1)


@pytest.mark.parametrize(("kind", "value"), [(PERIPHERAL, b"\xff\0\1"), (TEXT, "Möbel\0".encode()), (TEXT, b"\0")])
def test_set_and_report(kind: int, value: bytes) -> None:
    """What is set is reported, until an empty list removes it; the other nexuses hear of each change."""
    bench = Bench()
    other = bench.connect(isid=2)
    for data in (value, b""):
        assert bench.run(set_information(kind, len(data)), data) == GOOD
        assert data_of(bench.run(report(kind))) == struct.pack(">xxH", len(data)) + data
        assert refusal(bench.run(TEST_UNIT_READY, nexus=other)) == (Sense.DEVICE_IDENTIFIER_CHANGED, None)
    assert data_of(bench.run(report(TEXT - kind))) == bytes(4)


def test_what_can_be_set() -> None:
    """The kinds and how long each may be."""
    assert data_of(Bench().run(report(SUPPORTED))) == bytes.fromhex("00080000 00000200 04000100")


def test_allocation_length() -> None:
    """The length tells of all, and as much is sent as there is room for."""
    bench = Bench()
    bench.run(set_information(PERIPHERAL, 8), b"12345678")
    assert data_of(bench.run(report(PERIPHERAL, 6))) == b"\0\0\0\x0812"


@pytest.mark.parametrize("kind", [1, 3, 0x7E])
def test_no_such_kind(kind: int) -> None:
    """There are two kinds; the list of them can only be read."""
    assert refusal(Bench().run(report(kind))) == in_cdb(10, 7)
    assert refusal(Bench().run(set_information(kind, 1), b"x")) == in_cdb(10, 7)
    assert refusal(Bench().run(set_information(SUPPORTED, 1), b"x")) == in_cdb(10, 7)


@pytest.mark.parametrize(("kind", "length"), [(PERIPHERAL, 513), (TEXT, 257)])
def test_too_long(kind: int, length: int) -> None:
    """What is longer than reported is refused."""
    assert refusal(Bench().run(set_information(kind, length), bytes(length))) == in_cdb(6)


@pytest.mark.parametrize("value", [b"no end", b"two\0ends\0", b"\xff\0"])
def test_text(value: bytes) -> None:
    """Text is UTF-8 and ends with its only null."""
    bench = Bench()
    assert refusal(bench.run(set_information(TEXT, len(value)), value)) == in_list(0)
    assert data_of(bench.run(report(TEXT))) == bytes(4)
