"""Build the Debian package into dist/, from packaging/debian and the wheels that requirements/runtime.txt names.

    python scripts/build_deb.py [--version VERSION] [--output DIRECTORY]

The package is for the machine's own /usr/bin/python3, as extension modules are for one version of it. Times in it are
those of the last commit (or SOURCE_DATE_EPOCH), so that who builds it again gets the same bytes.
"""

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
DEBIAN: Final = ROOT / "packaging" / "debian"
SYSTEMD: Final = ROOT / "packaging" / "systemd"
SYSTEM_PYTHON: Final = "/usr/bin/python3"
OLDEST: Final = (3, 11)
MAINTAINER: Final = "The Isthmus developers <developers@isthmus.example>"
COMPLETIONS: Final = {"bash": "isthmus", "zsh": "_isthmus", "fish": "isthmus.fish"}
USELESS: Final = ("**/*.pyx", "**/*.pxd", "**/*.pxi", "**/*.pyi", "**/*.c", "**/*.h", "**/py.typed")
"""What extension modules were made from, and what only type checkers read."""
INSTALLERS_NOTES: Final = ("RECORD", "REQUESTED", "INSTALLER", "direct_url.json")
"""What pip writes for itself: dpkg knows the files, and paths of the building machine are nobody's business."""


class BuildError(Exception):
    """Why there is no package."""


def main(arguments: Sequence[str]) -> int:
    """Build it and print where it is."""
    parser = argparse.ArgumentParser(description="Build the Debian package.")
    parser.add_argument("--version", default=project_version(), help="of the package, without Debian's revision")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    options = parser.parse_args(arguments)
    try:
        print(build(debian_version(options.version), options.output))
    except BuildError as error:
        print(f"build_deb: {error}", file=sys.stderr)
        return 1
    return 0


def build(version: str, output: Path) -> Path:
    """Make the package in a directory of its own and move it to `output`."""
    check_tools()
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(source_date()), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    with tempfile.TemporaryDirectory(prefix="isthmus-deb-") as name:
        tree = Path(name) / "isthmus"
        lay_out(tree, version, environment)
        run(["dpkg-buildpackage", "-b", "-d", "-nc", "-us", "-uc"], environment, directory=tree)
        (package,) = Path(name).glob("isthmus_*.deb")
        output.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(package, output / package.name))


def check_tools() -> None:
    """Raise `BuildError` for what the machine lacks."""
    missing = [name for name in ("dpkg-buildpackage", "dh") if shutil.which(name) is None]
    if missing:
        raise BuildError(f"not found: {', '.join(missing)} (apt-get install debhelper dpkg-dev)")
    program = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    if not Path(SYSTEM_PYTHON).exists() or subprocess.run([SYSTEM_PYTHON, "-c", program], check=False).returncode:
        raise BuildError(f"{SYSTEM_PYTHON} is not there, or older than {'.'.join(map(str, OLDEST))}")


# --- what the package is told -----------------------------------------------------------------------------------------


def project_version() -> str:
    """The version in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def debian_version(version: str) -> str:
    """The same as Debian sorts it: what comes before a release is marked by a tilde (deb-version(7))."""
    return re.sub(r"[._-]?(a|b|rc|dev)(?=\d)", r"~\1", version) + "-1"


def source_date() -> int:
    """When the sources were last changed: what SOURCE_DATE_EPOCH says, the last commit, or the project file's time."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    if (ROOT / ".git").exists() and shutil.which("git"):
        asked = subprocess.run(
            ["git", "-C", ROOT, "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False
        )
        if asked.returncode == 0:
            return int(asked.stdout)
    return int((ROOT / "pyproject.toml").stat().st_mtime)


def changelog(version: str, date: str) -> str:
    """Debian's own, in which only the version and the time matter."""
    return f"isthmus ({version}) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- {MAINTAINER}  {date}\n"


# --- the tree that debhelper works in ---------------------------------------------------------------------------------


def lay_out(tree: Path, version: str, environment: Mapping[str, str]) -> None:
    """Put together what debian/rules finds."""
    shutil.copytree(DEBIAN, tree / "debian")
    for kind in ("service", "socket", "sysusers", "tmpfiles"):
        shutil.copy(SYSTEMD / f"isthmus.{kind}", tree / "debian")
    shutil.copy(SYSTEMD / "block-devices.conf", tree)
    shutil.copy(ROOT / "CHANGELOG.md", tree)
    shutil.copytree(ROOT / "docs", tree / "docs")
    date = formatdate(int(environment["SOURCE_DATE_EPOCH"]))
    (tree / "debian" / "changelog").write_text(changelog(version, date))
    (tree / "bin").mkdir()
    shutil.move(tree / "debian" / "launcher.py", tree / "bin" / "isthmus")
    (tree / "bin" / "isthmus").chmod(0o755)
    install_modules(tree, environment)
    write_completions(tree / "completions", environment)


def install_modules(tree: Path, environment: Mapping[str, str]) -> None:
    """Have pip put what the lock file names, and the project itself, into site-packages, for the system's Python."""
    modules = tree / "site-packages"
    pip = [*pip_command(), "--python", SYSTEM_PYTHON, "install", "--quiet", "--no-compile", "--target", str(modules)]
    quiet = {**environment, "PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    locked = str(ROOT / "requirements" / "runtime.txt")
    run([*pip, "--only-binary=:all:", "--require-hashes", "-r", locked], quiet)
    shutil.rmtree(modules / "bin", ignore_errors=True)
    with tempfile.TemporaryDirectory() as wheel:
        run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheel], quiet, directory=ROOT)
        run([*pip, "--no-deps", "--no-index", *map(str, Path(wheel).glob("*.whl"))], quiet)
    shutil.rmtree(modules / "bin", ignore_errors=True)
    for pattern in (*USELESS, *(f"*.dist-info/{note}" for note in INSTALLERS_NOTES)):
        for path in modules.glob(pattern):
            path.unlink()


def pip_command() -> list[str]:
    """Of this environment, or of the Python that made it."""
    python = sys.executable if importlib.util.find_spec("pip") else "python3"
    return [python, "-m", "pip"]


def write_completions(directory: Path, environment: Mapping[str, str]) -> None:
    """A file for each shell, as `isthmus completion` prints it."""
    directory.mkdir()
    for shell, name in COMPLETIONS.items():
        command = [sys.executable, "-m", "isthmus", "completion", shell]
        (directory / name).write_text(run(command, environment))


def run(command: Sequence[str], environment: Mapping[str, str], *, directory: Path | None = None) -> str:
    """What a command prints; raises `BuildError` with all that it said if it fails."""
    done = subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
