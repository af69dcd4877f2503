"""The files for systemd, judged by systemd's own programs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.cli.main import isthmus_command
from tests.support.clients import needs
from tests.support.patience import PATIENCE

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
GUIDE = Path(__file__).parents[2] / "docs" / "user-guide.md"
MAX_EXPOSURE = 1.5
"""Of 10; what is left is the network, block devices, and that clients may be other users."""


def settings(name: str) -> dict[str, list[str]]:
    """The settings of a unit file, each with its values."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def run(*command: str | Path) -> str:
    """Run one of systemd's programs; gives what it says on both streams."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@needs("systemd-analyze")
def test_the_service_is_exposed_as_little_as_the_guide_says() -> None:
    """By `systemd-analyze security`; the figure in the guide is the measured one."""
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", UNITS / "isthmus.service")
    measured = re.search(r"Overall exposure level for isthmus.service: ([\d.]+)", said)
    documented = re.search(r"`systemd-analyze security` gives it ([\d.]+)", GUIDE.read_text())
    assert measured
    assert documented
    assert float(measured[1]) <= MAX_EXPOSURE
    assert float(documented[1]) == MAX_EXPOSURE


@needs("systemd-analyze")
@pytest.mark.parametrize("name", ["isthmus.service", "isthmus.socket"])
def test_systemd_understands_every_line(tmp_path: Path, name: str) -> None:
    """With a program where the unit has /usr/bin/isthmus."""
    for unit in ("isthmus.service", "isthmus.socket"):
        text = (UNITS / unit).read_text().replace("/usr/bin/isthmus", sys.executable)
        (tmp_path / unit).write_text(text)
    assert run("systemd-analyze", "verify", "--man=no", tmp_path / name) == ""


def test_the_command_of_the_service_is_one() -> None:
    """With options that the daemon has."""
    [command] = settings("isthmus.service")["ExecStart"]
    path, verb, *options = command.split()
    daemon = isthmus_command.get_command(None, verb)  # type: ignore[arg-type]  # it asks nothing of the context
    assert path == "/usr/bin/isthmus"
    assert daemon is not None
    known = {option for parameter in daemon.params for option in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= known


def test_the_service_has_what_makes_it_safe() -> None:
    """A user of its own, no capability, a system that it cannot write to, devices and calls by list."""
    found = settings("isthmus.service")
    assert found["User"] == ["isthmus"]
    assert found["CapabilityBoundingSet"] == [""]
    assert found["ProtectSystem"] == ["strict"]
    assert found["DevicePolicy"] == ["closed"]
    assert all(re.fullmatch(r"(block-[a-z-]+|char-s[gt]) rw", value) for value in found["DeviceAllow"])
    assert found["SystemCallFilter"][0] == "@system-service"
    assert found["Type"] == ["notify"]
    assert "WatchdogSec" in found


@needs("systemd-sysusers")
def test_its_user_can_be_made() -> None:
    """As systemd-sysusers reads the file."""
    assert "isthmus" in run("systemd-sysusers", "--dry-run", UNITS / "isthmus.sysusers")


@needs("systemd-tmpfiles")
def test_its_directory_can_be_made(tmp_path: Path) -> None:
    """Closed to all others; the users of this test are numbers, as there is no user isthmus."""
    text = (UNITS / "isthmus.tmpfiles").read_text()
    (tmp_path / "isthmus.conf").write_text(
        text.replace("/var/lib", f"{tmp_path}/lib").replace(" isthmus isthmus ", " - - ")
    )
    (tmp_path / "lib").mkdir()
    run("systemd-tmpfiles", "--create", tmp_path / "isthmus.conf")
    assert (tmp_path / "lib" / "isthmus").stat().st_mode & 0o777 == 0o700
