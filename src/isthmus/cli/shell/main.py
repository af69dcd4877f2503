"""The shell's three ways in: one command on the command line, commands on standard input, or a person."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from configshell_fb import ConfigShell, Console, ExecutionError
from pyparsing import ParseException

from isthmus.cli.shell.editing import Daemon, Editor
from isthmus.cli.shell.node import PREFERENCES
from isthmus.cli.shell.root import RootNode
from isthmus.errors import IsthmusError

__all__ = ["Shell", "run"]

_PREFERENCES_DIRECTORY: Final = "~/.isthmus"
_FAILED: Final = 1


class Shell(ConfigShell):
    """A ConfigShell on one daemon.

    It keeps preferences, but neither a history nor a log: both would hold the secrets that are typed.
    """

    default_prefs = {  # noqa: RUF012  the name and kind that the library wants
        **ConfigShell.default_prefs,
        **{name: default for name, (_, default, _) in PREFERENCES.items()},
        "loglevel_console": "info",
        "loglevel_file": "critical",
    }

    _current_node: Any
    _exit: bool

    def __init__(self, daemon: Daemon, preferences_directory: Path | None = None) -> None:
        super().__init__(None if preferences_directory is None else str(preferences_directory))
        self._save_history = False
        self._quiet_debug()
        self.prefs["logfile"] = None
        self.prefs["color_mode"] = sys.stdout.isatty()
        self.editor = Editor(daemon, self._configuration_changed)
        self._root = RootNode(self)

    def _configuration_changed(self) -> None:
        """Show the new tree, from the same place or the nearest that is left of it."""
        path = self._current_node.path
        self._root.forget_children()
        while True:
            try:
                self._current_node = self._root.get_node(path)
                return
            except ValueError:
                path = path.rpartition("/")[0] or "/"

    def _quiet_debug(self) -> None:
        """The library finds out, many times for each command, who calls its `debug`: only if somebody wants to know."""
        log, debug = self.log, type(self.log).debug

        def debug_if_wanted(message: str) -> None:
            if self.prefs["loglevel_console"] == "debug":
                debug(log, message)

        log.debug = debug_if_wanted

    def run_cmdline(self, cmdline: str) -> None:
        """Run a line. The library leaves out what it does not understand, or has twice; here that is an error."""
        try:
            parsed = self._parser.parse_string(cmdline, parse_all=True)
        except ParseException as error:
            raise ExecutionError(f"cannot be understood from column {error.column} on") from None
        names = [parameter.value[0] for parameter in parsed.kparams or ()]
        for name in names:
            if names.count(name) > 1:
                raise ExecutionError(f"Duplicate parameter {name}.")
        self.editor.forget_what_runs()
        super().run_cmdline(cmdline)

    def run_line(self, line: str) -> None:
        """Run one line; comments do nothing. Raises `ExecutionError` or `IsthmusError`."""
        text = line.strip()
        if not text or text.startswith("#"):
            return
        Console(sys.stdin, sys.stdout, sys.stderr)  # All consoles share their streams: those of now, not of the import.
        self.run_cmdline(text)

    @property
    def left(self) -> bool:
        """Whether `exit` was given."""
        return bool(self._exit)

    def converse(self) -> None:
        """Talk with a person until `exit`; what goes wrong is said, and the talk goes on."""
        while not self._exit:
            try:
                self.run_interactive()
            except (ExecutionError, IsthmusError) as error:
                self.log.error(str(error))  # noqa: TRY400  a line for the operator, not a traceback


def run(daemon: Daemon, words: Sequence[str]) -> int:
    """Run `words` as one command, or else what comes on standard input; gives the exit status."""
    shell = Shell(daemon, _preferences_directory())
    if words:
        return run_lines(shell, [" ".join(words)])
    if not sys.stdin.isatty():
        return run_lines(shell, sys.stdin)
    shell.con.display("isthmus shell. For help on commands, type 'help'.\n")
    shell.converse()
    return 0


def run_lines(shell: Shell, lines: Iterable[str]) -> int:
    """Run each line up to the first that fails, which is said in one line on standard error."""
    for line in lines:
        try:
            shell.run_line(line)
        except (ExecutionError, IsthmusError) as error:
            sys.stderr.write(f"{' '.join(str(error).split())}\n")
            return _FAILED
        if shell.left:
            break
    return 0


def _preferences_directory() -> Path | None:
    """Where `set global` is kept; None (nowhere) if that cannot be had."""
    directory = Path(os.environ.get("TARGETCLI_HOME", _PREFERENCES_DIRECTORY)).expanduser()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return directory
