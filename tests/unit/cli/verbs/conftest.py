from collections.abc import Callable

import pytest

from isthmus.cli import main
from tests.support.fake_daemon import FakeDaemon

Run = Callable[..., str]


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    """The daemon that the verbs speak to."""
    found = FakeDaemon()
    monkeypatch.setattr("isthmus.management.client.Client", lambda **_: found)
    return found


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line to its end, with the status that it should have; gives what it says on both streams."""

    def run(line: str, *words: str, status: int = 0) -> str:
        capsys.readouterr()
        assert main.run([*line.split(), *words]) == status
        said = capsys.readouterr()
        return said.out + said.err

    return run
