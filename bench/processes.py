"""What /proc says of a running daemon: processor time and memory (proc(5))."""

import os
import re
from pathlib import Path

__all__ = ["cpu_seconds", "parse_cpu_ticks", "parse_resident_bytes", "resident_bytes"]


def cpu_seconds(pid: int) -> float:
    """User and system time of the whole process so far, all its threads, in seconds."""
    return parse_cpu_ticks(Path(f"/proc/{pid}/stat").read_text(encoding="ascii")) / os.sysconf("SC_CLK_TCK")


def parse_cpu_ticks(stat: str) -> int:
    """The ticks of utime + stime (fields 14 and 15) of a /proc/PID/stat line; the name in field 2 may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident_bytes(pid: int) -> int:
    """Resident memory of the process now, in bytes."""
    return parse_resident_bytes(Path(f"/proc/{pid}/status").read_text(encoding="ascii"))


def parse_resident_bytes(status: str) -> int:
    """VmRSS of /proc/PID/status, in bytes."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise ValueError("the process has no resident memory: it has ended")
    return int(found[1]) * 1024
