"""The container as its users get it: the project's Dockerfile and compose.yaml, on a base that is made here.

No registry is asked: the base is Debian's smallest system, made by debootstrap from the mirror that the machine's own apt
names, and Python's packages come as wheels that the machine's own pip has downloaded, checked by the lock files' hashes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interop.vm.image.build import codename, mirror
from tests.support.build_cache import WHEELS, cache_directory

__all__ = ["BASE", "Composition", "composition", "docker", "why_no_containers"]

ROOT = Path(__file__).resolve().parents[3]
BASE = "isthmus-test/debian"
BUILD_SECONDS = 900
STEP_SECONDS = 120
CONTEXT = (
    "Dockerfile",
    ".dockerignore",
    "compose.yaml",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "requirements",
    "src",
)
LOCKS = ("runtime", "build")
COMPOSE_COMMANDS = (("docker-compose",), ("docker", "compose"))


def run(*command: str, seconds: float = STEP_SECONDS, **options: Any) -> str:
    """Standard output; an assertion fails with all that was said if the command does."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, **options)
    assert done.returncode == 0, (
        f"{' '.join(command)}: status {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    )
    return str(done.stdout)


def docker(*arguments: str, seconds: float = STEP_SECONDS) -> str:
    """What a docker command prints."""
    return run("docker", *arguments, seconds=seconds)


def _works(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, timeout=STEP_SECONDS, check=False).returncode == 0


def _compose_command() -> tuple[str, ...] | None:
    return next((command for command in COMPOSE_COMMANDS if _works(*command, "version")), None)


def why_no_containers() -> str | None:
    """What the machine lacks; None if nothing."""
    if not _works("docker", "info"):
        return "no Docker engine answers"
    if _compose_command() is None:
        return "not installed: docker compose"
    return None


def _make_base() -> None:
    """Import Debian's smallest system as an image, unless it is there."""
    if _works("docker", "image", "inspect", BASE):
        return
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="base-", dir=cache) as name:
        tree = Path(name) / "tree"
        debootstrap = ["unshare", "--mount", "debootstrap", "--variant=minbase", "--components=main"]
        run(*debootstrap, codename(), str(tree), mirror(), seconds=BUILD_SECONDS)
        for useless in (
            "var/cache/apt/archives",
            "var/lib/apt/lists",
            "usr/share/doc",
            "usr/share/man",
            "usr/share/locale",
        ):
            shutil.rmtree(tree / useless, ignore_errors=True)
            (tree / useless).mkdir(parents=True)
        archive = Path(name) / "base.tar"
        run("tar", "-C", str(tree), "-cf", str(archive), ".", seconds=BUILD_SECONDS)
        docker("import", str(archive), BASE, seconds=BUILD_SECONDS)


def _make_context(directory: Path) -> None:
    """What `docker compose build` finds in a clone, and the wheels that it would get from the index."""
    for name in CONTEXT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory / name)
    wheels = cache_directory() / WHEELS
    for lock in LOCKS:
        requirements = ["--require-hashes", "-r", str(ROOT / "requirements" / f"{lock}.txt")]
        run(
            sys.executable, "-m", "pip", "download", "-q", "--find-links", str(wheels), *requirements, "-d", str(wheels),
            seconds=BUILD_SECONDS,
        )  # fmt: skip
    shutil.copytree(wheels, directory / "wheels")


@dataclass(frozen=True, slots=True)
class Composition:
    """A project of Docker Compose, and the port of this machine that its target is reached at."""

    directory: Path
    name: str
    port: int
    environment: Mapping[str, str]

    def compose(self, *arguments: str, seconds: float = STEP_SECONDS, **options: Any) -> str:
        """What a compose command prints."""
        command = _compose_command()
        assert command is not None
        environment = {**os.environ, **self.environment}
        return run(
            *command, "-p", self.name, *arguments, seconds=seconds, cwd=self.directory, env=environment, **options
        )

    @property
    def container(self) -> str:
        """The identity of the container."""
        return self.compose("ps", "-q", "isthmus").strip()

    def is_well(self) -> bool:
        """Whether the daemon in it answers, as the health check of the image asks it."""
        return _works("docker", "exec", self.container, "isthmus", "status", "--json")

    def inspect(self) -> dict[str, Any]:
        """What Docker knows of the container."""
        (facts,) = json.loads(docker("inspect", self.container))
        assert isinstance(facts, dict)
        return facts

    def shell(self, *lines: str) -> str:
        """Have the shell in the container run `lines`."""
        return self.compose("exec", "-T", "isthmus", "isthmus", "shell", input="\n".join((*lines, "exit", "")))


@contextmanager
def composition(directory: Path, port: int) -> Iterator[Composition]:
    """Build the image and give what starts it; removed, with its volumes, at the end."""
    _make_base()
    _make_context(directory)
    made = Composition(
        directory,
        name=f"isthmus-test-{os.getpid()}",
        port=port,
        environment={
            "ISTHMUS_BASE": BASE,
            "ISTHMUS_PORT": str(port),
            "ISTHMUS_ADVERTISE": f"127.0.0.1:{port}",
            "PIP_NO_INDEX": "1",
        },
    )
    made.compose("build", seconds=BUILD_SECONDS)
    try:
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "5")
