"""Storage that fails under a running server: the initiator is told by sense data, and its connection stays."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import pytest

from isthmus.initiator.errors import ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.sense import DecodedSense
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.scsi.sense import Sense
from tests.support.patience import PATIENCE
from tests.support.real_storage import ext4, loop_device, tmpfs
from tests.support.server import Server, ServerError, Url, running_server

pytestmark = pytest.mark.slow

BLOCK = 512
SIZE = 8 << 20
PORTAL = ("--portal", "127.0.0.1:0")
CHUNK = 64 << 10
"""Bytes of one write."""


@contextlib.asynccontextmanager
async def unit_of(url: Url) -> AsyncIterator[LogicalUnit]:
    """The unit in a session of its own, which must still be the same and in order at the end."""
    settings = LoginSettings(host=url.address, port=url.port, target_name=url.iqn)
    async with await Session.login(settings) as session:
        unit = LogicalUnit(session, url.lun)
        await unit.become_ready()
        yield unit
        await unit.test_unit_ready()
        assert len(session.connections) == 1
        assert session.events.empty(), "the target complained about something else"


async def sense_of(command: Awaitable[object]) -> DecodedSense:
    """Why a command failed."""
    with pytest.raises(ScsiError) as caught:
        await command
    assert caught.value.sense is not None
    return caught.value.sense


async def read(unit: LogicalUnit, offset: int, length: int) -> bytes:
    """Bytes, at a byte offset."""
    return await unit.read(lba=offset // BLOCK, num_blocks=length // BLOCK, block_length=BLOCK)


async def write(unit: LogicalUnit, offset: int, data: bytes, *, fua: bool = False) -> None:
    """Bytes, at a byte offset."""
    await unit.write(data, lba=offset // BLOCK, block_length=BLOCK, fua=fua)


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """A file full of data."""
    path = tmp_path / "medium.img"
    path.write_bytes(b"a" * SIZE)
    return path


def size_of(medium: Path) -> int:
    """Bytes, as the file system has it."""
    return medium.stat().st_size


def delete(medium: Path) -> None:
    """As an administrator does by mistake."""
    medium.unlink()


def serve(medium: Path, directory: Path, *options: str) -> contextlib.AbstractContextManager[Server]:
    """A server of one file."""
    return running_server([medium, *PORTAL, *options], directory)


@pytest.mark.parametrize("options", [(), ("--write-through",)], ids=["write-back", "write-through"])
async def test_a_full_file_system(tmp_path: Path, options: tuple[str, ...]) -> None:
    """DATA PROTECT, SPACE ALLOCATION FAILED WRITE PROTECT; what fits is kept, and room that is given back is used."""
    room = SIZE // 8
    with (
        tmpfs(tmp_path, room) as directory,
        serve(directory / "medium.img", tmp_path, "--size", str(SIZE), *options) as server,
    ):
        async with unit_of(server.url) as unit:
            for offset in range(0, room, CHUNK):
                await write(unit, offset, b"b" * CHUNK)
            for fua in (False, True):
                sense = await sense_of(write(unit, room, b"c" * CHUNK, fua=fua))
                assert sense.sense is Sense.SPACE_ALLOCATION_FAILED_WRITE_PROTECT
            assert await read(unit, room - CHUNK, 2 * CHUNK) == b"b" * CHUNK + bytes(CHUNK)
            await unit.synchronize_cache()
            await unit.unmap([(0, CHUNK // BLOCK)])
            await write(unit, room, b"c" * CHUNK, fua=True)
            assert await read(unit, room, CHUNK) == b"c" * CHUNK


async def test_a_file_that_shrank(medium: Path, tmp_path: Path) -> None:
    """MEDIUM ERROR at the first block that is missing; nothing is made up, and nothing makes it long again."""
    end = SIZE // 2
    with serve(medium, tmp_path) as server:
        async with unit_of(server.url) as unit:
            os.truncate(medium, end)
            sense = await sense_of(read(unit, end - CHUNK, 2 * CHUNK))
            assert (sense.sense, sense.information) == (Sense.UNRECOVERED_READ_ERROR, end // BLOCK)
            for fua in (False, True):
                sense = await sense_of(write(unit, end + CHUNK, b"b" * CHUNK, fua=fua))
                assert (sense.sense, sense.information) == (Sense.WRITE_ERROR, (end + CHUNK) // BLOCK)
            assert (await sense_of(unit.unmap([(end // BLOCK, 8)]))).sense is Sense.WRITE_ERROR
            assert size_of(medium) == end
            assert await read(unit, 0, CHUNK) == b"a" * CHUNK


async def test_a_file_that_was_deleted(medium: Path, tmp_path: Path) -> None:
    """HARDWARE ERROR for whatever asks for a promise that cannot be kept; what is there can still be read and copied.

    The server's own last flush fails likewise, and its exit status says so.
    """
    with pytest.raises(ServerError, match="status 1") as caught, serve(medium, tmp_path) as server:
        async with unit_of(server.url) as unit:
            delete(medium)
            for command in (unit.synchronize_cache(), write(unit, 0, b"b" * BLOCK, fua=True)):
                assert (await sense_of(command)).sense is Sense.LOGICAL_UNIT_FAILURE
            assert await read(unit, CHUNK, CHUNK) == b"a" * CHUNK
    assert "deleted or replaced" in str(caught.value)
    assert "Traceback" not in str(caught.value)


async def test_sectors_that_went_bad(tmp_path: Path) -> None:
    """A real EIO from below: MEDIUM ERROR, UNRECOVERED READ ERROR."""
    sectors = tmp_path / "sectors.img"
    sectors.touch()
    os.truncate(sectors, 4 * SIZE)
    with loop_device(sectors) as device, ext4(device, tmp_path) as directory:
        medium = directory / "medium.img"
        medium.write_bytes(b"a" * SIZE)
        with medium.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with serve(medium, tmp_path) as server:
            async with unit_of(server.url) as unit:
                os.truncate(sectors, 1 << 20)
                sense = await sense_of(read(unit, SIZE // 2, CHUNK))
                assert sense.sense is Sense.UNRECOVERED_READ_ERROR
                os.truncate(sectors, 4 * SIZE)


async def test_writes_that_were_lost_after_all(tmp_path: Path) -> None:
    """A flush that fails is a MEDIUM ERROR, and stays one: the system forgets lost writes, the unit does not."""
    with tmpfs(tmp_path, SIZE // 2) as memory:
        sectors = memory / "sectors.img"
        sectors.touch()
        os.truncate(sectors, 4 * SIZE)
        with (
            loop_device(sectors) as device,
            ext4(device, tmp_path) as directory,
            pytest.raises(ServerError, match="status 1"),
            serve(directory / "medium.img", tmp_path, "--size", str(SIZE)) as server,
        ):
            async with unit_of(server.url) as unit:
                for offset in range(0, SIZE, CHUNK):
                    await write(unit, offset, b"b" * CHUNK)
                for _ in range(2):
                    assert (await sense_of(unit.synchronize_cache())).sense is Sense.WRITE_ERROR
                assert (await sense_of(write(unit, 0, b"c" * CHUNK))).sense is Sense.WRITE_ERROR
                assert await read(unit, SIZE - CHUNK, CHUNK) == b"b" * CHUNK


async def test_a_disk_that_hangs_holds_nobody_else_up(tmp_path: Path) -> None:
    """While a write to it waits: other units, and reads of it that need no disk, even in the same session."""
    sectors = tmp_path / "sectors.img"
    sectors.touch()
    os.truncate(sectors, 4 * SIZE)
    with loop_device(sectors) as device, ext4(device, tmp_path) as directory:
        medium = directory / "medium.img"
        medium.write_bytes(b"a" * SIZE)
        arguments: list[str | Path] = [medium, "--ram", str(SIZE), *PORTAL]
        with running_server(arguments, tmp_path, ready_lines=2) as server:
            async with unit_of(server.urls[0]) as hanging, unit_of(server.urls[1]) as memory:
                with frozen(directory):
                    waiting = asyncio.ensure_future(write(hanging, 0, b"b" * CHUNK, fua=True))
                    async with asyncio.timeout(PATIENCE):
                        for offset in range(0, SIZE, CHUNK):
                            await write(memory, offset, b"c" * CHUNK, fua=True)
                            assert await read(memory, offset, CHUNK) == b"c" * CHUNK
                            assert await read(hanging, SIZE - CHUNK, CHUNK) == b"a" * CHUNK
                    assert not waiting.done()
                await waiting
                assert await read(hanging, 0, CHUNK) == b"b" * CHUNK


@contextlib.contextmanager
def frozen(directory: Path) -> Iterator[None]:
    """Every write to the file system waits until the block ends."""
    subprocess.run(["fsfreeze", "--freeze", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", directory], check=True)
