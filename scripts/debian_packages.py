"""Install the Debian packages that tests, benchmark and `make deb` need, or say which are missing and what that leaves out.

    python3 scripts/debian_packages.py tests|bench|deb

Runs before there is a virtual environment, so it needs nothing but Python. As root it installs through apt; it changes
no apt configuration, removes no package and leaves no service behind. It exits 0 also if something stays missing: the
tests that need it then skip themselves, with the same reason.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

APT_ENVIRONMENT = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
APT_INSTALL = (
    "apt-get", "install", "-q", "-y", "--no-install-recommends", "--no-remove", "-o", "DPkg::Lock::Timeout=120",
)  # fmt: skip
POLICY = Path("/usr/sbin/policy-rc.d")
VIRTUAL_MACHINE = "tests/interop/vm"
DEBIAN_PACKAGE = "tests/packaging/test_deb.py, and the virtual machine that serves"
NOBODY_LISTENS = "iscsi://127.0.0.1:1/iqn.2026-01.org.isthmus:nobody/0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A Debian package, a command of it that shows that it is there, and what cannot run without it."""

    package: str
    command: str
    without: str


NEEDS = {
    "tests": (
        Need(
            package="libiscsi-bin", command="iscsi-test-cu", without="tests/conformance, and iscsi-* in tests/interop"
        ),
        Need(package="tgt", command="tgtadm", without="tests/interop/test_tgt_*"),
        Need(package="qemu-utils", command="qemu-img", without="QEMU in tests/interop"),
        Need(package="qemu-block-extra", command="", without="QEMU in tests/interop"),
        Need(package="qemu-system-x86", command="qemu-system-x86_64", without=VIRTUAL_MACHINE),
        Need(package="debootstrap", command="debootstrap", without=VIRTUAL_MACHINE),
        Need(package="cpio", command="cpio", without=VIRTUAL_MACHINE),
        Need(package="zstd", command="zstd", without=VIRTUAL_MACHINE),
        Need(package="e2fsprogs", command="mke2fs", without=VIRTUAL_MACHINE),
        Need(package="groff-base", command="groff", without="how manual pages look, in tests/scripts"),
        Need(package="mandoc", command="mandoc", without="how manual pages look, in tests/scripts"),
        Need(package="debhelper", command="dh", without=DEBIAN_PACKAGE),
        Need(package="dpkg-dev", command="dpkg-buildpackage", without=DEBIAN_PACKAGE),
        Need(package="lintian", command="lintian", without="lintian in tests/packaging/test_deb.py"),
    ),
    "bench": (
        Need(package="libiscsi-bin", command="iscsi-perf", without="the read figures of make bench"),
        Need(package="tgt", command="tgtd", without="the peer that make bench compares with"),
        Need(package="qemu-utils", command="qemu-img", without="the write figures of make bench"),
        Need(package="qemu-block-extra", command="", without="the write figures of make bench"),
    ),
    "deb": (
        Need(package="debhelper", command="dh", without="make deb"),
        Need(package="dpkg-dev", command="dpkg-buildpackage", without="make deb"),
    ),
}


def is_present(need: Need) -> bool:
    """Whether it is there and works; sbin counts, although a user's PATH may lack it."""
    if need.package == "qemu-block-extra":
        return qemu_speaks_iscsi()
    return shutil.which(need.command, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def qemu_speaks_iscsi() -> bool:
    """Whether qemu-img loads its iSCSI module: that has to come from the very build that qemu-img comes from."""
    if not shutil.which("qemu-img"):
        return False
    attempt = run(["qemu-img", "info", NOBODY_LISTENS])
    return "connect" in attempt.stderr.lower()


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says."""
    return subprocess.run(command, env=APT_ENVIRONMENT, capture_output=True, text=True, check=False)


def apt(command: Sequence[str], *options: str) -> bool:
    """Run an apt command in view of the user; whether it succeeded."""
    print("+", *command, flush=True)
    return subprocess.run([*command, *options], env=APT_ENVIRONMENT, check=False).returncode == 0


# --- services ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def no_service_starts() -> Iterator[None]:
    """While packages are installed, keep their services from starting, by Debian's own means (policy-rc.d).

    Where the machine has a policy of its own that stays, and what it allows happens. A package's service is also
    kept from starting with the machine: the tests and the benchmark start the programs themselves.
    """
    had_tgt = is_installed("tgt")
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink()
        if not had_tgt and is_installed("tgt") and shutil.which("update-rc.d"):
            apt(["update-rc.d", "tgt", "disable"])


def is_installed(package: str) -> bool:
    """Whether dpkg has it, configured."""
    return installed_version(package) != ""


def installed_version(package: str) -> str:
    """The installed version of a package, or nothing."""
    answer = run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Version}", package])
    status, _, version = answer.stdout.partition("\t")
    return version if answer.returncode == 0 and status.startswith("ii") else ""


# --- qemu-block-extra -------------------------------------------------------------------------------------------------


def install_qemu_block_extra() -> None:
    """Install the version that belongs to the installed qemu-utils, and else both anew from one place.

    First from the sources that the machine has; then, for a qemu-utils out of backports, with that suite added for
    this one command; then both as the machine's own sources offer them.
    """
    version = installed_version("qemu-utils")
    wanted = f"qemu-block-extra={version}"
    if version and version in run(["apt-cache", "madison", "qemu-block-extra"]).stdout:
        apt([*APT_INSTALL, wanted])
    elif "~bpo" in version:
        with backports() as (options, suite):
            if options and apt(["apt-get", "update", "-q"], *options):
                both = [f"qemu-utils/{suite}", f"qemu-block-extra/{suite}"]
                apt([*APT_INSTALL, wanted], *options) or apt([*APT_INSTALL, *both], *options)
    if not qemu_speaks_iscsi():
        apt([*APT_INSTALL, "--allow-downgrades", *same_candidate("qemu-utils", "qemu-block-extra")])


def install_qemu_system() -> None:
    """Install the machine emulator beside a qemu-utils out of backports: it has to come from there too, with its firmware."""
    if "~bpo" not in installed_version("qemu-utils"):
        return
    with backports() as (options, suite):
        if options and apt(["apt-get", "update", "-q"], *options):
            apt([*APT_INSTALL, "-t", suite, "qemu-system-x86"], *options)


def same_candidate(*packages: str) -> list[str]:
    """Each of `packages` at the newest version that the sources offer for all of them."""
    offered: list[list[str]] = []
    for package in packages:
        lines = run(["apt-cache", "madison", package]).stdout.splitlines()
        offered.append([line.split("|")[1].strip() for line in lines if line.count("|") == 2])
    common = [version for version in offered[0] if all(version in others for others in offered)]
    return [f"{package}={common[0]}" for package in packages] if common else list(packages)


@contextlib.contextmanager
def backports() -> Iterator[tuple[list[str], str]]:
    """Options that make one apt command see the backports of this release, from the mirror that the machine uses.

    They name a copy of the machine's source lists with one more, so nothing in /etc changes. No options if the
    machine's own sources tell no mirror.
    """
    suite = f"{codename()}-backports"
    with tempfile.TemporaryDirectory() as directory:
        lists = Path(directory)
        lists.chmod(0o755)
        for part in Path("/etc/apt/sources.list.d").glob("*"):
            if part.suffix in {".list", ".sources"}:
                shutil.copy(part, lists)
        extra = backports_source(suite)
        if not extra:
            yield [], suite
            return
        name, text = extra
        (lists / name).write_text(text)
        yield ["-o", f"Dir::Etc::sourceparts={lists}"], suite


def backports_source(suite: str) -> tuple[str, str] | None:
    """A file name and the source in it, made from the one that the machine has for its release."""
    for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(errors="replace")
        source = from_deb822(text, suite) if path.suffix == ".sources" else from_one_line(text, suite)
        if source:
            return f"isthmus-tests{'.sources' if path.suffix == '.sources' else '.list'}", source
    return None


def from_deb822(text: str, suite: str) -> str | None:
    """The stanza of the release itself, with `suite` in place of its suites (sources.list(5), deb822 style)."""
    for stanza in re.split(r"\n\s*\n", text):
        fields = {
            match[1].lower(): match[2].strip()
            for match in re.finditer(r"(?m)^([A-Za-z0-9-]+):(.*(?:\n[ \t].*)*)", stanza)
        }
        is_release = codename() in fields.get("suites", "").split() and "main" in fields.get("components", "").split()
        if is_release and "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            fields |= {"types": "deb", "suites": suite, "components": "main"}
            return "".join(f"{name.title()}: {value}\n" for name, value in fields.items())
    return None


def from_one_line(text: str, suite: str) -> str | None:
    """The line of the release itself, with `suite` in place of its suite (sources.list(5), one-line style)."""
    line = re.compile(rf"(?m)^deb\s+(\[[^]]*\]\s+)?(\S+)\s+{re.escape(codename())}/?\s+(?:.*\s)?main\b")
    match = line.search(text)
    return f"deb {match[1] or ''}{match[2]} {suite} main\n" if match else None


def codename() -> str:
    """The release's name, like `bookworm`."""
    match = re.search(r"(?m)^VERSION_CODENAME=\"?(\w+)", Path("/etc/os-release").read_text())
    return match[1] if match else "stable"


# ----------------------------------------------------------------------------------------------------------------------


def install(missing: Sequence[Need]) -> None:
    """Install what is missing, the modules of QEMU after QEMU itself."""
    plain = [need.package for need in missing if need.package != "qemu-block-extra"]
    if not apt(["apt-get", "update", "-q"]):
        print("apt-get update failed; going on with the lists that are there")
    with no_service_starts():
        # QEMU and its modules in one command come from one release.
        together = [*plain, "qemu-block-extra"] if "qemu-utils" in plain else plain
        if together and not apt([*APT_INSTALL, *together]):
            for package in together:
                apt([*APT_INSTALL, package])
        if "qemu-block-extra" in {need.package for need in missing} and not qemu_speaks_iscsi():
            install_qemu_block_extra()
        if any(need.package == "qemu-system-x86" and not is_present(need) for need in missing):
            install_qemu_system()


def main(purpose: str) -> int:
    """Install what `purpose` needs where that is possible, and report the rest."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))  # so that what is temporary goes away
    missing = [need for need in NEEDS[purpose] if not is_present(need)]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        install(missing)
        missing = [need for need in missing if not is_present(need)]
    for need in missing:
        print(f"missing: {need.package}, which leaves out {need.without}")
    if missing and os.geteuid() != 0:
        print("To install them, as root: apt-get install " + " ".join(need.package for need in missing))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
