import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from isthmus.errors import ConfigurationError
from isthmus.initiator.errors import LengthMismatch, ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.stream import ByteRange, InFlight, read_range, write_range
from isthmus.scsi.sense import Sense, SenseData
from tests.support.fake_target import BLOCK_LENGTH, disk_session

SIZE = 256 * BLOCK_LENGTH


async def range_of(session: Session, chunk_length: int = 4 * BLOCK_LENGTH) -> ByteRange:
    """The whole disk in small commands."""
    return await ByteRange.of(LogicalUnit(session, 0), chunk_length=chunk_length)


def source_of(data: bytes, most: int = 1 << 30) -> Callable[[int], Awaitable[bytes]]:
    """A source that gives at most `most` bytes at a time, like a pipe."""
    rest = bytearray(data)

    async def read_some(length: int) -> bytes:
        piece = bytes(rest[: min(length, most)])
        del rest[: len(piece)]
        return piece

    return read_some


@pytest.mark.parametrize("offset", [0, 1, 511, 512, 2047, 2048, 5000])
@pytest.mark.parametrize("length", [0, 1, 511, 512, 513, 2048, 9999])
async def test_any_range_is_read(offset: int, length: int) -> None:
    """Whatever the edges, the bytes are those of the disk, in order."""
    async with disk_session() as (session, disk):
        disk.data[:] = random.Random(0).randbytes(SIZE)
        pieces = read_range(await range_of(session), offset=offset, length=length, outstanding=3)
        assert b"".join([piece async for piece in pieces]) == disk.data[offset : offset + length]


@pytest.mark.parametrize("offset", [0, 1, 511, 2047, 5000])
@pytest.mark.parametrize("length", [1, 511, 512, 513, 2048, 9999])
async def test_any_range_is_written_and_nothing_else(offset: int, length: int) -> None:
    """The rest of the blocks at the edges stays as it was."""
    async with disk_session() as (session, disk):
        generator = random.Random(1)
        disk.data[:] = generator.randbytes(SIZE)
        expected = bytearray(disk.data)
        data = generator.randbytes(length)
        expected[offset : offset + length] = data
        target = await range_of(session)
        assert await write_range(target, source_of(data, most=700), offset=offset, outstanding=3) == length
        assert disk.data == expected


async def test_length_ends_the_copy() -> None:
    """What the source holds beyond it is not taken."""
    async with disk_session() as (session, disk):
        assert await write_range(await range_of(session), source_of(b"x" * 5000), offset=0, length=3000) == 3000
        assert disk.data[:3001] == b"x" * 3000 + b"\0"


async def test_a_source_that_is_too_short() -> None:
    """A promise of `length` bytes must be kept."""
    async with disk_session() as (session, _):
        with pytest.raises(LengthMismatch, match="ended after 10 bytes of 20"):
            await write_range(await range_of(session), source_of(b"x" * 10), offset=0, length=20)


async def test_a_source_that_is_too_long() -> None:
    """More than the unit takes is an error, once all that fits is written; exactly as much is none."""
    async with disk_session() as (session, disk):
        target = await range_of(session)
        assert await write_range(target, source_of(bytes(100)), offset=SIZE - 100) == 100
        with pytest.raises(LengthMismatch, match="end of the unit"):
            await write_range(target, source_of(b"x" * 5001), offset=SIZE - 5000)
        assert disk.data[-5001:] == b"\0" + b"x" * 5000


async def test_a_range_beyond_the_unit() -> None:
    """It is refused before anything is sent."""
    async with disk_session() as (session, disk):
        target = await range_of(session)
        sent = len(disk.commands)
        with pytest.raises(ConfigurationError, match="ends at byte"):
            await write_range(target, source_of(b""), offset=SIZE, length=1)
        with pytest.raises(ConfigurationError, match="ends at byte"):
            await anext(read_range(target, offset=SIZE - 1, length=2))
        assert len(disk.commands) == sent


async def test_commands_keep_the_limit_of_the_unit() -> None:
    """MAXIMUM TRANSFER LENGTH is kept, and no limit is no limit."""
    async with disk_session(max_transfer_length=2) as (session, _):
        assert (await range_of(session)).chunk_length == 2 * BLOCK_LENGTH
    async with disk_session() as (session, disk):
        assert (await range_of(session)).chunk_length == 4 * BLOCK_LENGTH
        assert (await range_of(session, chunk_length=1)).chunk_length == BLOCK_LENGTH
        assert disk.commands


async def test_an_error_ends_the_copy() -> None:
    """The first failed command is the error; nothing is left running."""
    async with disk_session() as (session, disk):
        target = await range_of(session)
        disk.sense_next = [SenseData(Sense.WRITE_ERROR).to_bytes()]
        with pytest.raises(ScsiError, match="WRITE ERROR"):
            await write_range(target, source_of(bytes(SIZE)), offset=0)


async def test_never_more_in_flight_than_allowed() -> None:
    """The limit holds, and results come in the order of beginning."""
    running = most = 0

    async def work(value: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return value

    results = []
    async with InFlight[int](3) as flight:
        for value in range(10):
            if flight.is_full:
                results.append(await flight.take())
            flight.begin(work(value))
        while len(flight):
            results.append(await flight.take())
    assert results == list(range(10))
    assert most <= 3
