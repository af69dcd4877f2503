"""Drives for CDs of the running daemon: whoever puts a disc in, the initiator that is logged in finds it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.initiator import cdb
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.scsi.sense import Sense
from tests.support.daemon import Daemon, running_daemon
from tests.support.drive import SECTOR, iso_image

pytestmark = pytest.mark.slow
TARGET = "iqn.2026-05.com.example:discs"
SCST = """
HANDLER vcdrom {{
    DEVICE cd0 {{
        filename {disc}
    }}
}}
TARGET_DRIVER iscsi {{
    enabled 1
    TARGET {target} {{
        LUN 0 cd0
        enabled 1
    }}
}}
"""
TGT = """
<target {target}>
    <backing-store {disc}>
        lun 1
        device-type cd
    </backing-store>
</target>
"""
TOML = """
[backstores.cd0]
kind = "fileio"
path = "{disc}"
attributes = {{ device_type = "cd" }}
[targets."{target}"]
luns = ["cd0"]
attributes = {{ generate_node_acls = 1, authentication = 0 }}
"""
UPDATE = "--lld iscsi --mode logicalunit --op update --tid 1 --lun 1 --params"
VERBS = ("backstore insert fileio/cd0 {disc}",)
SCSTADMIN = ("scstadmin -set_dev_attr cd0 -attributes filename={disc} -noprompt",)
TGTADM = (f"tgtadm {UPDATE} online=0", f"tgtadm {UPDATE} path={{disc}}")


def isthmus(daemon: Daemon, *words: str) -> None:
    """Run the program."""
    prefix = daemon.state.parent / "tgt"
    environment = {**os.environ, "ISTHMUS_RUN": str(daemon.socket.parent), "TGT_IPC_SOCKET": str(prefix)}
    command = [sys.executable, "-m", "isthmus", *words]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "left out" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("text", "words", "insert", "lun"),
    [
        pytest.param(TOML, ("apply",), VERBS, 0, id="ours"),
        pytest.param(SCST, ("import", "scst"), SCSTADMIN, 0, id="scst"),
        pytest.param(TGT, ("import", "tgt"), TGTADM, 1, id="tgt"),
    ],
)
async def test_another_disc(
    tmp_path: Path, text: str, words: tuple[str, ...], insert: tuple[str, ...], lun: int
) -> None:
    """A drive of a file of ours, of SCST's or of tgt's, in which the commands that go with it change the disc."""
    discs = [tmp_path / "first.iso", tmp_path / "second.iso"]
    for disc in discs:
        disc.write_bytes(iso_image("NAME.TXT;1", disc.name.encode(), disc.stem.upper()))
    file = tmp_path / "drives.toml"
    file.write_text(text.format(disc=discs[0], target=TARGET))
    with running_daemon(tmp_path, "--tgt-socket", str(tmp_path / "tgt")) as daemon:

        async def do(*command: str) -> None:
            await asyncio.to_thread(isthmus, daemon, *command)

        await do(*words, str(file))
        url = daemon.url(TARGET)
        settings = LoginSettings(host=url.address, port=url.port, target_name=TARGET)
        async with await Session.login(settings) as session:
            unit = LogicalUnit(session, lun)
            await unit.become_ready()
            assert await label(unit) == "FIRST"
            for line in insert:
                await do(*line.format(disc=discs[1]).split())
            result = await session.execute(lun, cdb.test_unit_ready())
            assert result.decoded_sense is not None
            assert result.decoded_sense.sense is Sense.NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED
            assert await label(unit) == "SECOND"


async def label(unit: LogicalUnit) -> str:
    """The volume identifier in the primary volume descriptor (ECMA-119 §8.4)."""
    return (await unit.read(lba=16, num_blocks=1, block_length=SECTOR))[40:72].decode().rstrip()
