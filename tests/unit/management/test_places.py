import os
from pathlib import Path

import pytest

from isthmus.management.places import client_socket, control_socket, default_run_directory


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any default."""
    monkeypatch.setenv("ISTHMUS_RUN", "/somewhere")
    assert control_socket() == Path("/somewhere/control.sock")


@pytest.mark.parametrize(
    ("uid", "runtime", "expected"),
    [
        (0, "/run/user/0", "/run/isthmus"),
        (1000, "/run/user/1000", "/run/user/1000/isthmus"),
        (1000, "relative", "/tmp/isthmus-1000"),
    ],
)
def test_the_default_is_the_systems_or_the_users(
    monkeypatch: pytest.MonkeyPatch, uid: int, runtime: str, expected: str
) -> None:
    """XDG_RUNTIME_DIR counts only if it is absolute, as its specification says."""
    monkeypatch.delenv("ISTHMUS_RUN", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")
    assert default_run_directory() == Path(expected)


@pytest.mark.parametrize(
    ("present", "chosen", "expected"),
    [
        (("own", "system"), "", "own"),
        (("system",), "", "system"),
        ((), "", "own"),
        (("system",), "somewhere", "somewhere"),
    ],
)
def test_a_client_finds_the_systems_daemon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, present: tuple[str, ...], chosen: str, expected: str
) -> None:
    """If the user has none, and has not said otherwise."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "own"))
    monkeypatch.setattr("isthmus.management.places._SYSTEM_DIRECTORY", tmp_path / "system" / "isthmus")
    monkeypatch.setenv("ISTHMUS_RUN", str(tmp_path / chosen / "isthmus") if chosen else "")
    for name in present:
        (tmp_path / name / "isthmus").mkdir(parents=True)
        (tmp_path / name / "isthmus" / "control.sock").touch()
    assert client_socket() == tmp_path / expected / "isthmus" / "control.sock"
