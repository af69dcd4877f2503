"""The load: `iscsi-perf` for reads (it reads only) and `qemu-img bench` for writes, and what they print."""

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.daemons import Daemon
from bench.processes import cpu_seconds

__all__ = ["ClientError", "Load", "Measurement", "Reads", "Writes", "parse_iops", "parse_run_seconds"]

_BLOCK_BYTES = 512
_SPARE_SECONDS = 60.0


class ClientError(Exception):
    """A client failed, or printed something else than its result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One run: I/Os a second, and the daemon's processor time for each I/O in microseconds."""

    iops: float
    cpu_microseconds: float


class Load(Protocol):
    """Something that can be run against a daemon; `title` is its row in the report."""

    @property
    def title(self) -> str: ...
    @property
    def io_bytes(self) -> int: ...
    def run(self, daemon: Daemon) -> Measurement: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """READ(16) for some seconds, so many outstanding, at random or in sequence."""

    title: str
    io_bytes: int
    outstanding: int
    random: bool
    seconds: int

    def run(self, daemon: Daemon) -> Measurement:
        """One run of iscsi-perf. It does not say how many I/Os it did, but how many a second."""
        command = ["iscsi-perf", "-m", str(self.outstanding), "-b", str(self.io_bytes // _BLOCK_BYTES)]
        command += ["-t", str(self.seconds), *(["-r"] if self.random else []), daemon.url]
        output, elapsed, cpu = _timed(command, daemon, self.seconds)
        iops = parse_iops(output)
        return Measurement(iops=iops, cpu_microseconds=1e6 * cpu / (iops * elapsed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """WRITE in sequence, so many outstanding: as many as tgt does in about `seconds` on the reference machine."""

    title: str
    io_bytes: int
    outstanding: int
    count: int

    def run(self, daemon: Daemon) -> Measurement:
        """One run of qemu-img bench, and a flush at its end."""
        command = ["qemu-img", "bench", "-w", "-f", "raw", "-c", str(self.count), "-d", str(self.outstanding)]
        command += ["-s", str(self.io_bytes), daemon.url]
        output, _, cpu = _timed(command, daemon, 0.0)
        return Measurement(iops=self.count / parse_run_seconds(output), cpu_microseconds=1e6 * cpu / self.count)


def _timed(command: Sequence[str], daemon: Daemon, seconds: float) -> tuple[str, float, float]:
    cpu, start = cpu_seconds(daemon.pid), time.monotonic()
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds + _SPARE_SECONDS)
    elapsed = time.monotonic() - start
    if done.returncode != 0:
        raise ClientError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout, elapsed, cpu_seconds(daemon.pid) - cpu


def parse_iops(output: str) -> float:
    """I/Os a second in iscsi-perf's last line; those before are its progress, on the same line for a terminal."""
    found = re.findall(r"^iops average (\d+) \(", output.replace("\r", "\n"), re.MULTILINE)
    if not found or int(found[-1]) == 0:
        raise ClientError(f"iscsi-perf printed no result: {output[-300:]!r}")
    return float(found[-1])


def parse_run_seconds(output: str) -> float:
    """How long qemu-img bench ran."""
    found = re.search(r"^Run completed in ([0-9.]+) seconds\.$", output, re.MULTILINE)
    if found is None:
        raise ClientError(f"qemu-img bench printed no result: {output[-300:]!r}")
    return float(found[1])
