"""The guides for those who move here: every command in them, typed on a machine that has their file, and what it says."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.test_guides import daemon
from tests.support.namespace import Namespace, namespace, namespaces_missing

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = ["migration-scst.md", "migration-lio.md", "migration-tgt.md"]
MIB = 1 << 20
ANYTHING = "…"
SECONDS = 60
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(namespaces_missing()), reason=namespaces_missing())]

_FILE = re.compile(r"<!-- (/\S+) -->\n```\w+\n(.*?)```\n", re.DOTALL)
_CONSOLE = re.compile(r"```console\n(.*?)```\n", re.DOTALL)
_STATUS = re.compile(r"\(exit status (\d+)\)")


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a guide, and what it shows for it."""

    words: str
    output: tuple[str, ...]
    status: int


def commands(guide: str) -> list[Command]:
    """All of a guide, in its order."""
    found = []
    for block in _CONSOLE.findall((DOCS / guide).read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            words, *lines = part.rstrip("\n").split("\n")
            status = _STATUS.fullmatch(lines[-1]) if lines else None
            output = tuple(lines[:-1] if status else lines)
            found.append(Command(words, output, int(status[1]) if status else 0))
    return found


def agrees(shown: tuple[str, ...], said: str) -> bool:
    """Whether the output is what the guide shows; `…` alone stands for any lines, and in a line for the rest of it."""
    pattern = ""
    for line in shown:
        if line == ANYTHING:
            pattern += r"(?:.*\n)*?"
        else:
            pattern += re.escape(line).replace(re.escape(ANYTHING), ".*") + r"\n"
    return re.fullmatch(pattern, said) is not None


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Namespace]:
    """A machine with an /etc and a /srv of its own, on which no daemon runs yet."""
    environment = {name: str(tmp_path / name) for name in ("ISTHMUS_STATE", "ISTHMUS_RUN", "TARGETCLI_HOME")}
    environment["TGT_IPC_SOCKET"] = str(tmp_path / "tgtd")
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with namespace(tmp_path, environment) as made:
        upper, work = tmp_path / "etc-upper", tmp_path / "etc-work"
        upper.mkdir()
        work.mkdir()
        options = f"lowerdir=/etc,upperdir={upper},workdir={work}"
        made.run("mount", "-t", "overlay", "overlay", "-o", options, "/etc", check=True)
        made.run("mkdir", "-p", "/srv/iscsi", "/etc/target", "/etc/tgt", check=True)
        for name in ("db01", "images"):
            made.run("truncate", "-s", str(64 * MIB), f"/srv/iscsi/{name}.img", check=True)
        yield made


@pytest.mark.timeout(600)
@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_of_a_guide_does_what_it_shows(machine: Namespace, tmp_path: Path, guide: str) -> None:
    """In its order, on the file that it shows."""
    ((path, text),) = _FILE.findall((DOCS / guide).read_text())
    (tmp_path / "file").write_text(text)
    machine.run("cp", tmp_path / "file", path, check=True)
    typed = commands(guide)
    assert len(typed) > 3
    with daemon(machine, tmp_path / "daemon.log", "--tgt-socket", machine.environment["TGT_IPC_SOCKET"]):
        for command in typed:
            ran = subprocess.run(
                machine.command(*shlex.split(command.words)),
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SECONDS,
                env=machine.environment,
            )
            assert ran.returncode == command.status, f"{command.words}\n{ran.stdout}"
            assert agrees(command.output, ran.stdout), f"{command.words}\n{ran.stdout}"


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_has_no_other_commands(guide: str) -> None:
    """What is to be typed stands in blocks of a kind that the test above finds."""
    kinds = set(re.findall(r"^```(\w+)", (DOCS / guide).read_text(), re.MULTILINE))
    assert kinds <= {"console", "text", "json"}
