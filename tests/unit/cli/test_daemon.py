from pathlib import Path

import pytest

from isthmus.cli.main import run
from isthmus.daemon import run as daemon_run
from isthmus.daemon.run import DaemonOptions
from isthmus.server import logging
from isthmus.server.options import LogLevel, Portal


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[DaemonOptions]:
    """What a daemon would be started with."""
    options: list[DaemonOptions] = []

    def note(given: DaemonOptions) -> int:
        options.append(given)
        return 0

    monkeypatch.setattr(daemon_run, "run", note)
    monkeypatch.setattr(logging, "configure_logging", lambda _level: None)
    return options


def test_options_reach_the_daemon(started: list[DaemonOptions]) -> None:
    """Each under its name."""
    arguments = ["--state", "/s", "--run", "/r", "--portal", "127.0.0.1:3261", "--portal", "[::1]"]
    arguments += ["--advertise", "192.0.2.7:13260"]
    assert run(["daemon", *arguments, "--control-group", "disk", "--log-level", "debug"]) == 0
    assert started == [
        DaemonOptions(
            state_directory=Path("/s"),
            run_directory=Path("/r"),
            portals=(Portal("127.0.0.1", 3261), Portal("::1")),
            advertised=(Portal("192.0.2.7", 13260),),
            control_group="disk",
            log_level=LogLevel.DEBUG,
        )
    ]


def test_the_environment_names_the_directories(started: list[DaemonOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no option does."""
    monkeypatch.setenv("ISTHMUS_STATE", "/state")
    monkeypatch.setenv("ISTHMUS_RUN", "/run-here")
    assert run(["daemon"]) == 0
    assert (started[0].state_directory, started[0].run_directory) == (Path("/state"), Path("/run-here"))
    assert started[0].portals[0].is_wildcard


def test_a_wrong_portal_is_one_line(started: list[DaemonOptions], capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is started."""
    assert run(["daemon", "--portal", "nowhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not started


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (["--api-listen", "127.0.0.1:8443"], "add --api-certificate FILE and --api-key FILE"),
        (["--api-listen", "127.0.0.1:8443", "--api-certificate", "c"], "add --api-certificate FILE and --api-key FILE"),
        (["--api-listen", "127.0.0.1:8443", "--api-certificate", "c", "--api-key", "k"], "add --api-token-file FILE"),
        (["--api-token-file", "t"], "add --api-listen ADDR:PORT"),
    ],
)
def test_the_api_is_not_offered_by_halves(
    options: list[str], remedy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not without TLS, nor without a token."""
    assert run(["daemon", "--state", str(tmp_path / "s"), "--run", str(tmp_path / "r"), *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.endswith(f"{remedy}\n")
