"""READ BUFFER and WRITE BUFFER."""

import struct
from collections.abc import Callable

import pytest

from isthmus.scsi.buffers import DATA_CAPACITY, ECHO_CAPACITY
from isthmus.scsi.sense import Sense
from isthmus.scsi.task import GOOD
from tests.support.primary import data_of, in_cdb, refusal
from tests.support.scsi import Bench

DATA, DESCRIPTOR, ECHO, ECHO_DESCRIPTOR = 0x02, 0x03, 0x0A, 0x0B


def read_buffer_10(mode: int, buffer_id: int = 0, offset: int = 0, length: int = 255) -> bytes:
    """READ BUFFER (10)."""
    return bytes((0x3C, mode, buffer_id)) + offset.to_bytes(3) + length.to_bytes(3) + b"\0"


def read_buffer_16(mode: int, buffer_id: int = 0, offset: int = 0, length: int = 255) -> bytes:
    """READ BUFFER (16)."""
    return struct.pack(">BBQIBx", 0x9B, mode, offset, length, buffer_id)


def write_buffer(mode: int, length: int, buffer_id: int = 0, offset: int = 0) -> bytes:
    """WRITE BUFFER."""
    return bytes((0x3B, mode, buffer_id)) + offset.to_bytes(3) + length.to_bytes(3) + b"\0"


READS = pytest.mark.parametrize("read_buffer", [read_buffer_10, read_buffer_16], ids=["10", "16"])


@READS
def test_data(read_buffer: Callable[..., bytes]) -> None:
    """What one nexus writes another reads, from any offset."""
    bench = Bench()
    other = bench.connect(isid=2)
    assert bench.run(write_buffer(DATA, 5, offset=3), b"hello") == GOOD
    assert data_of(bench.run(read_buffer(DATA, length=10), nexus=other)) == b"\0\0\0hello\0\0"
    assert data_of(bench.run(read_buffer(DATA, offset=4, length=2))) == b"el"
    assert data_of(bench.run(read_buffer(DATA, offset=DATA_CAPACITY))) == b""


@READS
def test_descriptor(read_buffer: Callable[..., bytes]) -> None:
    """Buffer 0 has its capacity and any offset; a buffer that there is not has none."""
    bench = Bench()
    assert data_of(bench.run(read_buffer(DESCRIPTOR))) == struct.pack(">I", DATA_CAPACITY)
    assert data_of(bench.run(read_buffer(DESCRIPTOR, 1))) == bytes(4)
    assert data_of(bench.run(read_buffer(DESCRIPTOR, length=2))) == b"\0\1"


@READS
def test_echo(read_buffer: Callable[..., bytes]) -> None:
    """A nexus reads back what it has written itself, whatever others write."""
    bench = Bench()
    other = bench.connect(isid=2)
    assert refusal(bench.run(read_buffer(ECHO))) == (Sense.COMMAND_SEQUENCE_ERROR, None)
    assert bench.run(write_buffer(ECHO, 5, buffer_id=9), b"hello") == GOOD
    assert bench.run(write_buffer(ECHO, 5), b"world", nexus=other) == GOOD
    assert data_of(bench.run(read_buffer(ECHO))) == b"hello"
    assert data_of(bench.run(read_buffer(ECHO, length=2), nexus=other)) == b"wo"
    descriptor = data_of(bench.run(read_buffer(ECHO_DESCRIPTOR)))
    assert descriptor == struct.pack(">BxH", 1, ECHO_CAPACITY)


@pytest.mark.parametrize("mode", [0x00, 0x01, 0x04, 0x05, 0x06, 0x07, 0x0B, 0x0D, 0x0E, 0x0F, 0x1A, 0x1C])
def test_no_such_write_mode(mode: int) -> None:
    """There is no microcode to download, nor what else the standard has."""
    assert refusal(Bench().run(write_buffer(mode, 4), bytes(4))) == in_cdb(1, 4)


@READS
@pytest.mark.parametrize("mode", [0x00, 0x01, 0x04, 0x0F, 0x1C])
def test_no_such_read_mode(read_buffer: Callable[..., bytes], mode: int) -> None:
    """Other modes are refused."""
    assert refusal(Bench().run(read_buffer(mode))) == in_cdb(1, 4)


@pytest.mark.parametrize(
    ("cdb", "field"),
    [
        (write_buffer(DATA, 4, buffer_id=1), in_cdb(2)),
        (write_buffer(DATA, 4, offset=DATA_CAPACITY + 1), in_cdb(3)),
        (write_buffer(DATA, 4, offset=DATA_CAPACITY - 3), in_cdb(6)),
        (write_buffer(ECHO, ECHO_CAPACITY + 1), in_cdb(6)),
        (write_buffer(DATA | 0x20, 4), in_cdb(1, 5)),
        (read_buffer_10(DATA, 1), in_cdb(2)),
        (read_buffer_16(DATA, 1), in_cdb(14)),
        (read_buffer_10(DATA, offset=DATA_CAPACITY + 1), in_cdb(3)),
        (read_buffer_16(DATA, offset=DATA_CAPACITY + 1), in_cdb(2)),
    ],
)
def test_beyond_the_buffer(cdb: bytes, field: object) -> None:
    """What is not in a buffer is neither read nor written."""
    assert refusal(Bench().run(cdb, bytes(4))) == field


def test_empty_write() -> None:
    """A list of no bytes is no error, and up to the end there is room."""
    bench = Bench()
    assert bench.run(write_buffer(DATA, 0)) == GOOD
    assert bench.run(write_buffer(DATA, 3, offset=DATA_CAPACITY - 3), b"end") == GOOD


def test_cut_list() -> None:
    """If not all came nothing is written."""
    assert refusal(Bench().run(write_buffer(DATA, 4), b"abc"))[0] is Sense.PARAMETER_LIST_LENGTH_ERROR


def test_reset() -> None:
    """After a reset there is nothing to echo."""
    bench = Bench()
    bench.run(write_buffer(ECHO, 1), b"x")
    bench.unit.reset(Sense.BUS_DEVICE_RESET_FUNCTION_OCCURRED, by=bench.nexus, done=lambda: None)
    bench.unit.unit_attentions.clear(bench.nexus)
    assert refusal(bench.run(read_buffer_10(ECHO)))[0] is Sense.COMMAND_SEQUENCE_ERROR
