"""What a guest gets to be a server: the package, the packages that it needs, and the units, as one archive."""

import importlib.metadata
import importlib.util
import py_compile
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["INSTALL", "pack"]

PROJECT = Path(__file__).parents[3]
UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH
LIBRARY = "usr/lib/isthmus"
UNITS = "usr/lib/systemd/system"
PROGRAM = f"""#!/usr/bin/python3
import sys
sys.path.insert(0, "/{LIBRARY}")
from isthmus.cli.main import main
sys.exit(main())
"""

INSTALL = """
tar -x -f /host/isthmus.tar -C / --no-same-owner
systemd-sysusers isthmus.conf
systemd-tmpfiles --create isthmus.conf
mkdir -p /etc/systemd/system/isthmus.service.d
printf '[Service]\\nTimeoutStartSec=15min\\n' > /etc/systemd/system/isthmus.service.d/emulated.conf
systemctl daemon-reload
install -d -o isthmus -g isthmus /srv/iscsi
"""
"""What an administrator does with it, in the guest; one whose machine is emulated on a busy one is patient."""


def _requirements() -> Iterator[str]:
    """The names in the lock file of what is needed to run."""
    for line in (PROJECT / "requirements" / "runtime.txt").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([A-Za-z0-9._-]+)==", line):
            yield found[1]


def _files() -> Iterator[tuple[Path, str]]:
    """Each file, and where it goes."""
    for name in _requirements():
        for file in importlib.metadata.files(name) or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                path = Path(str(file.locate()))
                if path.is_file():
                    yield path, f"{LIBRARY}/{file}"
    package = PROJECT / "src" / "isthmus"
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield path, f"{LIBRARY}/{path.relative_to(package.parent)}"
    units = PROJECT / "packaging" / "systemd"
    for name in ("isthmus.service", "isthmus.socket"):
        yield units / name, f"{UNITS}/{name}"
    yield units / "isthmus.sysusers", "usr/lib/sysusers.d/isthmus.conf"
    yield units / "isthmus.tmpfiles", "usr/lib/tmpfiles.d/isthmus.conf"
    yield units / "block-devices.conf", "usr/share/doc/isthmus/block-devices.conf"


def pack(share: Path) -> None:
    """Write the archive into the directory that is shared with the guest."""
    program = share / "isthmus"
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    with tarfile.open(share / "isthmus.tar", "w") as archive:
        archive.add(program, "usr/bin/isthmus")
        for path, name in _files():
            archive.add(path, name)
            if path.suffix == ".py":
                compiled = share / "compiled"
                py_compile.compile(str(path), str(compiled), invalidation_mode=UNCHECKED)
                archive.add(compiled, importlib.util.cache_from_source(name))
