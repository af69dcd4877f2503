"""What tells this machine from others."""

import socket
import uuid
from pathlib import Path
from typing import Final

from isthmus.config.model import BackstoreKey

__all__ = ["machine_identity", "machine_serial"]

_SERIALS: Final = uuid.UUID("7c2b0b0e-0f0a-5a0c-9d3e-2f6f5c1d9a41")
"""The namespace of serial numbers that follow from names (RFC 9562 §5.5)."""

_MACHINE_ID: Final = Path("/etc/machine-id")


def machine_identity() -> str:
    """What tells this machine from others of the same host name, where it has been given something (machine-id(5)).

    Two disks that look alike would be joined as paths to one by dm-multipath, and then ruined.
    """
    try:
        return _MACHINE_ID.read_text().strip()
    except OSError:
        return ""


def machine_serial(key: BackstoreKey) -> str:
    """The serial number of a new backstore: always the same on one machine, and another on every other."""
    return str(uuid.uuid5(_SERIALS, f"{machine_identity()} {socket.gethostname()} {key}"))
