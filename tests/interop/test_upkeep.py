"""Logs, formatting, erasing and removable media of the running server, as an initiator uses them."""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from isthmus.initiator.errors import ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.initiator.task import Residual
from isthmus.scsi.sense import Sense
from tests.support.server import Server, running_server

Use = Callable[[LogicalUnit], Awaitable[None]]
BLOCK = 512


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A removable disk of 16 MiB."""
    arguments: list[str | Path] = [tmp_path / "disk.img", "--size", "16M", "--removable", "--portal", "127.0.0.1:0"]
    with running_server(arguments, tmp_path) as running:
        yield running


def run(server: Server, use: Use) -> None:
    """Log in, hear the unit attentions, and do something with the unit."""

    async def main() -> None:
        url = server.url
        settings = LoginSettings(host=url.address, port=url.port, target_name=url.iqn)
        async with await Session.login(settings) as session:
            unit = LogicalUnit(session, url.lun)
            await unit.become_ready()
            await use(unit)

    asyncio.run(main())


async def statistics(unit: LogicalUnit) -> tuple[int, int, int, int]:
    """Read commands, write commands, blocks received and transmitted, of the general statistics log page."""
    command = struct.pack(">BxBxxHHx", 0x4D, 0x40 | 0x19, 0, 256)
    result = await unit.command("LOG SENSE", command, data_in_length=256)
    counts: tuple[int, int, int, int] = struct.unpack_from(">4Q", bytes(result.data_in), 8)
    return counts


def test_counters(server: Server) -> None:
    """Every read and write is counted once, whichever way through the server it takes, and over logouts."""

    async def use(unit: LogicalUnit) -> None:
        before = await statistics(unit)
        for lba in range(20):
            await unit.write(bytes(2 * BLOCK), lba=2 * lba, block_length=BLOCK, fua=lba % 2 == 0)
        for lba in range(30):
            await unit.read(lba=lba, num_blocks=3, block_length=BLOCK, fua=lba % 3 == 0)
        after = await statistics(unit)
        assert tuple(b - a for a, b in zip(before, after, strict=True)) == (30, 20, 40, 90)

    run(server, use)
    run(server, use)


@pytest.mark.parametrize("flags", [0x80, 0x82], ids=["waiting", "IMMED"])
def test_format(server: Server, flags: int) -> None:
    """A disk is formatted with a list that is shorter than the longest one, and reads as zeros afterwards."""

    async def use(unit: LogicalUnit) -> None:
        await unit.write(b"x" * BLOCK, lba=7, block_length=BLOCK)
        format_unit = bytes((0x04, 0x10, 0, 0, 0, 0))
        result = await unit.command("FORMAT UNIT", format_unit, data_out=bytes((0, flags, 0, 0)))
        assert result.residual == Residual()
        while await sense_told(unit) is Sense.LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS:
            pass
        assert await unit.read(lba=7, num_blocks=1, block_length=BLOCK) == bytes(BLOCK)
        with pytest.raises(ScsiError) as caught:
            await unit.command("FORMAT UNIT", format_unit, data_out=bytes((0, 0x08, 0, 0)))
        assert caught.value.sense is not None
        assert caught.value.sense.sense is Sense.INVALID_FIELD_IN_PARAMETER_LIST

    run(server, use)


def test_overwrite(server: Server) -> None:
    """SANITIZE leaves the pattern in every block."""

    async def use(unit: LogicalUnit) -> None:
        data = b"\x02\0\0\x04wipe"
        sanitize = bytes((0x48, 0x01, 0, 0, 0, 0, 0, 0, len(data), 0))
        await unit.command("SANITIZE", sanitize, data_out=data)
        assert await unit.read(lba=32_000, num_blocks=2, block_length=BLOCK) == b"wipe" * 256

    run(server, use)


def test_eject_and_load(server: Server) -> None:
    """A medium that is ejected is gone for everybody, and comes back as it was."""

    async def use(unit: LogicalUnit) -> None:
        assert (await unit.command("INQUIRY", bytes((0x12, 0, 0, 0, 96, 0)), data_in_length=96)).data_in[1] == 0x80
        await unit.write(b"y" * BLOCK, lba=1, block_length=BLOCK)
        await unit.command("START STOP UNIT", bytes((0x1B, 0, 0, 0, 0x02, 0)))
        assert await sense_told(unit) is Sense.MEDIUM_NOT_PRESENT
        with pytest.raises(ScsiError):
            await unit.read(lba=1, num_blocks=1, block_length=BLOCK)
        await unit.command("START STOP UNIT", bytes((0x1B, 0, 0, 0, 0x03, 0)))
        assert await unit.read(lba=1, num_blocks=1, block_length=BLOCK) == b"y" * BLOCK

    run(server, use)


def test_echo(server: Server) -> None:
    """What goes out to the echo buffer comes back."""

    async def use(unit: LogicalUnit) -> None:
        data = bytes(range(256)) * 8
        write_buffer = bytes((0x3B, 0x0A, 0, 0, 0, 0)) + len(data).to_bytes(3) + b"\0"
        await unit.command("WRITE BUFFER", write_buffer, data_out=data)
        read_buffer = bytes((0x3C, 0x0A, 0, 0, 0, 0)) + (4096).to_bytes(3) + b"\0"
        result = await unit.command("READ BUFFER", read_buffer, data_in_length=4096)
        assert result.data_in == data

    run(server, use)


async def sense_told(unit: LogicalUnit) -> Sense | None:
    """What TEST UNIT READY says."""
    try:
        await unit.test_unit_ready()
    except ScsiError as error:
        return None if error.sense is None else error.sense.sense
    return None
