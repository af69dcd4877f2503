"""What guides tell people to type, word for word: their paths, their addresses, their ports."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import needs, qemu_has_iscsi
from tests.support.namespace import Namespace, namespace, namespaces_missing
from tests.support.patience import PATIENCE
from tests.support.server import lines_of

SESSIONS = Path(__file__).parent / "sessions"
PORTAL = "iscsi://127.0.0.1:3260"
TARGET = "iqn.2026-05.com.example:storage01"
MIB = 1 << 20
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(namespaces_missing()), reason=namespaces_missing()),
    pytest.mark.skipif(not qemu_has_iscsi(), reason="not installed: QEMU's iSCSI driver (Debian: qemu-block-extra)"),
    needs("iscsi-ls", "qemu-io"),
]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Namespace]:
    """A machine on which nothing has been configured yet."""
    environment = {name: str(tmp_path / name) for name in ("ISTHMUS_STATE", "ISTHMUS_RUN", "TARGETCLI_HOME")}
    with namespace(tmp_path, environment, own_devices=True) as made:
        made.run("mkdir", "/srv/iscsi", check=True)
        yield made


@contextlib.contextmanager
def daemon(machine: Namespace, log: Path, *options: str) -> Iterator[None]:
    """`isthmus daemon`, stopped in order at the end."""
    command = machine.command(sys.executable, "-m", "isthmus", "daemon", *options)
    with (
        log.open("a") as file,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True, env=machine.environment) as process,
    ):
        assert process.stdout is not None
        lines = lines_of(process.stdout)
        try:
            assert (lines.get(timeout=PATIENCE) or "").startswith("ready: "), log.read_text()
            yield
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            while lines.get() is not None:
                pass


def shell(machine: Namespace, session: str, *, program: Path | None = None) -> str:
    """Pipe a session into the shell (`program`: by another name); gives what it says."""
    words = [program] if program else [sys.executable, "-m", "isthmus", "shell"]
    with (SESSIONS / session).open() as text:
        ran = machine.run(*words, stdin=text)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def qemu_io(machine: Namespace, lun: int, *commands: str) -> None:
    """Run qemu-io on a LUN; it fails at the first pattern that is not found."""
    words = [word for command in commands for word in ("-c", command)]
    ran = machine.run("qemu-io", "-f", "raw", *words, f"{PORTAL}/{TARGET}/{lun}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "failed" not in ran.stdout


def listed(machine: Namespace) -> str:
    """What libiscsi finds at the portal; it tells sizes by the last block, so that 64 MiB are 63M."""
    ran = machine.run("iscsi-ls", "-s", PORTAL)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_file_session(machine: Namespace, tmp_path: Path) -> None:
    """Typed into a new daemon, it gives a disk of 100 GiB that is written, read and compared; after a restart as well."""
    log = tmp_path / "daemon.log"
    with daemon(machine, log):
        shell(machine, "lio-targetcli.txt")
        found = listed(machine)
        assert f"Target:{TARGET} Portal:127.0.0.1:3260,1" in found
        assert "Lun:0    Type:DIRECT_ACCESS (Size:99G)" in found
        qemu_io(machine, 0, "write -P 0xa5 1M 64k", "flush", "read -P 0xa5 1M 64k", "read -P 0 2M 64k")
    with daemon(machine, log):
        assert listed(machine) == found
        qemu_io(machine, 0, "read -P 0xa5 1M 64k", "write -P 0x5a 99G 64k", "flush", "read -P 0x5a 99G 64k")
    with (tmp_path / "srv" / "iscsi" / "disk01.img").open("rb") as image:
        image.seek(MIB)
        assert image.read(64 << 10) == b"\xa5" * (64 << 10)


@pytest.fixture
def loop_device(tmp_path: Path) -> Iterator[str]:
    """A block device of 64 MiB."""
    path = tmp_path / "volume.img"
    with path.open("xb") as file:
        file.truncate(64 * MIB)
    made = subprocess.run(
        ["losetup", "--find", "--show", str(path)], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if made.returncode != 0:
        pytest.skip(f"no loop device can be made: {made.stderr.strip()}")
    device = made.stdout.strip()
    yield device
    subprocess.run(["losetup", "--detach", device], check=True, timeout=PATIENCE)


@needs("losetup")
def test_the_block_session(machine: Namespace, tmp_path: Path, loop_device: str) -> None:
    """Typed after the other one, into the program called `targetcli`, it gives that target a second LUN."""
    machine.run("mkdir", "/dev/mapper")
    machine.run("ln", "-s", loop_device, "/dev/mapper/iscsi_vg-lun01", check=True)
    targetcli = tmp_path / "targetcli"
    targetcli.symlink_to(Path(sys.executable).with_name("isthmus"))
    log = tmp_path / "daemon.log"
    with daemon(machine, log):
        shell(machine, "lio-targetcli.txt")
        said = shell(machine, "lio-block.txt", program=targetcli)
        assert "Created block storage object lun01 using /dev/mapper/iscsi_vg-lun01." in said
        assert "Created LUN 1." in said
        assert "Lun:1    Type:DIRECT_ACCESS (Size:63M)" in listed(machine)
        qemu_io(machine, 1, "write -P 0xb1 1M 64k", "flush", "read -P 0xb1 1M 64k")
    with daemon(machine, log):
        assert "Lun:1    Type:DIRECT_ACCESS (Size:63M)" in listed(machine)
        qemu_io(machine, 1, "read -P 0xb1 1M 64k")
    with Path(loop_device).open("rb") as device:
        device.seek(MIB)
        assert device.read(64 << 10) == b"\xb1" * (64 << 10)
