"""targetcli's commands on the running daemon, and what an initiator sees of them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from isthmus.config.document import load
from isthmus.initiator.errors import ScsiError
from isthmus.initiator.logical_unit import LogicalUnit
from isthmus.initiator.session import Session
from isthmus.initiator.settings import LoginSettings
from isthmus.names import IscsiName
from tests.support.daemon import Daemon, running_daemon
from tests.support.patience import PATIENCE
from tests.support.service import HOST, ONE

pytestmark = pytest.mark.slow
TPG = f"/iscsi/{ONE}/tpg1"
ALUA = "/backstores/fileio/disk/alua"
GROUP, STANDBY, ACTIVE = 7, 2, 0
STATE_CHANGED, IN_STANDBY = (0x2A, 0x06), (0x04, 0x0B)
SECRET = "geheimgeheim1"
SETUP = f"""\
set global auto_add_default_portal=false
/backstores/fileio create disk {{file}} 1M
/backstores/ramdisk create spare 1M
{ALUA} create second {GROUP}
/iscsi create {ONE}
{TPG}/luns create /backstores/fileio/disk
{TPG}/luns/lun0 set alua alua_tg_pt_gp_name=second
{TPG}/acls create {HOST}
{TPG}/acls/{HOST} set auth userid=host password={SECRET}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A daemon, and a directory for the operator's files."""

    daemon: Daemon
    directory: Path

    def types(self, text: str, *, status: int = 0) -> str:
        """Type lines into the shell; gives what it says."""
        environment = {
            **os.environ,
            "ISTHMUS_RUN": str(self.daemon.socket.parent),
            "TARGETCLI_HOME": str(self.directory),
        }
        command = [sys.executable, "-m", "isthmus", "shell"]
        ran = subprocess.run(
            command, input=text, capture_output=True, text=True, env=environment, check=False, timeout=PATIENCE
        )
        assert ran.returncode == status, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    async def log_in(self) -> Session:
        """A session of the initiator that has a node ACL."""
        url = self.daemon.url(ONE)
        return await Session.login(
            LoginSettings(host=url.address, port=url.port, target_name=IscsiName(ONE), initiator_name=HOST)
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """With a disk behind a target, in an ALUA group of its own."""
    with running_daemon(tmp_path) as daemon:
        place = Place(daemon, tmp_path)
        place.types(SETUP.format(file=tmp_path / "disk.img"))
        yield place


def reported(data: bytes) -> dict[int, tuple[int, int]]:
    """REPORT TARGET PORT GROUPS: of each group that has ports its state and how many ports it has (SPC-5 §6.36)."""
    groups, offset = {}, 4
    while offset < len(data):
        ports = data[offset + 7]
        groups[int.from_bytes(data[offset + 2 : offset + 4], "big")] = data[offset] & 0xF, ports
        offset += 8 + 4 * ports
    return groups


async def groups_of(unit: LogicalUnit) -> dict[int, tuple[int, int]]:
    """The target port groups as the initiator is told of them."""
    cdb = bytes((0xA3, 0x0A, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0))
    return reported((await unit.command("REPORT TARGET PORT GROUPS", cdb, data_in_length=256)).data_in)


async def refusal(unit: LogicalUnit) -> tuple[int, int]:
    """Why TEST UNIT READY fails: its ASC and ASCQ."""
    with pytest.raises(ScsiError) as refused:
        await unit.test_unit_ready()
    assert refused.value.sense is not None
    return refused.value.sense.asc, refused.value.sense.ascq


async def set_state(unit: LogicalUnit, state: int) -> None:
    """SET TARGET PORT GROUPS of one group (SPC-5 §6.45)."""
    cdb = bytes((0xA4, 0x0A, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0))
    await unit.command("SET TARGET PORT GROUPS", cdb, data_out=bytes((0, 0, 0, 0, state, 0)) + GROUP.to_bytes(2, "big"))


async def test_an_alua_group_does_what_the_shell_says(place: Place) -> None:
    """Its LUN goes where it goes; what the initiator has set is shown, and taken back when it is asked for again."""
    async with await place.log_in() as session:
        unit = LogicalUnit(session, 0)
        await unit.become_ready()
        assert await groups_of(unit) == {GROUP: (ACTIVE, 1)}
        place.types(f"{ALUA}/second set alua alua_access_state={STANDBY} preferred=1")
        assert [await refusal(unit), await refusal(unit)] == [STATE_CHANGED, IN_STANDBY]
        assert await groups_of(unit) == {GROUP: (STANDBY, 1)}
        await set_state(unit, ACTIVE)
        await unit.become_ready()
        shown = place.types(f"{ALUA}/second status\n{ALUA}/second get alua alua_access_status")
        assert "ALUA state: Active/optimized" in shown
        assert "alua_access_status=1" in shown
        shown = place.types(f"{ALUA}/second set alua alua_access_state={STANDBY}\n{ALUA}/second status")
        assert "ALUA state: Standby" in shown
        assert [await refusal(unit), await refusal(unit)] == [STATE_CHANGED, IN_STANDBY]
        place.types(f"{ALUA} delete second")
        await unit.become_ready()
        assert await groups_of(unit) == {0: (ACTIVE, 1)}


def test_what_is_saved_is_restored(place: Place) -> None:
    """To a file and back: ALUA groups, and secrets that nobody sees meanwhile."""
    file = place.directory / "saved.json"
    place.types(f"{ALUA}/second set alua alua_access_state=1")
    said = place.types(f"saveconfig {file}")
    assert SECRET not in said
    assert (SECRET in file.read_text(), file.stat().st_mode & 0o777) == (True, 0o600)
    before = place.types("ls")
    assert "fileio/disk" in before
    assert "clear_existing=true" in place.types(f"restoreconfig {file}", status=1)
    assert "Targets: 0" in place.types(f"clearconfig confirm=true\nls\nrestoreconfig {file}")
    assert place.types("ls") == before
    assert load((place.daemon.state / "saveconfig.json").read_text()) == load(file.read_text())


def test_a_disk_that_does_not_run_looks_like_it(tmp_path: Path) -> None:
    """Its file is gone when the daemon starts again; the other disk runs."""
    with running_daemon(tmp_path) as daemon:
        Place(daemon, tmp_path).types(SETUP.format(file=tmp_path / "disk.img"))
        daemon.stop()
    (tmp_path / "disk.img").rename(tmp_path / "elsewhere.img")
    with running_daemon(tmp_path) as daemon:
        place = Place(daemon, tmp_path)
        tree = place.types("ls")
        assert "write-back does not run: " in tree
        assert "(second) does not run]" in tree
        assert "(1.0MiB) deactivated]" in tree
        (tmp_path / "elsewhere.img").rename(tmp_path / "disk.img")
        place.types("/backstores/fileio/disk start")
        assert "(1.0MiB) write-back activated]" in place.types("ls")
