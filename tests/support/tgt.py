"""The real tgtd and its commands, beside our daemon with a socket for them."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.daemon import Daemon, free_port, running_daemon
from tests.support.patience import PATIENCE, eventually_asked

__all__ = ["Answer", "Tgt", "our_tgt", "real_tgt"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and its exit status."""

    status: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class Tgt:
    """Something that tgt's commands can talk to."""

    directory: Path
    """Where its socket is, and its disks are."""
    daemon: Daemon | None = None
    """Ours; None: it is tgtd."""

    @property
    def prefix(self) -> Path:
        """Of the socket."""
        return self.directory / "tgt"

    def call(self, *command: str, stdin: str = "") -> Answer:
        """Run one of tgt's own programs, as Debian ships them."""
        return self.run("/usr/sbin/" + command[0], *command[1:], stdin=stdin)

    def run(self, *command: str, stdin: str = "") -> Answer:
        """Run any command that looks for tgtd here."""
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            input=stdin,
            text=True,
            errors="surrogateescape",
            timeout=PATIENCE,
            env={**os.environ, "TGT_IPC_SOCKET": str(self.prefix)},
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def tgtadm(self, *arguments: str) -> Answer:
        """The real tgtadm."""
        return self.call("tgtadm", *arguments)

    @property
    def portal(self) -> str:
        """ADDRESS:PORT of the first portal."""
        shown = self.tgtadm("--mode", "portal", "--op", "show").output
        return shown.splitlines()[0].removeprefix("Portal: ").removesuffix(",1")

    def show(self) -> str:
        """All targets."""
        return self.tgtadm("--mode", "target", "--op", "show").output

    def disk(self, name: str, size: int = 10 << 20) -> Path:
        """A sparse file."""
        path = self.directory / name
        with path.open("wb") as file:
            file.truncate(size)
        return path


@contextlib.contextmanager
def our_tgt(directory: Path) -> Iterator[Tgt]:
    """Our daemon."""
    directory.mkdir(exist_ok=True)
    with running_daemon(directory, "--tgt-socket", str(directory / "tgt")) as daemon:
        yield Tgt(directory, daemon)


@contextlib.contextmanager
def real_tgt(directory: Path) -> Iterator[Tgt]:
    """Tgtd."""
    directory.mkdir(exist_ok=True)
    tgt = Tgt(directory)
    program = shutil.which("tgtd", path="/usr/sbin:/usr/local/sbin")
    assert program is not None
    command = [program, "-f", "--iscsi", f"portal=127.0.0.1:{free_port()}"]
    environment = {**os.environ, "TGT_IPC_SOCKET": str(tgt.prefix)}
    with (directory / "tgtd.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            eventually_asked(lambda: tgt.tgtadm("--mode", "sys", "--op", "show").status == 0)
            yield tgt
        finally:
            process.kill()
            process.wait()
