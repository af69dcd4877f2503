"""What a guest gets to be a server: the Debian package, and how an administrator installs it."""

import shutil
import tarfile
import tempfile
from pathlib import Path

from scripts.build_deb import SYSTEM_PYTHON
from tests.interop.vm.image.build import run

__all__ = ["INSTALL", "put"]

LIBRARY = Path("usr/lib/isthmus")

INSTALL = """
mkdir -p /etc/systemd/system/isthmus.service.d
printf '[Service]\\nTimeoutStartSec=15min\\n' > /etc/systemd/system/isthmus.service.d/emulated.conf
install_package isthmus
[ "$(systemctl is-enabled isthmus)" = enabled ]
[ "$(systemctl is-active isthmus)" = active ]
install -d -o isthmus -g isthmus /srv/iscsi
"""
"""What an administrator does, in the guest; one whose machine is emulated on a busy one is patient."""


def put(package: Path, share: Path, name: str = "isthmus") -> None:
    """Put it into the directory that is shared with a guest, as NAME.deb, and what its installation compiles, as NAME.tar.

    That takes minutes there, and seconds here; py3compile leaves alone what is newer than its source.
    """
    shutil.copy(package, share / f"{name}.deb")
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        run(["dpkg-deb", "-x", package, tree])
        run([SYSTEM_PYTHON, "-m", "compileall", "-q", "-s", tree, "-p", "/", tree / LIBRARY])
        with tarfile.open(share / f"{name}.tar", "w") as archive:
            for path in sorted((tree / LIBRARY).rglob("__pycache__")):
                archive.add(path, str(path.relative_to(tree)))
