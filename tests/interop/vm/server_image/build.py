"""Build the image of a guest that is a server: a whole Debian with systemd, whose root file system can be written to.

    python -m tests.interop.vm.server_image.build        print where it is; build it if it is not there yet

What holds of the client's image (tests/interop/vm/image) holds here. Each guest gets a layer of its own above it, which
lasts over the guest's reboots.
"""

import shutil
import sys
from pathlib import Path

from tests.interop.vm.image import build as client
from tests.interop.vm.image.build import Image, ensure_image, in_tree, run
from tests.interop.vm.image.recipe import PRUNED
from tests.interop.vm.server_image.recipe import MASKED, MODULES, PACKAGES, WRITABLE_BYTES

__all__ = ["ensure_server_image"]

HERE = Path(__file__).parent


def key() -> str:
    """The name of the image that belongs to this recipe and these packages."""
    return f"server-{client.key(HERE, PACKAGES)}"


def make_tree(root: Path) -> None:
    """Debian with systemd and the packages of the recipe, without what only people read."""
    client.spare_dpkg_the_disk(root)
    debootstrap = ["unshare", "--mount", "debootstrap"]
    include = f"--include={','.join(PACKAGES)}"
    run([*debootstrap, "--variant=minbase", "--components=main", include, client.codename(), root, client.mirror()])
    for name in PRUNED:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
    for directory in ("host", "var/cache/apt/archives/partial", "var/lib/apt/lists/partial"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    set_up(root)


def set_up(root: Path) -> None:
    """What the guest's administrator would have said."""
    (root / "etc" / "fstab").write_text("")
    # What tests install is whole, with its documentation.
    (root / "etc" / "dpkg" / "dpkg.cfg.d" / "guest").write_text("force-unsafe-io\n")
    (root / "etc" / "hostname").write_text("isthmus-server\n")
    (root / "etc" / "machine-id").write_text("6973746d75733a207468652073657276\n")
    (root / "etc" / "iscsi" / "initiatorname.iscsi").write_text("InitiatorName=iqn.2026-01.com.example:guest\n")
    shutil.copy(HERE / "guest_queue.sh", root / "usr" / "local" / "sbin" / "guest-queue")
    (root / "usr" / "local" / "sbin" / "guest-queue").chmod(0o755)
    shutil.copy(HERE / "guest-queue.service", root / "etc" / "systemd" / "system")
    in_tree(root, "systemctl", "mask", *MASKED)
    in_tree(root, "systemctl", "enable", "guest-queue.service")


def make_disk(root: Path, path: Path) -> None:
    """An ext4 file system with the tree in it, and a journal, as the guest writes to it."""
    size = int(run(["du", "-s", "--block-size=1", "--apparent-size", root]).split()[0])
    with path.open("xb") as file:
        file.truncate((size * 5 // 4 + WRITABLE_BYTES) // 4096 * 4096)
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", root, path])


def build(work: Path) -> None:
    """Make the three files of an image in `work`, and clear away what they were made from."""
    release = client.unpack_kernel(work)
    root = work / "root"
    make_tree(root)
    client.install_modules(work, root, release, MODULES)
    client.make_initramfs(work, root, release, HERE / "initramfs_init.sh")
    make_disk(root, work / "root.ext4")
    for name in ("kernel-package", "root", "initramfs"):
        shutil.rmtree(work / name)


def ensure_server_image() -> Image:
    """The server's image, built if it is not there; raises `BuildError`."""
    return ensure_image(key, build)


if __name__ == "__main__":
    sys.stdout.write(f"{ensure_server_image().directory}\n")
