"""What a unit has been told to remember, and what was done to its medium by half, survive `kill -9`."""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from isthmus.initiator.errors import InitiatorError, ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.scsi.sense import Sense
from tests.support.server import Server, running_server

IMMED, AUSE = 0x80, 0x20
SANITIZE_OVERWRITE = 0x01
EXIT_FAILURE_MODE = 0x1F
NAME = b"shelf 7\0"
SWP = bytes.fromhex("8a0a 02100840 0000 ffff 0000")
CAPACITY = 128 << 20
RATE = ("--erase-rate", "64M")
"""So slow that the server is killed before all is overwritten."""

_STEP_PROGRESS = 0x10000 * (8 << 20) // CAPACITY
"""What one step of an overwrite adds to the progress indication."""

Use = Callable[[LogicalUnit], Awaitable[None]]


async def use_unit(server: Server, use: Use) -> None:
    """Log in, and do something with the unit."""
    url = server.url
    settings = LoginSettings(host=url.address, port=url.port, target_name=url.iqn)
    async with await Session.login(settings) as session:
        unit = LogicalUnit(session, url.lun)
        await use(unit)


async def sense_told(unit: LogicalUnit) -> Sense | None:
    """What TEST UNIT READY says once the unit attentions are heard."""
    try:
        await unit.become_ready()
    except ScsiError as error:
        return None if error.sense is None else error.sense.sense
    return None


async def progress(unit: LogicalUnit) -> int:
    """How far a sanitize operation has come, in 65536ths."""
    result = await unit.command("REQUEST SENSE", bytes((3, 0, 0, 0, 18, 0)), data_in_length=18)
    sense = bytes(result.data_in)
    assert (sense[2], sense[12], sense[13]) == (0x02, 0x04, 0x1B), "it was over too soon"
    return int.from_bytes(sense[16:18])


def sanitize(action: int, length: int = 0) -> bytes:
    """SANITIZE with IMMED and AUSE."""
    flags = IMMED | AUSE if action == SANITIZE_OVERWRITE else 0
    return bytes((0x48, flags | action, 0, 0, 0, 0, 0)) + length.to_bytes(2) + b"\0"


@pytest.mark.slow
def test_settings_survive(tmp_path: Path) -> None:
    """Saved mode pages and identifying information are there after the process was killed; unsaved ones are not."""
    arguments: list[str | Path] = [tmp_path / "disk.img", "--size", "16M", "--portal", "127.0.0.1:0"]

    async def set_up(unit: LogicalUnit) -> None:
        await unit.become_ready()
        identify = struct.pack(">BBxxxxIBx", 0xA4, 0x06, len(NAME), 2 << 1)
        await unit.command("SET IDENTIFYING INFORMATION", identify, data_out=NAME)
        select = bytes((0x15, 0x11, 0, 0, 4 + len(SWP), 0))
        await unit.command("MODE SELECT", select, data_out=bytes(4) + SWP)

    async def look(unit: LogicalUnit) -> None:
        await unit.become_ready()
        report = struct.pack(">BBxxxxIBx", 0xA3, 0x05, 64, 2 << 1)
        result = await unit.command("REPORT IDENTIFYING INFORMATION", report, data_in_length=64)
        assert bytes(result.data_in) == struct.pack(">xxH", len(NAME)) + NAME
        with pytest.raises(ScsiError) as caught:
            await unit.write(bytes(512), lba=0, block_length=512)
        assert caught.value.sense is not None
        assert caught.value.sense.sense is Sense.WRITE_PROTECTED

    with running_server(arguments, tmp_path) as server:
        asyncio.run(use_unit(server, set_up))
        server.kill()
    with running_server(arguments, tmp_path) as server:
        asyncio.run(use_unit(server, look))


def kill_amid_overwrite(directory: Path, arguments: list[str | Path]) -> None:
    """Begin to overwrite a medium, and kill the server behind the first checkpoint."""

    async def begin(unit: LogicalUnit) -> None:
        await unit.become_ready()
        data = b"\x01\0\0\x04wipe"
        await unit.command("SANITIZE", sanitize(SANITIZE_OVERWRITE, len(data)), data_out=data)
        while await progress(unit) <= 2 * _STEP_PROGRESS:
            assert await sense_told(unit) is Sense.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS
        server.kill()

    with running_server(arguments, directory) as server, contextlib.suppress(InitiatorError):
        asyncio.run(use_unit(server, begin))


@pytest.mark.slow
def test_half_sanitized(tmp_path: Path) -> None:
    """A medium that was overwritten by half when the process was killed is overwritten further by the next one."""
    arguments: list[str | Path] = [tmp_path / "disk.img", "--size", str(CAPACITY), "--portal", "127.0.0.1:0", *RATE]
    kill_amid_overwrite(tmp_path, arguments)

    async def wait(unit: LogicalUnit) -> None:
        while (sense := await sense_told(unit)) is Sense.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS:
            pass
        assert sense is None
        for lba in (0, CAPACITY // 512 - 1):
            assert await unit.read(lba=lba, num_blocks=1, block_length=512) == b"wipe" * 128

    with running_server(arguments, tmp_path) as server:
        asyncio.run(use_unit(server, wait))


@pytest.mark.slow
def test_half_sanitized_and_replaced(tmp_path: Path) -> None:
    """Data that was put there meanwhile is kept; the medium is not served until an initiator decides."""
    image = tmp_path / "disk.img"
    arguments: list[str | Path] = [image, "--size", str(CAPACITY), "--portal", "127.0.0.1:0", *RATE]
    kill_amid_overwrite(tmp_path, arguments)
    with image.open("r+b") as file:
        file.seek(1024)
        file.write(b"superblock")

    async def leave(unit: LogicalUnit) -> None:
        while (sense := await sense_told(unit)) is Sense.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS:
            pass
        assert sense is Sense.SANITIZE_COMMAND_FAILED
        with pytest.raises(ScsiError):
            await unit.read(lba=0, num_blocks=1, block_length=512)
        await unit.command("SANITIZE", sanitize(EXIT_FAILURE_MODE))
        assert await sense_told(unit) is None

    async def ready(unit: LogicalUnit) -> None:
        assert await sense_told(unit) is None
        assert bytes(await unit.read(lba=2, num_blocks=1, block_length=512)).startswith(b"superblock")

    with running_server(arguments, tmp_path) as server:
        asyncio.run(use_unit(server, leave))
    with running_server(arguments, tmp_path) as server:
        asyncio.run(use_unit(server, ready))
