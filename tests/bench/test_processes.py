"""Reading /proc."""

import os
from pathlib import Path

import pytest

from bench.processes import cpu_seconds, parse_cpu_ticks, parse_resident_bytes, resident_bytes


def test_cpu_ticks() -> None:
    """User and system time are found behind whatever the process calls itself."""
    fields = " ".join(str(number) for number in range(4, 53))
    assert parse_cpu_ticks(f"12 (a ) (b) S {fields}") == 14 + 15


def test_resident_bytes() -> None:
    """Resident memory comes in kB of 1024 bytes."""
    assert parse_resident_bytes("Name:\tx\nVmHWM:\t  200 kB\nVmRSS:\t     123 kB\n") == 123 * 1024


def test_ended_process() -> None:
    """A process that has ended has no memory to report."""
    with pytest.raises(ValueError, match="has ended"):
        parse_resident_bytes("Name:\tx\nState:\tZ (zombie)\n")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_own_process() -> None:
    """The figures of a living process are above nothing."""
    assert cpu_seconds(os.getpid()) > 0
    assert resident_bytes(os.getpid()) > 1024 * 1024
