"""A thousand targets with four disks each: loaded, changed, and used by an initiator."""

import asyncio
import os
from pathlib import Path

import pytest

from isthmus.config.document import dump
from isthmus.config.model import Backstore, BackstoreKey, Configuration, Lun, PortalGroup, Target
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.management.client import Client
from isthmus.management.target_edits import set_group_attributes
from isthmus.names import IscsiName
from tests.support.daemon import Daemon, running_daemon

TARGETS, LUNS, BLOCK = 1000, 4, 512
LOAD_SECONDS = 5.0
CHANGE_SECONDS = 0.05
"""What is promised of a quiet machine. Processor time is what is tested: others may work beside the tests."""
CHANGES = 10
CONTENTION = 5.0
"""How much dearer the processor may be then, as threads share a core and its caches; what is quadratic is dearer by far."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def name(number: int) -> IscsiName:
    """Of a target."""
    return IscsiName(f"iqn.2026-01.com.example:t{number}")


def many(directory: Path) -> Configuration:
    """All of them, on sparse files."""
    stores, targets = {}, {}
    for number in range(TARGETS):
        luns = []
        for lun in range(LUNS):
            path = directory / f"{number}-{lun}.img"
            with path.open("xb") as file:
                file.truncate(1 << 20)
            key = BackstoreKey("fileio", f"d{number}-{lun}")
            stores[key] = Backstore(key=key, path=str(path), size=1 << 20, unit_serial=f"serial-{number}-{lun}")
            luns.append(Lun(number=lun, backstore=key))
        group = PortalGroup(tag=1, attributes={"generate_node_acls": 1}, luns=tuple(luns))
        targets[name(number)] = Target(name=name(number), portal_groups=(group,))
    return Configuration(backstores=stores, targets=targets)


async def test_a_thousand_targets(tmp_path: Path) -> None:
    """They are loaded in 5 s, one change takes less than 50 ms, and the last LUN of the last target is a disk."""
    images = tmp_path / "images"
    images.mkdir()
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "saveconfig.json").write_text(dump(many(images)))
    with running_daemon(tmp_path, ready_seconds=300) as daemon:
        loaded = processor_seconds(daemon)
        assert loaded < LOAD_SECONDS * CONTENTION
        assert [view.problem for view in daemon.client.backstores() if view.problem] == []
        url = daemon.url(name(TARGETS - 1))
        login = LoginSettings(
            host=url.address,
            port=url.port,
            target_name=url.iqn,
            initiator_name=IscsiName("iqn.2026-01.com.example:host"),
        )
        async with await Session.login(login) as session:
            unit = LogicalUnit(session, LUNS - 1)
            await unit.become_ready()
            await unit.write(b"x" * BLOCK, lba=7, block_length=BLOCK)
            await asyncio.to_thread(change, daemon.client, 0)  # the first one also reads all that there is
            before = processor_seconds(daemon)
            for number in range(1, 1 + CHANGES):
                await asyncio.to_thread(change, daemon.client, number)
            assert (processor_seconds(daemon) - before) / CHANGES < CHANGE_SECONDS * CONTENTION
            assert await unit.read(lba=7, num_blocks=1, block_length=BLOCK) == b"x" * BLOCK


def change(client: Client, number: int) -> None:
    """One change of one target."""
    client.change(lambda running: set_group_attributes(running, name(number), 1, {"login_timeout": 20}))


def processor_seconds(daemon: Daemon) -> float:
    """What the daemon has taken so far (proc_pid_stat(5), utime and stime)."""
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
