"""What may be where the control socket is to be, and what it is when it is there."""

import grp
import os
import socket
import stat
from pathlib import Path

import pytest

from isthmus.errors import ConfigurationError
from isthmus.rest.unix_server import open_control_socket


def test_it_is_ready_for_the_loop(tmp_path: Path) -> None:
    """It listens, never blocks, and no child has it."""
    path = tmp_path / "control.sock"
    with open_control_socket(path) as sock, socket.socket(socket.AF_UNIX) as client:
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        client.connect(str(path))


def test_the_mode_of_later_files_is_the_operators(tmp_path: Path) -> None:
    """The narrow mask lasts no longer than the socket needs it, also if it cannot be made."""
    before = os.umask(0o022)
    try:
        open_control_socket(tmp_path / "control.sock").close()
        assert os.umask(0o022) == 0o022
        with pytest.raises(ConfigurationError):
            open_control_socket(tmp_path / ("a" * 120))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


@pytest.mark.parametrize("name", ["a" * 120, "taken"])
def test_a_place_that_cannot_be_used_is_named(tmp_path: Path, name: str) -> None:
    """A name too long for a socket, or that of a directory, which stays."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(ConfigurationError, match=f"{name} cannot be made: ."):
        open_control_socket(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_group_may_pass_the_directory_and_not_look_into_it(tmp_path: Path) -> None:
    """Only the socket is the group's."""
    gid = os.getegid()
    path = tmp_path / "run" / "control.sock"
    with open_control_socket(path, grp.getgrgid(gid).gr_name):
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o711
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o660, gid)


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """It is the operator's."""
    directory = tmp_path / "run"
    directory.mkdir(mode=0o750)
    directory.chmod(0o750)
    open_control_socket(directory / "control.sock").close()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o750


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A file is where it would be."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be made: Not a directory"):
        open_control_socket(tmp_path / "file" / "run" / "control.sock")


def test_a_file_in_the_sockets_place_stays(tmp_path: Path) -> None:
    """Only what a dead daemon has left is taken away."""
    path = tmp_path / "control.sock"
    path.write_text("somebody's notes")
    with pytest.raises(ConfigurationError, match="no socket is there"):
        open_control_socket(path)
    assert path.read_text() == "somebody's notes"


def test_another_users_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where anybody may make a directory, it must be ours or root's."""
    os.chown(tmp_path, os.geteuid() or 1, -1)
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        open_control_socket(tmp_path / "control.sock")
