import logging
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from isthmus.server.logging import configure_logging
from isthmus.server.options import LogLevel, Secret


@pytest.fixture(autouse=True)
def _restore_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # A logger of the program that is first used meanwhile, by a thread that another test has left, must not stay so.
    configure = structlog.configure
    monkeypatch.setattr(structlog, "configure", lambda **how: configure(**{**how, "cache_logger_on_first_use": False}))
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on standard error; nothing may stand on standard output, which is for `ready:`."""
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_an_event_is_one_line_of_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level and event come first, then what belongs to it; all on standard error."""
    configure_logging(LogLevel.INFO)
    structlog.get_logger().info(
        "session established", initiator="iqn.2026-01.org.example:host", tsih=7, discovery=False
    )
    (line,) = logged(capsys)
    pairs = dict(pair.split("=", 1) for pair in shlex.split(line))
    assert list(pairs) == ["timestamp", "level", "event", "initiator", "tsih", "discovery"]
    assert pairs["timestamp"].endswith("Z")
    assert pairs["event"] == "session established"
    assert pairs["tsih"] == "7"
    assert pairs["discovery"] == "false"


@pytest.mark.parametrize("level", list(LogLevel))
def test_levels(capsys: pytest.CaptureFixture[str], level: LogLevel) -> None:
    """Events below the level are left out, those at and above it are not."""
    configure_logging(level)
    for each in LogLevel:
        structlog.get_logger().log(getattr(logging, each.name), each.value)
    order = list(LogLevel)
    assert [line.split("event=")[1] for line in logged(capsys)] == [each.value for each in order[order.index(level) :]]


@pytest.mark.parametrize(
    "hostile", ["x\nlevel=error event=forged", "\x1b[2Jgone", "a\rb", "\u202egpj.exe", "\x00", "\ud800", "a\u2028b"]
)
def test_a_peer_cannot_forge_a_line(capsys: pytest.CaptureFixture[str], hostile: str) -> None:
    """Whatever a peer calls itself stays inside its value, on its line, and printable."""
    configure_logging(LogLevel.INFO)
    structlog.get_logger().warning("login refused", initiator=hostile, reason=hostile.encode("utf-8", "replace"))
    (line,) = logged(capsys)
    assert line.isprintable()
    assert line.isascii()


def test_a_secret_stays_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    """Also a secret that is logged by mistake is not in the log."""
    configure_logging(LogLevel.DEBUG)
    structlog.get_logger().info("oops", secret=Secret(b"correct horse"), nested={"secret": Secret(b"correct horse")})
    (line,) = logged(capsys)
    assert "horse" not in line


def test_an_exception_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback stays on the line of its event."""
    configure_logging(LogLevel.INFO)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        structlog.get_logger().exception("bug")
    (line,) = logged(capsys)
    assert "ValueError" in line


def test_libraries_log_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    """What the standard library's logging carries comes out as an event, from the same level on."""
    configure_logging(LogLevel.WARNING)
    logging.getLogger("asyncio").info("not this")
    logging.getLogger("asyncio").warning("slow %s\n", "callback")
    (line,) = logged(capsys)
    assert "level=warning" in line
    assert "slow callback" in line


def test_the_journal_gets_priorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where JOURNAL_STREAM says that standard error leads there, and only there (systemd.exec(5), sd-daemon(3))."""
    lines: dict[bool, list[str]] = {}
    for is_journal in (True, False):
        path = tmp_path / str(is_journal)
        with path.open("w", encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            monkeypatch.setattr(sys, "stderr", file)
            monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino if is_journal else 0}")
            configure_logging(LogLevel.DEBUG)
            for each in LogLevel:
                structlog.get_logger().log(getattr(logging, each.name), "it is said")
            logging.getLogger("uvicorn").error("said by a library")
        lines[is_journal] = path.read_text(encoding="utf-8").splitlines()
    assert [line[:3] for line in lines[True]] == ["<7>", "<6>", "<4>", "<3>", "<3>"]
    assert all("level=" in line and line.startswith("timestamp=") for line in lines[False])
