"""REPORT TIMESTAMP and SET TIMESTAMP."""

import struct

import pytest

from isthmus.scsi.sense import Sense
from isthmus.scsi.task import GOOD
from tests.support.primary import data_of, in_list, refusal
from tests.support.scsi import TEST_UNIT_READY, Bench, make_unit

NOW = 1_790_000_000_123


def report(length: int = 255) -> bytes:
    """REPORT TIMESTAMP."""
    return struct.pack(">BBxxxxIxx", 0xA3, 0x0F, length)


def set_timestamp(length: int = 12) -> bytes:
    """SET TIMESTAMP."""
    return struct.pack(">BBxxxxIxx", 0xA4, 0x0F, length)


def timestamp_list(milliseconds: int) -> bytes:
    """Its parameter list."""
    return bytes(4) + milliseconds.to_bytes(6) + bytes(2)


def test_report() -> None:
    """Until somebody sets it, it is the time of the machine, and said to be."""
    bench = Bench(unit=make_unit(clock=lambda: NOW))
    assert data_of(bench.run(report())) == bytes((0, 10, 3, 0)) + NOW.to_bytes(6) + bytes(2)
    assert len(data_of(bench.run(report(5)))) == 5


def test_set() -> None:
    """What is set is reported, and the other nexuses hear that it has changed."""
    bench = Bench(unit=make_unit(clock=lambda: NOW))
    other = bench.connect(isid=2)
    assert bench.run(set_timestamp(), timestamp_list(77)) == GOOD
    assert data_of(bench.run(report())) == bytes((0, 10, 2, 0)) + (77).to_bytes(6) + bytes(2)
    assert bench.run(TEST_UNIT_READY) == GOOD
    assert refusal(bench.run(TEST_UNIT_READY, nexus=other)) == (Sense.TIMESTAMP_CHANGED, None)


def test_empty_list() -> None:
    """An empty list changes nothing."""
    bench = Bench()
    other = bench.connect(isid=2)
    assert bench.run(set_timestamp(0)) == GOOD
    assert bench.run(TEST_UNIT_READY, nexus=other) == GOOD


@pytest.mark.parametrize("length", [1, 11, 13])
def test_list_length(length: int) -> None:
    """The list has one length."""
    assert refusal(Bench().run(set_timestamp(length), bytes(length)))[0] is Sense.PARAMETER_LIST_LENGTH_ERROR


@pytest.mark.parametrize("byte", [0, 3, 10, 11])
def test_reserved(byte: int) -> None:
    """Reserved bytes are 0."""
    data = bytearray(timestamp_list(5))
    data[byte] = 1
    bench = Bench()
    assert refusal(bench.run(set_timestamp(), bytes(data))) == in_list(byte)
    assert data_of(bench.run(report()))[2] == 3
