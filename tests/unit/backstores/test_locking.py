import errno
import fcntl
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from isthmus.backstores import locking
from isthmus.backstores.locking import lock
from isthmus.errors import ConfigurationError

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
{statement}
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file."""
    path = tmp_path / "disk.img"
    path.write_bytes(b"x" * 1000)
    return path


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """An open file of its own, whose lock ends with the block."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def another_process(path: Path, statement: str) -> Iterator[int]:
    """The process that has done `statement` to its `file`."""
    command = [sys.executable, "-c", HOLD.format(statement=statement), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process.pid
        process.stdin.close()


def test_a_second_writer_is_refused_and_told_who_is_first(path: Path) -> None:
    """The message has the process and the way out."""
    with another_process(path, "fcntl.flock(file, fcntl.LOCK_EX)") as process, opened(path) as descriptor:
        with pytest.raises(ConfigurationError) as caught:
            lock(descriptor, path, exclusive=True)
        assert f"in use by process {process}" in caught.value.problem
        assert "stop that process" in caught.value.remedy
    with opened(path) as descriptor:
        lock(descriptor, path, exclusive=True)


def test_readers_share(path: Path) -> None:
    """Two of them, and no writer beside them."""
    with opened(path) as first, opened(path) as second, opened(path) as writer:
        lock(first, path, exclusive=False)
        lock(second, path, exclusive=False)
        with pytest.raises(ConfigurationError, match=f"process {os.getpid()}"):
            lock(writer, path, exclusive=True)


def test_a_reader_beside_a_writer_is_refused(path: Path) -> None:
    """What changes under it is no disk."""
    with opened(path) as writer, opened(path) as reader:
        lock(writer, path, exclusive=True)
        with pytest.raises(ConfigurationError):
            lock(reader, path, exclusive=False)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("fcntl.lockf(file, fcntl.LOCK_SH, 1, 100)", True),
        (
            "import struct; fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack('@hhqqi0q', fcntl.F_RDLCK, 0, 100, 1, 0))",
            False,
        ),
    ],
    ids=["POSIX", "open file description"],
)
def test_locks_of_ranges_are_respected(path: Path, statement: str, named: bool) -> None:
    """QEMU locks single bytes of its images: a writer is refused, a reader gets along with readers."""
    with another_process(path, statement) as process, opened(path) as descriptor:
        with pytest.raises(ConfigurationError) as caught:
            lock(descriptor, path, exclusive=True)
        assert (str(process) in caught.value.problem) is named
        lock(descriptor, path, exclusive=False)


def test_a_file_system_without_locks_is_served_with_a_warning(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be all that there is; the administrator learns what is missing."""

    def unsupported(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with opened(path) as descriptor, caplog.at_level(logging.WARNING):
        lock(descriptor, path, exclusive=True)
    assert "nothing keeps a second writer away" in caplog.text


def test_another_error_is_not_hidden(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a missing lock is done without."""

    def broken(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with opened(path) as descriptor, pytest.raises(OSError, match="Input/output"):
        lock(descriptor, path, exclusive=True)


def test_a_holder_that_the_system_does_not_name_is_another_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc/locks the message is less precise, not wrong."""
    monkeypatch.setattr(locking, "_LOCKS", path.with_name("missing"))
    with opened(path) as first, opened(path) as second:
        lock(first, path, exclusive=True)
        with pytest.raises(ConfigurationError, match="in use by another process"):
            lock(second, path, exclusive=True)


def test_a_device_that_is_being_probed_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Udev holds its lock for a moment only."""
    attempts = []

    def busy_at_first(*arguments: object) -> None:
        attempts.append(arguments)
        if len(attempts) < 3:
            raise BlockingIOError(errno.EWOULDBLOCK, "busy")

    monkeypatch.setattr(fcntl, "flock", busy_at_first)
    monkeypatch.setattr("stat.S_ISBLK", lambda mode: True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with opened(path) as descriptor:
        lock(descriptor, path, exclusive=True)
    assert len(attempts) == 3
