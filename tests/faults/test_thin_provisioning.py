"""Thin units over a file system that runs out of room, and writes that are whole whatever happens."""

import asyncio
import contextlib
import itertools
import struct
from pathlib import Path

import pytest

from isthmus.initiator import cdb
from isthmus.initiator.errors import ConnectionLost
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.sense import DecodedSense
from isthmus.scsi.sense import Sense
from isthmus.scsi.state_store import ATOMIC_WRITE
from isthmus.scsi.status import Status
from isthmus.server.state_directory import StateDirectory
from tests.faults.test_storage import CHUNK, read, sense_of, serve, unit_of, write
from tests.support.patience import PATIENCE
from tests.support.real_storage import tmpfs

pytestmark = pytest.mark.slow

BLOCK = 512
MIB = 1 << 20
SIZE = 64 * MIB


def select_thresholds(*, available: int, used: int) -> tuple[bytes, bytes]:
    """MODE SELECT (10) of thresholds in mebibytes, and its parameter list."""
    page = struct.pack(">BBH12x", 0x5C, 0x02, 28)
    page += struct.pack(">BBxxI", 0x80, 0x01, available) + struct.pack(">BBxxI", 0x81, 0x02, used)
    data = bytes(8) + page
    return struct.pack(">BB5xHx", 0x55, 0x10, len(data)), data


async def next_attention(unit: LogicalUnit) -> DecodedSense:
    """What the initiator hears, when it does."""
    async with asyncio.timeout(PATIENCE):
        while (result := await unit.session.execute(unit.lun, cdb.test_unit_ready())).status == Status.GOOD:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the target tells of it when it is asked, not by itself
    assert result.decoded_sense is not None
    return result.decoded_sense


async def write_until_told(unit: LogicalUnit, length: int) -> DecodedSense:
    """Write the first `length` bytes; gives the unit attention that comes meanwhile or after it."""
    for offset in range(0, length, CHUNK):
        result = await unit.session.execute(
            unit.lun, cdb.write_16(lba=offset // BLOCK, num_blocks=CHUNK // BLOCK), data_out=b"x" * CHUNK
        )
        if result.decoded_sense is not None:
            return result.decoded_sense
    return await next_attention(unit)


async def test_thresholds(tmp_path: Path) -> None:
    """What is used and what is left are compared while nothing but ordinary writes go on."""
    with (
        tmpfs(tmp_path, 16 * MIB) as directory,
        serve(directory / "medium.img", tmp_path, "--size", str(SIZE)) as server,
    ):
        async with unit_of(server.url) as unit:
            # Sets of 2**11 blocks; LBPU, LBPWS, LBPWS10, LBPRZ, ANC_SUP; thin.
            assert (await unit.vpd_page(0xB2))[4:8] == bytes((11, 0xE6, 2, 0))
            command, data = select_thresholds(available=8, used=4)
            await unit.command("MODE SELECT (10)", command, data_out=data)
            for written, place in ((5, 24), (10, 16)):
                sense = await write_until_told(unit, written * MIB)
                assert sense.sense is Sense.THIN_PROVISIONING_SOFT_THRESHOLD_REACHED
                assert sense.information == place


@pytest.mark.parametrize("options", [(), ("--write-through",)], ids=["write-back", "write-through"])
async def test_no_block_of_a_write_without_room_changes(tmp_path: Path, options: tuple[str, ...]) -> None:
    """WRITE, WRITE SAME and WRITE ATOMIC over data, over what room is left, and beyond."""
    room = 8 * CHUNK
    with (
        tmpfs(tmp_path, room) as directory,
        serve(directory / "medium.img", tmp_path, "--size", str(SIZE), *options) as server,
    ):
        async with unit_of(server.url) as unit:
            for offset in range(0, room - CHUNK, CHUNK):
                await write(unit, offset, b"a" * CHUNK)
            start, length = room - 2 * CHUNK, 4 * CHUNK
            lba, num_blocks = start // BLOCK, length // BLOCK
            same = struct.pack(">BBQIxx", 0x93, 0, lba, num_blocks)
            atomic = struct.pack(">BBQHHxx", 0x9C, 0, room // BLOCK - 128, 0, 256)
            commands = (
                write(unit, start, b"b" * length),
                unit.command("WRITE SAME (16)", same, data_out=b"b" * BLOCK),
                unit.command("WRITE SAME (16)", same, data_out=bytes(BLOCK)),
                unit.command("WRITE ATOMIC (16)", atomic, data_out=b"b" * 256 * BLOCK),
            )
            for command in commands:
                assert (await sense_of(command)).sense is Sense.SPACE_ALLOCATION_FAILED_WRITE_PROTECT
                assert await read(unit, start, length) == b"a" * CHUNK + bytes(3 * CHUNK)
        assert server.log_text().count("storage failure") == 1
        assert "ENOSPC" in server.log_text()


async def test_anchored_blocks_keep_their_room(tmp_path: Path) -> None:
    """What UNMAP with ANCHOR gives back can be written again when nothing else can."""
    room = 8 * CHUNK
    with (
        tmpfs(tmp_path, room) as directory,
        serve(directory / "medium.img", tmp_path, "--size", str(SIZE)) as server,
    ):
        async with unit_of(server.url) as unit:
            for offset in range(0, room, CHUNK):
                await write(unit, offset, b"a" * CHUNK)
            blocks = struct.pack(">HH4xQI4x", 22, 16, 0, CHUNK // BLOCK)
            await unit.command("UNMAP", struct.pack(">BB5xHx", 0x42, 0x01, len(blocks)), data_out=blocks)
            assert await read(unit, 0, 2 * CHUNK) == bytes(CHUNK) + b"a" * CHUNK
            assert (
                await sense_of(write(unit, room, b"b" * CHUNK))
            ).sense is Sense.SPACE_ALLOCATION_FAILED_WRITE_PROTECT
            await write(unit, 0, b"b" * CHUNK)
            assert await read(unit, 0, CHUNK) == b"b" * CHUNK


async def test_a_unit_served_read_only_is_thin_all_the_same(tmp_path: Path) -> None:
    """Its pages say the same, and UNMAP meets the write protection."""
    medium = tmp_path / "medium.img"
    pages = []
    for options in (("--size", str(SIZE)), ("--read-only",)):
        with serve(medium, tmp_path, *options) as server:
            async with unit_of(server.url) as unit:
                pages.append([await unit.vpd_page(0xB2), (await unit.vpd_page(0xB0))[20:32]])
                if options == ("--read-only",):
                    assert (await sense_of(unit.unmap([(0, 8)]))).sense is Sense.WRITE_PROTECTED
    assert pages[0] == pages[1]


def interrupted(before: bytes, after: bytes) -> bytes:
    """What a write at the start of a unit leaves in the journal when it is cut short."""
    return struct.pack(">B7xQ", 1, 0) + before + after


async def test_an_atomic_write_that_a_crash_cut_short(tmp_path: Path) -> None:
    """After the next start all of it is there; unless somebody has put other data there since."""
    medium, state = tmp_path / "medium.img", StateDirectory(tmp_path / "state")
    before, after, restored = b"a" * 4 * BLOCK, b"b" * 4 * BLOCK, b"c" * 4 * BLOCK
    with serve(medium, tmp_path, "--size", str(SIZE)) as server:
        async with unit_of(server.url) as unit:
            serial = (await unit.vpd_page(0x80))[4:].decode().strip()
            atomic = struct.pack(">BBQHHxx", 0x9C, 0, 0, 0, 4)
            await unit.command("WRITE ATOMIC (16)", atomic, data_out=before)
            assert state.load(serial, ATOMIC_WRITE) is None
        server.kill()
    for torn, whole in ((after[: 3 * BLOCK] + before[3 * BLOCK :], after), (restored, restored)):
        with medium.open("r+b") as file:
            file.write(torn)
        state.save(serial, ATOMIC_WRITE, interrupted(before, after))
        with serve(medium, tmp_path) as server:
            async with unit_of(server.url) as unit:
                assert await read(unit, 0, 4 * BLOCK) == whole
                assert state.load(serial, ATOMIC_WRITE) is None


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.01, 0.03, 0.1])
async def test_atomic_writes_when_the_server_is_killed(tmp_path: Path, delay: float) -> None:
    """SIGKILL ends a system call in the middle; after a start all blocks are those of one write."""
    medium, blocks = tmp_path / "medium.img", 256
    with serve(medium, tmp_path, "--size", str(SIZE)) as server:
        with contextlib.suppress(ConnectionLost):
            async with unit_of(server.url) as unit:
                atomic = struct.pack(">BBQHHxx", 0x9C, 0, 0, 0, blocks)
                await unit.command("WRITE ATOMIC (16)", atomic, data_out=b"\1" * blocks * BLOCK)
                asyncio.get_running_loop().call_later(delay, server.kill)
                for number in itertools.count(2):
                    data = bytes((number % 255 + 1,)) * blocks * BLOCK
                    await unit.command("WRITE ATOMIC (16)", atomic, data_out=data)
        assert server.was_killed
    with serve(medium, tmp_path) as server:
        async with unit_of(server.url) as unit:
            found = await read(unit, 0, blocks * BLOCK)
            assert found == found[:1] * len(found)
            assert found[0]


def thirty_two(service_action: int, lba: int, num_blocks: int, flags: int = 0) -> bytes:
    """A 32-byte CDB."""
    rest = struct.pack(">BxQ8xI", flags, lba, num_blocks)
    return cdb.extended_32(service_action=service_action, rest=rest)


async def test_commands_of_32_bytes(tmp_path: Path) -> None:
    """They come with an additional header segment, and do what their shorter forms do."""
    with serve(tmp_path / "medium.img", tmp_path, "--size", str(SIZE)) as server:
        async with unit_of(server.url) as unit:
            data = bytes(range(256)) * 8
            await unit.command("WRITE (32)", thirty_two(0x0B, 8, 4), data_out=data)
            assert await read(unit, 8 * BLOCK, 4 * BLOCK) == data
            result = await unit.command("READ (32)", thirty_two(0x09, 9, 2), data_in_length=2 * BLOCK)
            assert result.data_in == data[BLOCK : 3 * BLOCK]
            await unit.command("VERIFY (32)", thirty_two(0x0A, 8, 4, 0x02), data_out=data)
            await unit.command("WRITE AND VERIFY (32)", thirty_two(0x0C, 20, 4, 0x02), data_out=data)
            await unit.command("WRITE SAME (32)", thirty_two(0x0D, 8, 4), data_out=data[:BLOCK])
            assert await read(unit, 8 * BLOCK, 4 * BLOCK) == data[:BLOCK] * 4
            await unit.command("WRITE SAME (32)", thirty_two(0x0D, 8, 4, 0x09))
            assert await read(unit, 8 * BLOCK, 4 * BLOCK) == bytes(4 * BLOCK)
            await unit.command("WRITE ATOMIC (32)", thirty_two(0x0F, 8, 4), data_out=data)
            assert await read(unit, 8 * BLOCK, 4 * BLOCK) == data
            for command in (thirty_two(0x09, SIZE // BLOCK, 1), thirty_two(0x09, 1 << 63, 1)):
                sense = await sense_of(unit.command("READ (32)", command, data_in_length=BLOCK))
                assert sense.sense is Sense.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE
            sense = await sense_of(unit.command("XDWRITEREAD (32)", thirty_two(0x07, 0, 1), data_in_length=BLOCK))
            assert sense.sense is Sense.INVALID_FIELD_IN_CDB


@pytest.mark.parametrize(
    ("options", "exponent", "granularity"),
    [
        (("--physical-block-size", "512"), 0, 1),
        (("--physical-block-size", "4096"), 3, 8),
        (("--block-size", "4096", "--physical-block-size", "4096"), 0, 1),
    ],
)
async def test_physical_blocks(tmp_path: Path, options: tuple[str, ...], exponent: int, granularity: int) -> None:
    """READ CAPACITY (16) and the Block Limits page say what the operator says."""
    with serve(tmp_path / "medium.img", tmp_path, "--size", str(SIZE), *options) as server:
        async with unit_of(server.url) as unit:
            result = await unit.command("READ CAPACITY (16)", cdb.read_capacity_16(), data_in_length=32)
            assert result.data_in[13] & 0x0F == exponent
            assert int.from_bytes((await unit.vpd_page(0xB0))[6:8]) == granularity
