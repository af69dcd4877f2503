"""The two targets under comparison, each serving one file on a free loopback port, started and stopped here."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Daemon", "DaemonError", "isthmus", "tgt", "tgt_is_installed"]

_START_SECONDS = 20.0
_STOP_SECONDS = 15.0
_TGT_NAME = "iqn.2026-01.org.isthmus:bench-tgt"
_TGT_CONTROL = Path("/run/tgtd")
_READY = re.compile(r"^ready: (iscsi://\S+)$")


class DaemonError(Exception):
    """A daemon did not start, or could not be configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A running target: what it is called in the report, its process, and the URL of its logical unit."""

    name: str
    pid: int
    url: str


@contextlib.contextmanager
def isthmus(image: Path, log: Path, options: Sequence[str] = ()) -> Iterator[Daemon]:
    """This project's server, of the tree that the benchmark stands in, with further options of `isthmus serve`."""
    command = [sys.executable, "-m", "isthmus", "serve", str(image), "--portal", "127.0.0.1:0", *options]
    with log.open("w") as errors, _stopped(command, subprocess.PIPE, errors.fileno()) as process:
        assert process.stdout is not None
        # Whatever the server says of itself before the ready line is skipped; its end ends the wait.
        for line in process.stdout:
            if found := _READY.match(line.rstrip()):
                yield Daemon(name="isthmus", pid=process.pid, url=found[1])
                return
    raise DaemonError(f"isthmus ended with status {process.returncode}\n{log.read_text()}")


def tgt_is_installed() -> bool:
    """Whether the peer is there, and may be run: its control socket stands under /run."""
    return shutil.which("tgtd") is not None and shutil.which("tgtadm") is not None and os.geteuid() == 0


@contextlib.contextmanager
def tgt(image: Path, log: Path, parameters: Sequence[tuple[str, str]] = ()) -> Iterator[Daemon]:
    """A tgtd of its own, beside one that the machine may run, with iSCSI parameters such as ("HeaderDigest", "CRC32C")."""
    port, control = _free_port(), _free_control_port()
    command = ["tgtd", "-f", "-C", str(control), "--iscsi", f"portal=127.0.0.1:{port}"]
    with log.open("w") as output, _stopped(command, output.fileno(), output.fileno()) as process:
        admin = ["tgtadm", "-C", str(control), "--lld", "iscsi"]
        _wait_until(lambda: (_TGT_CONTROL / f"socket.{control}").exists() and _accepts(port), process, log)
        for arguments in (
            ["--op", "new", "--mode", "target", "--tid", "1", "-T", _TGT_NAME],
            ["--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", str(image)],
            *(
                ["--op", "update", "--mode", "target", "--tid", "1", "-n", key, "-v", value]
                for key, value in parameters
            ),
            ["--op", "bind", "--mode", "target", "--tid", "1", "-I", "127.0.0.1"],
        ):
            _configure([*admin, *arguments])
        yield Daemon(name="tgt", pid=process.pid, url=f"iscsi://127.0.0.1:{port}/{_TGT_NAME}/1")


@contextlib.contextmanager
def _stopped(command: Sequence[str], stdout: int, stderr: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _configure(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise DaemonError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")


def _wait_until(holds: Callable[[], bool], process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not holds():
        if process.poll() is not None or time.monotonic() > deadline:
            raise DaemonError(f"{process.args!r} did not start\n{log.read_text()}")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


def _free_control_port() -> int:
    return next(number for number in range(100, 32768) if not (_TGT_CONTROL / f"socket.{number}").exists())
