"""Start `isthmus daemon` as a service manager does, in a process and directories of its own."""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from isthmus.management.client import Client
from isthmus.management.places import control_socket
from isthmus.management.views import PortalView
from tests.support.patience import PATIENCE
from tests.support.server import ServerError, Url, lines_of

__all__ = ["Daemon", "StartDaemon", "free_port"]

_PORTS = (10_240, 32_768)
"""Below those that clients get (ip(7), ip_local_port_range)."""
_CHOICE = random.SystemRandom()


@dataclass(slots=True, kw_only=True)
class Daemon:
    """A running daemon."""

    process: subprocess.Popen[str]
    log: Path
    state: Path
    client: Client
    socket: Path = field(default_factory=Path)

    def kill(self) -> None:
        """SIGKILL, amid whatever it is doing."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def log_text(self) -> str:
        """All that it has logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def api_address(self) -> str:
        """ADDRESS:PORT of the interface on the network, from the log."""
        found = re.search(r'event="API opened" address=(\S+)', self.log_text())
        assert found is not None
        return found[1]

    def portal_of(self, target: str) -> PortalView:
        """The first portal of a target."""
        return next(view for view in self.client.portals() if view.target_name == target)

    def url(self, target: str, lun: int = 0) -> Url:
        """A LUN at the first portal of its target."""
        address, _, port = self.portal_of(target).bound.rpartition(":")
        return Url(address=address.strip("[]"), port=int(port), iqn=target, lun=lun)


StartDaemon = Callable[..., Daemon]
"""A fixture that starts daemons: `start(*arguments, directory=...)`."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now, and that the system gives to nobody who does not ask for it."""
    while True:
        port = _CHOICE.randrange(*_PORTS)
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def running_daemon(
    directory: Path, *arguments: str, cwd: Path | None = None, ready_seconds: float = PATIENCE
) -> Iterator[Daemon]:
    """A daemon with its state and its socket in `directory`, ended with the block. It works in `cwd`."""
    log = directory / f"daemon-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "isthmus", "daemon", "--portal", "127.0.0.1:0", *arguments]
    environment = {**os.environ, "ISTHMUS_STATE": str(directory / "state"), "ISTHMUS_RUN": str(directory / "run")}
    with (
        log.open("w", encoding="utf-8") as log_file,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log_file, text=True, env=environment, cwd=cwd
        ) as process,
    ):
        assert process.stdout is not None
        path = control_socket(directory / "run")
        daemon = Daemon(
            process=process, log=log, state=directory / "state", socket=path, client=Client(path, timeout=PATIENCE)
        )
        lines = lines_of(process.stdout)
        try:
            line = lines.get(timeout=ready_seconds)
            if line is None:
                lines.put(None)
                raise ServerError(f"the daemon ended with status {process.wait()}\n{daemon.log_text()}")
            yield daemon
        finally:
            process.kill()
            while lines.get() is not None:  # until its end: the pipe must not be closed under the reader
                pass
