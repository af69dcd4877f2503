"""Persistent reservations that were to outlive a loss of power do, as a cluster that is fenced by them needs it.

`kill -9` shows that nothing is kept for an orderly end. It takes nothing out of the page cache, so that records are durable
before their GOOD status is shown by what is below the file system at that moment.
"""

import asyncio
import contextlib
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from isthmus.initiator.errors import InitiatorError, ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.names import Isid
from isthmus.scsi.sense import Sense, SenseKey
from isthmus.scsi.spc.persistent_reservations import ReservationType
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.status import Status
from tests.support.patience import PATIENCE
from tests.support.real_storage import ext4, loop_device, mounted, tmpfs
from tests.support.server import Server, running_server

pytestmark = pytest.mark.slow

OWNER, OTHER = "iqn.2026-01.com.example:owner", "iqn.2026-01.com.example:other"
OWNER_KEY, OTHER_KEY = 0x1111_2222_3333_4444, 0xFFFF_0000_FFFF_0000
APTPL = 0x01
WRITE_EXCLUSIVE_REGISTRANTS_ONLY = ReservationType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY
FILE_SYSTEM = 32 << 20
CRASHES = 8


@asynccontextmanager
async def initiator(server: Server, name: str, isid: int = 0x8000_0000_0001) -> AsyncIterator[LogicalUnit]:
    """The unit as that initiator port sees it, with its unit attentions heard."""
    url = server.url
    settings = LoginSettings(host=url.address, port=url.port, target_name=url.iqn, initiator_name=name)
    async with await Session.login(settings, isid=Isid(isid)) as session:
        # The power-on unit attention; whatever comes next is to be seen.
        await session.execute(url.lun, bytes(6))
        yield LogicalUnit(session, url.lun)


async def reserve_out(
    unit: LogicalUnit, action: ReserveOutAction, *, key: int = 0, action_key: int = 0, kind: int = 0, flags: int = 0
) -> None:
    """PERSISTENT RESERVE OUT; raises `ScsiError`."""
    command = struct.pack(">BBBxxIx", 0x5F, action, kind, 24)
    await unit.command(action.name, command, data_out=struct.pack(">QQxxxxBxxx", key, action_key, flags))


async def reserve_in(unit: LogicalUnit, action: int) -> bytes:
    """What PERSISTENT RESERVE IN has to say, without PRGENERATION."""
    result = await unit.command("reserve in", struct.pack(">BBxxxxxHx", 0x5E, action, 4096), data_in_length=4096)
    return result.data_in[4:]


async def write(unit: LogicalUnit) -> int:
    """The status of a WRITE (10)."""
    command = bytes((0x2A, 0, 0, 0, 0, 0, 0, 0, 1, 0))
    return (await unit.session.execute(unit.lun, command, data_out=bytes(512))).status


async def fence(server: Server, flags: int) -> tuple[bytes, bytes]:
    """Register two initiators, let one reserve; gives READ FULL STATUS and READ RESERVATION."""
    async with initiator(server, OWNER) as owner, initiator(server, OTHER) as other:
        await reserve_out(other, ReserveOutAction.REGISTER, action_key=OTHER_KEY, flags=flags)
        await reserve_out(owner, ReserveOutAction.REGISTER, action_key=OWNER_KEY, flags=flags)
        await reserve_out(owner, ReserveOutAction.RESERVE, key=OWNER_KEY, kind=WRITE_EXCLUSIVE_REGISTRANTS_ONLY)
        return await reserve_in(owner, 3), await reserve_in(owner, 1)


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """A file to serve."""
    path = tmp_path / "medium.img"
    path.touch()
    os.truncate(path, 1 << 20)
    return path


def arguments(medium: Path, *more: str) -> list[str | Path]:
    """Those of `isthmus serve`: always the same target, as the unit is known by it, too."""
    return [medium, "--portal", "127.0.0.1:0", "--iqn", "iqn.2026-01.org.isthmus:fenced", *more]


async def test_a_reservation_survives_kill_9(medium: Path, tmp_path: Path) -> None:
    """After each crash the same initiators are registered, the same one holds the unit, and strangers cannot write."""
    with running_server(arguments(medium), tmp_path) as server:
        full_status, reservation = await fence(server, APTPL)
        server.kill()
    assert len(reservation) == 4 + 16
    for name in (OWNER, OTHER):
        assert name.encode() in full_status
    with running_server(arguments(medium), tmp_path) as server:
        async with initiator(server, OTHER, isid=0x8000_0000_0099) as stranger:
            assert await reserve_in(stranger, 3) == full_status
            assert await reserve_in(stranger, 1) == reservation
            assert await write(stranger) == Status.RESERVATION_CONFLICT
        async with initiator(server, OTHER) as registered:
            assert await write(registered) == Status.GOOD
            preempt = ReserveOutAction.PREEMPT
            kind = WRITE_EXCLUSIVE_REGISTRANTS_ONLY
            await reserve_out(registered, preempt, key=OTHER_KEY, action_key=OWNER_KEY, kind=kind)
        server.kill()
    with running_server(arguments(medium), tmp_path) as server:
        async with initiator(server, OWNER) as fenced, initiator(server, OTHER) as survivor:
            assert await write(fenced) == Status.RESERVATION_CONFLICT
            assert await write(survivor) == Status.GOOD


async def test_without_aptpl_nothing_survives(medium: Path, tmp_path: Path) -> None:
    """What was not to outlive a loss of power is gone with the process, and so is what was, when a later command says so."""
    with running_server(arguments(medium), tmp_path) as server:
        await fence(server, APTPL)
        async with initiator(server, OWNER) as owner:
            # The most recent APTPL counts for all registrations (SPC-5 §5.14.5.1).
            register = ReserveOutAction.REGISTER
            await reserve_out(owner, register, key=OWNER_KEY, action_key=OWNER_KEY)
        server.kill()
    with running_server(arguments(medium), tmp_path) as server:
        async with initiator(server, "iqn.2026-01.com.example:stranger") as stranger:
            assert await reserve_in(stranger, 3) == bytes(4)
            assert await write(stranger) == Status.GOOD


@dataclass(slots=True)
class Registrations:
    """One initiator that changes its key again and again, and what it may rely on."""

    name: str
    last: int
    """The key that was asked for last: each is one more than the one before it."""
    promised: int = 0

    async def check(self, unit: LogicalUnit) -> None:
        """The key that is registered is the one that was promised last, or the one that was asked for after it."""
        keys = await reserve_in(unit, 0)
        registered = [key for (key,) in struct.iter_unpack(">Q", keys[4:]) if key >> 32 == self.last >> 32]
        assert registered in ([self.promised], [self.last]) or (self.promised == 0 and registered == [])
        self.promised = registered[0] if registered else 0

    async def go_on(self, unit: LogicalUnit, answered: Callable[[], None]) -> None:
        """Ask for one key after the other until the server is gone."""
        action = ReserveOutAction.REGISTER_AND_IGNORE_EXISTING_KEY
        while True:
            self.last += 1
            await reserve_out(unit, action, action_key=self.last, flags=APTPL)
            self.promised = self.last
            answered()


async def test_killed_amid_changes(medium: Path, tmp_path: Path) -> None:
    """After each of many crashes every initiator is registered as it was promised, or as it had asked for by then."""
    choose = random.Random(1)
    all_registrations = [Registrations(OWNER, 1 << 32), Registrations(OTHER, 2 << 32)]
    for _ in range(CRASHES):
        with running_server(arguments(medium), tmp_path) as server:
            async with AsyncExitStack() as units:
                work = []
                kill = _kill_after(choose.randrange(1, 60), server)
                for registrations in all_registrations:
                    unit = await units.enter_async_context(initiator(server, registrations.name))
                    await registrations.check(unit)
                    work.append(registrations.go_on(unit, kill))
                for outcome in await asyncio.gather(*work, return_exceptions=True):
                    assert isinstance(outcome, InitiatorError)
                    assert not isinstance(outcome, ScsiError)
    assert all(registrations.promised & 0xFFFF > CRASHES for registrations in all_registrations)


def _kill_after(answers: int, server: Server) -> Callable[[], None]:
    """What to call for each answer."""

    def answered() -> None:
        nonlocal answers
        answers -= 1
        if answers == 0:
            server.kill()

    return answered


async def test_a_reservation_survives_a_loss_of_power(medium: Path, tmp_path: Path) -> None:
    """What is on the disk below the file system when the status of RESERVE comes is the whole reservation."""
    disk, remains = tmp_path / "disk.img", tmp_path / "remains.img"
    disk.touch()
    os.truncate(disk, FILE_SYSTEM)
    with (
        loop_device(disk) as device,
        ext4(device, tmp_path, journal=True) as file_system,
        running_server(arguments(medium, "--state", str(file_system / "state")), tmp_path) as server,
    ):
        full_status, reservation = await fence(server, APTPL)
        shutil.copyfile(disk, remains)
        server.kill()
    with (
        loop_device(remains) as device,
        mounted(device, tmp_path / "remains") as file_system,
        running_server(arguments(medium, "--state", str(file_system / "state")), tmp_path) as server,
    ):
        async with initiator(server, OTHER) as other:
            assert await reserve_in(other, 3) == full_status
            assert await reserve_in(other, 1) == reservation


async def test_no_room_for_a_record(medium: Path, tmp_path: Path) -> None:
    """A registration that cannot be saved fails and has not happened; the log says why; one that need not be saved works."""
    with tmpfs(tmp_path, 1 << 16) as full:
        state = full / "state"
        state.mkdir()
        with contextlib.suppress(OSError), (full / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(512)):
                pass
        with running_server(arguments(medium, "--state", str(state)), tmp_path) as server:
            async with initiator(server, OWNER) as owner:
                with pytest.raises(ScsiError) as caught:
                    await reserve_out(owner, ReserveOutAction.REGISTER, action_key=OWNER_KEY, flags=APTPL)
                assert caught.value.sense is not None
                assert caught.value.sense.sense is Sense.INTERNAL_TARGET_FAILURE
                assert await reserve_in(owner, 0) == bytes(4)
                await reserve_out(owner, ReserveOutAction.REGISTER, action_key=OWNER_KEY)
                (full / "filler").unlink()
                await reserve_out(owner, ReserveOutAction.REGISTER, key=OWNER_KEY, action_key=OWNER_KEY, flags=APTPL)
            assert "No space left on device" in server.log_text()


def the_record(tmp_path: Path) -> Path:
    """The one file of reservations."""
    (record,) = (tmp_path / "state").glob("*.reservations")
    return record


def refused_start(medium: Path, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    """A server that ends before it serves anything."""
    return subprocess.run(
        [sys.executable, "-m", "isthmus", "serve", *map(str, arguments(medium))],
        env={**os.environ, "ISTHMUS_STATE": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda content: content[:-1],
    "empty": lambda content: b"",
    "a bit has changed": lambda content: content[:-20] + bytes([content[-20] ^ 1]) + content[-19:],
    "zeros": lambda content: bytes(len(content)),
}


async def test_damage_is_refused(medium: Path, tmp_path: Path) -> None:
    """A damaged record stops the start with one line and status 2, until somebody decides what to do."""
    with running_server(arguments(medium), tmp_path) as server:
        await fence(server, APTPL)
    record = the_record(tmp_path)
    assert record.stat().st_mode & 0o777 == 0o600
    content = record.read_bytes()
    for damage in DAMAGES.values():
        record.write_bytes(damage(content))
        ended = refused_start(medium, tmp_path)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert str(record) in ended.stderr
        assert ended.stderr.count("\n") == 1
        assert record.read_bytes() == damage(content)


async def test_lost_reservations_are_replaced(medium: Path, tmp_path: Path) -> None:
    """If the operator says so, a unit with a damaged record is served, but used only after REPLACE LOST RESERVATION."""
    with running_server(arguments(medium), tmp_path) as server:
        await fence(server, APTPL)
    the_record(tmp_path).write_bytes(b"?")
    again = arguments(medium, "--replace-lost-reservations")
    replace = ReserveOutAction.REPLACE_LOST_RESERVATION
    lost = Sense.PERSISTENT_RESERVATION_INFORMATION_LOST
    with running_server(again, tmp_path) as server:
        async with initiator(server, OWNER) as owner:
            with pytest.raises(ScsiError) as caught:
                await reserve_in(owner, 0)
            assert caught.value.sense is not None
            sense = caught.value.sense
            assert (sense.key, sense.asc, sense.ascq) == (SenseKey.DATA_PROTECT, lost.asc, lost.ascq)
            assert await write(owner) == Status.CHECK_CONDITION
            await reserve_out(owner, replace, action_key=OWNER_KEY, kind=ReservationType.WRITE_EXCLUSIVE, flags=APTPL)
            assert await write(owner) == Status.GOOD
        server.kill()
    with running_server(arguments(medium), tmp_path) as server:
        async with initiator(server, OWNER) as owner, initiator(server, OTHER) as other:
            assert await write(owner) == Status.GOOD
            assert await write(other) == Status.RESERVATION_CONFLICT
