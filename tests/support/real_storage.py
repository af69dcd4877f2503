"""Storage that really fails or really is a device: small file systems and loop devices, where this machine can make them.

Each helper skips the test, with the reason, where it cannot.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

__all__ = ["ext4", "loop_device", "mounted", "tmpfs"]


@contextlib.contextmanager
def tmpfs(directory: Path, size: int, *, options: str = "mode=0755") -> Iterator[Path]:
    """A file system in memory that has room for `size` bytes."""
    mountpoint = directory / "tmpfs"
    mountpoint.mkdir()
    with _mounted("none", mountpoint, "-t", "tmpfs", "-o", f"size={size},{options}"):
        yield mountpoint


@contextlib.contextmanager
def ext4(device: Path, directory: Path, *, journal: bool = False) -> Iterator[Path]:
    """An ext4 file system on `device`, without a reserve for root; without a journal it has nothing to abort."""
    options = [] if journal else ["-O", "^has_journal"]
    _run(["mkfs.ext4", "-q", "-m", "0", *options, "-E", "lazy_itable_init=0", str(device)])
    with mounted(device, directory / "ext4") as mountpoint:
        yield mountpoint


@contextlib.contextmanager
def mounted(device: Path, mountpoint: Path) -> Iterator[Path]:
    """The file system on `device`, at `mountpoint`, which is made if it is not there."""
    mountpoint.mkdir(exist_ok=True)
    with _mounted(str(device), mountpoint):
        yield mountpoint


@contextlib.contextmanager
def loop_device(file: Path, *, sector_length: int = 512) -> Iterator[Path]:
    """A block device whose sectors are the bytes of `file`."""
    _need_root("making a loop device")
    device = Path(_run(["losetup", "--find", "--show", "--sector-size", str(sector_length), str(file)]).strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", str(device)], check=True)


@contextlib.contextmanager
def _mounted(source: str, mountpoint: Path, *options: str) -> Iterator[None]:
    _need_root("mounting a file system")
    _run(["mount", *options, source, str(mountpoint)])
    try:
        yield
    finally:
        subprocess.run(["umount", str(mountpoint)], check=True)


def _need_root(what: str) -> None:
    if os.geteuid() != 0:
        pytest.skip(f"{what} takes root")


def _run(command: Sequence[str]) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]} on this machine")
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{' '.join(command)} failed: {error.stderr.strip()}")
