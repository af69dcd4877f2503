"""A daemon whose record of a disk's reservations is damaged: that disk does not run before the operator accepts the loss."""

import os
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from isthmus.config.model import Backstore, BackstoreKey
from isthmus.initiator import cdb
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.scsi.sense import Sense
from isthmus.scsi.spc.persistent_reservations import ReservationType
from isthmus.scsi.spc.reservations import ReserveOutAction
from isthmus.scsi.status import Status
from tests.support.daemon import Daemon, running_daemon
from tests.support.patience import PATIENCE
from tests.support.service import ONE, disk, target

pytestmark = pytest.mark.slow

OWNER, OTHER = "iqn.2026-01.com.example:owner", "iqn.2026-01.com.example:other"
KEY = 0x1111_2222_3333_4444
APTPL = 0x01
STORE = BackstoreKey("fileio", "f")


@asynccontextmanager
async def initiator(daemon: Daemon, name: str) -> AsyncIterator[LogicalUnit]:
    """LUN 1 as that initiator sees it, with its power on heard."""
    url = daemon.url(ONE)
    settings = LoginSettings(host=url.address, port=url.port, target_name=ONE, initiator_name=name)
    async with await Session.login(settings) as session:
        await session.execute(1, cdb.test_unit_ready())
        yield LogicalUnit(session, 1)


async def reserve(unit: LogicalUnit, action: ReserveOutAction, *, key: int = 0, new_key: int = 0) -> None:
    """PERSISTENT RESERVE OUT, write exclusive, with APTPL."""
    kind = 0 if action is ReserveOutAction.REGISTER else ReservationType.WRITE_EXCLUSIVE
    data = struct.pack(">QQ4xBBH", key, new_key, APTPL, 0, 0)
    await unit.command(action.name, struct.pack(">BBBxxIx", 0x5F, action, kind, 24), data_out=data)


async def write(unit: LogicalUnit) -> int:
    """The status of a WRITE."""
    result = await unit.session.execute(1, cdb.write_16(lba=0, num_blocks=1), data_out=bytes(512))
    return result.status


async def damage(tmp_path: Path) -> None:
    """A daemon with a memory disk and a file, which one initiator has reserved; killed, and the record torn."""
    store = Backstore(key=STORE, path=str(tmp_path / "disk.img"), size=1 << 20, unit_serial="serial-of-f")
    with running_daemon(tmp_path) as daemon:
        daemon.client.change(lambda _: target(disk("a"), store))
        async with initiator(daemon, OWNER) as owner:
            await reserve(owner, ReserveOutAction.REGISTER, new_key=KEY)
            await reserve(owner, ReserveOutAction.RESERVE, key=KEY)
        daemon.kill()
    [record] = (tmp_path / "state").rglob("serial-of-f.reservations")
    record.write_bytes(record.read_bytes()[:-1])


def isthmus(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line, for this daemon."""
    environment = {**os.environ, "ISTHMUS_RUN": str(tmp_path / "run")}
    command = [sys.executable, "-m", "isthmus", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False)


async def test_the_loss_is_told_and_the_rest_runs(tmp_path: Path) -> None:
    """One line says which record, and what can be done; without that word the disk stays away."""
    await damage(tmp_path)
    with running_daemon(tmp_path) as daemon:
        said = isthmus(tmp_path, "status").stdout
        assert "serial-of-f.reservations is damaged" in said
        assert "--lost-reservations" in said
        assert "backstore does not run" in daemon.log_text()
        refused = isthmus(tmp_path, "backstore", "start", "fileio/f")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.count("\n") == 1
        assert "is damaged" in refused.stderr
        async with initiator(daemon, OWNER) as owner:
            memory = LogicalUnit(owner.session, 0)
            await memory.become_ready()
            assert (await memory.read_capacity()).num_blocks == 2048
            result = await owner.session.execute(1, cdb.test_unit_ready())
            assert result.decoded_sense is not None
            assert result.decoded_sense.sense is Sense.LOGICAL_UNIT_NOT_SUPPORTED


async def test_forgotten_reservations_keep_nobody_out(tmp_path: Path) -> None:
    """The disk runs under sessions that are there, for good: another restart finds nothing damaged."""
    await damage(tmp_path)
    with running_daemon(tmp_path) as daemon:
        async with initiator(daemon, OTHER) as other:
            done = isthmus(tmp_path, "backstore", "start", "f", "--lost-reservations=forget")
            assert (done.returncode, done.stdout) == (0, "/backstores/fileio/f runs\n")
            await other.become_ready()
            assert await write(other) == Status.GOOD
        assert "lost_reservations" in isthmus(tmp_path, "audit", "--json").stdout
        daemon.kill()
    with running_daemon(tmp_path) as daemon:
        async with initiator(daemon, OTHER) as other:
            assert await write(other) == Status.GOOD


async def test_replaced_reservations_let_in_who_has_replaced_them(tmp_path: Path) -> None:
    """Nobody before; and then only that one, also after a restart."""
    await damage(tmp_path)
    with running_daemon(tmp_path) as daemon:
        daemon.client.start_backstore(STORE, "replace")
        async with initiator(daemon, OWNER) as owner:
            assert await write(owner) == Status.CHECK_CONDITION
            await reserve(owner, ReserveOutAction.REPLACE_LOST_RESERVATION, new_key=KEY)
            assert await write(owner) == Status.GOOD
        daemon.kill()
    with running_daemon(tmp_path) as daemon:
        async with initiator(daemon, OTHER) as other:
            assert await write(other) == Status.RESERVATION_CONFLICT
