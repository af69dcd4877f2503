"""What keeps a daemon from starting; what it does then is in tests/interop/test_daemon.py."""

from pathlib import Path

import pytest

from isthmus.config.store import ConfigurationStore
from isthmus.daemon import run as module
from isthmus.daemon.run import DaemonOptions, run
from isthmus.errors import ConfigurationError
from isthmus.rest.unix_server import open_control_socket


def options(directory: Path) -> DaemonOptions:
    """Everything in one directory."""
    return DaemonOptions(state_directory=directory / "state", run_directory=directory / "run")


def test_a_state_directory_is_one_daemons(tmp_path: Path) -> None:
    """While that runs, and no longer."""
    with module._lock(tmp_path), pytest.raises(ConfigurationError, match="another daemon uses"):
        module._lock(tmp_path)
    with module._lock(tmp_path):
        pass


def test_a_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """The remedy is named."""
    (tmp_path / "state").write_text("a file")
    with pytest.raises(ConfigurationError, match="--state"):
        run(options(tmp_path))


def test_a_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    """It is not written over: the operator decides."""
    (tmp_path / "state").mkdir()
    saved = tmp_path / "state" / "saveconfig.json"
    saved.write_text("{")
    with pytest.raises(ConfigurationError, match="no saved configuration can be used"):
        run(options(tmp_path))
    assert saved.read_text() == "{"
    assert ConfigurationStore(tmp_path / "state").backups() == []


def test_a_control_socket_that_another_daemon_has(tmp_path: Path) -> None:
    """It goes on answering there."""
    path = tmp_path / "run" / "control.sock"
    with open_control_socket(path):
        with pytest.raises(ConfigurationError, match="a daemon answers"):
            run(options(tmp_path))
        assert path.exists()
