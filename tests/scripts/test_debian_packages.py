import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from scripts import debian_packages
from scripts.debian_packages import Need, from_deb822, from_one_line, install_qemu_system, is_present, same_candidate

STANZAS = """\
# the archive
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/example.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.fixture(autouse=True)
def _bookworm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian_packages, "codename", lambda: "bookworm")


def test_the_mirror_of_a_deb822_source() -> None:
    """The stanza of the release gives mirror and key; its suites and components are replaced."""
    assert from_deb822(STANZAS, "bookworm-backports") == (
        "Types: deb\n"
        "Uris: http://mirror.example/debian\n"
        "Suites: bookworm-backports\n"
        "Components: main\n"
        "Signed-By: /usr/share/keyrings/example.gpg\n"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Suites: bookworm ", "Suites: trixie "),
        ("Types: deb deb-src", "Types: deb-src"),
        ("Components: main contrib", "Components: contrib"),
        ("Types: deb deb-src", "Enabled: no\nTypes: deb"),
    ],
)
def test_other_deb822_sources_are_passed_over(old: str, new: str) -> None:
    """Another release, sources alone, another component or a source that is off gives no mirror."""
    assert from_deb822(STANZAS.replace(old, new), "bookworm-backports") is None


def test_a_key_inside_the_stanza_is_kept() -> None:
    """A key that stands in the stanza itself, over several lines, stays whole."""
    key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY8"
    source = from_deb822(STANZAS.replace("Signed-By: /usr/share/keyrings/example.gpg", key), "bookworm-backports")
    assert source is not None
    assert "\n .\n mDMEY8\n" in source


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("deb http://m.example/debian bookworm main", "deb http://m.example/debian bookworm-backports main\n"),
        (
            "deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian/ bookworm contrib main",
            "deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian/ bookworm-backports main\n",
        ),
        ("# deb http://m.example/debian bookworm main", None),
        ("deb-src http://m.example/debian bookworm main", None),
        ("deb http://m.example/debian bookworm-updates main", None),
        ("deb http://m.example/tool bookworm stable", None),
    ],
)
def test_the_mirror_of_a_one_line_source(line: str, source: str | None) -> None:
    """The line of the release gives options and mirror; others are passed over."""
    assert from_one_line(f"# sources\n{line}\n", "bookworm-backports") == source


def madison(directory: Path, offers: dict[str, list[str]]) -> None:
    """An `apt-cache` in `directory` that offers these versions, the newest first."""
    rows = "\n".join(f"{package}) printf '%s' '{madison_rows(package, offers[package])}' ;;" for package in offers)
    command = directory / "apt-cache"
    command.write_text(f'#!/bin/sh\ncase "$2" in\n{rows}\nesac\n')
    command.chmod(0o755)


def madison_rows(package: str, versions: list[str]) -> str:
    """What `apt-cache madison` prints for a package."""
    return "\n".join(
        f" {package} | {version} | http://mirror.example bookworm/main amd64 Packages" for version in versions
    )


@pytest.mark.parametrize(
    ("modules", "chosen"),
    [(["2", "1"], ["qemu=2", "modules=2"]), (["1"], ["qemu=1", "modules=1"]), (["3"], ["qemu", "modules"])],
)
def test_two_packages_at_one_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: list[str], chosen: list[str]
) -> None:
    """The newest version that both have is chosen; without one apt decides."""
    madison(tmp_path, {"qemu": ["2", "1"], "modules": modules})
    monkeypatch.setattr(debian_packages, "APT_ENVIRONMENT", {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert same_candidate("qemu", "modules") == chosen


def test_a_command_shows_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package counts as present when its command is."""
    need = Need(package="tool", command="isthmus-test-tool", without="nothing")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not is_present(need)
    (tmp_path / "isthmus-test-tool").write_text("#!/bin/sh\n")
    (tmp_path / "isthmus-test-tool").chmod(0o755)
    assert is_present(need)


@pytest.mark.parametrize(
    ("version", "installs"), [("1:10.0+ds-2~bpo12+1", True), ("1:7.2+dfsg-7+deb12u18", False), ("", False)]
)
def test_the_emulator_comes_from_where_qemu_utils_came_from(
    monkeypatch: pytest.MonkeyPatch, version: str, installs: bool
) -> None:
    """Beside a qemu-utils out of backports the emulator is taken from there; elsewhere plain apt has had its chance."""
    commands: list[list[str]] = []

    def recorded(command: Sequence[str], *options: str) -> bool:
        commands.append([*command, *options])
        return True

    @contextlib.contextmanager
    def suite() -> Iterator[tuple[list[str], str]]:
        yield ["-o", "lists"], "bookworm-backports"

    monkeypatch.setattr(debian_packages, "installed_version", lambda _package: version)
    monkeypatch.setattr(debian_packages, "backports", suite)
    monkeypatch.setattr(debian_packages, "apt", recorded)
    install_qemu_system()
    wanted = ["-t", "bookworm-backports", "qemu-system-x86", "-o", "lists"]
    assert [command[-5:] for command in commands if "install" in command] == ([wanted] if installs else [])
