"""The user guide's commands, as they stand there, in their order, and that they say what it shows."""

import queue
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.clients import needs, qemu_has_iscsi
from tests.support.guides import ELSEWHERE, RUN, USER_GUIDE, Block, Step, blocks, documents
from tests.support.namespace import Namespace, namespace, namespaces_missing
from tests.support.patience import PATIENCE
from tests.support.server import lines_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(namespaces_missing()), reason=namespaces_missing()),
    pytest.mark.skipif(not qemu_has_iscsi(), reason="not installed: QEMU's iSCSI driver (Debian: qemu-block-extra)"),
    needs("iscsi-ls", "qemu-img", "losetup", "curl", "openssl"),
]

ADDRESSES = ("192.0.2.1", "192.0.2.7", "2001:db8::7")
SERVERS = ("isthmus serve ", "isthmus daemon")
SERVE_DB = "isthmus serve db.img --portal 192.0.2.7 --iqn iqn.2026-01.com.example:db"
PRELUDE = """
cd /srv
curl() { command curl --silent --show-error --fail-with-body "$@"; }
pass() { echo the-secret-of-db; }
"""
MACHINE = """
hostname storage1
mkdir /srv/layers
mount -t tmpfs tmpfs /srv/layers
for directory in /etc /var/lib; do
    mkdir -p "/srv/layers/upper$directory" "/srv/layers/work$directory"
    mount -t overlay overlay -o "lowerdir=$directory,upperdir=/srv/layers/upper$directory,workdir=/srv/layers/work$directory" \\
        "$directory"
done
mount -t tmpfs tmpfs /run
"""
"""A host with the guide's name, whose usual places nobody has used yet."""

PREPARATIONS = {
    "Serving": "truncate -s 64M a.img b.img golden.iso db.img",
    "Connecting": "truncate -s 64M db.img && qemu-img create -q -f qcow2 disk.qcow2 64M",
    "The shell": """
        printf '%s\\n' '/backstores/ramdisk create memory 64M' '/iscsi create iqn.2026-01.com.example:db' > session.txt
    """,
    "The control socket": "isthmus backstore create fileio/db /srv/db.img",
    "Declared configuration": """
        mkdir iscsi secrets /dev/vg0
        ln -s /dev/sdb /dev/vg0/archive
        (umask 077; echo the-secret-of-db1 > secrets/db1; echo the-secret-of-backup > secrets/backup)
        sed 's/200G/100G/; s/, "\\[2001:db8::7\\]:3260"//' san.toml > before.toml
        isthmus apply before.toml --force
        printf '%s\\n' 'backstores:' '  db:' '    kind: fileio' '    size: 200X' '    path: db.img' 'targets: {}' > san.yaml
    """,
    "One thing at a time": """
        printf '[backstores]\\n[targets]\\n' > nothing.toml
        isthmus apply nothing.toml --force
        rm db.img web.img
        truncate -s 8M golden.img
    """,
    "The interface for programs": """
        mkdir /etc/isthmus
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=192.0.2.1 -days 2 \\
            -addext subjectAltName=IP:192.0.2.1 -keyout /etc/isthmus/api.key -out /etc/isthmus/api.crt
        chmod 600 /etc/isthmus/api.key
        cp /etc/isthmus/api.crt ca.crt
    """,
}
"""What a reader has before a section begins."""


class Host:
    """The machine of the guide: what it starts serves until it starts something else."""

    def __init__(self, machine: Namespace) -> None:
        self.machine = machine
        self._serving = ExitStack()
        self._prepared: set[str] = set()

    def bash(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run it where the guide does."""
        return self.machine.run("bash", "-e", "-o", "pipefail", "-c", PRELUDE + script)

    def serve(self, command: str) -> str:
        """Start a server in place of the one before; what it says when it is ready."""
        self.stop()
        return self._serving.enter_context(self._server(command))

    def stop(self) -> None:
        """End what serves, in order."""
        self._serving.close()

    @contextmanager
    def _server(self, command: str) -> Iterator[str]:
        words = self.machine.command("bash", "-c", f"{PRELUDE}exec {command}")
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.machine.environment
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            lines, log = lines_of(process.stdout), lines_of(process.stderr)
            try:
                first = lines.get(timeout=PATIENCE)
                assert first is not None, f"{command}\n{_rest(log)}"
                yield first
                process.terminate()
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()
                _rest(lines)
                _rest(log)

    def prepare(self, section: str) -> None:
        """Have what a section begins with, if it begins now."""
        if section not in self._prepared:
            self._prepared.add(section)
            prepared = self.bash(PREPARATIONS.get(section, ""))
            assert prepared.returncode == 0, section + prepared.stdout + prepared.stderr
            if section == "Connecting":
                self.serve(SERVE_DB)

    def run(self, block: Block) -> None:
        """Every command of a block."""
        self.prepare(block.section)
        for step in block.steps():
            said = self._said(step)
            assert step.is_said(said), f"{USER_GUIDE.name}:{block.line}: {step.command}\n{said}"

    def _said(self, step: Step) -> str:
        if step.command.startswith(SERVERS) and not step.fails:
            return self.serve(step.command)
        ran = self.bash(step.command)
        said = ran.stdout + ran.stderr
        assert (ran.returncode != 0) == step.fails, f"{step.command}: status {ran.returncode}\n{said}"
        return said


def _rest(lines: "queue.Queue[str | None]") -> str:
    return "\n".join(iter(lines.get, None))


@contextmanager
def host(directory: Path) -> Iterator[Host]:
    """It has one empty block device, /dev/sdb, and the documents that the guide shows."""
    volume = directory / "volume.img"
    with volume.open("xb") as file:
        file.truncate(64 << 20)
    made = subprocess.run(
        ["losetup", "-f", "--show", volume], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if made.returncode != 0:
        pytest.skip(f"no loop device can be made: {made.stderr.strip()}")
    path = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    try:
        with namespace(directory, {"PATH": path}, own_devices=True) as machine:
            machine.run("bash", "-e", "-c", MACHINE, check=True)
            machine.run("ln", "-sf", made.stdout.strip(), "/dev/sdb", check=True)
            for address in ADDRESSES:
                machine.run("ip", "address", "add", address, "dev", "lo", check=True)
            for name, text in documents(USER_GUIDE).items():
                (directory / "srv" / name).write_text(text)
            one = Host(machine)
            try:
                yield one
            finally:
                one.stop()
    finally:
        subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True, timeout=PATIENCE)


def test_what_is_not_run_says_why() -> None:
    """Each block of commands says where it is run, and a reason if that is nowhere."""
    assert all(bool(block.reason) == (block.place == ELSEWHERE) for block in blocks(USER_GUIDE))


def test_the_commands_work(tmp_path: Path) -> None:
    """One after the other, from the first disk to the interface for programs."""
    with host(tmp_path) as machine:
        for block in blocks(USER_GUIDE):
            if block.place == RUN:
                machine.run(block)
