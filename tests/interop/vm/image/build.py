"""Build the guest's image, from Debian's packages, in a cache outside the source tree.

    python -m tests.interop.vm.image.build        print where it is; build it if it is not there yet

Needs root, and the packages that scripts/debian_packages.py installs. Packages come from the mirror that the machine's
own apt configuration names. An image belongs to the recipe in this directory and to the versions of the packages that
apt offers: if one of them changes, another is built, and those go that nobody has used for a month. The cache may be
deleted at any time no guest runs.
"""

import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.interop.vm.image.recipe import EARLY_MODULES, MODULES, PACKAGES, PRUNED
from tests.support.build_cache import built

__all__ = ["COMMANDS", "BuildError", "Image", "ensure_image", "uncompressed_kernel"]

HERE = Path(__file__).parent
COMMANDS = ("qemu-system-x86_64", "debootstrap", "cpio", "zstd", "mke2fs", "apt-get", "dpkg")
"""Commands without which there is no guest."""

KERNEL = "linux-image-amd64"
STEP_SECONDS = 600
SPARE_BYTES = 64 << 20
APT_ENVIRONMENT = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
GUEST_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class BuildError(Exception):
    """A step of the building failed; says which, and what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What QEMU starts the guest from."""

    directory: Path

    @property
    def kernel(self) -> Path:
        """Uncompressed, as that saves the guest the work, or as Debian has it."""
        return self.directory / "kernel"

    @property
    def initramfs(self) -> Path:
        """What the kernel starts with: the modules that the root file system is reached by."""
        return self.directory / "initramfs.img"

    @property
    def root(self) -> Path:
        """The root file system, never written to."""
        return self.directory / "root.ext4"


def run(command: Sequence[str | Path], *, directory: Path | None = None, stdin: str | None = None) -> str:
    """Run a step and give what it printed; raises `BuildError`."""
    arguments = [str(part) for part in command]
    try:
        done = subprocess.run(
            arguments, cwd=directory, input=stdin, env=APT_ENVIRONMENT, capture_output=True, text=True,
            timeout=STEP_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BuildError(f"{arguments[0]} had not ended after {STEP_SECONDS} s") from None
    if done.returncode != 0:
        raise BuildError(
            f"{' '.join(arguments)}: exit status {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    return done.stdout


# --- what it is built from --------------------------------------------------------------------------------------------


def codename() -> str:
    """The machine's release of Debian, which is the guest's as well."""
    found = re.search(r'(?m)^VERSION_CODENAME="?(\w+)', Path("/etc/os-release").read_text(encoding="utf-8"))
    if found is None:
        raise BuildError("/etc/os-release names no release")
    return found[1]


def mirror() -> str:
    """The archive that the machine's apt takes the release's main component from."""
    places = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main",
         f"Codename: {codename()}"]
    ).split()  # fmt: skip
    if not places:
        raise BuildError(f"the machine's apt sources have no main component of {codename()}")
    return places[0]


def kernel_package() -> str:
    """The package that the newest kernel is in; its name has the version of the kernel's interface."""
    found = re.search(r"Depends: (linux-image-\S+)", run(["apt-cache", "depends", KERNEL]))
    if found is None:
        raise BuildError(f"the machine's apt sources do not have {KERNEL}")
    return found[1]


def offered_versions(packages: Sequence[str]) -> str:
    """The versions of everything that is asked for by name, as the machine's apt offers them."""
    policy = run(["apt-cache", "policy", kernel_package(), *packages])
    return "\n".join(re.findall(r"(?m)^\S+:$|^  Candidate: .*$", policy))


def key(recipe: Path = HERE, packages: Sequence[str] = PACKAGES) -> str:
    """The name of the image that belongs to this recipe and these packages."""
    digest = hashlib.sha256(offered_versions(packages).encode())
    for path in sorted(recipe.iterdir()):
        if path.suffix in {".py", ".service", ".sh"}:
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


# --- kernel -----------------------------------------------------------------------------------------------------------


def uncompressed_kernel(image: bytes) -> bytes:
    """The ELF file inside a bzImage; the bzImage itself if it is compressed in a way that is not known here.

    Source: Linux, Documentation/arch/x86/boot.rst, fields setup_sects, payload_offset and payload_length.
    """
    sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    payload = image[start : start + length]
    if payload.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x28\xb5\x2f\xfd"):  # the frame is followed by its size
        return subprocess.run(["zstd", "-dcq"], input=payload[:-4], capture_output=True, check=True).stdout
    return image


def unpack_kernel(work: Path) -> str:
    """Put the kernel's package into work/kernel-package and the kernel into work/kernel; the kernel's release."""
    package = kernel_package()
    run(["apt-get", "download", "-q", package], directory=work)
    (archive,) = work.glob("linux-image-*.deb")
    unpacked = work / "kernel-package"
    run(["dpkg", "-x", archive, unpacked])
    archive.unlink()
    release = package.removeprefix("linux-image-")
    (work / "kernel").write_bytes(uncompressed_kernel((unpacked / "boot" / f"vmlinuz-{release}").read_bytes()))
    return release


# --- root file system -------------------------------------------------------------------------------------------------


def spare_dpkg_the_disk(root: Path) -> None:
    """Have dpkg leave out what is deleted afterwards, and not wait until each file is on the disk."""
    configuration = root / "etc" / "dpkg" / "dpkg.cfg.d"
    configuration.mkdir(parents=True)
    left_out = (f"path-exclude=/{name}/*\n" for name in PRUNED if name.startswith("usr/"))
    (configuration / "guest").write_text("force-unsafe-io\n" + "".join(left_out))


def make_tree(root: Path) -> None:
    """Debian's smallest system with the packages of the recipe, without what only people read."""
    spare_dpkg_the_disk(root)
    include = ",".join(PACKAGES)
    # A mount name space of its own: what debootstrap mounts goes away with it, however it ends.
    debootstrap = ["unshare", "--mount", "debootstrap"]
    run([*debootstrap, "--variant=minbase", "--components=main", f"--include={include}", codename(), root, mirror()])
    for name in PRUNED:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
    (root / "host").mkdir(exist_ok=True)
    shutil.copy(HERE / "guest_init.sh", root / "sbin" / "guest-init")
    (root / "sbin" / "guest-init").chmod(0o755)


def in_tree(root: Path, *command: str) -> str:
    """Run a command of the guest's own system."""
    return run(["chroot", root, "/usr/bin/env", f"PATH={GUEST_PATH}", *command])


def needed_files(root: Path, release: str, modules: Sequence[str]) -> list[Path]:
    """The files of these modules and of all that they need, in the order to load them, relative to the root."""
    files: dict[Path, None] = {}
    for module in modules:
        for line in in_tree(root, "modprobe", "-S", release, "--show-depends", "--ignore-install", module).splitlines():
            kind, _, path = line.strip().partition(" ")
            if kind == "insmod":
                files[Path(path.split()[0].lstrip("/"))] = None
    return list(files)


def install_modules(work: Path, root: Path, release: str, modules: Sequence[str]) -> None:
    """Put these modules into the tree, chosen with the help of all of them."""
    everything = root / "lib" / "modules" / release
    everything.parent.mkdir(exist_ok=True)
    (work / "kernel-package" / "lib" / "modules" / release).rename(everything)
    in_tree(root, "depmod", release)
    chosen = needed_files(root, release, [*EARLY_MODULES, *modules])
    kept = work / "modules"
    for path in chosen:
        target = kept / path.relative_to(everything.relative_to(root))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, target)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(everything / name, kept)
    shutil.rmtree(everything)
    kept.rename(everything)
    in_tree(root, "depmod", release)


def make_disk(root: Path, path: Path) -> None:
    """An ext4 file system with the tree in it, without a journal, as it is never written to."""
    size = int(run(["du", "-s", "--block-size=1", "--apparent-size", root]).split()[0])
    size = (size * 5 // 4 + SPARE_BYTES) // 4096 * 4096
    with path.open("xb") as file:
        file.truncate(size)
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", root, path])


def make_initramfs(work: Path, root: Path, release: str, init: Path) -> None:
    """Busybox, the modules to reach the root file system with, and the script that mounts it."""
    tree = work / "initramfs"
    for name in ("bin", "dev", "proc", "sys", "image", "memory", "root", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy(root / "bin" / "busybox", tree / "bin")
    files = needed_files(root, release, EARLY_MODULES)
    for path in files:
        shutil.copy(root / path, tree / "modules")
    (tree / "modules" / "order").write_text("".join(f"{path.name}\n" for path in files))
    shutil.copy(init, tree / "init")
    (tree / "init").chmod(0o755)
    names = "\n".join([".", *sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))])
    run(["cpio", "-o", "-H", "newc", "--quiet", "-F", work / "initramfs.img"], directory=tree, stdin=names + "\n")


# ----------------------------------------------------------------------------------------------------------------------


def build(work: Path) -> None:
    """Make the three files of an image in `work`, and clear away what they were made from."""
    release = unpack_kernel(work)
    root = work / "root"
    make_tree(root)
    install_modules(work, root, release, MODULES)
    make_initramfs(work, root, release, HERE / "initramfs_init.sh")
    make_disk(root, work / "root.ext4")
    for name in ("kernel-package", "root", "initramfs"):
        shutil.rmtree(work / name)


def ensure_image(name: Callable[[], str] = key, build: Callable[[Path], None] = build) -> Image:
    """The image that belongs to the recipe and the packages on offer, built if it is not there; raises `BuildError`."""
    return Image(directory=built(name(), build))


if __name__ == "__main__":
    sys.stdout.write(f"{ensure_image().directory}\n")
