import io
from pathlib import Path

import pytest

from isthmus.cli.initiator import parse_page
from isthmus.cli.main import run
from isthmus.errors import ConfigurationError

URL = "iscsi://127.0.0.1:1/iqn.2025-01.org.example:disk/0"
COMMANDS = ["discover", "ls", "inquiry", "read", "write", "bench"]


@pytest.mark.parametrize(("text", "page"), [("83", 0x83), ("0xb0", 0xB0), ("B0h", 0xB0), ("0", 0)])
def test_page_codes_are_hex(text: str, page: int) -> None:
    """With or without a mark."""
    assert parse_page(text) == page


@pytest.mark.parametrize("text", ["", "x", "100", "-1"])
def test_what_is_no_page_code(text: str) -> None:
    """It is refused with an example."""
    with pytest.raises(ConfigurationError, match="like 83"):
        parse_page(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help names the URL."""
    assert run(["initiator", command, "--help"]) == 0
    assert "URL" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_there_is_one_line_and_status_2(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Port 1 of the loopback is nobody's."""
    source = tmp_path / "source"
    source.write_bytes(b"x")
    files = [str(source)] if command in {"read", "write"} else []
    assert run(["initiator", command, URL, *files]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "127.0.0.1 port 1" in captured.err
    assert captured.out == ""
    assert source.read_bytes() == b"x"


@pytest.mark.parametrize("command", ["inquiry", "read", "write", "bench"])
def test_a_portal_is_no_lun(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The form of the URL that is needed is named."""
    files = ["/dev/null"] if command in {"read", "write"} else []
    assert run(["initiator", command, "iscsi://127.0.0.1:1", *files]) == 2
    assert "/TARGET/LUN" in capsys.readouterr().err


def test_a_source_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is noticed before anybody is called."""
    assert run(["initiator", "write", URL, str(tmp_path / "absent")]) == 2
    assert "absent cannot be opened: No such file" in capsys.readouterr().err


class Terminal(io.StringIO):
    """Standard input with somebody in front of it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("answer", ["\n", "n\n", ""])
def test_a_write_benchmark_asks_first(
    answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No is the default, and nobody is called."""
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert run(["initiator", "bench", URL, "--write"]) == 130
    assert "overwrites the LUN" in capsys.readouterr().err


def test_a_write_benchmark_in_a_script_needs_a_yes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can be asked, the option must say it."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run(["initiator", "bench", URL, "--write"]) == 2
    assert "--yes" in capsys.readouterr().err


def test_a_terminal_gets_no_raw_bytes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`read` to a terminal is refused."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run(["initiator", "read", URL]) == 2
    assert "terminal" in capsys.readouterr().err
