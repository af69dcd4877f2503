"""Somebody who types into the shell."""

import io

import pytest

from isthmus.cli.shell.main import Shell, run_lines
from tests.support.fake_daemon import FakeDaemon

__all__ = ["Typist"]


class Typist:
    """Types lines into a shell and reads what it says."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.daemon = FakeDaemon()
        self.shell = Shell(self.daemon)
        # All shells of a process share their preferences.
        for name, value in Shell.default_prefs.items():
            self.shell.prefs[name] = value
        self._capsys = capsys

    def types(self, text: str, *, status: int = 0) -> str:
        """Run the lines of `text`; gives what was said, on both streams."""
        self._capsys.readouterr()
        assert run_lines(self.shell, io.StringIO(text)) == status
        said = self._capsys.readouterr()
        return said.out + said.err

    def fails(self, line: str) -> str:
        """Run a line that must fail in one line and change nothing."""
        before = self.daemon.running
        said = self.types(line, status=1)
        assert self.daemon.running == before
        assert said.endswith("\n")
        assert said.count("\n") == 1, said
        return said
