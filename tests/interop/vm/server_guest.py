"""A guest that is a server: Debian with systemd, SCSI devices, and this package as its service."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.interop.vm.conftest import why_not
from tests.interop.vm.guest import KERNEL_PARAMETERS, Guest, await_ready
from tests.interop.vm.image.build import Image, run
from tests.interop.vm.installation import INSTALL, put

__all__ = ["ServerGuest", "running_server_guest", "why_no_server"]

HERE = Path(__file__).parent
MEMORY_MIB = 1024
BOOT_SECONDS = 1200.0
INSTALL_SECONDS = 600
PROLOGUE = "set -eu -o pipefail\n. /host/client.sh\n. /host/server.sh\n"


def why_no_server() -> str | None:
    """What the machine lacks for a guest that is a server; None if nothing."""
    if reason := why_not():
        return reason
    missing = [name for name in ("qemu-img", "dh", "dpkg-buildpackage") if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else None


class ServerGuest(Guest):
    """It lasts over its reboots."""

    def reboot(self) -> None:
        """Have it shut down in order, and wait until it is up again."""
        (self.share / "queue" / "ready").unlink()
        self.start("systemctl start --no-block --job-mode=replace-irreversibly reboot.target\n")
        await_ready(self, BOOT_SECONDS)


def _qemu(image: Image, share: Path, layer: Path, options: tuple[str, ...]) -> list[str]:
    parameters = f"{KERNEL_PARAMETERS} systemd.show_status=0"
    return [
        "setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1",
        "-m", str(MEMORY_MIB), "-M", "q35", "-nodefaults", "-no-user-config", "-display", "none",
        "-kernel", str(image.kernel), "-initrd", str(image.initramfs), "-append", parameters,
        "-drive", f"file={layer},format=qcow2,if=none,id=root,cache=unsafe", "-device", "virtio-blk-pci,drive=root",
        "-virtfs", f"local,path={share},mount_tag=host,security_model=none,id=host",
        "-device", "virtio-rng-pci", "-serial", f"file:{share.with_name(share.name + '.console')}", *options,
    ]  # fmt: skip


@contextlib.contextmanager
def running_server_guest(image: Image, package: Path, directory: Path, *options: str) -> Iterator[ServerGuest]:
    """A guest with the Debian package installed, until the block ends; `options` are QEMU's, such as more disks."""
    share = directory / "host"
    (share / "queue").mkdir(parents=True)
    for name in ("client.sh", "server.sh"):
        shutil.copy(HERE / "guest" / name, share)
    put(package, share)
    layer = directory / "root.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image.root, "-F", "raw", layer])
    with (directory / "host.qemu").open("wb") as log:
        command = _qemu(image, share, layer, options)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        guest = ServerGuest(process=process, share=share, prologue=PROLOGUE)
        try:
            await_ready(guest, BOOT_SECONDS)
            guest.run(INSTALL, seconds=INSTALL_SECONDS)
            yield guest
        finally:
            guest.stop()
