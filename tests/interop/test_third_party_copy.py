"""Third-party copies through the running server, as an initiator asks for them."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from isthmus.initiator.errors import ScsiError
from isthmus.initiator.inquiry import DesignatorType, DeviceIdentification, decode_vpd_page
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.scsi.sense import Sense
from tests.support.copying import (
    ZERO_TOKEN,
    abort,
    copy_list_lid1,
    copy_list_lid4,
    extended_copy,
    identification,
    populate_list,
    populate_token,
    receive,
    segment,
    token_information,
    write_list,
    write_using_token,
)
from tests.support.patience import PATIENCE
from tests.support.server import Server, running_server

BLOCK = 512
MIB = 1024 * 1024
COPIED = 64 * MIB
CAPACITY = "80M"
FIRST_FILE, SECOND_FILE, MEMORY = 0, 1, 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two files and a memory disk."""
    directory = tmp_path_factory.mktemp("copies")
    files: list[str | Path] = [directory / "first.img", directory / "second.img"]
    arguments = [*files, "--size", CAPACITY, "--ram", CAPACITY, "--portal", "127.0.0.1:0"]
    with running_server(arguments, directory, ready_lines=3) as running:
        yield running


@asynccontextmanager
async def logged_in(server: Server) -> AsyncIterator[Session]:
    """A session with the target."""
    url = server.url
    settings = LoginSettings(host=url.address, port=url.port, target_name=url.iqn)
    async with await Session.login(settings) as session:
        yield session


async def unit_of(session: Session, lun: int) -> LogicalUnit:
    """A unit whose unit attentions have been taken."""
    unit = LogicalUnit(session, lun)
    await unit.become_ready()
    return unit


async def naa_of(unit: LogicalUnit) -> bytes:
    """The NAA designator of a unit, from its device identification page."""
    page = decode_vpd_page(await unit.vpd_page(0x83))
    assert isinstance(page, DeviceIdentification)
    return next(each.value for each in page.designators if each.designator_type == DesignatorType.NAA)


async def fill(unit: LogicalUnit, data: bytes) -> None:
    """Write `data` from the first block on."""
    for start in range(0, len(data), 4 * MIB):
        await unit.write(data[start : start + 4 * MIB], lba=start // BLOCK, block_length=BLOCK)


async def content(unit: LogicalUnit, offset: int, length: int) -> bytes:
    """What is there."""
    pieces = [
        await unit.read(
            lba=(offset + start) // BLOCK, num_blocks=min(4 * MIB, length - start) // BLOCK, block_length=BLOCK
        )
        for start in range(0, length, 4 * MIB)
    ]
    return b"".join(pieces)


async def run_list(unit: LogicalUnit, data: bytes, *, lid4: bool = False) -> None:
    """EXTENDED COPY."""
    await unit.command("EXTENDED COPY", extended_copy(len(data), lid4=lid4), data_out=data)


async def token_for(unit: LogicalUnit, *ranges: tuple[int, int]) -> bytes:
    """A token that stands for ranges of (LBA, number of blocks)."""
    data = populate_list(ranges)
    await unit.command("POPULATE TOKEN", populate_token(len(data), 7), data_out=data)
    result = await unit.command("RECEIVE ROD TOKEN INFORMATION", receive(0x07, 7), data_in_length=4096)
    information = token_information(result.data_in)
    assert (information.service_action, information.status, information.units) == (0x10, 0x01, 0xF1)
    assert information.count == sum(num_blocks for _, num_blocks in ranges)
    assert information.token is not None
    return information.token


async def write_token(unit: LogicalUnit, data: bytes) -> None:
    """WRITE USING TOKEN."""
    await unit.command("WRITE USING TOKEN", write_using_token(len(data), 8), data_out=data)


@pytest.mark.parametrize(("source", "destination"), [(FIRST_FILE, SECOND_FILE), (SECOND_FILE, MEMORY)])
async def test_copy_between_units(server: Server, source: int, destination: int) -> None:
    """64 MiB, in three segments and to another place, are there afterwards as they were; the rest is as it was."""
    data = random.Random(source).randbytes(COPIED)
    async with logged_in(server) as session:
        units = [await unit_of(session, lun) for lun in (source, destination)]
        await fill(units[0], data)
        await fill(units[1], b"x" * 4 * MIB)
        cscds = [identification(await naa_of(unit)) for unit in units]
        blocks, shift = COPIED // BLOCK, 2048
        limits = range(0, blocks, 0xFFFF)
        segments = [segment(lba, lba + shift, min(0xFFFF, blocks - lba)) for lba in limits]
        await run_list(units[0], copy_list_lid1(cscds, segments))
        assert await content(units[1], shift * BLOCK, COPIED) == data
        assert await content(units[1], 0, shift * BLOCK) == b"x" * shift * BLOCK


async def test_copy_within_a_unit(server: Server) -> None:
    """Source and destination may be one unit, and may overlap: the copy is what the source was."""
    data = random.Random(2).randbytes(24 * MIB)
    async with logged_in(server) as session:
        unit = await unit_of(session, FIRST_FILE)
        await fill(unit, data)
        cscds = [identification(await naa_of(unit))]
        moved = 20 * MIB // BLOCK
        await run_list(unit, copy_list_lid1(cscds, [segment(0, 2048, moved, destination=0)]))
        assert await content(unit, MIB, 20 * MIB) == data[: 20 * MIB]
        assert await content(unit, 0, MIB) == data[:MIB]


async def test_copy_by_token(server: Server) -> None:
    """What a token stands for arrives at the other unit, in whatever pieces."""
    data = random.Random(3).randbytes(32 * MIB)
    async with logged_in(server) as session:
        source, destination = await unit_of(session, FIRST_FILE), await unit_of(session, MEMORY)
        await fill(source, data)
        token = await token_for(source, (0, 16384), (32768, 32768))
        await write_token(destination, write_list(token, [(100, 40000), (80000, 9152)]))
        expected = data[: 8 * MIB] + data[16 * MIB :]
        assert await content(destination, 100 * BLOCK, 40000 * BLOCK) == expected[: 40000 * BLOCK]
        assert await content(destination, 80000 * BLOCK, 9152 * BLOCK) == expected[40000 * BLOCK :]


async def test_a_write_revokes_the_token(server: Server) -> None:
    """After a write to its blocks a token stands for nothing any more, and nothing is written by it."""
    async with logged_in(server) as session:
        source, destination = await unit_of(session, FIRST_FILE), await unit_of(session, MEMORY)
        await fill(source, b"a" * MIB)
        await fill(destination, b"d" * MIB)
        token = await token_for(source, (0, 2048))
        await source.write(b"b" * BLOCK, lba=4096, block_length=BLOCK)
        await write_token(destination, write_list(token, [(0, 8)]))
        await source.write(b"b" * BLOCK, lba=2047, block_length=BLOCK)
        with pytest.raises(ScsiError) as caught:
            await write_token(destination, write_list(token, [(8, 8)]))
        assert caught.value.sense is not None
        assert caught.value.sense.sense is Sense.INVALID_TOKEN_OPERATION_TOKEN_REVOKED
        assert await content(destination, 0, 16 * BLOCK) == b"a" * 8 * BLOCK + b"d" * 8 * BLOCK


async def test_the_token_of_zeros(server: Server) -> None:
    """It zeroes what it is written to, and nothing else."""
    async with logged_in(server) as session:
        unit = await unit_of(session, SECOND_FILE)
        await fill(unit, b"z" * 4 * MIB)
        await write_token(unit, write_list(ZERO_TOKEN, [(1, 2046)]))
        assert await content(unit, 0, MIB) == b"z" * BLOCK + bytes(2046 * BLOCK) + b"z" * BLOCK


async def test_a_foreign_unit_is_out_of_reach(server: Server, tmp_path: Path) -> None:
    """The unit of another target is no source and no destination, and a token for it is worth nothing here."""
    arguments: list[str | Path] = ["--ram", CAPACITY, "--portal", "127.0.0.1:0", "--iqn", "iqn.2026-01.example:other"]
    with running_server(arguments, tmp_path) as other:
        async with logged_in(server) as session, logged_in(other) as foreign_session:
            unit, foreign = await unit_of(session, MEMORY), await unit_of(foreign_session, 0)
            await fill(unit, b"m" * MIB)
            await fill(foreign, b"f" * MIB)
            cscds = [identification(await naa_of(unit)), identification(await naa_of(foreign))]
            for source, destination in ((0, 1), (1, 0)):
                with pytest.raises(ScsiError) as caught:
                    parts = [segment(0, 0, 8, source=source, destination=destination)]
                    await run_list(unit, copy_list_lid1(cscds, parts))
                assert caught.value.sense is not None
                assert caught.value.sense.sense is Sense.COPY_TARGET_DEVICE_NOT_REACHABLE
            token = await token_for(foreign, (0, 8))
            with pytest.raises(ScsiError) as caught:
                await write_token(unit, write_list(token, [(0, 8)]))
            assert caught.value.sense is not None
            assert caught.value.sense.sense is Sense.INVALID_TOKEN_OPERATION_TOKEN_UNKNOWN
            assert await content(unit, 0, MIB) == b"m" * MIB
            assert await content(foreign, 0, MIB) == b"f" * MIB


async def test_a_copy_in_the_background(server: Server) -> None:
    """With IMMED the status comes first; what becomes of the copy can be asked for, and others are served meanwhile."""
    data = random.Random(4).randbytes(32 * MIB)
    async with logged_in(server) as session:
        source, destination = await unit_of(session, FIRST_FILE), await unit_of(session, MEMORY)
        await fill(source, data)
        cscds = [identification(await naa_of(unit)) for unit in (source, destination)]
        parts = [segment(lba, lba, 32768) for lba in (0, 32768)]
        await run_list(source, copy_list_lid4(cscds, parts, identifier=77, immediate=True), lid4=True)
        async with asyncio.timeout(PATIENCE):
            while True:
                result = await source.command("RECEIVE COPY STATUS", receive(0x05, 77), data_in_length=4096)
                information = token_information(result.data_in)
                if information.status != 0x12:
                    break
        assert (information.status, information.segments, information.count) == (0x01, 2, 32 * MIB)
        assert await content(destination, 0, 32 * MIB) == data
        with pytest.raises(ScsiError) as caught:
            await source.command("COPY OPERATION ABORT", abort(77))
        assert caught.value.sense is not None
        assert caught.value.sense.sense is Sense.INVALID_FIELD_IN_CDB
