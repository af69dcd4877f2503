"""A network, a name, a /srv and a /dev of a test's own: addresses, ports and paths are free to be what a guide says."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from tests.support.patience import PATIENCE

__all__ = ["Namespace", "namespace", "namespaces_missing"]

_ROOT = os.geteuid() == 0


@dataclass(slots=True, kw_only=True)
class Namespace:
    """What a process stands for that only waits in it."""

    pid: int
    environment: Mapping[str, str]

    def command(self, *words: str | Path) -> list[str]:
        """What runs `words` in there."""
        user = [] if _ROOT else ["--user", "--preserve-credentials"]
        return ["nsenter", *user, "--net", "--mount", "--uts", "--target", str(self.pid), *map(str, words)]

    def run(
        self, *words: str | Path, check: bool = False, stdin: IO[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run to its end."""
        return subprocess.run(
            self.command(*words),
            check=check,
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=self.environment,
        )


@cache
def namespaces_missing() -> str:
    """Why there can be none here; empty: there can."""
    missing = [name for name in ("unshare", "nsenter", "ip", "mount") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run(_unshare("true"), capture_output=True, text=True, check=False, timeout=PATIENCE)
    return "" if tried.returncode == 0 else f"namespaces cannot be made: {tried.stderr.strip()}"


def _unshare(*words: str) -> list[str]:
    return ["unshare", *([] if _ROOT else ["--map-root-user"]), "--net", "--mount", "--uts", *words]


@contextlib.contextmanager
def namespace(directory: Path, environment: Mapping[str, str], *, own_devices: bool = False) -> Iterator[Namespace]:
    """One with loopback up and an empty /srv, kept in `directory`; with a /dev that can be added to if asked."""
    srv, upper, work = (directory / name for name in ("srv", "dev-upper", "dev-work"))
    for made in (srv, upper, work):
        made.mkdir()
    steps = ["ip link set lo up", 'mount --bind "$1" /srv']
    if own_devices:
        steps.append('mount -t overlay overlay -o "lowerdir=/dev,upperdir=$2,workdir=$3" /dev')
    script = " && ".join([*steps, "echo ready", "exec sleep infinity"])
    command = [*_unshare("sh", "-c", script, "sh"), str(srv), str(upper), str(work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as holder:
        assert holder.stdout is not None
        try:
            line = holder.stdout.readline()
            assert line == "ready\n", line + holder.stdout.read()
            yield Namespace(pid=holder.pid, environment={**os.environ, **environment})
        finally:
            holder.kill()
