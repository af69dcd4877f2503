"""Storage that really fails or really is a device: small file systems and loop devices, where this machine can make them.

Each helper skips the test, with the reason, where it cannot.
"""

import contextlib
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["StorageError", "ext4", "loop_device", "mounted", "tmpfs"]


class StorageError(Exception):
    """A tool that makes storage has failed."""


@contextlib.contextmanager
def tmpfs(directory: Path, size: int, *, options: str = "mode=0755") -> Iterator[Path]:
    """A file system in memory that has room for `size` bytes."""
    mountpoint = directory / "tmpfs"
    mountpoint.mkdir()
    with _mounted("none", mountpoint, "-t", "tmpfs", "-o", f"size={size},{options}"):
        yield mountpoint


@contextlib.contextmanager
def ext4(device: Path, directory: Path, *, journal: bool = False) -> Iterator[Path]:
    """An ext4 file system on `device`, without a reserve for root.

    Without a journal it has nothing to abort; with one, it commits only when somebody asks for it.
    """
    _need("mkfs.ext4")
    features = [] if journal else ["-O", "^has_journal"]
    _run("mkfs.ext4", "-q", "-m", "0", *features, "-E", "lazy_itable_init=0", str(device))
    with mounted(device, directory / "ext4", *(["-o", "commit=600"] if journal else [])) as mountpoint:
        yield mountpoint


@contextlib.contextmanager
def mounted(device: Path, mountpoint: Path, *options: str) -> Iterator[Path]:
    """The file system on `device`, at `mountpoint`, which is made if it is not there."""
    mountpoint.mkdir(exist_ok=True)
    with _mounted(str(device), mountpoint, *options):
        yield mountpoint


@contextlib.contextmanager
def loop_device(file: Path, *, sector_length: int = 512) -> Iterator[Path]:
    """A block device whose sectors are the bytes of `file`."""
    _need("losetup")
    if reason := _why_no_loop_devices():
        pytest.skip(reason)
    device = Path(_run("losetup", "--find", "--show", "--sector-size", str(sector_length), str(file)).strip())
    try:
        yield device
    finally:
        _run("losetup", "--detach", str(device))


@contextlib.contextmanager
def _mounted(source: str, mountpoint: Path, *options: str) -> Iterator[None]:
    _need("mount")
    if reason := _why_no_mounts():
        pytest.skip(reason)
    _run("mount", *options, source, str(mountpoint))
    try:
        yield
    finally:
        _run("umount", str(mountpoint))


# Whether this machine lets us is asked once, with the least that can be asked for. After that a failure is a failure.


@functools.cache
def _why_no_mounts() -> str | None:
    with tempfile.TemporaryDirectory() as mountpoint:
        try:
            _run("mount", "-t", "tmpfs", "none", mountpoint)
        except StorageError as error:
            return str(error)
        _run("umount", mountpoint)
    return None


@functools.cache
def _why_no_loop_devices() -> str | None:
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(1 << 20)
        try:
            device = _run("losetup", "--find", "--show", file.name).strip()
        except StorageError as error:
            return str(error)
        _run("losetup", "--detach", device)
    return None


def _need(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"there is no {tool} on this machine")


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise StorageError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
