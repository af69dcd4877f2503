"""The Debian package, as `make deb` builds it."""

import subprocess
import sys
from pathlib import Path

from scripts import build_deb

__all__ = ["build_package", "higher_version"]


def build_package(output: Path) -> Path:
    """Build it into the directory `output`."""
    done = subprocess.run(
        [sys.executable, build_deb.ROOT / "scripts" / "build_deb.py", "--output", output],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def higher_version(package: Path, directory: Path) -> Path:
    """The same under a higher version, in `directory`."""
    subprocess.run(["dpkg-deb", "-R", package, directory / "tree"], check=True)
    control = directory / "tree" / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 9"))
    made = directory / "isthmus_9_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-b", directory / "tree", made], check=True)
    return made
