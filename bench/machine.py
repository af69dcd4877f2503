"""Where and with what the figures were taken: without it they say nothing."""

import datetime as dt
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["circumstances"]


def circumstances() -> dict[str, str]:
    """Date, machine, load and versions, in the order of a report."""
    load = os.getloadavg()
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "revision": _output(["git", "describe", "--always", "--dirty"], "unknown"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "load before": f"{load[0]:.2f} {load[1]:.2f} {load[2]:.2f}",
        "python": platform.python_version(),
        "tgt": _package("tgt"),
        "libiscsi-bin": _package("libiscsi-bin"),
        "qemu-utils": _package("qemu-utils"),
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _package(name: str) -> str:
    return _output(["dpkg-query", "--show", "--showformat=${Version}", name], "not installed")


def _output(command: Sequence[str], otherwise: str) -> str:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parent)
    except FileNotFoundError:
        return otherwise
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else otherwise
