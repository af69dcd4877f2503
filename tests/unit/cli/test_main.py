import subprocess
import sys

import click
import pytest

import isthmus
from isthmus.cli import main
from isthmus.errors import BackstoreError, ConfigurationError


def command_that(error: BaseException | None = None, result: object = None) -> click.Command:
    """A subcommand that raises `error` or gives `result`."""

    def callback() -> object:
        if error:
            raise error
        return result

    return click.Command("it", callback=callback)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ConfigurationError("the port is taken", "choose another one"), 2, "the port is taken: choose another one"),
        (ConfigurationError("two\nlines"), 2, "two lines"),
        (BackstoreError(5, "the disk is on fire"), 1, "the disk is on fire"),
        (click.UsageError("no such thing"), 2, "no such thing"),
        (click.ClickException("it failed"), 1, "it failed"),
    ],
)
def test_an_error_is_one_line_and_a_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, status: int, line: str
) -> None:
    """What the operator got wrong gives 2, what failed gives 1, and either says so in one line on standard error."""
    monkeypatch.setattr(main, "version", command_that(error))
    assert main.run(["version"]) == status
    assert capsys.readouterr() == ("", f"isthmus: {line}\n")


@pytest.mark.parametrize(("result", "status"), [(None, 0), (0, 0), (3, 3)])
def test_a_commands_result_is_the_status(monkeypatch: pytest.MonkeyPatch, result: object, status: int) -> None:
    """A subcommand that gives a number ends the program with it."""
    monkeypatch.setattr(main, "version", command_that(result=result))
    assert main.run(["version"]) == status


def test_an_interrupt_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command with the status that shells expect."""
    monkeypatch.setattr(main, "version", command_that(KeyboardInterrupt()))
    assert main.run(["version"]) == 130


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody raises on purpose keeps its traceback."""
    monkeypatch.setattr(main, "version", command_that(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main.run(["version"])


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_the_version(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Both spellings print the package's version."""
    assert main.run(arguments) == 0
    assert capsys.readouterr().out == f"isthmus {isthmus.__version__}\n"


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """The help names every subcommand with what it does."""
    assert main.run(["--help"]) == 0
    out = capsys.readouterr().out
    assert "serve" in out
    assert "initiator" in out


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the help goes to standard error, as nothing was done."""
    assert main.run([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage: isthmus" in err


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A word that is no command gives one line and status 2."""
    assert main.run(["exports"]) == 2
    assert capsys.readouterr().err == "isthmus: No such command 'exports'.\n"


def test_a_command_loads_only_what_it_needs() -> None:
    """An idle server does not carry the initiator, and printing the version loads neither."""
    loaded = (
        "import sys; from isthmus.cli.main import run; run(['version']);"
        "print([name for name in sys.modules if name.startswith(('isthmus.server', 'isthmus.initiator', 'asyncio'))])"
    )
    result = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[1] == "[]"


def test_the_module_runs() -> None:
    """`python -m isthmus` is the command."""
    result = subprocess.run([sys.executable, "-m", "isthmus", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == f"isthmus {isthmus.__version__}\n"


def test_under_the_name_of_the_daemon_it_is_the_daemon(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As init scripts and the manual call it."""
    monkeypatch.setattr("sys.argv", ["/usr/bin/isthmusd", "--help"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 0
    assert "Usage: isthmus daemon" in capsys.readouterr().out
