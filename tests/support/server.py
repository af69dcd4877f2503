"""Start `isthmus serve` as a user does, in a process of its own, and stop it within a bound."""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.support.patience import PATIENCE

__all__ = ["Serve", "Server", "ServerError", "Url", "lines_of", "running_server"]


_READY = re.compile(
    r"^ready: (?P<url>iscsi://(?P<address>\[[^]]+\]|[^:/]+):(?P<port>\d+)/(?P<iqn>[^/]+)/(?P<lun>\d+))\s*$"
)


class ServerError(Exception):
    """The server did not start, did not stop, or said something that was not expected of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """One logical unit, as the server announces it: iscsi://ADDRESS:PORT/IQN/LUN."""

    address: str
    port: int
    iqn: str
    lun: int

    @classmethod
    def parse(cls, line: str) -> "Url | None":
        """The URL of a `ready:` line; None if the line is another."""
        found = _READY.match(line)
        if found is None:
            return None
        return cls(
            address=found["address"].strip("[]"), port=int(found["port"]), iqn=found["iqn"], lun=int(found["lun"])
        )

    @property
    def host(self) -> str:
        """The address as a URL writes it: IPv6 in brackets."""
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def portal(self) -> str:
        """iscsi://ADDRESS:PORT, what discovery is pointed at."""
        return f"iscsi://{self.host}:{self.port}"

    def __str__(self) -> str:
        return self.render()

    def render(self, *, credentials: str = "", options: str = "") -> str:
        """The URL with libiscsi's `user%secret` before the host and its `?key=value` at the end."""
        prefix = f"{credentials}@" if credentials else ""
        suffix = f"?{options}" if options else ""
        return f"iscsi://{prefix}{self.host}:{self.port}/{self.iqn}/{self.lun}{suffix}"


def lines_of(stream: IO[str]) -> "queue.Queue[str | None]":
    """The lines of a stream as they come, read on a thread so that waiting for one can end; None is the end."""
    lines: queue.Queue[str | None] = queue.Queue()

    def pump() -> None:
        for line in stream:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    threading.Thread(target=pump, daemon=True).start()
    return lines


@dataclass(slots=True, kw_only=True)
class Server:
    """A running server: its process, what it has announced, and where its log goes."""

    process: subprocess.Popen[str]
    log: Path
    urls: list[Url] = field(default_factory=list)
    was_killed: bool = False
    """Killed on purpose: how it ended says nothing."""

    @property
    def url(self) -> Url:
        """The first logical unit at the first portal."""
        return self.urls[0]

    @property
    def pid(self) -> int:
        """The process, for /proc."""
        return self.process.pid

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the process now, in bytes (proc(5), VmRSS)."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise ServerError(f"process {self.pid} has no resident memory: it has ended")
        return int(found[1]) * 1024

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    def log_text(self) -> str:
        """All that the server has written to standard error."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """SIGKILL, amid whatever it is doing."""
        self.was_killed = True
        self.process.kill()
        self.process.wait()

    def terminate(self, seconds: float = PATIENCE) -> int:
        """SIGTERM, and the exit status; killed and reported as an error if it has not ended after `seconds`."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise ServerError(f"the server had not stopped {seconds} s after SIGTERM\n{self.log_text()}") from None


Serve = Callable[..., Server]
"""A fixture that starts servers: `serve(*arguments, ready_lines=1)`."""


def _await_ready(server: Server, lines: "queue.Queue[str | None]", expected: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(server.urls) < expected:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise ServerError(
                f"{len(server.urls)} of {expected} ready lines after {PATIENCE} s\n{server.log_text()}"
            ) from None
        if line is None:
            lines.put(None)
            raise ServerError(f"the server ended with status {server.process.wait()}\n{server.log_text()}")
        url = Url.parse(line)
        if url is not None:
            server.urls.append(url)


@contextlib.contextmanager
def running_server(arguments: Sequence[str | Path], directory: Path, *, ready_lines: int = 1) -> Iterator[Server]:
    """Serve with these arguments of `isthmus serve` until the block ends; ends with SIGTERM and checks exit status 0.

    `directory` gets the server's log and its state. `ready_lines` is how many logical units to wait for.
    """
    log = directory / f"server-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "isthmus", "serve", *map(str, arguments)]
    environment = {"ISTHMUS_STATE": str(directory / "state"), **os.environ}
    with (
        log.open("w", encoding="utf-8") as log_file,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log_file, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        server = Server(process=process, log=log)
        lines = lines_of(process.stdout)
        try:
            _await_ready(server, lines, ready_lines)
            yield server
            _stop(server)
        finally:
            process.kill()
            while lines.get() is not None:  # until its end: the pipe must not be closed under the reader
                pass


def _stop(server: Server) -> None:
    if server.was_killed:
        return
    was_running = server.is_running
    status = server.terminate()
    if not was_running or status != 0:
        raise ServerError(f"the server ended with status {status}\n{server.log_text()}")
