"""What tells this machine from others."""

from pathlib import Path
from typing import Final

__all__ = ["machine_identity"]

_MACHINE_ID: Final = Path("/etc/machine-id")


def machine_identity() -> str:
    """What tells this machine from others of the same host name, where it has been given something (machine-id(5)).

    Two disks that look alike would be joined as paths to one by dm-multipath, and then ruined.
    """
    try:
        return _MACHINE_ID.read_text().strip()
    except OSError:
        return ""
