"""Where the daemon and its clients meet: the run directory with the control socket."""

import os
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["CONTROL_SOCKET", "client_socket", "control_socket", "default_run_directory"]

CONTROL_SOCKET: Final = "control.sock"
_SYSTEM_DIRECTORY: Final = Path("/run/isthmus")


def default_run_directory() -> Path:
    """What ISTHMUS_RUN says; else where a service keeps its sockets (FHS §3.15), or a user (XDG_RUNTIME_DIR)."""
    if chosen := os.environ.get("ISTHMUS_RUN"):
        return Path(chosen)
    if os.geteuid() == 0:
        return _SYSTEM_DIRECTORY
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if Path(runtime).is_absolute():
        return Path(runtime) / "isthmus"
    return Path(tempfile.gettempdir()) / f"isthmus-{os.geteuid()}"


def control_socket(run_directory: Path | None = None) -> Path:
    """The control socket in `run_directory` (None: the default one)."""
    return (run_directory or default_run_directory()) / CONTROL_SOCKET


def client_socket() -> Path:
    """Where a client finds the daemon: in its own run directory, or else the system's daemon, if that is there."""
    own = control_socket()
    system = _SYSTEM_DIRECTORY / CONTROL_SOCKET
    if os.environ.get("ISTHMUS_RUN") or own.exists() or not system.exists():
        return own
    return system
