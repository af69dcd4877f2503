"""Debian's smallest system as a tree of files, in which packages are installed and programs run, without systemd as process 1.

The tree is made once by debootstrap, from the mirror that the machine's own apt names, and kept beside the guest's image.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.interop.vm.image.build import BuildError, codename, mirror
from tests.interop.vm.image.build import run as run_step
from tests.support.build_cache import built

__all__ = ["Tree", "debian_tree", "why_no_trees"]

_INCLUDED: Final = ("python3", "systemd", "man-db", "bash-completion")
"""What the package depends on, and what reads its manual and its completions: nothing is fetched later."""
_SECONDS: Final = 300.0
_ENVIRONMENT: Final = ("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
_OFFLINE: Final = ("-o", "Dir::Etc::sourcelist=", "-o", "Dir::Etc::sourceparts=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A copy of the tree, in name spaces of its own: mounts, and processes that end with it."""

    root: Path
    holder: int

    def command(self, *words: str) -> list[str]:
        """What runs `words` in there."""
        enter = [f"--pid=/proc/{self.holder}/ns/pid_for_children", "--mount", "--target", str(self.holder)]
        return ["nsenter", *enter, "chroot", str(self.root), "/usr/bin/env", "-i", *_ENVIRONMENT, *words]

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run to its end, whatever that is."""
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def run(self, *words: str) -> str:
        """All that a command says; an assertion fails with it if the command does."""
        done = self.attempt(*words)
        assert done.returncode == 0, f"{' '.join(words)}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def install(self, package: Path) -> str:
        """Have apt install a package file, with no network to get anything else from."""
        shutil.copy(package, self.root)
        return self.run("apt-get", "install", "-y", *_OFFLINE, f"/{package.name}")

    def path(self, path: str) -> Path:
        """A path of the tree, from outside."""
        return self.root / path.lstrip("/")


def why_no_trees() -> str | None:
    """What is missing for one; None if nothing."""
    if os.geteuid() != 0:
        return "not root"
    missing = [name for name in ("debootstrap", "unshare", "nsenter", "chroot") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


def _build(root: Path) -> None:
    options = ["--variant=minbase", "--components=main", f"--include={','.join(_INCLUDED)}"]
    # A mount name space of its own: what debootstrap mounts goes away with it, however it ends.
    run_step(["unshare", "--mount", "debootstrap", *options, codename(), root, mirror()])
    for archive in (root / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()


@contextlib.contextmanager
def debian_tree(directory: Path) -> Iterator[Tree]:
    """A fresh one below `directory`; what runs in it ends with the block, and it goes away."""
    root = directory / "tree"
    run_step(["cp", "-a", "--reflink=auto", built(f"tree-{codename()}-{'-'.join(_INCLUDED)}", _build), root])
    script = 'mount -t proc proc "$1/proc" && echo ready && exec sleep infinity'
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        try:
            if holder.stdout.readline() != "ready\n":
                raise BuildError("no name spaces could be made for the tree")
            yield Tree(root=root, holder=holder.pid)
        finally:
            holder.kill()
    shutil.rmtree(root)
