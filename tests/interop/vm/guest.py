"""A virtual machine with the kernel's initiator, and scripts that run in it, each within a time limit."""

import contextlib
import itertools
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop.vm.image.build import Image

__all__ = ["KERNEL_PARAMETERS", "Guest", "GuestError", "Script", "await_ready", "running_guest"]

START_SECONDS = 300.0
POLL_SECONDS = 0.05
MEMORY_MIB = 768
CLIENT = Path(__file__).parent / "guest" / "client.sh"
PROLOGUE = "set -eu -o pipefail\n. /host/client.sh\n"
KERNEL_PARAMETERS = (
    "console=ttyS0 panic=-1 quiet mitigations=off nokaslr net.ifnames=0 tsc=reliable no_timer_check nowatchdog random.trust_cpu=on"
    # The processor's counter is measured when the guest starts, wrongly if this machine is busy: then minutes pass in
    # seconds, and everything is too late for everybody.
    " clocksource=hpet"
)


class GuestError(AssertionError):
    """The guest did not start or ended, or a script in it failed or had not ended in time; with what it said."""


@dataclass(slots=True, kw_only=True)
class Script:
    """A script that runs in the guest."""

    guest: "Guest"
    base: Path
    """Its files in the shared directory, but for the ending."""

    def output(self) -> str:
        """What it has printed so far, and what was complained about."""
        path = self.base.with_suffix(".out")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    @property
    def has_ended(self) -> bool:
        """Whether its exit status is there."""
        return self.base.with_suffix(".status").exists()

    def wait(self, seconds: float) -> str:
        """What it printed, when it has ended well; raises `GuestError` otherwise, and stops the guest if it hangs."""
        deadline = time.monotonic() + seconds
        while not self.has_ended:
            self.guest.check_is_running()
            if time.monotonic() > deadline:
                self.guest.stop()
                raise GuestError(f"the script had not ended after {seconds} s\n{self.output()}\n{self.guest.console()}")
            time.sleep(POLL_SECONDS)
        status = int(self.base.with_suffix(".status").read_text(encoding="ascii"))
        if status != 0:
            raise GuestError(f"exit status {status}\n{self.output()}")
        return self.output()

    def wait_for(self, text: str, seconds: float) -> None:
        """Wait until it has printed this; raises `GuestError` if it ends before, or does not in time."""
        deadline = time.monotonic() + seconds
        while text not in self.output():
            self.guest.check_is_running()
            if self.has_ended or time.monotonic() > deadline:
                raise GuestError(f"the script did not say {text!r} within {seconds} s\n{self.output()}")
            time.sleep(POLL_SECONDS)


@dataclass(slots=True, kw_only=True)
class Guest:
    """A running virtual machine."""

    process: subprocess.Popen[bytes]
    share: Path
    """The directory that the guest sees as /host."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    prologue: str = PROLOGUE
    """What each script begins with."""

    @property
    def is_running(self) -> bool:
        """Whether the machine has not ended."""
        return self.process.poll() is None

    def check_is_running(self) -> None:
        """Raise `GuestError` with the console's text if it has ended."""
        if not self.is_running:
            raise GuestError(f"the guest has ended\n{self.console()}")

    def console(self) -> str:
        """What kernel and QEMU have printed."""
        texts = [self.share.with_name(f"{self.share.name}.{name}") for name in ("console", "qemu")]
        return "".join(path.read_text(encoding="utf-8", errors="replace")[-8000:] for path in texts if path.exists())

    def portal(self, port: int) -> str:
        """A server's portal on the host's 127.0.0.1, as the guest dials it: the same address leads there."""
        return f"127.0.0.1:{port}"

    def start(self, script: str) -> Script:
        """Start a script (bash, with the functions of guest/client.sh) and give it, while it runs."""
        base = self.share / "queue" / f"{next(self.numbers)}"
        unready = base.with_suffix(".writing")
        unready.write_text(self.prologue + script, encoding="utf-8")
        unready.rename(base.with_suffix(".sh"))
        return Script(guest=self, base=base)

    def run(self, script: str, *, seconds: float = 400.0) -> str:
        """Run a script and give what it printed; raises `GuestError` if it fails or has not ended after `seconds`."""
        return self.start(script).wait(seconds)

    def stop(self) -> None:
        """Turn it off, as by its switch; nothing in it lasts."""
        self.process.kill()
        self.process.wait()


def _qemu(image: Image, share: Path, root: str, options: tuple[str, ...]) -> list[str]:
    # KVM is never used: where /dev/kvm is there it may not work, and guests then hang. --pdeathsig: dies with the tests.
    return [
        "setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1",
        "-m", str(MEMORY_MIB), "-M", "q35", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", str(image.kernel), "-initrd", str(image.initramfs), "-append", KERNEL_PARAMETERS,
        "-drive", f"file={root},format=raw,if=virtio,readonly=on",
        "-virtfs", f"local,path={share},mount_tag=host,security_model=none,id=host",
        "-device", "virtio-rng-pci", "-nic", "user,model=virtio-net-pci",
        "-serial", f"file:{share.with_name(share.name + '.console')}", *options,
    ]  # fmt: skip


def await_ready(guest: Guest, seconds: float = START_SECONDS) -> None:
    """Wait until the guest takes scripts; raises `GuestError`."""
    deadline = time.monotonic() + seconds
    while not (guest.share / "queue" / "ready").exists():
        guest.check_is_running()
        if time.monotonic() > deadline:
            raise GuestError(f"the guest was not ready after {seconds} s\n{guest.console()}")
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def running_guest(
    image: Image, directory: Path, *options: str, prefix: Sequence[str] = (), root: str | None = None
) -> Iterator[Guest]:
    """A guest until the block ends; `directory` gets what is shared with it and its console, `options` are QEMU's.

    `prefix`: the words before the command, such as those that have it run in another network. `root`: where QEMU finds
    the root file system, if not in the image's own file.
    """
    share = directory / "host"
    (share / "queue").mkdir(parents=True)
    shutil.copy(CLIENT, share)
    with (directory / "host.qemu").open("wb") as log:
        command = [*prefix, *_qemu(image, share, root or str(image.root), options)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        guest = Guest(process=process, share=share)
        try:
            await_ready(guest)
            yield guest
        finally:
            guest.stop()
