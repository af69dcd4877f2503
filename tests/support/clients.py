"""Run the real initiators that the machine has: libiscsi's tools and QEMU's, each with a bound on its time."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE
from tests.support.server import Url

__all__ = ["PATIENCE", "needs", "qemu_has_iscsi", "qemu_image_options", "run_client"]


def needs(*commands: str) -> pytest.MarkDecorator:
    """Leaves tests out where one of these programs is not installed, and says which."""
    missing = [command for command in commands if shutil.which(command) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def qemu_has_iscsi() -> bool:
    """Whether QEMU's iSCSI driver is there: Debian has it in a package of its own, qemu-block-extra."""
    return any(Path("/usr/lib").glob("*/qemu/block-iscsi.so"))


def run_client(
    command: Sequence[str | Url | Path], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run to its end and give exit status and output; `environment` is added to this process's own."""
    return subprocess.run(
        [str(argument) for argument in command],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
        env={**os.environ, **(environment or {})},
    )


def qemu_image_options(url: Url, **options: str) -> str:
    """The URL as `--image-opts` text, for what QEMU does not take in a URL."""
    fields = {"driver": "iscsi", "transport": "tcp", "portal": f"{url.host}:{url.port}", "target": url.iqn}
    fields |= {"lun": str(url.lun)} | {key.replace("_", "-"): value for key, value in options.items()}
    return ",".join(f"{key}={value}" for key, value in fields.items())
